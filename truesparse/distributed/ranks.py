"""The processes of a training that talk by MPI, and how they end together if one of them fails.

MPI's collective operations wait for all processes, whatever happens to one of them. So a rank that fails sends a
message to the others; they look for such messages while they wait for a sum, and raise an error.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

_FAILED = 1  # tag of the messages of a rank that fails
_PATIENCE = 2000  # looks at a sum that is not there yet, after which a rank sleeps between looks
_NAP = 1e-5  # seconds


class OtherRankError(RuntimeError):
    """Another rank failed, and said why."""


class Ranks:
    """The processes of a training. Every method must be called by all of them, in the same order."""

    def __init__(self, comm: Any = None):
        from mpi4py import MPI

        self._comm = (MPI.COMM_WORLD if comm is None else comm).Dup()  # whose messages are ours alone
        self.rank, self.size = self._comm.Get_rank(), self._comm.Get_size()
        self._is_clean = True  # no sum is pending, and no message on its way

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        if self._is_clean and (kind is None or issubclass(kind, Exception)):  # all are here
            self._comm.Free()

    def add_up(self, array: NDArray) -> NDArray:
        """Return the sum of the arrays of all ranks; raise an `OtherRankError` if one of them has failed."""
        array = np.ascontiguousarray(array)
        total = np.empty_like(array)
        request = self._comm.Iallreduce(array, total)
        n_looks = 0
        while not request.Test():
            if self._comm.Iprobe(tag=_FAILED):
                raise OtherRankError(self._comm.recv(tag=_FAILED))
            n_looks += 1
            if n_looks > _PATIENCE:
                time.sleep(_NAP)
        return total

    @contextmanager
    def agree(self) -> Iterator[None]:
        """Run a ``with`` block that talks to nobody; if it fails in some ranks, raise the first one's error in all."""
        error: BaseException | None = None
        try:
            yield
        except Exception as caught:
            error = caught
        said = self._comm.allgather(None if error is None else f"{type(error).__name__}: {error}")
        failed = [rank for rank, text in enumerate(said) if text is not None]
        if error is not None and failed[0] == self.rank:
            raise error
        if failed:
            raise ValueError(f"Rank {failed[0]}: {said[failed[0]]}") from error

    def check_equal(self, what: str, value: str) -> None:
        """Raise a ValueError in all ranks if a value differs from that of rank 0."""
        values = self._comm.allgather(value)
        other = next((rank for rank, its in enumerate(values) if its != values[0]), None)
        if other is not None:
            raise ValueError(f"The ranks disagree: {what} of rank 0: {values[0]}; of rank {other}: {values[other]}.")

    def all_of(self, value: Any) -> list[Any]:
        """Return the values of all ranks."""
        return self._comm.allgather(value)

    def of_root(self, value: Any) -> Any:
        """Return the value of rank 0."""
        return self._comm.bcast(value)

    @contextmanager
    def file_of_root(self, path: str | os.PathLike | None) -> Iterator[str | os.PathLike | None]:
        """Give a ``with`` block a path with the content of rank 0's file; None for None."""
        if path is None:
            yield None
            return
        content = b""
        with self.agree():
            if self.rank == 0:
                with open(path, "rb") as file:
                    content = file.read()
        content = self.of_root(content)
        with ExitStack() as opened:
            if self.rank > 0:
                folder = opened.enter_context(tempfile.TemporaryDirectory())
                path = os.path.join(folder, os.path.basename(path))
                with open(path, "wb") as file:
                    file.write(content)
            yield path

    @contextmanager
    def failing_together(self) -> Iterator[None]:
        """Run a ``with`` block that calls `add_up`; if it fails in one rank, all leave it with an error."""
        self._is_clean = False
        try:
            yield
            self.add_up(np.zeros(1))  # so that none succeeds where another fails at the end
        except OtherRankError:
            raise
        except BaseException as error:
            message = f"Rank {self.rank} failed: {type(error).__name__}: {error}"
            others = [rank for rank in range(self.size) if rank != self.rank]
            self._sent = [self._comm.isend(message, rank, tag=_FAILED) for rank in others]
            raise
        self._is_clean = True
