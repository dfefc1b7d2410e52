"""How the last layer's sums z become what an estimator returns.

    p = out_activation(z) · scale + shift

A regressor predicts p. A classifier has the probabilities p and predicts the class with the largest z, or every label
with z > 0.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Head:
    """What to do with the sums.

    Parameters
    ----------
    out_activation : {"softmax", "logistic", "identity", "exp"}
        As the loss names it.
    classes : (n_classes,), optional
        Numbers or text; of classifiers only.
    scale, shift : (n_outputs,) float64, optional
        From the outputs of a regressor's network to the targets' own units, if these are others.
    single_output : bool
        Whether a regressor's predictions are a vector.
    """

    out_activation: str
    classes: np.ndarray | None = None
    scale: np.ndarray | None = None
    shift: np.ndarray | None = None
    single_output: bool = False

    def scaling(self, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """Both, or one and zero that leave outputs in the network's `dtype`."""
        return (np.ones(1, dtype), np.zeros(1, dtype)) if self.scale is None else (self.scale, self.shift)
