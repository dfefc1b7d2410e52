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
from truesparse.kernels.batch_norm import error_sums, errors_of_sums, normalise
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

    def observe(self, sums: FloatArray, n: int) -> Statistics:
        """Return the statistics of a batch of n values a channel from Σ z and Σ z², (…, n_channels, 2); keep averages.

        The running variance is that of the values, with n − 1.
        """
        added, squared = sums.astype(np.float64).sum(axis=tuple(range(sums.ndim - 2))).T
        mean = added / n
        variance = np.maximum(squared / n - mean**2, 0)
        self.mean += MOMENTUM * (mean - self.mean)
        self.variance += MOMENTUM * (variance * n / max(n - 1, 1) - self.variance)
        return Statistics(mean, 1 / np.sqrt(variance + EPS), n)

    def folded(self) -> tuple[FloatArray, FloatArray]:
        """Return factor and shift with which γ ẑ + β = factor · z + shift in prediction."""
        return self._affine(self.constants())

    def _affine(self, statistics: Statistics) -> tuple[FloatArray, FloatArray]:
        factor = self.scale * statistics.inverse
        shift = self.shift - factor * statistics.mean
        return factor.astype(self.scale.dtype), shift.astype(self.scale.dtype)

    def forward(
        self, z: FloatArray, statistics: Statistics, out: FloatArray, planes: Planes, *, activates: bool, residual=None
    ) -> None:
        """Write γ ẑ + β + residual, or its positive part, into `out`; arrays are (n_tiles, *planes.shape)."""
        n_rows, n_runs, width = planes.runs
        normalise(
            z.reshape(-1), *self._affine(statistics), (z[:0] if residual is None else residual).reshape(-1), activates,
            out.reshape(-1), planes.plane, planes.first, planes.row, n_rows, n_runs, len(z), width,
        )  # fmt: skip

    def backward(self, delta: FloatArray, z: FloatArray, statistics: Statistics, out: FloatArray, planes: Planes):
        """Fill the gradients of γ and β from δ, and write ∂L/∂z into `out`, which may be `delta`."""
        n_rows, n_runs, width = planes.runs
        sums = np.empty((len(z), planes.channels, 2), dtype=z.dtype)
        place = (planes.plane, planes.first, planes.row, n_rows, n_runs)
        mean, inverse, n = statistics.mean, statistics.inverse, statistics.n
        error_sums(delta.reshape(-1), z.reshape(-1), mean.astype(z.dtype), *place, sums, width)
        shift_gradient, products = sums.astype(np.float64).sum(axis=0).T
        scale_gradient = products * inverse
        self.shift_gradient[:], self.scale_gradient[:] = shift_gradient, scale_gradient
        p = self.scale * inverse
        q = -p * inverse * scale_gradient / n if n else np.zeros_like(p)
        r = -q * mean - p * shift_gradient / n if n else np.zeros_like(p)
        factors = np.stack([p, q, r], axis=1).astype(z.dtype)
        errors_of_sums(delta.reshape(-1), z.reshape(-1), factors, out.reshape(-1), *place, len(z), width)
