"""How much memory there is, so that what cannot fit is refused before it is begun."""

import os

_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def available_bytes() -> int | None:
    """Bytes that this process could still use without swapping; None where the system does not tell.

    On Linux what the kernel calls available, or the limit of the control group where that is less; elsewhere all
    physical memory.
    """
    found = [_of_linux(), *map(_number_in, _CGROUP_LIMITS)]
    found = [number for number in found if number is not None]
    if found:
        return min(found)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _of_linux():
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def _number_in(path):
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):  # there is none, or it says "max"
        return None
