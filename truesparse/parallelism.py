"""How many threads work for us, and that BLAS does not work against them.

Our kernels and BLAS each keep a pool of threads that wait busily for more work. When both pools are as large as the
machine, they take turns in keeping each other from running: a step then takes five times as long. The dense products
of a sparse network are small, so BLAS gets one thread while our kernels are at work.

The number of BLAS threads belongs to the whole process. The first user lowers it and the last one restores it, so that
several threads can predict at the same time without restoring what another one has set.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

from truesparse.kernels.jit import threads as kernel_threads


@contextmanager
def threads(n_threads):
    """Run a ``with`` block with `n_threads` threads for our kernels and one for BLAS; both are restored afterwards."""
    with kernel_threads(n_threads), _one_blas_thread:
        yield


class _OneBlasThread:
    """BLAS runs on one thread from the first entry to the last exit."""

    def __init__(self):
        self._lock = threading.Lock()
        self._n_users = 0

    def __enter__(self):
        with self._lock:
            if self._n_users == 0:
                self._limit = _apart(lambda: _blas_libraries().limit(limits=1, user_api="blas"))
            self._n_users += 1

    def __exit__(self, *exception):
        with self._lock:
            self._n_users -= 1
            if self._n_users == 0:
                _apart(self._limit.restore_original_limits)


_one_blas_thread = _OneBlasThread()


@cache
def _blas_libraries():
    """The BLAS libraries of this process; looking for them takes milliseconds, so it is done once."""
    return ThreadpoolController()


def _apart(function):
    """Call in a thread that ends at once.

    While a thread that has set a limit lives, threadpoolctl ignores all others, but who leaves last here need not be
    who came first.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function).result()
