"""Checks of a training: memory before it begins, and finite numbers while it runs."""

import math
from numbers import Real
from typing import Any

from truesparse.evolution.density_decay import WeightCounts
from truesparse.runtime.memory import available_bytes
from truesparse.training.state import Progress

_INDEX_BYTES = 12  # of a weight: its column, and row and slot in the transposed index


def check_memory(batch_size: int, needed: int) -> None:
    """Raise a ValueError if a batch needs more bytes of memory than are available."""
    available = available_bytes()
    if available is not None and needed > available:
        raise ValueError(
            f"batch_size={batch_size} needs {needed} bytes for the activations of this network, more than "
            f"the {available} bytes of memory that are available; a smaller one is allowed."
        )


def check_start(counts: WeightCounts, itemsize: int) -> None:
    """Raise a ValueError if a density that decays begins with too many weights for the memory, or ends with as many."""
    if counts.first == counts.final:
        raise ValueError(
            f"evolution.density={counts.decay!r} has nothing to lower: the layers end with {counts.final} weights and "
            "cannot begin with more. Lower epsilon or density, which set the final number."
        )
    needed, available = sum(counts.first) * (2 * itemsize + _INDEX_BYTES), available_bytes()
    if available is not None and needed > available:
        raise ValueError(
            f"evolution.density={counts.decay!r} begins with {sum(counts.first)} weights, which need at least {needed} "
            f"bytes, more than the {available} bytes of memory that are available; a smaller start is allowed."
        )


def check_finite(progress: Progress, learning_rate: float, what: str, is_finite: bool) -> None:
    """Raise a ValueError if something in a training became infinite or NaN."""
    if not is_finite:
        raise ValueError(
            f"The {what} became infinite or NaN in epoch {progress.epoch + 1}, step {progress.step}. Lower "
            f"learning_rate_init={learning_rate:g}, or scale the features (and for regression the "
            "targets) to a standard deviation of about 1."
        )


def checked_factor(schedule: Any, factor: Any) -> float:
    """Return the factor of a learning rate that a schedule returned; ValueError unless it is finite and not below 0."""
    if not isinstance(factor, Real) or not 0 <= float(factor) < math.inf:
        raise ValueError(f"{schedule!r} returned the factor {factor!r}; it must be a finite number, not below 0.")
    return float(factor)
