"""How much memory there is, and giving back what a memory map has read."""

import mmap
import os
from pathlib import Path

import numpy as np

_MEMORY_OF_GROUP = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat")
_MEMORY_OF_GROUP_V1 = (
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    "/sys/fs/cgroup/memory/memory.stat",
)
_MOST_RESIDENT = 2**26  # bytes of a memory map that are read before they are given back


def available_bytes() -> int | None:
    """Return the bytes that this process could still use without swapping; None where the system does not tell.

    On Linux what the kernel calls available, or what the control group has left where that is less: its limit minus its
    usage, of which pages of files that the kernel can drop do not count. Elsewhere all physical memory.
    """
    found = [_left_in_system(), _left_in_group(*_MEMORY_OF_GROUP), _left_in_group(*_MEMORY_OF_GROUP_V1)]
    found = [number for number in found if number is not None]
    if found:
        return min(found)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _left_in_system():
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def _left_in_group(limit, usage, statistics):
    try:
        left = int(Path(limit).read_text()) - int(Path(usage).read_text())
        lines = [line.split() for line in Path(statistics).read_text().splitlines()]
        reclaimable = sum(int(number) for name, number in lines if name in ("inactive_file", "active_file"))
        return max(0, left + reclaimable)
    except (OSError, ValueError):  # there is no group, or its limit is "max"
        return None


class MappedPages:
    """Pages of a memory map that have been read, and are given back now and then.

    A page that has been read counts as resident memory of the process until the kernel needs it. Giving pages back
    costs little: they stay in the cache of files. For arrays in memory this does nothing.

    Parameters
    ----------
    array : numpy.ndarray
        Perhaps a view of a `numpy.memmap`.
    """

    def __init__(self, array: np.ndarray):
        self._map = _map_of(array)
        self._n_read = 0

    @property
    def is_mapped(self) -> bool:
        """Whether there is a map behind the array."""
        return self._map is not None

    def were_read(self, n_bytes: int) -> None:
        """Count what has been read, and give pages back if it is much."""
        if self._map is None:
            return
        self._n_read += n_bytes
        if self._n_read >= _MOST_RESIDENT:
            self._map.madvise(mmap.MADV_DONTNEED)
            self._n_read = 0


def _map_of(array):
    """The map behind an array; None for arrays in memory, and for private maps, whose changes would be lost."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and array.mode != "c" and isinstance(array.base, mmap.mmap):
            return array.base if hasattr(mmap, "MADV_DONTNEED") else None
        array = array.base
    return None
