"""How every kernel is compiled: the numba flags and the number of threads, in one place.

Two kinds of kernels differ in what the compiler may do to their arithmetic:

- Most leave it no freedom: every operation is rounded as IEEE 754 says, so that vector and scalar code, and code
  compiled now or read from the cache, give the same bytes. The products of the two passes are written out with `lanes`,
  which say what is fused and in which order sums are made.
- *Sums* may be reordered, or they could not use vector instructions. The subset of fast-math that allows it keeps
  NaN and infinity meaningful; with the whole of it, a test such as ``x != x`` is folded to False.

Rules that every file of this package keeps:

- A kernel calls no kernel of another file: numba's on-disk cache sees only changes of the file it belongs to. What all
  kernels are made of (this file, `lanes` and `table`) is excepted.
- Signatures are lazy, so that read-only and strided arrays are accepted and only what is used is compiled.
- Each output element has one writer and a fixed order of operations, so results are the same bytes for every
  number of threads. A parallel loop runs over rows or over blocks of a fixed size, never over single elements.
  Nothing in it draws random numbers.
- Scalars become the arrays' own dtype before they meet an array; a Python float would turn the arithmetic of
  a float32 kernel into float64.
- Bounds are not checked: whoever calls a kernel with indices from outside has validated them.
"""

from contextlib import contextmanager
from functools import partial

import numba

serial = partial(numba.njit, cache=True, nogil=True)
parallel = partial(numba.njit, cache=True, nogil=True, parallel=True)
parallel_sums = partial(parallel, fastmath={"reassoc", "contract", "arcp", "nsz"})


def max_threads():
    """The most threads that kernels can use in this process."""
    return numba.config.NUMBA_NUM_THREADS


def current_threads():
    """How many threads kernels use now; compiled code that asks by itself could not be cached."""
    return numba.get_num_threads()


@contextmanager
def threads(n_threads):
    """Run the kernels of a ``with`` block on at most `n_threads` threads; the setting is restored afterwards."""
    before = numba.get_num_threads()
    numba.set_num_threads(min(n_threads, max_threads()))
    try:
        yield
    finally:
        numba.set_num_threads(before)
