"""Samples as a fit takes them: features, targets and weights that belong together."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.utils import check_array

from truesparse._typing import FloatArray, IndexArray
from truesparse.network.losses import Target, Weighted
from truesparse.runtime.checks import is_number, refuse_masked, refuse_sparse


@dataclass(frozen=True, eq=False)
class Samples:
    """Some samples.

    Parameters
    ----------
    X : (n_samples, n_features), C-contiguous array or CSR, of the network's dtype
    y : (n_samples,) or (n_samples, n_outputs)
        The targets as the user has them.
    values : (n_samples, …)
        The targets as the loss wants them.
    weights : (n_samples,) float64, optional
        Only if one of them is not 1.
    """

    X: object
    y: np.ndarray
    values: np.ndarray
    weights: FloatArray | None

    def __getitem__(self, chosen: IndexArray) -> "Samples":
        """Some of them."""
        weights = None if self.weights is None else self.weights[chosen]
        return Samples(self.X[chosen], self.y[chosen], self.values[chosen], weights)

    def times(self, factors: FloatArray | None) -> "Samples":
        """The same with other weights, (n_samples,); None changes nothing."""
        if factors is None:
            return self
        return replace(self, weights=factors if self.weights is None else self.weights * factors)

    def target(self, *, relative: bool = True) -> Target:
        """The targets as the loss wants them; relative weights have a mean of 1."""
        weights = self.weights
        if weights is not None and relative:
            weights = weights / weights.max()  # equal weights are 1 now, and no sum overflows
            weights /= weights.mean()
        return self.values if weights is None or (weights == 1).all() else Weighted(self.values, weights)


def checked_weights(name: str, weights, n_samples: int) -> FloatArray | None:
    """Weights of samples, (n_samples,) float64; None if all are 1.

    Raises
    ------
    ValueError
        If they are not one finite number, not below 0, for each sample, or if all are 0.
    """
    if weights is None:
        return None
    if is_number(weights, 0):
        weights = np.full(n_samples, float(weights))
    refuse_masked(name, weights)
    refuse_sparse(name, weights)
    weights = check_array(weights, dtype=np.float64, ensure_2d=False, ensure_min_samples=0, input_name=name)
    if weights.shape != (n_samples,):
        raise ValueError(f"{name} must have the shape ({n_samples},), a number for each sample, got {weights.shape}.")
    if weights.min() < 0:
        raise ValueError(f"{name} must hold numbers that are not below 0, got {weights.min():g}.")
    if weights.max() == 0:
        raise ValueError(f"{name} must hold a number above 0, got only zeros: no sample has a weight.")
    return None if (weights == 1).all() else weights


def scorer_of(scoring, fitted, samples: Samples) -> Callable[[FloatArray, Target], float]:
    """A scorer of scikit-learn as the score of a `truesparse.training.trainer.Validation`.

    Parameters
    ----------
    scoring : str or callable
    fitted : estimator
        Whose network is the one in training.
    samples : Samples
        The validation data.
    """
    scorer = check_scoring(fitted, scoring=scoring)
    weights = {} if samples.weights is None else {"sample_weight": samples.weights}
    if weights and not _takes_weights(scorer):
        raise ValueError(f"scoring={scoring!r} takes no sample_weight, but the validation samples have weights.")

    def score(predictions, target):
        value = scorer(fitted, samples.X, samples.y, **weights)
        if not is_number(value, -np.inf, np.inf):
            raise ValueError(f"scoring={scoring!r} returned {value!r} for the validation data; a number is allowed.")
        return float(value)

    return score


def _takes_weights(scorer):
    parameters = inspect.signature(getattr(scorer, "_score_func", scorer)).parameters.values()
    return any(parameter.name == "sample_weight" or parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
