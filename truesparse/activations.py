"""What a hidden unit makes of its input, and the derivative that the backward pass needs.

| name | f(z) |
|---|---|
| ``relu`` | z where z > 0, else 0 |
| ``leaky_relu`` | z where z > 0, else slope · z |
| ``all_relu`` | as leaky, with +slope and −slope in turns from layer to layer (Curci et al., 2021, eq. 1) |
| ``tanh`` | tanh z, with f′ = 1 − f² |
| ``logistic`` | 1 / (1 + exp(−z)), with f′ = f · (1 − f) |
| ``identity`` | z |

The first three and the last are one piecewise-linear function with different slopes, and part of the kernels
(see `truesparse.kernels.forward`). All-ReLU lets a unit with two inputs pass on something in half of the cases where
ReLU passes nothing, and costs no parameter. The smooth ones are applied by NumPy and SciPy; the kernels know their
derivatives.
"""

from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

import numpy as np
from scipy.special import expit

from truesparse._typing import FloatArray
from truesparse.kernels.table import LOGISTIC, PIECEWISE_LINEAR, TANH


@dataclass(frozen=True)
class PiecewiseLinear:
    """z where z > 0, else slope · z."""

    slope: float = 0.0

    kind: ClassVar[int] = PIECEWISE_LINEAR
    is_smooth: ClassVar[bool] = False

    def __post_init__(self):
        if not (isinstance(self.slope, Real) and np.isfinite(self.slope)):
            raise ValueError(f"slope={self.slope!r} must be a finite number.")

    def at_layer(self, layer: int) -> "PiecewiseLinear":
        """The activation of the hidden layer with this index, counted from 0."""
        return self


@dataclass(frozen=True)
class AllReLU(PiecewiseLinear):
    """Leaky ReLU whose slope changes its sign from layer to layer: −slope in the first, +slope in the second."""

    slope: float = 0.6

    def at_layer(self, layer: int) -> PiecewiseLinear:
        """The activation of the hidden layer with this index, counted from 0."""
        return PiecewiseLinear(self.slope if layer % 2 else -self.slope)


@dataclass(frozen=True)
class Tanh:
    """tanh z."""

    kind: ClassVar[int] = TANH
    is_smooth: ClassVar[bool] = True

    def apply(self, z: FloatArray) -> None:
        """z ← f(z), elementwise."""
        np.tanh(z, out=z)

    def at_layer(self, layer: int) -> "Tanh":
        """The activation of the hidden layer with this index, counted from 0."""
        return self


@dataclass(frozen=True)
class Logistic:
    """1 / (1 + exp(−z))."""

    kind: ClassVar[int] = LOGISTIC
    is_smooth: ClassVar[bool] = True

    def apply(self, z: FloatArray) -> None:
        """z ← f(z), elementwise."""
        expit(z, out=z)

    def at_layer(self, layer: int) -> "Logistic":
        """The activation of the hidden layer with this index, counted from 0."""
        return self


Activation = PiecewiseLinear | Tanh | Logistic

ACTIVATIONS = {
    "relu": PiecewiseLinear(0.0),
    "leaky_relu": PiecewiseLinear(0.01),
    "all_relu": AllReLU(),
    "tanh": Tanh(),
    "logistic": Logistic(),
    "identity": PiecewiseLinear(1.0),
}
