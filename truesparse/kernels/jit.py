"""Compilation of the kernels: numba's flags and the number of threads, in one place.

The compiler has no freedom in the arithmetic of most kernels: every operation is rounded as IEEE 754 says, so that
vector and scalar code, and code compiled now or read from the cache, give the same bytes. *Sums* may be reordered, or
they could not use vector instructions; the subset of fast-math that allows it keeps NaN and infinity meaningful. The
products of the two passes are written out with `lanes`, which say what is fused and in which order sums are made.

Rules that every file of this package keeps:

- A function that only kernels call is `truesparse.kernels.parts.inner`.
- Signatures are lazy, so that read-only and strided arrays are accepted and only what is used is compiled.
- Each output element has one writer and a fixed order of operations, so results are the same bytes for every number of
  threads. A parallel loop runs over rows or over blocks of a fixed size, never over single elements, and draws no
  random numbers.
- Scalars become the arrays' own dtype before they meet an array; a Python float would turn the arithmetic of a float32
  kernel into float64.
- Bounds are not checked: whoever calls a kernel with indices from outside has validated them.

``NUMBA_DISABLE_JIT=1`` in the environment runs all kernels as Python code, so that a debugger can step through them and
coverage can be measured; results are the same up to the last bits, and a step takes some hundred times as long.
"""

import gc
import os
import threading
from contextlib import contextmanager, nullcontext
from functools import cache, partial, wraps

import numba

from truesparse.kernels.cache import KernelCache, named_for_cache
from truesparse.kernels.parts import FLAGS, KernelCompiler


def _without_collection(compile_kernel):
    """Return a function that compiles without Python's garbage collector, which would take a seventh of the time."""

    @wraps(compile_kernel)
    def compile_alone(signature):
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            return compile_kernel(signature)
        finally:
            if was_enabled:
                gc.enable()

    return compile_alone


def serial(kernel, variant="", **flags):
    """Compile a kernel without threads of its own."""
    if numba.config.DISABLE_JIT:
        return kernel
    kernel = named_for_cache(kernel, variant)
    compiled = numba.njit(pipeline_class=KernelCompiler, **FLAGS, **flags)(kernel)
    compiled.compile = _without_collection(compiled.compile)
    compiled._cache = KernelCache(kernel)  # as `cache=True` does with Numba's own, which fails without a directory
    return compiled


class _ThisThread(threading.local):
    n_threads = numba.config.NUMBA_NUM_THREADS


_this_thread = _ThisThread()
_launches = threading.RLock()
_lost_at_fork = False


def parallel(kernel, **flags):
    """Compile a kernel twice, each when it is first used: without threads for one, with Numba's for several."""
    # Numba's cache knows functions by name, not by flags, so the two need different names.
    of_one, of_several = serial(kernel, "_of_one_thread", **flags), serial(kernel, parallel=True, **flags)

    @wraps(kernel)
    def launch(*args):
        if _this_thread.n_threads == 1:
            return of_one(*args)
        if _lost_at_fork:
            _refuse()
        with _launches if _takes_turns() else nullcontext():
            return of_several(*args)

    return launch


parallel_sums = partial(parallel, fastmath={"reassoc", "contract", "arcp", "nsz"})


def max_threads():
    """Return the most threads that kernels can use in this process."""
    return numba.config.NUMBA_NUM_THREADS


def current_threads():
    """Return the number of threads that kernels use now, by default all. Compiled code that asks cannot be cached."""
    return _this_thread.n_threads


@contextmanager
def threads(n_threads):
    """Run the kernels of a ``with`` block on at most `n_threads` threads; the setting is restored afterwards.

    The setting is the calling Python thread's own. With one thread, Numba's threads are not started.

    Raises
    ------
    RuntimeError
        For several threads in a process whose threads stayed behind when it was forked.
    """
    n_threads = min(n_threads, max_threads())
    if n_threads > 1 and _lost_at_fork:
        _refuse()
    before = _this_thread.n_threads
    numbas = numba.get_num_threads() if n_threads > 1 else None
    try:
        _this_thread.n_threads = n_threads
        if n_threads > 1:
            numba.set_num_threads(n_threads)
        yield
    finally:
        _this_thread.n_threads = before
        if n_threads > 1:
            numba.set_num_threads(numbas)


@cache
def _takes_turns():
    """Whether Numba's threads must work for one Python thread at a time, or their layer ends the process."""
    numba.get_num_threads()  # the layer is chosen when it is first asked
    return numba.threading_layer() == "workqueue"


def _refuse():
    raise RuntimeError(
        "n_jobs > 1 is not possible in this process: it was forked from one in which Numba had started the threads of "
        "GNU OpenMP, and they do not survive that. Only n_jobs=1 is allowed here; more are in processes started by "
        "joblib's 'loky' or multiprocessing's 'spawn' or 'forkserver', or if NUMBA_THREADING_LAYER=workqueue is set in "
        "the environment of the first process."
    )


def _after_fork():
    global _lost_at_fork
    _launches.release()
    try:
        _lost_at_fork = numba.threading_layer() == "omp"
    except ValueError:  # no threads were started
        _lost_at_fork = False


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(before=_launches.acquire, after_in_parent=_launches.release, after_in_child=_after_fork)
