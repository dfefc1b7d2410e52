"""What every benchmark says of the machine and the versions it ran on."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version


def processor():
    """Model name of the processor."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def machine():
    """One line: processor, cores and versions."""
    parts = [processor(), f"{os.cpu_count()} cores", f"Python {platform.python_version()}"]
    for package in ("numpy", "scipy", "numba", "scikit-learn", "torch", "truesparse"):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(parts)
