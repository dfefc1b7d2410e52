"""How many threads work on a training step, and what they share.

The work of a step is counted in products of a parameter and a sample. Launching threads costs some microseconds, in
which one thread makes some hundred thousand products. Whatever is chosen, the results have the same bytes.

| samples of a batch | products of a step | threads share |
|---|---|---|
| more than 64 | at least 2²¹ | the tiles of the batch, in two launches a step |
| up to 64 | at least 2²² | the rows of each layer, in a launch for each layer and pass |
| any, and more than 2²² parameters | | the rows: a gradient for each tile would take too much memory |
| any | fewer | nothing: one thread does all the work |

A convolutional network shares tiles of 32 samples in any case, so that one tile is for one thread.

On a machine whose cores are busy with something else, threads wait for each other, and a step can take ten times as
long as on one thread. So a training also measures which is faster, and keeps measuring (`Pace`).
"""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from truesparse.kernels.jit import threads
from truesparse.kernels.lanes import PART

_LEAST_WORK = 2**21
_LEAST_WORK_BY_ROWS = 2**22
_MOST_COPIED = 2**22  # parameters
_TRIALS = 3  # of each number of threads before the first choice
_EVERY = 200  # parts of an epoch after which the slower number of threads is tried again
STEPS_OF_TRIAL = 5


def useful_threads(n_params: int, batch_size: int, most: int, *, tile: int = 1) -> int:
    """Return how many of `most` threads make a training fastest: one or all; a `tile` of samples is not shared."""
    least = _LEAST_WORK if batch_size > PART else _LEAST_WORK_BY_ROWS
    return most if batch_size >= _fewest(tile) and n_params * batch_size >= least else 1


def least_batch(n_params: int, *, tile: int = 1) -> int:
    """Return the smallest batch size from which several threads make a training faster."""
    by_rows = max(_fewest(tile), -(-_LEAST_WORK_BY_ROWS // n_params))
    return by_rows if by_rows <= PART else max(PART + 1, -(-_LEAST_WORK // n_params))


def _fewest(tile):
    return tile + 1 if tile > 1 else 1


def shares_rows(n_params: int, batch_size: int, n_threads: int) -> bool:
    """Return whether threads share the rows of each layer, in steps that are not compiled as a whole."""
    return n_threads > 1 and (n_params > _MOST_COPIED or batch_size <= PART)


class Pace:
    """Choice between all threads and one by the seconds that a step takes with each.

    A training makes its steps in parts, of one step or of many. Each part asks for `n_threads`, and is noted.
    """

    def __init__(self, most: int):
        self._seconds: dict[int, deque[float]] = {n: deque(maxlen=_TRIALS) for n in sorted({most, 1}, reverse=True)}
        self._parts = 0

    def n_threads(self) -> int:
        """Return the number of threads for the next part."""
        for n, seconds in self._seconds.items():
            if len(seconds) < _TRIALS:
                return n
        by_seconds = sorted(self._seconds, key=lambda n: median(self._seconds[n]))
        return by_seconds[-1 if self._parts % _EVERY == 0 else 0]

    @property
    def is_trial(self) -> bool:
        """Whether the next part is for measuring, and should be short."""
        return len(self._seconds) > 1 and (
            self._parts % _EVERY == 0 or any(len(seconds) < _TRIALS for seconds in self._seconds.values())
        )

    @contextmanager
    def timed(self, n_steps: int) -> Iterator[None]:
        """Give a ``with`` block, the next part, its number of threads, and note its time."""
        n_threads, started = self.n_threads(), time.perf_counter()
        with threads(n_threads):
            yield
        self.note(n_threads, (time.perf_counter() - started) / n_steps)

    def note(self, n_threads: int, seconds_per_step: float) -> None:
        """Note what a part has taken."""
        self._parts += 1
        self._seconds[n_threads].append(seconds_per_step)
