"""Activations of hidden units, and their derivatives for the backward pass.

| name | f(z) |
|---|---|
| ``relu`` | z where z > 0, else 0 |
| ``leaky_relu`` | z where z > 0, else slope · z |
| ``all_relu`` | as leaky, with +slope and −slope in turns from layer to layer (Curci et al., 2021, eq. 1) |
| ``tanh`` | tanh z, with f′ = 1 − f² |
| ``logistic`` | 1 / (1 + exp(−z)), with f′ = f · (1 − f) |
| ``srelu`` | z between two thresholds, other slopes outside; every unit learns its two thresholds and two slopes |
| ``identity`` | z |

The first three and the last are piecewise linear and *fused*: the kernels apply them (`truesparse.kernels.forward`).
The others are applied in a pass of their own. The kernels know the derivatives of tanh and logistic; any other
derivative is a pass of its own, too. All-ReLU lets a unit with two inputs pass on something in half of the cases where
ReLU passes nothing, and costs no parameter. A new activation is a frozen dataclass that inherits from `Activation`::

    @plugin("activation", swish={})  # a short name, if you want one
    @dataclass(frozen=True)
    class Swish(Activation):  # f(z) = z · σ(z), with σ(z) = 1 / (1 + exp(−z))
        def apply(self, z):
            z *= expit(z)

        def times_derivative(self, errors, sums):
            s = expit(sums)
            errors *= s * (1 + sums * (1 - s))

Estimators then take ``activation="swish"`` or ``activation=Swish()``.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit

from truesparse._typing import FloatArray
from truesparse.kernels.srelu import srelu, srelu_errors
from truesparse.kernels.table import LEARNED, LOGISTIC, PIECEWISE_LINEAR, TANH
from truesparse.network.workspace import Workspace
from truesparse.runtime.checks import check_number
from truesparse.runtime.plugins import plugin


class Activation:
    """The activation protocol; a smooth activation defines `apply` and `times_derivative`.

    `times_derivative` is given the sums z, or with ``keeps_sums = False`` the outputs f(z).
    """

    kind: ClassVar[int] = LEARNED  # how the kernels take errors through the derivative; here `times_derivative` does
    keeps_sums: ClassVar[bool] = True
    n_params: ClassVar[int] = 0  # that each unit learns
    slope: float  # of fused activations only
    exported_as: ClassVar[str | None] = None  # the function that `exported` returns, if it has no arguments

    @property
    def has_own_derivative(self) -> bool:
        """Whether the kernels leave its derivative to `backward`."""
        return self.kind == LEARNED

    def at_layer(self, layer: int) -> "Activation":
        """Return the activation of the hidden layer with this index, counted from 0."""
        return self

    def apply(self, z: FloatArray) -> None:
        """z ← f(z), elementwise."""
        raise NotImplementedError

    def times_derivative(self, errors: FloatArray, saved: FloatArray) -> None:
        """errors ← errors · f′, elementwise, from the saved sums or outputs."""
        raise NotImplementedError

    def first_params(self, n_units: int, rng: np.random.Generator) -> FloatArray:
        """Draw the parameters that a layer begins with, (n_params, n_units)."""
        return np.empty((0, n_units))

    def forward(self, workspace: Workspace, layer: int, params: FloatArray) -> None:
        """Apply it to a layer's sums, and save what the derivative is computed from; params is (n_params, n_units).

        An activation with parameters brings a `forward` and a `backward` of its own.
        """
        a = workspace.lanes_of(layer)  # (n_units, lanes)
        if self.has_own_derivative and self.keeps_sums:
            workspace.saved_of(layer)[:] = a
        self.apply(a)
        if self.has_own_derivative and not self.keeps_sums:
            workspace.saved_of(layer)[:] = a

    def backward(
        self, workspace: Workspace, layer: int, params: FloatArray, gradient: FloatArray, bias_gradient: FloatArray
    ) -> None:
        """Take a layer's errors from ∂L/∂f to ∂L/∂z, in place, and overwrite the gradients of params and biases."""
        errors = workspace.lanes_of(layer)
        self.times_derivative(errors, workspace.saved_of(layer))
        np.sum(errors, axis=1, out=bias_gradient)

    def exported(self, params: FloatArray) -> tuple[str, FloatArray]:
        """Return a function's name in `truesparse.storage.predictor` and its arguments, numbers or (n_units, 1)."""
        if self.exported_as is not None:
            return self.exported_as, np.empty(0)
        raise ValueError(
            f"activation={self!r} cannot be exported: its method `exported` must name a function of "
            "truesparse.storage.predictor. To keep the model, pickle it."
        )


@plugin("activation", relu={}, leaky_relu={"slope": 0.01}, identity={"slope": 1.0})
@dataclass(frozen=True)
class PiecewiseLinear(Activation):
    """z where z > 0, else slope · z."""

    slope: float = 0.0

    kind: ClassVar[int] = PIECEWISE_LINEAR

    def __post_init__(self):
        check_number("slope", self.slope)

    def exported(self, params: FloatArray) -> tuple[str, FloatArray]:
        """Return ``"piecewise_linear"`` and the slope."""
        return "piecewise_linear", np.array([self.slope])


@plugin("activation", all_relu={})
@dataclass(frozen=True)
class AllReLU(PiecewiseLinear):
    """Leaky ReLU with −slope in the first hidden layer, +slope in the second, and so on in turns."""

    slope: float = 0.6

    def at_layer(self, layer: int) -> PiecewiseLinear:
        """Return a piecewise-linear activation with the layer's slope."""
        slope = float(self.slope)  # unsigned integers have no negatives
        return PiecewiseLinear(slope if layer % 2 else -slope)


@plugin("activation", tanh={})
@dataclass(frozen=True)
class Tanh(Activation):
    """tanh z."""

    kind: ClassVar[int] = TANH
    exported_as: ClassVar[str] = "tanh"

    def apply(self, z: FloatArray) -> None:
        """z ← tanh z, elementwise."""
        np.tanh(z, out=z)


@plugin("activation", logistic={})
@dataclass(frozen=True)
class Logistic(Activation):
    """1 / (1 + exp(−z))."""

    kind: ClassVar[int] = LOGISTIC
    exported_as: ClassVar[str] = "logistic"

    def apply(self, z: FloatArray) -> None:
        """z ← 1 / (1 + exp(−z)), elementwise."""
        expit(z, out=z)


@plugin("activation", srelu={})
@dataclass(frozen=True)
class SReLU(Activation):
    """Three straight pieces, whose two thresholds and two outer slopes every unit learns (Jin et al., 2016).

    At first it is close to ReLU, as in the experiments of SET: left threshold 0, right slope 1, left slope and distance
    between the thresholds uniform in ±√(3 / n_units). `truesparse.kernels.srelu` has the equations.
    """

    n_params: ClassVar[int] = 4

    def first_params(self, n_units: int, rng: np.random.Generator) -> FloatArray:
        """Draw left threshold, left slope, distance of the thresholds and right slope of every unit, (4, n_units)."""
        bound = np.sqrt(3 / n_units)
        left_slope, distance = rng.uniform(-bound, bound, (2, n_units))
        return np.stack([np.zeros(n_units), left_slope, distance, np.ones(n_units)])

    def forward(self, workspace: Workspace, layer: int, params: FloatArray) -> None:
        """Apply it to a layer's sums, and save the sums."""
        srelu(workspace.a.reshape(-1), workspace.saved.reshape(-1), params, *workspace.place_of(layer))

    def backward(
        self, workspace: Workspace, layer: int, params: FloatArray, gradient: FloatArray, bias_gradient: FloatArray
    ) -> None:
        """Take the errors of a layer from ∂L/∂f to ∂L/∂z, and fill the gradient of the parameters."""
        srelu_errors(
            workspace.a.reshape(-1), workspace.saved.reshape(-1), params, gradient, bias_gradient,
            *workspace.place_of(layer),
        )  # fmt: skip

    def exported(self, params: FloatArray) -> tuple[str, FloatArray]:
        """Return ``"srelu"``, and every unit's two thresholds and slopes below and above them, (4, n_units, 1)."""
        low, left, distance, right = params
        return "srelu", np.stack([low, low + abs(distance), left, right])[:, :, None]
