"""Storage of compiled kernels: their names on disk, and the directories that are read and written.

Numba stores the machine code of a kernel under its file and its qualified name, and discards it when that file is
edited. It notices neither an edit of another file whose kernels are called there, nor other settings of the compiler.
So a hash of all files of this package and of the settings is a part of every kernel's qualified name.

Numba refuses to compile where it finds no directory to write to, and does not read one that it cannot write to. Here,
the places are

1. ``NUMBA_CACHE_DIR``, ``__pycache__`` beside the kernel, the user's cache directory (Numba's own list);
2. a directory of the user's own among the temporary files.

The first one that can be written receives what is compiled. It is read as well, and so are those before it, if they
belong to root, to the user, or to the owner of the kernels' source. If none can be written, what is compiled is lost
when the process ends, and a warning says so.
"""

import hashlib
import os
import pkgutil
import stat
import tempfile
import warnings
from contextlib import suppress
from functools import cache, cached_property
from types import FunctionType

from numba import config
from numba.core.caching import FunctionCache, _CacheLocator, _SourceFileBackedLocatorMixin

from truesparse.kernels.lanes import PLAIN

# Settings that change the machine code, as numba.config names them. The processor's name and features are in Numba's
# own key; the number of threads and the threading layer are only looked at when a kernel runs.
_COMPILER_SETTINGS = (
    "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "ENABLE_AVX", "ENABLE_PROFILING", "EXTEND_VARIABLE_LIFETIMES",
    "LLVM_REFPRUNE_FLAGS", "LLVM_REFPRUNE_PASS", "LOOP_VECTORIZE", "NRT_STATS", "OPT", "PARFOR_MAX_TUPLE_SIZE",
    "SLP_VECTORIZE", "USING_SVML",
)  # fmt: skip


def named_for_cache(kernel, variant=""):
    """Return a copy of a Python function whose qualified name holds `variant` and a hash of what else shapes it."""
    copy = FunctionType(kernel.__code__, kernel.__globals__, kernel.__name__, kernel.__defaults__, kernel.__closure__)
    copy.__qualname__ = f"{kernel.__qualname__}{variant}_{_fingerprint()}"
    return copy


@cache
def _fingerprint():
    """Return a hash of this package's files and of the compiler's settings."""
    state = hashlib.sha256()
    for module in pkgutil.iter_modules([os.path.dirname(__file__)]):
        try:
            state.update(pkgutil.get_data("truesparse.kernels", f"{module.name}.py") or b"")
        except OSError:  # a frozen program has no sources; Numba looks at the whole executable there
            state.update(b"frozen")
    settings = [(name, str(getattr(config, name, None))) for name in _COMPILER_SETTINGS]
    state.update(repr((PLAIN, settings)).encode())
    return state.hexdigest()[:12]


class KernelCache:
    """The stored machine code of one kernel, with the methods that Numba's dispatcher calls.

    Parameters
    ----------
    kernel : function, as `named_for_cache` returns it
    """

    def __init__(self, kernel):
        self._kernel = kernel

    @cached_property
    def _stores(self):
        """The stores to read, in this order, and the one to write, or None; found when a kernel is first used."""
        stores: list[FunctionCache] = []
        for locator in (*FunctionCache._impl_class._locator_classes, _PrivateDirectory):
            if writable := _store(self._kernel, locator, to_write=True):
                return [*stores, writable], writable
            if readable := _store(self._kernel, locator, to_write=False):
                stores.append(readable)
        return stores, None

    @property
    def cache_path(self):
        """The directory of the first store, for ``dispatcher.stats``."""
        return self._stores[0][0].cache_path if self._stores[0] else None

    def load_overload(self, signature, context):
        """Return the stored code for a signature, or None."""
        for store in self._stores[0]:
            with suppress(OSError):  # a file that we may not read
                if (found := store.load_overload(signature, context)) is not None:
                    return found
        return None

    def save_overload(self, signature, code):
        """Store the code for a signature, if there is a place for it."""
        try:
            if (writable := self._stores[1]) is not None:
                return writable.save_overload(signature, code)
        except OSError:  # the disk is full, or was made read-only meanwhile
            pass
        _warn_that_nothing_is_kept()

    def flush(self):
        """Forget what is stored; `recompile` of a dispatcher asks for it."""
        if self._stores[1] is not None:
            self._stores[1].flush()


def _store(kernel, locator, *, to_write):
    """Return Numba's cache of a kernel in the directory of a locator, or None if it cannot be used."""

    def ensure_cache_path(self):
        path = self.get_cache_path()
        if path.startswith("~"):  # of a user without a home: it would lie in the working directory
            raise FileNotFoundError
        if to_write:
            locator.ensure_cache_path(self)
        elif os.stat(path).st_uid not in (0, _user(), os.stat(self._py_file).st_uid):
            raise PermissionError  # others may have prepared what would be executed

    kind = type(locator.__name__, (locator,), {"ensure_cache_path": ensure_cache_path})
    implementation = type("_Implementation", (FunctionCache._impl_class,), {"_locator_classes": [kind]})
    try:
        return type("_Store", (FunctionCache,), {"_impl_class": implementation})(kernel)
    except (RuntimeError, OSError):  # the locator has no directory for it
        return None


class _PrivateDirectory(_SourceFileBackedLocatorMixin, _CacheLocator):
    """Numba's view of the directory that `private_directory` returns."""

    def __init__(self, py_func, py_file):
        self._py_file, self._lineno = py_file, py_func.__code__.co_firstlineno
        self._directory = self.get_suitable_cache_subpath(py_file)

    def get_cache_path(self):
        """Return the part of it that is for the files of one directory of sources."""
        return os.path.join(private_directory(), self._directory)


def private_directory():
    """Return a directory among the temporary files that nobody but this user can write to.

    Raises
    ------
    OSError
        If it cannot be made, or if what is there is not such a directory. Machine code is read from it and executed,
        so another user must not be able to prepare or to replace it.
    """
    parent, user = os.path.realpath(tempfile.gettempdir()), _user()
    path = os.path.join(parent, f"truesparse-kernels-{user}")
    with suppress(FileExistsError):
        os.mkdir(path, mode=0o700)
    if os.name == "nt":  # without modes, but the directory of temporary files is the user's own
        return path
    found, around = os.lstat(path), os.stat(parent)
    if not (stat.S_ISDIR(found.st_mode) and found.st_uid == user and found.st_mode & 0o777 == 0o700):
        raise PermissionError(f"{path} is not a directory of mode 0700 that belongs to user {user}.")
    # Whoever may write to the directory around it could rename it, unless the sticky bit forbids that.
    if around.st_uid not in (0, user) or (around.st_mode & 0o022 and not around.st_mode & stat.S_ISVTX):
        raise PermissionError(f"{parent} belongs to others or lets others replace what is in it.")
    return path


def _user():
    return os.geteuid() if hasattr(os, "geteuid") else 0  # Windows says that every file belongs to 0


@cache
def _warn_that_nothing_is_kept():
    try:
        why = f"{private_directory()} could not be written."
    except OSError as error:
        why = str(error)
    warnings.warn(
        "truesparse finds no directory to keep its compiled kernels in, so each process compiles them again. Set "
        f"NUMBA_CACHE_DIR to a directory that you can write. Of the temporary files: {why}",
        RuntimeWarning,
        stacklevel=2,
    )
