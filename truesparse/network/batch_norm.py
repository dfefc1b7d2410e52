"""Batch norm of the channels of planes (Ioffe and Szegedy, 2015), with the rectifier that follows it.

    ẑ = (z − μ) / √(σ² + eps),   a = relu(γ ẑ + β + residual)

μ and σ² are the mean and the variance of a channel over places and samples: those of the batch during training, and
running averages of these in prediction. With δ = ∂L/∂(γ ẑ + β + residual) and n places and samples,

    ∂L/∂β = Σ δ,   ∂L/∂γ = Σ δ ẑ,   ∂L/∂z = γ / √(σ² + eps) · (δ − Σ δ / n − ẑ · Σ δ ẑ / n)

and without the two sums in prediction, where μ and σ² are constants.
"""

from dataclasses import dataclass

import numpy as np

from truesparse._typing import FloatArray
from truesparse.kernels.batch_norm import error_totals, normalise
from truesparse.network.planes import Planes

EPS = 1e-5  # added to variances
MOMENTUM = 0.1  # share of a batch in the running averages


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and 1 / √(σ² + eps) of each channel, (n_channels,) float64, and of how many values; 0 for constants."""

    mean: FloatArray
    inverse: FloatArray
    n: int


class BatchNorm:
    """Batch norm with `scale` γ, `shift` β and running averages, (n_channels,) each, which `bind` gives it."""

    def bind(self, scale, shift, mean, variance, scale_gradient, shift_gradient) -> None:
        """Use these views of the network's vectors."""
        self.scale, self.shift, self.mean, self.variance = scale, shift, mean, variance
        self.scale_gradient, self.shift_gradient = scale_gradient, shift_gradient

    def constants(self) -> Statistics:
        """Return the running averages."""
        return Statistics(self.mean.astype(np.float64), 1 / np.sqrt(self.variance.astype(np.float64) + EPS), 0)

    def observe(self, totals: FloatArray, n: int) -> Statistics:
        """Return the statistics of a batch of n values a channel from Σ z and Σ z², (…, n_channels, 2); keep averages.

        The running variance is that of the values, with n − 1.
        """
        added, squared = totals.astype(np.float64).sum(axis=tuple(range(totals.ndim - 2))).T
        mean = added / n
        variance = np.maximum(squared / n - mean**2, 0)
        self.mean += MOMENTUM * (mean - self.mean)
        self.variance += MOMENTUM * (variance * n / max(n - 1, 1) - self.variance)
        return Statistics(mean, 1 / np.sqrt(variance + EPS), n)

    def folded(self) -> tuple[FloatArray, FloatArray]:
        """Return factor and shift with which γ ẑ + β = factor · z + shift in prediction."""
        return self.affine(self.constants())

    def affine(self, statistics: Statistics) -> tuple[FloatArray, FloatArray]:
        """Return factor and shift with which γ ẑ + β = factor · z + shift."""
        factor = self.scale * statistics.inverse
        shift = self.shift - factor * statistics.mean
        return factor.astype(self.scale.dtype), shift.astype(self.scale.dtype)

    def of_sums(
        self, z: FloatArray, statistics: Statistics, planes: Planes, *, activates: bool = True, residual=None,
        affine=None,
    ) -> tuple:  # fmt: skip
        """Return the arguments of kernels that make γ ẑ + β + residual, or its positive part, of the sums z.

        Arrays are planes (n_tiles, *planes.shape). With `affine`, factors and shifts (n_channels,), the residual is
        factor · residual + shift.
        """
        nothing = z[:0].reshape(-1)
        added = nothing if residual is None else residual.reshape(-1)
        affine = (nothing, nothing) if affine is None else affine
        places = planes.size, planes.plane, planes.first
        return z.reshape(-1), *self.affine(statistics), added, *affine, activates, *places

    def forward(self, of_sums: tuple, out: FloatArray, planes: Planes) -> None:
        """Write what the arguments of `of_sums` describe into `out`."""
        normalise(of_sums, out.reshape(-1), planes.row, *planes.runs[:2], len(out), planes.runs[2])

    def room_for_totals(self, z: FloatArray, statistics: Statistics, planes: Planes) -> tuple:
        """Return the arguments of kernels that compute Σ δ and Σ δ (z − mean), of which the first is room for these."""
        totals = np.empty((len(z), planes.channels, 2), dtype=z.dtype)
        return totals, z.reshape(-1), statistics.mean.astype(z.dtype), planes.size, planes.plane, planes.first

    def error_totals(self, delta: FloatArray, room: tuple, planes: Planes) -> FloatArray:
        """Fill the `room_for_totals`, and return it."""
        error_totals(room, delta.reshape(-1), planes.row, *planes.runs)
        return room[0]

    def backward(
        self, delta: FloatArray, totals: FloatArray, z: FloatArray, statistics: Statistics, planes: Planes
    ) -> tuple:
        """Fill the gradients of γ and β from `error_totals`; return the arguments of kernels that make ∂L/∂z of δ."""
        mean, inverse, n = statistics.mean, statistics.inverse, statistics.n
        shift_gradient, products = totals.astype(np.float64).sum(axis=0).T
        scale_gradient = products * inverse
        self.shift_gradient[:], self.scale_gradient[:] = shift_gradient, scale_gradient
        p = self.scale * inverse
        q = -p * inverse * scale_gradient / n if n else np.zeros_like(p)
        r = -q * mean - p * shift_gradient / n if n else np.zeros_like(p)
        factors = np.stack([p, q, r], axis=1).astype(z.dtype)
        return delta.reshape(-1), z.reshape(-1), factors, planes.size, planes.plane, planes.first
