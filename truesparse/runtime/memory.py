"""Available memory, and the resident pages of memory maps."""

import math
import mmap
import os
from pathlib import Path

import numpy as np

from truesparse._typing import IndexArray

_MEMORY_OF_GROUP = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat")
_MEMORY_OF_GROUP_V1 = (
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    "/sys/fs/cgroup/memory/memory.stat",
)
_MOST_RESIDENT = 2**26  # bytes of a memory map, about, before they are given back
_MOST_AROUND = 2**21  # bytes that the system may make resident around a page


def available_bytes() -> int | None:
    """Return the bytes that this process can still use without swapping, or None if the system does not tell.

    On Linux: the kernel's estimate, or what the control group has left if that is less, which is its limit minus its
    usage, without file pages that can be dropped. Elsewhere all physical memory.
    """
    left = [_left_in_system(), _left_in_group(*_MEMORY_OF_GROUP), _left_in_group(*_MEMORY_OF_GROUP_V1)]
    if found := [number for number in left if number is not None]:
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


class MappedRows:
    """Rows of a C-contiguous array (n, …), which may be a memory map, of which little stays resident.

    Pages of a map count as resident memory of the process until they are given back. With a page, Linux makes up to
    2 MB around it resident. Giving pages back costs little, because they stay in the system's cache.
    """

    def __init__(self, array: np.ndarray):
        self._array = array
        mapped = _mapped(array)
        self._map = None if mapped is None else mapped.base
        if mapped is not None:
            start_of_map = mapped.ctypes.data - mapped.offset % mmap.ALLOCATIONGRANULARITY
            self._start = array.ctypes.data - start_of_map
            self._row_bytes = math.prod(array.shape[1:]) * array.itemsize
            self._at_a_time = max(1, _MOST_RESIDENT // (_MOST_AROUND + self._row_bytes))

    def __reduce__(self):  # a map itself cannot be pickled
        return type(self), (self._array,)

    @property
    def is_mapped(self) -> bool:
        """Whether the array lies in a memory map."""
        return self._map is not None

    def take(self, rows: IndexArray) -> np.ndarray:
        """Return a copy of some rows."""
        if self._map is None:
            return np.asarray(self._array[rows])
        copies = np.empty((rows.size, *self._array.shape[1:]), dtype=self._array.dtype)
        for start in range(0, rows.size, self._at_a_time):
            part = slice(start, start + self._at_a_time)
            copies[part] = self._array[rows[part]]
            self.give_back(rows[part])
        return copies

    def give_back(self, rows: IndexArray) -> None:
        """Give back the pages around some rows that have been read."""
        if self._map is None or rows.size == 0:
            return
        starts = self._start + np.sort(rows) * self._row_bytes
        first = np.maximum(starts - _MOST_AROUND, 0) // mmap.PAGESIZE * mmap.PAGESIZE
        last = np.minimum(starts + self._row_bytes + _MOST_AROUND, len(self._map))
        gaps = np.flatnonzero(first[1:] > last[:-1])  # ranges that overlap become one
        for begin, end in zip(first[[0, *(gaps + 1)]].tolist(), last[[*gaps, -1]].tolist(), strict=True):
            self._map.madvise(mmap.MADV_DONTNEED, begin, end - begin)


def _mapped(array):
    """Return the whole memory map behind an array, or None: also for private maps, whose changes would be lost."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and array.mode != "c" and isinstance(array.base, mmap.mmap):
            return array if hasattr(mmap, "MADV_DONTNEED") else None
        array = array.base
    return None
