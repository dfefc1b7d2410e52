"""The workers of a Dask client, which run pure functions, and run them again if a worker is lost.

A task is a pure function of its arguments, so any worker can run it, any number of times. The scheduler runs the tasks
of a worker that dies on another one, and computes what it held again. What the scheduler gives up, the client submits
again.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any, Self

_ATTEMPTS = 5  # to run the same tasks, each after the scheduler has given them up


class Held:
    """Values that the workers keep, one future each; `make` submits them, and submits them again once they are lost."""

    def __init__(self, make: Callable[[], list]):
        self._make = make
        self.futures = make()

    def restore(self) -> None:
        """Submit the values again if they were released, or the scheduler has forgotten one or could not compute it."""
        if not self.futures or any(future.status in ("cancelled", "lost", "error") for future in self.futures):
            self.futures = self._make()

    def release(self) -> None:
        """Let the workers forget the values; what depends on them can still be computed again."""
        self.futures = []


class Workers:
    """The workers of a client; ``client=None`` is the one that was made last in this process."""

    def __init__(self, client: Any = None):
        from distributed import Client, default_client

        if client is None:
            try:
                client = default_client()
            except ValueError:
                raise ValueError(
                    "client=None, but there is no Dask client: make one, such as dask.distributed.Client()."
                ) from None
        if not isinstance(client, Client) or client.asynchronous:
            raise ValueError(f"client={client!r} must be a dask.distributed.Client that is not asynchronous, or None.")
        self.client = client
        self._kept: list[Held] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        for held in self._kept:
            held.release()

    def keep(self, make: Callable[[], list]) -> Held:
        """Return what `make` submits, which the workers keep up to the end of the ``with`` block."""
        self._kept.append(Held(make))
        return self._kept[-1]

    def count(self) -> int:
        """Return how many workers there are; ValueError if there are none."""
        n = len(self._addresses())
        if not n:
            raise ValueError("The Dask cluster has no workers: start some, and call client.wait_for_workers().")
        return n

    def _addresses(self):
        return sorted(self.client.ncores())

    def submit(self, function: Callable, *args: Any) -> Any:
        """Return the future of a task."""
        with _without_warning_of_size():
            return self.client.submit(function, *args, pure=False)

    def hold(self, value: Any) -> Held:
        """Send a value to the workers."""
        return Held(lambda: [self.submit(_itself, value)])

    def run(self, function: Callable, calls: Sequence[tuple], *shared: Any, held: Sequence[Held]) -> list:
        """Return the results of ``function(value, *call[1:], *shared)`` for all calls.

        ``value`` is the one that ``call[0]`` numbers in the last of `held`, each of which needs those before it. A
        shared argument travels once; one that is `Held` has travelled before.
        """
        last: Exception | None = None
        for _ in range(_ATTEMPTS):
            try:
                sent = [value if isinstance(value, Held) else self.hold(value) for value in shared]
                common, values = [value.futures[0] for value in sent], held[-1].futures
                futures = [self.submit(function, values[call[0]], *call[1:], *common) for call in calls]
                return self.client.gather(futures)
            except (CancelledError, _killed_worker()) as error:
                last = error
                for part in (*held, *(value for value in shared if isinstance(value, Held))):
                    part.restore()
        raise RuntimeError(f"The Dask workers were lost {_ATTEMPTS} times in the same tasks: {last}") from last

    def spread(self, held: Held) -> None:
        """Move values from workers that keep several to workers that keep none."""
        on: dict[str, list[int]] = {address: [] for address in self._addresses()}
        try:
            places = self.client.who_has(held.futures)
        except CancelledError:  # they are lost: `run` will notice
            return
        for number, future in enumerate(held.futures):
            found = [address for address in places.get(future.key, ()) if address in on]
            if found:
                on[min(found, key=lambda address: len(on[address]))].append(number)
        for address in [address for address, numbers in on.items() if not numbers]:
            fullest = max(on.values(), key=len)
            if len(fullest) < 2:
                return
            number = fullest.pop()
            on[address].append(number)
            held.futures[number] = self.client.submit(
                _itself, held.futures[number], workers=[address], allow_other_workers=True, pure=False
            )


def _itself(value):
    return value


def _killed_worker():
    from distributed import KilledWorker

    return KilledWorker


@contextmanager
def _without_warning_of_size() -> Iterator[None]:
    """Leave out Dask's advice on large arguments: these have to travel, and can so be sent again."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
        yield
