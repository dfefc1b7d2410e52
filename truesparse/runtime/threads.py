"""Threads of our kernels and of BLAS.

Our kernels and BLAS each keep a pool of threads that wait busily. If both pools are as large as the machine, a step
takes five times as long. Dense products of a sparse network are small, so BLAS gets one thread while our kernels work.
The number of BLAS threads belongs to the process: the first user lowers it, the last one restores it. The number of
kernel threads belongs to the Python thread that sets it.

With one thread, Numba's threads are not used: each parallel kernel is also compiled as a plain loop. Several threads of
its OpenMP layer do not survive a fork, after which Numba would end the child without a message. Its workqueue layer
would end a process in which two Python threads use it, so our kernels take turns there, but other Numba code does not.
The guide on speed says which ways of running estimators in parallel work.
"""

import os
import threading
from contextlib import contextmanager
from functools import cache

from joblib import effective_n_jobs
from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController

from truesparse.kernels.jit import threads as kernel_threads


@contextmanager
def threads(n_threads, *, uses_blas=True):
    """Run a ``with`` block with `n_threads` threads for our kernels and one for BLAS, and restore both.

    The number of BLAS threads, whose change takes a tenth of a millisecond, stays as it is if the block does not use
    BLAS. Raises RuntimeError for several threads in a process whose threads stayed behind when it was forked.
    """
    with kernel_threads(n_threads):
        if not uses_blas:
            yield
            return
        user = object()
        try:
            _one_blas_thread.enter(user)
            yield
        finally:
            try:
                _one_blas_thread.leave(user)
            except BaseException:  # Ctrl-C while we waited
                _one_blas_thread.leave(user)
                raise


def asked_threads(n_jobs: int | None) -> int:
    """Return how many threads `n_jobs` asks for; None means one, or as many as `joblib.parallel_config` was given.

    joblib's `effective_n_jobs` alone would return all cores of the cluster for None in a worker of Dask.
    """
    if n_jobs is None:
        n_jobs = get_active_backend()[1]
    return 1 if n_jobs is None else effective_n_jobs(n_jobs)


class _OneBlasThread:
    """Keeps BLAS at one thread from the first entry to the last exit.

    A thread of its own lowers the number and restores it: the setting of threadpoolctl belongs to a thread, the last
    user to leave need not be the first, and Ctrl-C reaches only the main thread. There it may come at any line, so
    a user may leave twice, or without having entered.
    """

    def __init__(self):
        self._lock = lock = threading.RLock()
        self._users = set()
        self._keeper = None
        self._ended = threading.Event()
        if hasattr(os, "register_at_fork"):  # the holder of the lock does not exist in a child
            os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)

    def enter(self, user):
        """Lower the number of threads for the first user."""
        with self._lock:
            if self._keeper is None:
                lowered, self._ended = threading.Event(), threading.Event()
                arguments = _blas_libraries(), lowered, self._ended
                self._keeper = threading.Thread(target=_keep_lowered, args=arguments, daemon=True)
                self._keeper.start()
                lowered.wait()
            self._users.add(user)

    def leave(self, user):
        """Restore the number of threads after the last user."""
        with self._lock:
            self._users.discard(user)
            if not self._users and self._keeper is not None:
                self._ended.set()
                if self._keeper.is_alive():  # not in a process forked meanwhile
                    self._keeper.join()
                self._keeper = None


_one_blas_thread = _OneBlasThread()
_blas_libraries = cache(ThreadpoolController)  # looking for them takes milliseconds, so it is done once


def _keep_lowered(libraries, lowered, ended):
    with libraries.limit(limits=1, user_api="blas"):
        lowered.set()
        ended.wait()
