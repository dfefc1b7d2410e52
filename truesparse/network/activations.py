"""What a hidden unit makes of its input, and the derivative that the backward pass needs.

| name | f(z) |
|---|---|
| ``relu`` | z where z > 0, else 0 |
| ``leaky_relu`` | z where z > 0, else slope · z |
| ``all_relu`` | as leaky, with +slope and −slope in turns from layer to layer (Curci et al., 2021, eq. 1) |
| ``tanh`` | tanh z, with f′ = 1 − f² |
| ``logistic`` | 1 / (1 + exp(−z)), with f′ = f · (1 − f) |
| ``srelu`` | z between two thresholds, other slopes outside; thresholds and slopes are learnt, four numbers a unit |
| ``identity`` | z |

The first three and the last are one piecewise-linear function with different slopes, and part of the kernels
(see `truesparse.kernels.forward`): they are *fused*. All-ReLU lets a unit with two inputs pass on something in half of
the cases where ReLU passes nothing, and costs no parameter. The others are applied in a pass of their own, the smooth
ones by NumPy and SciPy, while the kernels know their derivatives; SReLU has kernels of its own.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit

from truesparse._typing import FloatArray
from truesparse.kernels.table import LEARNED, LOGISTIC, PIECEWISE_LINEAR, TANH
from truesparse.runtime.checks import check_number
from truesparse.runtime.plugins import names, plugin, resolve


@plugin("activation", relu={}, leaky_relu={"slope": 0.01}, identity={"slope": 1.0})
@dataclass(frozen=True)
class PiecewiseLinear:
    """z where z > 0, else slope · z."""

    slope: float = 0.0

    kind: ClassVar[int] = PIECEWISE_LINEAR
    is_fused: ClassVar[bool] = True
    n_params: ClassVar[int] = 0

    def __post_init__(self):
        check_number("slope", self.slope)

    def at_layer(self, layer: int) -> "PiecewiseLinear":
        """The activation of the hidden layer with this index, counted from 0."""
        return self


@plugin("activation", all_relu={})
@dataclass(frozen=True)
class AllReLU(PiecewiseLinear):
    """Leaky ReLU whose slope changes its sign from layer to layer: −slope in the first, +slope in the second."""

    slope: float = 0.6

    def at_layer(self, layer: int) -> PiecewiseLinear:
        """The activation of the hidden layer with this index, counted from 0."""
        slope = float(self.slope)  # unsigned integers have no negatives
        return PiecewiseLinear(slope if layer % 2 else -slope)


@plugin("activation", tanh={})
@dataclass(frozen=True)
class Tanh:
    """tanh z."""

    kind: ClassVar[int] = TANH
    is_fused: ClassVar[bool] = False
    n_params: ClassVar[int] = 0

    def apply(self, z: FloatArray) -> None:
        """z ← f(z), elementwise."""
        np.tanh(z, out=z)

    def at_layer(self, layer: int) -> "Tanh":
        """The activation of the hidden layer with this index, counted from 0."""
        return self


@plugin("activation", logistic={})
@dataclass(frozen=True)
class Logistic:
    """1 / (1 + exp(−z))."""

    kind: ClassVar[int] = LOGISTIC
    is_fused: ClassVar[bool] = False
    n_params: ClassVar[int] = 0

    def apply(self, z: FloatArray) -> None:
        """z ← f(z), elementwise."""
        expit(z, out=z)

    def at_layer(self, layer: int) -> "Logistic":
        """The activation of the hidden layer with this index, counted from 0."""
        return self


@plugin("activation", srelu={})
@dataclass(frozen=True)
class SReLU:
    """Three straight pieces, whose two thresholds and two outer slopes every unit learns (Jin et al., 2016).

    At first it is close to ReLU, as in the experiments of SET: left threshold 0, left slope and distance between the
    thresholds uniform in ±√(3 / n_units), right slope 1. `truesparse.kernels.srelu` has the equations.
    """

    kind: ClassVar[int] = LEARNED
    is_fused: ClassVar[bool] = False
    n_params: ClassVar[int] = 4

    def first_params(self, n_units: int, rng: np.random.Generator) -> FloatArray:
        """Left threshold, left slope, distance of the thresholds and right slope of every unit, (4, n_units)."""
        bound = np.sqrt(3 / n_units)
        left_slope, distance = rng.uniform(-bound, bound, (2, n_units))
        return np.stack([np.zeros(n_units), left_slope, distance, np.ones(n_units)])

    def at_layer(self, layer: int) -> "SReLU":
        """The activation of the hidden layer with this index, counted from 0."""
        return self


Activation = PiecewiseLinear | Tanh | Logistic | SReLU

ACTIVATIONS = {name: resolve("activation", name) for name in names("activation")}
