"""Storage of compiled kernels: the names under which Numba keeps them on disk.

Numba stores the machine code of a kernel under its file and its qualified name, and discards it when that file is
edited. It notices neither an edit of the files that all kernels are made of, nor other settings of the compiler. So a
hash of both is a part of every kernel's qualified name.
"""

import hashlib
import pkgutil
from functools import cache
from types import FunctionType

from numba import config

from truesparse.kernels.lanes import PLAIN

_SHARED_FILES = ("jit.py", "lanes.py", "table.py")

# Settings that change the machine code, as numba.config names them. The processor's name and features are in Numba's
# own key; the number of threads and the threading layer are only looked at when a kernel runs.
_COMPILER_SETTINGS = (
    "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "ENABLE_AVX", "ENABLE_PROFILING", "EXTEND_VARIABLE_LIFETIMES",
    "LLVM_REFPRUNE_FLAGS", "LLVM_REFPRUNE_PASS", "LOOP_VECTORIZE", "NRT_STATS", "OPT", "PARFOR_MAX_TUPLE_SIZE",
    "SLP_VECTORIZE", "USING_SVML",
)  # fmt: skip


def named_for_cache(kernel, variant=""):
    """Return a copy of a Python function whose qualified name tells `variant` and everything else that shaped it."""
    copy = FunctionType(kernel.__code__, kernel.__globals__, kernel.__name__, kernel.__defaults__, kernel.__closure__)
    copy.__qualname__ = f"{kernel.__qualname__}{variant}_{_fingerprint()}"
    return copy


@cache
def _fingerprint():
    """Return a hash of the shared files and of the compiler's settings."""
    state = hashlib.sha256()
    for name in _SHARED_FILES:
        try:
            state.update(pkgutil.get_data("truesparse.kernels", name))
        except OSError:  # a frozen program has no sources; Numba looks at the whole executable there
            state.update(b"frozen")
    settings = [(name, str(getattr(config, name, None))) for name in _COMPILER_SETTINGS]
    state.update(repr((PLAIN, settings)).encode())
    return state.hexdigest()[:12]
