"""How many threads work for us, and that BLAS does not work against them.

Our kernels and BLAS each keep a pool of threads that wait busily for more work. When both pools are as large as the
machine, they take turns in keeping each other from running: a step then takes five times as long. The dense products
of a sparse network are small, so BLAS gets one thread while our kernels are at work.
"""

from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

from truesparse.kernels.jit import threads as kernel_threads


@cache
def _controller():
    """The BLAS libraries of this process; looking for them takes milliseconds, so it is done once."""
    return ThreadpoolController()


@contextmanager
def threads(n_threads):
    """Run a ``with`` block with `n_threads` threads for our kernels and one for BLAS; both are restored afterwards."""
    with kernel_threads(n_threads), _controller().limit(limits=1, user_api="blas"):
        yield
