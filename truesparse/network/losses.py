"""What training minimises: the mean over a batch of a loss of the last layer's outputs.

Each loss belongs to the function that turns the last layer's sums z into predictions p, which for most of them is
chosen such that the gradient of a sample's loss with respect to z is simply p − t:

| loss | p | of a sample | gradient | targets |
|---|---|---|---|---|
| `SoftmaxCrossEntropy` | softmax z | −log p_t | p − t | class numbers, (batch,) |
| `BinaryCrossEntropy` | 1 / (1 + exp(−z)) | −Σ t log p + (1 − t) log(1 − p) | p − t | 0 or 1, (batch, n_labels) |
| `SquaredError` | z | ½ Σ (p − t)² | p − t | numbers, (batch, n_outputs) |
| `AbsoluteError` | z | Σ ∣p − t∣ | sign(p − t) | numbers |
| `Huber` | z | Σ ½ (p − t)² up to ∣p − t∣ = δ, from there δ (∣p − t∣ − ½ δ) | p − t, at most ±δ | numbers |
| `Poisson` | exp z | Σ p − t + t log(t / p), half the deviance | p − t | numbers, not below 0 |

Arrays of outputs are features-major, (n_outputs, batch), as everywhere inside; targets are as the user holds them.
The gradient may take the place of the sums. Where samples do not all count the same, targets are `Weighted`.
``out_activation`` is the name of the function p, for exports.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, xlogy

from truesparse._typing import FloatArray, IndexArray
from truesparse.kernels.losses import softmax_cross_entropy
from truesparse.runtime.checks import check_number
from truesparse.runtime.plugins import plugin


@dataclass(frozen=True, eq=False)
class Weighted:
    """Targets of samples that do not all count the same.

    Parameters
    ----------
    values : (n_samples, …)
        The targets.
    weights : (n_samples,) float64
        Of the samples' losses; with a mean of 1, the loss is as large as without weights.
    """

    values: np.ndarray
    weights: FloatArray

    def __getitem__(self, samples: IndexArray) -> "Weighted":
        """The targets of some samples."""
        return Weighted(self.values[samples], self.weights[samples])


Target = np.ndarray | Weighted


def values_and_weights(target: Target) -> tuple[np.ndarray, FloatArray | None]:
    """The targets proper, and the weights of their samples, None if all count the same."""
    return (target.values, target.weights) if isinstance(target, Weighted) else (target, None)


class Loss(ABC):
    """The mean of what a subclass says of each sample."""

    out_activation = "identity"
    of_classes = False  # whether targets are classes or labels
    not_below_0 = False  # whether targets must be so, and are scaled by their mean alone

    def predictions(self, z: FloatArray) -> FloatArray:
        """What the sums stand for, same shape as `z`: themselves, unless a subclass says otherwise."""
        return z

    @abstractmethod
    def of_samples(self, z: FloatArray, values: np.ndarray, gradient: FloatArray) -> FloatArray:
        """The loss of each sample, (batch,) float64; its gradient with respect to `z` is written into `gradient`."""

    def __call__(self, z: FloatArray, target: Target, gradient: FloatArray) -> float:
        """The mean loss of a batch, each sample's times its weight.

        Parameters
        ----------
        z : (n_outputs, batch)
        target : (batch, …) or Weighted
        gradient : (n_outputs, batch), overwritten; may be `z`
            Of the mean loss with respect to `z`.
        """
        values, weights = values_and_weights(target)
        batch = z.shape[1]
        # Sums that have become infinite or NaN make the loss so, which whoever trains reports in words.
        with np.errstate(over="ignore", invalid="ignore"):
            losses = self.of_samples(z, values, gradient)
            if weights is None:
                gradient *= 1 / batch
            else:
                losses *= weights
                gradient *= (weights / batch).astype(gradient.dtype)
            return float(losses.mean())


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    """Exactly one of several classes."""

    out_activation = "softmax"
    of_classes = True

    def predictions(self, z):
        """Probabilities of the classes, same shape as `z`."""
        probabilities = np.empty(z.shape, dtype=z.dtype)
        softmax_cross_entropy(z, np.empty(0, dtype=np.int64), probabilities, np.empty(0))
        return probabilities

    def of_samples(self, z, values, gradient):
        """As `Loss` has it."""
        losses = np.empty(z.shape[1])
        softmax_cross_entropy(z, values, gradient, losses)
        return losses


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Any number of several labels."""

    out_activation = "logistic"
    of_classes = True

    def predictions(self, z):
        """Probability of each label, same shape as `z`."""
        return expit(z)

    def of_samples(self, z, values, gradient):
        """As `Loss` has it."""
        t = values.T  # (n_labels, batch)
        # log(1 + exp(z)) − t · z is the cross-entropy in a form that cannot overflow.
        losses = np.sum(np.logaddexp(0, z) - t * z, axis=0, dtype=np.float64)
        np.subtract(expit(z), t, out=gradient)
        return losses


@plugin("loss", squared_error={})
@dataclass(frozen=True)
class SquaredError(Loss):
    """Numbers, of which the mean is to be predicted."""

    def of_samples(self, z, values, gradient):
        """As `Loss` has it."""
        np.subtract(z, values.T, out=gradient)
        return 0.5 * np.sum(np.square(gradient, dtype=np.float64), axis=0)


@plugin("loss", absolute_error={})
@dataclass(frozen=True)
class AbsoluteError(Loss):
    """Numbers, of which the median is to be predicted."""

    def of_samples(self, z, values, gradient):
        """As `Loss` has it."""
        np.subtract(z, values.T, out=gradient)
        losses = np.sum(np.abs(gradient), axis=0, dtype=np.float64)
        np.sign(gradient, out=gradient)
        return losses


@plugin("loss", huber={})
@dataclass(frozen=True)
class Huber(Loss):
    """Numbers, of which some are far off: squared error up to `delta`, from there on absolute error.

    Parameters
    ----------
    delta : float, > 0
        In the units of the targets; of a regressor, whose targets are scaled, in their standard deviations.

    References
    ----------
    P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35, 1964.
    """

    delta: float = 1.0

    def __post_init__(self):
        check_number("delta", self.delta, 0, without=0)

    def of_samples(self, z, values, gradient):
        """As `Loss` has it."""
        delta = float(self.delta)
        np.subtract(z, values.T, out=gradient)
        residuals = np.abs(gradient, dtype=np.float64)
        np.clip(gradient, -delta, delta, out=gradient)
        within = np.minimum(residuals, delta)
        return np.sum(within * (residuals - 0.5 * within), axis=0)


@plugin("loss", poisson={})
@dataclass(frozen=True)
class Poisson(Loss):
    """Counts, or other numbers not below 0 whose variance grows with their mean."""

    out_activation = "exp"
    not_below_0 = True

    def predictions(self, z):
        """exp z, same shape as `z`."""
        with np.errstate(over="ignore"):
            return np.exp(z)

    def of_samples(self, z, values, gradient):
        """As `Loss` has it."""
        t = values.T  # (n_outputs, batch)
        p = np.exp(z)
        losses = np.sum(p - t + (xlogy(t, t) - t * z), axis=0, dtype=np.float64)
        np.subtract(p, t, out=gradient)
        return losses
