"""How many threads work for us, and that BLAS does not work against them.

Our kernels and BLAS each keep a pool of threads that wait busily for more work. When both pools are as large as the
machine, they take turns in keeping each other from running: a step then takes five times as long. The dense products
of a sparse network are small, so BLAS gets one thread while our kernels are at work.

The number of BLAS threads belongs to the whole process. The first user lowers it, the last one restores it, so that
several threads can predict at the same time and none restores what another one has set.
"""

import threading
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

from truesparse.kernels.jit import threads as kernel_threads

_lock = threading.Lock()
_n_users = 0
_limit = None


@cache
def _controller():
    """The BLAS libraries of this process; looking for them takes milliseconds, so it is done once."""
    return ThreadpoolController()


@contextmanager
def threads(n_threads):
    """Run a ``with`` block with `n_threads` threads for our kernels and one for BLAS."""
    with kernel_threads(n_threads), _one_blas_thread():
        yield


@contextmanager
def _one_blas_thread():
    global _n_users, _limit
    with _lock:
        if _n_users == 0:
            _limit = _controller().limit(limits=1, user_api="blas")
        _n_users += 1
    try:
        yield
    finally:
        with _lock:
            _n_users -= 1
            if _n_users == 0:
                _limit.restore_original_limits()
