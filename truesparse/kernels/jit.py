"""How every kernel is compiled: the numba flags and the number of threads, in one place.

Fast-math is the subset that lets sums be reordered and fused but keeps NaN and infinity meaningful: with the
whole of ``fastmath`` a test such as ``x != x`` is folded to False.

Rules that every file of this package keeps:

- A kernel calls no kernel of another file: numba's on-disk cache sees only changes of the file it belongs to.
- Signatures are lazy, so that read-only and strided arrays are accepted and only what is used is compiled.
- Each output element has one writer and a fixed order of operations, so results are the same bytes for every
  number of threads. Nothing in a parallel loop draws random numbers.
- Scalars become the arrays' own dtype before they meet an array; a Python float would turn the arithmetic of
  a float32 kernel into float64.
- Bounds are not checked: whoever calls a kernel with indices from outside has validated them.
"""

from contextlib import contextmanager
from functools import partial

import numba

FASTMATH = {"reassoc", "contract", "arcp", "nsz"}

serial = partial(numba.njit, cache=True, fastmath=FASTMATH, nogil=True)
parallel = partial(numba.njit, cache=True, fastmath=FASTMATH, nogil=True, parallel=True)


def max_threads():
    """The most threads that kernels can use in this process."""
    return numba.config.NUMBA_NUM_THREADS


@contextmanager
def threads(n_threads):
    """Run the kernels of a ``with`` block on at most `n_threads` threads; the setting is restored afterwards."""
    before = numba.get_num_threads()
    numba.set_num_threads(min(n_threads, max_threads()))
    try:
        yield
    finally:
        numba.set_num_threads(before)
