"""Losses: means over a batch of a function of the last layer's sums z and the targets t.

Each loss has its own function from z to predictions p. For most losses it is chosen such that the gradient of a
sample's loss with respect to z is p − t:

| loss | p | loss of a sample | gradient | targets |
|---|---|---|---|---|
| `SoftmaxCrossEntropy` | softmax z | −log p_t | p − t | class numbers, (batch,) |
| `BinaryCrossEntropy` | 1 / (1 + exp(−z)) | −Σ t log p + (1 − t) log(1 − p) | p − t | 0 or 1, (batch, n_labels) |
| `SquaredError` | z | ½ Σ (p − t)² | p − t | numbers, (batch, n_outputs) |
| `AbsoluteError` | z | Σ ∣p − t∣ | sign(p − t) | numbers |
| `Huber` | z | Σ ½ (p − t)² up to ∣p − t∣ = δ, from there δ (∣p − t∣ − ½ δ) | p − t, at most ±δ | numbers |
| `Poisson` | exp z | Σ p − t + t log(t / p), half the deviance | p − t | numbers, not below 0 |

Sums and gradients are features-major, (n_outputs, batch); targets are samples-major, as the user has them. Targets with
weights of samples are `Weighted`; if the mean weight is 1, the loss is as large as without. A sample that is a mix of
others has several targets, each with a share of its loss (`MixedTargets`). So classes need no array (batch, n_classes).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit

from truesparse._typing import FloatArray, IndexArray
from truesparse.kernels import losses as kernels
from truesparse.runtime.checks import check_number
from truesparse.runtime.plugins import plugin


@dataclass(frozen=True, eq=False)
class Weighted:
    """Targets, (n_samples, …), and weights of the samples' losses, (n_samples,) float64."""

    values: np.ndarray
    weights: FloatArray

    def __getitem__(self, samples: IndexArray) -> "Weighted":
        return Weighted(self.values[samples], self.weights[samples])


@dataclass(frozen=True, eq=False)
class MixedTargets:
    """Several targets of the same samples; the loss is the sum of their losses, each with its own weights."""

    parts: tuple[Weighted, ...]

    def __getitem__(self, samples: IndexArray) -> "MixedTargets":
        return MixedTargets(tuple(part[samples] for part in self.parts))


Target = np.ndarray | Weighted
BatchTarget = Target | MixedTargets
"""Targets of a batch, which a transform may have mixed."""


def mix_targets(first: BatchTarget, second: BatchTarget, share: FloatArray) -> BatchTarget:
    """Return the targets of samples that are mixed of two.

    Numbers and labels are averaged, and so are weights. Classes become `MixedTargets`: the loss is that of the first
    class times its share, plus that of the second one times the rest.

    Parameters
    ----------
    first, second : (n,) classes, (n, n_outputs) numbers or labels, `Weighted` or `MixedTargets`
        Targets of the same kind, as a transform is given them.
    share : (n,) floats in [0, 1]
        The share of the first one in each sample.

    Raises
    ------
    ValueError
        If `share` has another shape, or numbers outside of [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.network.losses import mix_targets
    >>> y, share = np.array([[1.0], [3.0]]), np.array([0.5, 0.75])
    >>> mix_targets(y, y[::-1], share).ravel().tolist()
    [2.0, 2.5]
    >>> classes = np.array([0, 2])
    >>> [(part.values.tolist(), part.weights.tolist()) for part in mix_targets(classes, classes[::-1], share).parts]
    [([0, 2], [0.5, 0.75]), ([2, 0], [0.5, 0.25])]
    """
    share = np.asarray(share, dtype=np.float64)
    n = len(values_and_weights(first.parts[0] if isinstance(first, MixedTargets) else first)[0])
    if share.shape != (n,) or not ((share >= 0) & (share <= 1)).all():
        raise ValueError(f"share of mix_targets must be numbers in [0, 1] of shape ({n},), got {share!r:.200}.")
    parts = (*_scaled(first, share), *_scaled(second, 1 - share))
    if isinstance(first, MixedTargets) or isinstance(second, MixedTargets) or parts[0].values.dtype.kind != "f":
        return MixedTargets(parts)
    own, other = parts[0].values, parts[1].values
    of_values = share.reshape(-1, *[1] * (own.ndim - 1)).astype(own.dtype)
    values = of_values * own + (1 - of_values) * other
    if isinstance(first, Weighted) or isinstance(second, Weighted):
        return Weighted(values, parts[0].weights + parts[1].weights)
    return values


def _scaled(target, share):
    """Return the parts of a target, with all weights times a share (n,)."""
    if isinstance(target, MixedTargets):
        return tuple(Weighted(part.values, part.weights * share) for part in target.parts)
    values, weights = values_and_weights(target)
    return (Weighted(values, share if weights is None else weights * share),)


def values_and_weights(target: Target) -> tuple[np.ndarray, FloatArray | None]:
    """Return the targets without weights, and the weights or None."""
    return (target.values, target.weights) if isinstance(target, Weighted) else (target, None)


class Loss(ABC):
    """Mean of a loss of each sample, which a subclass computes."""

    out_activation = "identity"  # the function from z to p, as exports name it
    of_classes = False  # whether targets are classes or labels
    robust = False  # whether targets are scaled by their median and median deviation, which outliers do not move
    not_below_0 = False  # whether targets must not be negative, and are scaled by their mean alone
    kind: ClassVar[int | None] = None  # of losses that kernels know, see `truesparse.kernels.losses`

    @property
    def parameter(self) -> float:
        """The number that its kernel takes, such as a threshold."""
        return 0.0

    def predictions(self, z: FloatArray) -> FloatArray:
        """Return the predictions p, same shape as `z`: the sums themselves, unless a subclass has another function."""
        return z

    @abstractmethod
    def of_samples(self, z: FloatArray, values: np.ndarray, gradient: FloatArray) -> FloatArray:
        """Return the loss of each sample, (batch,) float64, and write its gradient with respect to `z`."""

    def __call__(self, z: FloatArray, target: BatchTarget, gradient: FloatArray) -> float:
        """Return the mean loss of a batch, each sample's times its weight; overwrite `gradient`, which may be `z`."""
        if isinstance(target, MixedTargets):
            return self._of_parts(z, target.parts, gradient)
        values, weights = values_and_weights(target)
        # Infinite or NaN sums make the loss infinite or NaN, which the trainer reports.
        with np.errstate(over="ignore", invalid="ignore"):
            losses = self.of_samples(z, values, gradient)
            kernels.weigh(gradient, losses, np.empty(0) if weights is None else weights, z.shape[1])
            return float(losses.mean())

    def _of_parts(self, z, parts, gradient):
        # Rows with gaps between them, as a workspace has, so that these and others share a compiled kernel.
        of_part, of_all = np.zeros((2, len(z), z.shape[1] + 1), dtype=z.dtype)[:, :, :-1]
        total = 0.0
        for part in parts[:-1]:
            total += self(z, part, of_part)
            of_all += of_part
        total += self(z, parts[-1], gradient)  # the last one, because it may take the place of z
        gradient += of_all
        return total


class _LossOfOutputs(Loss):
    """A loss that is a sum over the outputs, and that the kernels know by its `kind`."""

    def of_samples(self, z, values, gradient):
        """Return the losses, and write their gradient."""
        losses = np.empty(z.shape[1])
        kernels.losses_of_outputs(self.kind, float(self.parameter), z, values, gradient, losses)
        return losses


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    """Cross-entropy of exactly one of several classes.

    With label smoothing, the gradient is that for targets in which this share is spread evenly over the classes
    (Szegedy et al., "Rethinking the inception architecture for computer vision", 2016, §7). The loss is that without,
    so that losses can be compared.
    """

    out_activation = "softmax"
    of_classes = True
    kind: ClassVar[int] = kernels.SOFTMAX
    smoothing: float = 0.0

    @property
    def parameter(self):
        """The smoothing, for the kernels."""
        return self.smoothing

    def predictions(self, z):
        """Return the probabilities of the classes, same shape as `z`."""
        # Rows with gaps between them, as a workspace has, so that training and this share a compiled kernel.
        probabilities = np.empty((len(z), z.shape[1] + 1), dtype=z.dtype)[:, :-1]
        kernels.softmax_cross_entropy(z, np.empty(0, dtype=np.int64), 0.0, probabilities, np.empty(0))
        return probabilities

    def of_samples(self, z, values, gradient):
        """Return the losses, and write their gradient."""
        losses = np.empty(z.shape[1])
        kernels.softmax_cross_entropy(z, values, float(self.smoothing), gradient, losses)
        return losses


@dataclass(frozen=True)
class BinaryCrossEntropy(_LossOfOutputs):
    """Cross-entropy of any number of labels, summed over the labels; smoothed towards ½ for the gradient."""

    kind: ClassVar[int] = kernels.BINARY
    out_activation = "logistic"
    of_classes = True
    smoothing: float = 0.0

    @property
    def parameter(self):
        """The smoothing, for the kernels."""
        return self.smoothing

    def predictions(self, z):
        """Return the probability of each label, same shape as `z`."""
        return expit(z)


@plugin("loss", squared_error={})
@dataclass(frozen=True)
class SquaredError(_LossOfOutputs):
    """Half the squared error; the best prediction is the mean."""

    kind: ClassVar[int] = kernels.SQUARED


@plugin("loss", absolute_error={})
@dataclass(frozen=True)
class AbsoluteError(_LossOfOutputs):
    """Absolute error; the best prediction is the median."""

    robust = True
    kind: ClassVar[int] = kernels.ABSOLUTE


@plugin("loss", huber={})
@dataclass(frozen=True)
class Huber(_LossOfOutputs):
    """Squared error up to `delta` > 0, from there on absolute error, for targets with outliers (Huber, 1964).

    `delta` is in units of the targets. In a regressor, which scales its targets, 1 is 1.4826 times their median
    absolute deviation from the median: the standard deviation, if they are normal, whatever the outliers are.
    """

    robust = True
    kind: ClassVar[int] = kernels.HUBER
    delta: float = 1.0

    @property
    def parameter(self):
        """The threshold, for the kernels."""
        return self.delta

    def __post_init__(self):
        check_number("delta", self.delta, 0, without=0)


@plugin("loss", poisson={})
@dataclass(frozen=True)
class Poisson(_LossOfOutputs):
    """Half the Poisson deviance, for counts or other targets ≥ 0 whose variance grows with their mean."""

    kind: ClassVar[int] = kernels.POISSON
    out_activation = "exp"
    not_below_0 = True

    def predictions(self, z):
        """Return exp z."""
        with np.errstate(over="ignore"):
            return np.exp(z)
