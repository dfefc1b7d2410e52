"""The head of a network: predictions p of the last layer's sums z.

    p = out_activation(z) · scale + shift

A regressor predicts p. A classifier has the probabilities p and predicts the class with the largest z, or every label
with z > 0.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Head:
    """Output function, classes, scale and shift of a trained network."""

    out_activation: str  # "softmax", "logistic", "identity" or "exp", as the loss names it
    classes: np.ndarray | None = None  # (n_classes,), numbers or text; of classifiers only
    scale: np.ndarray | None = None  # (n_outputs,) float64; None if a regressor's targets are in the network's units
    shift: np.ndarray | None = None
    single_output: bool = False  # whether a regressor's predictions are a vector

    def scaling(self, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """Return scale and shift; without them, one and zero of the network's `dtype`, in which outputs then stay."""
        if self.scale is None or self.shift is None:
            return np.ones(1, dtype), np.zeros(1, dtype)
        return self.scale, self.shift
