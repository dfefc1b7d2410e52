"""Initial weights: uniform in ±bound, with a bound for every output unit.

| name | bound of a weight into unit j |
|---|---|
| `FanIn` | gain · √(6 / number of inputs that j really has) |
| `Dense` | gain · √(6 / fan_in), as if j were connected to all inputs: the papers' rule |
| `Glorot` | gain · √(6 / (fan_in + fan_out)) (Glorot & Bengio, 2010, eq. 16) |

√(6 / n) keeps the variance of ReLU activations from layer to layer when each unit sums n inputs (He et al., 2015).
With two inputs of a thousand, `Dense` makes the signal smaller by a factor of twenty in every layer. Growing
connections can repair that; a static network cannot.
"""

from dataclasses import dataclass

import numpy as np

from truesparse._typing import FloatArray
from truesparse.runtime.checks import LARGEST, check_number
from truesparse.runtime.plugins import plugin
from truesparse.topology import Pattern


@dataclass(frozen=True)
class _Scaled:
    """An initializer with a gain, at least 0."""

    gain: float = 1.0

    def __post_init__(self):
        check_number("gain", self.gain, least=0)


@plugin("initializer", fan_in={})
@dataclass(frozen=True)
class FanIn(_Scaled):
    """Bound gain · √(6 / actual number of inputs of the unit)."""

    gain: float = 0.5

    def bounds(self, pattern: Pattern) -> FloatArray:
        """Return the bound of every output unit, (fan_out,); 0 for a unit without inputs."""
        fan_in = pattern.out_units_fan_in
        return self.gain * np.sqrt(6 / np.maximum(fan_in, 1)) * (fan_in > 0)


@plugin("initializer", dense={})
@dataclass(frozen=True)
class Dense(_Scaled):
    """Bound gain · √(6 / fan_in), whatever the unit's actual number of inputs."""

    def bounds(self, pattern: Pattern) -> FloatArray:
        """Return the bound of every output unit, (fan_out,)."""
        fan_out, fan_in = pattern.shape
        return np.full(fan_out, self.gain * np.sqrt(6 / fan_in))


@plugin("initializer", glorot={})
@dataclass(frozen=True)
class Glorot(_Scaled):
    """Bound gain · √(6 / (fan_in + fan_out))."""

    def bounds(self, pattern: Pattern) -> FloatArray:
        """Return the bound of every output unit, (fan_out,)."""
        return np.full(pattern.shape[0], self.gain * np.sqrt(6 / sum(pattern.shape)))


Initializer = FanIn | Dense | Glorot


def checked_bounds(initializer: Initializer, pattern: Pattern) -> FloatArray:
    """Return the bounds, (fan_out,); ValueError if one is missing, negative, NaN or beyond float32."""
    returned, shape = initializer.bounds(pattern), pattern.shape[:1]
    try:
        bounds = np.asarray(returned)
    except ValueError:  # rows of different lengths
        bounds = np.empty(0, dtype=object)
    if bounds.dtype.kind not in "fiu" or bounds.shape != shape or np.ma.is_masked(returned):
        found = f"{type(returned).__name__} of shape {bounds.shape} and dtype {bounds.dtype}"
    elif not ((bounds >= 0) & (bounds <= LARGEST)).all():
        found = f"values from {bounds.min()} to {bounds.max()}"
    else:
        return bounds
    raise ValueError(
        f"{initializer!r} must return bounds of shape {shape} between 0 and {LARGEST:.2g} for the weights into "
        f"{shape[0]} units, got {found}."
    )


def draw(initializer: Initializer, pattern: Pattern, slots: np.ndarray | slice, rng: np.random.Generator) -> FloatArray:
    """Draw the weights of some slots of a pattern, (n,) float64; `slots` is a mask, a slice or integers."""
    bounds = np.repeat(checked_bounds(initializer, pattern), pattern.out_units_fan_in)[slots]
    return bounds * rng.uniform(-1, 1, bounds.size)
