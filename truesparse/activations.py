"""What a hidden unit makes of its input, and the derivative that the backward pass needs.

| name | f(z) |
|---|---|
| ``relu`` | z where z > 0, else 0 |
| ``leaky_relu`` | z where z > 0, else slope · z |
| ``all_relu`` | as leaky, with +slope and −slope in turns from layer to layer (Curci et al., 2021, eq. 1) |
| ``tanh`` | tanh z |
| ``logistic`` | 1 / (1 + exp(−z)) |
| ``identity`` | z |

The first three and the last are one piecewise-linear function with different slopes. All-ReLU lets a unit
with two inputs pass on something in half of the cases where ReLU passes nothing, and costs no parameter.
"""

from dataclasses import dataclass
from numbers import Real

import numpy as np
from scipy.special import expit

from truesparse._typing import FloatArray
from truesparse.kernels.pointwise import piecewise_linear, piecewise_linear_backward


@dataclass(frozen=True)
class PiecewiseLinear:
    """z where z > 0, else slope · z."""

    slope: float = 0.0

    def __post_init__(self):
        if not (isinstance(self.slope, Real) and np.isfinite(self.slope)):
            raise ValueError(f"slope={self.slope!r} must be a finite number.")

    @property
    def in_place(self) -> bool:
        """Whether the derivative can be read off the output, so that the input need not be kept."""
        return self.slope >= 0

    def forward(self, z: FloatArray, out: FloatArray) -> None:
        """out = f(z); both (n_units, batch), `out` may be `z`."""
        piecewise_linear(z, self.slope, out)

    def backward(self, z: FloatArray, a: FloatArray, delta: FloatArray) -> None:
        """delta ← delta · f′(z), where a = f(z); `z` may have been overwritten by `a` if ``in_place``."""
        piecewise_linear_backward(z, self.slope, delta)

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
    """tanh z, with f′ = 1 − f²."""

    in_place = True

    def forward(self, z: FloatArray, out: FloatArray) -> None:
        """As `PiecewiseLinear.forward`."""
        np.tanh(z, out=out)

    def backward(self, z: FloatArray, a: FloatArray, delta: FloatArray) -> None:
        """As `PiecewiseLinear.backward`."""
        delta *= 1 - a * a

    def at_layer(self, layer: int) -> "Tanh":
        """The activation of the hidden layer with this index, counted from 0."""
        return self


@dataclass(frozen=True)
class Logistic:
    """1 / (1 + exp(−z)), with f′ = f · (1 − f)."""

    in_place = True

    def forward(self, z: FloatArray, out: FloatArray) -> None:
        """As `PiecewiseLinear.forward`."""
        expit(z, out=out)

    def backward(self, z: FloatArray, a: FloatArray, delta: FloatArray) -> None:
        """As `PiecewiseLinear.backward`."""
        delta *= a * (1 - a)

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
