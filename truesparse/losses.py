"""What training minimises: the mean over a batch of a loss of the last layer's outputs.

Each loss belongs to the function that turns the last layer's sums z into predictions p, chosen such that the
gradient with respect to z is simply (p − t) / batch:

| loss | p | per sample | targets |
|---|---|---|---|
| `SoftmaxCrossEntropy` | softmax z | −log p_t | class numbers, (batch,) |
| `BinaryCrossEntropy` | 1 / (1 + exp(−z)) | −Σ t log p + (1 − t) log(1 − p) | 0 or 1, (batch, n_labels) |
| `SquaredError` | z | ½ Σ (p − t)² | numbers, (batch, n_outputs) |

Arrays of outputs are features-major, (n_outputs, batch), as everywhere inside; targets are as the user holds them.
"""

import numpy as np
from scipy.special import expit, log_softmax

from truesparse._typing import FloatArray


class SoftmaxCrossEntropy:
    """Exactly one of several classes."""

    def predictions(self, z: FloatArray) -> FloatArray:
        """Probabilities of the classes, same shape as `z`."""
        return np.exp(log_softmax(z, axis=0))

    def __call__(self, z: FloatArray, target: np.ndarray, gradient: FloatArray) -> float:
        """The mean loss of a batch; its gradient with respect to `z` is written into `gradient`."""
        batch = np.arange(z.shape[1])
        log_p = log_softmax(z, axis=0)  # (n_classes, batch)
        np.exp(log_p, out=gradient)
        gradient[target, batch] -= 1
        gradient /= batch.size
        return -float(log_p[target, batch].mean(dtype=np.float64))


class BinaryCrossEntropy:
    """Any number of several labels."""

    def predictions(self, z: FloatArray) -> FloatArray:
        """Probability of each label, same shape as `z`."""
        return expit(z)

    def __call__(self, z: FloatArray, target: np.ndarray, gradient: FloatArray) -> float:
        """As `SoftmaxCrossEntropy`; the losses of a sample's labels are added up."""
        t = target.T  # (n_labels, batch)
        np.subtract(expit(z), t, out=gradient)
        gradient /= z.shape[1]
        # log(1 + exp(z)) − t · z is the cross-entropy in a form that cannot overflow.
        return float(np.sum(np.logaddexp(0, z) - t * z, dtype=np.float64)) / z.shape[1]


class SquaredError:
    """Numbers."""

    def predictions(self, z: FloatArray) -> FloatArray:
        """The outputs themselves."""
        return z

    def __call__(self, z: FloatArray, target: np.ndarray, gradient: FloatArray) -> float:
        """As `SoftmaxCrossEntropy`; the losses of a sample's outputs are added up."""
        np.subtract(z, target.T, out=gradient)
        loss = 0.5 * float(np.sum(np.square(gradient, dtype=np.float64))) / z.shape[1]
        gradient /= z.shape[1]
        return loss


Loss = SoftmaxCrossEntropy | BinaryCrossEntropy | SquaredError
