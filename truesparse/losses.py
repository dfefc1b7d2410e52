"""What training minimises: the mean over a batch of a loss of the last layer's outputs.

Each loss belongs to the function that turns the last layer's sums z into predictions p, chosen such that the
gradient with respect to z is simply (p − t) / batch:

| loss | p | per sample | targets |
|---|---|---|---|
| `SoftmaxCrossEntropy` | softmax z | −log p_t | class numbers, (batch,) |
| `BinaryCrossEntropy` | 1 / (1 + exp(−z)) | −Σ t log p + (1 − t) log(1 − p) | 0 or 1, (batch, n_labels) |
| `SquaredError` | z | ½ Σ (p − t)² | numbers, (batch, n_outputs) |

Arrays of outputs are features-major, (n_outputs, batch), as everywhere inside; targets are as the user holds them.
The gradient may take the place of the sums.
"""

from functools import partial

import numpy as np
from scipy.special import expit

from truesparse._typing import FloatArray
from truesparse.kernels.losses import softmax_cross_entropy

# Sums that have become infinite or NaN make the loss so, which whoever trains reports in words.
_silent = partial(np.errstate, over="ignore", invalid="ignore")


class SoftmaxCrossEntropy:
    """Exactly one of several classes."""

    def predictions(self, z: FloatArray) -> FloatArray:
        """Probabilities of the classes, same shape as `z`."""
        probabilities = np.empty(z.shape, dtype=z.dtype)
        softmax_cross_entropy(z, np.empty(0, dtype=np.int64), probabilities, np.empty(0))
        return probabilities

    def __call__(self, z: FloatArray, target: np.ndarray, gradient: FloatArray) -> float:
        """The mean loss of a batch; its gradient with respect to `z` is written into `gradient`, which may be `z`."""
        losses = np.empty(z.shape[1])
        softmax_cross_entropy(z, target, gradient, losses)
        gradient *= 1 / z.shape[1]
        return float(losses.mean())


class BinaryCrossEntropy:
    """Any number of several labels."""

    def predictions(self, z: FloatArray) -> FloatArray:
        """Probability of each label, same shape as `z`."""
        return expit(z)

    def __call__(self, z: FloatArray, target: np.ndarray, gradient: FloatArray) -> float:
        """As `SoftmaxCrossEntropy`; the losses of a sample's labels are added up."""
        t = target.T  # (n_labels, batch)
        with _silent():
            # log(1 + exp(z)) − t · z is the cross-entropy in a form that cannot overflow.
            loss = float(np.sum(np.logaddexp(0, z) - t * z, dtype=np.float64)) / z.shape[1]
        np.subtract(expit(z), t, out=gradient)
        gradient /= z.shape[1]
        return loss


class SquaredError:
    """Numbers."""

    def predictions(self, z: FloatArray) -> FloatArray:
        """The outputs themselves."""
        return z

    def __call__(self, z: FloatArray, target: np.ndarray, gradient: FloatArray) -> float:
        """As `SoftmaxCrossEntropy`; the losses of a sample's outputs are added up."""
        with _silent():
            np.subtract(z, target.T, out=gradient)
        loss = 0.5 * float(np.sum(np.square(gradient, dtype=np.float64))) / z.shape[1]
        gradient /= z.shape[1]
        return loss


Loss = SoftmaxCrossEntropy | BinaryCrossEntropy | SquaredError
