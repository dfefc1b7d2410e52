"""Samples of a fit: features, targets and weights that belong together."""

import hashlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_array

from truesparse._typing import FloatArray, IndexArray
from truesparse.data.source import Source, in_batches
from truesparse.network.losses import Target, Weighted
from truesparse.runtime.checks import is_number, refuse_masked, refuse_sparse

Score = Callable[[FloatArray, Target], float]
"""``score(predictions, target)`` of a `truesparse.training.Validation`."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Some samples."""

    source: Source  # the features
    y: np.ndarray  # the user's targets, (n_samples,) or (n_samples, n_outputs)
    values: np.ndarray  # encoded targets, (n_samples, …)
    weights: FloatArray | None  # (n_samples,) float64, None if all are 1

    @property
    def size(self) -> int:
        """Number of samples."""
        return self.source.n_samples

    @property
    def weighted(self) -> IndexArray | None:
        """Numbers of the samples whose weight is above 0; None if all are."""
        return None if self.weights is None or self.weights.all() else np.flatnonzero(self.weights)

    def __getitem__(self, chosen: IndexArray) -> "Samples":
        """Return the chosen samples; features are not copied."""
        weights = None if self.weights is None else self.weights[chosen]
        return Samples(self.source.subset(chosen), self.y[chosen], self.values[chosen], weights)

    def without(self, factors: FloatArray | None) -> "Samples":
        """Return the samples with a weight of 0 where a factor (n_samples,) of their weights is 0."""
        if factors is None or factors.all():
            return self
        weights = np.ones(self.size) if self.weights is None else self.weights
        return replace(self, weights=np.where(factors == 0, 0.0, weights))

    def with_target(self, factors: FloatArray | None = None, *, relative: bool = True) -> Source:
        """Return the source with encoded targets, weights times `factors`; relative weights have a mean of 1."""
        weights = self.weights
        if factors is not None:
            weights = factors if weights is None else weights * factors
        if weights is not None and relative:
            weights = weights / weights.max()  # equal weights are 1 now, and no sum overflows
            weights /= weights.mean()
        if weights is not None and not (weights == 1).all():
            return self.source.with_target(Weighted(self.values, weights))
        return self.source.with_target(self.values)


def fingerprint(parts: Iterable[Samples | None]) -> str:
    """Return a SHA-256 of the values, dtypes and form of checked samples."""
    digest = hashlib.sha256()
    for part in parts:
        if part is None:
            digest.update(b"none")
            continue
        source, weights = part.source, part.weights
        digest.update(repr((source.n_samples, source.n_features, weights is None)).encode())
        for chunk in in_batches(np.arange(source.n_samples), 2**12):
            rows = source.gathered_rows(chunk)
            _add(digest, [rows.data, rows.indices, rows.indptr] if issparse(rows) else [rows])
        source.release()
        _add(digest, [part.values, *([] if weights is None else [weights])])
    return digest.hexdigest()


def _add(digest, arrays):
    for array in arrays:
        array = np.ascontiguousarray(array.astype(np.int64) if array.dtype.kind in "iu" else array)
        digest.update(repr((array.dtype.str, array.shape)).encode())
        digest.update(array.reshape(-1).view(np.uint8))


def checked_weights(name: str, weights: Any, n_samples: int) -> FloatArray | None:
    """Return the weights of samples, (n_samples,) float64, checked; None if all are 1."""
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


def check_enough(what: str, samples: Samples, fewest: int) -> None:
    """Refuse validation data of fewer samples than their score needs; `what` says how many there are."""
    if samples.size < fewest:
        raise ValueError(
            f"{what}; a score such as R² needs at least {fewest}. One is enough for scoring='loss' or the name of an "
            "error, such as 'neg_mean_absolute_error'."
        )


def check_together(X_val: Any, y_val: Any, sample_weight_val: Any) -> None:
    """Refuse validation data that are incomplete."""
    has_targets = isinstance(X_val, Source) or y_val is not None
    if (X_val is None) == has_targets or (X_val is None and sample_weight_val is not None):
        raise ValueError("X_val and y_val go together, and sample_weight_val needs both.")


def refuse_source(X: Any) -> None:
    """Refuse a source where features are needed."""
    if isinstance(X, Source):
        raise ValueError(
            f"X={X!r} is a Source, which only fit takes; give an array or a SciPy sparse matrix, such as that of its "
            "method rows."
        )


def scorer_of(scoring: Any, fitted: Any, samples: Samples) -> Score:
    """Return scikit-learn's scorer for an estimator with the network in training, on validation samples."""
    from sklearn.metrics import check_scoring

    scorer = check_scoring(fitted, scoring=scoring)
    weights = {} if samples.weights is None else {"sample_weight": samples.weights}
    if weights and not _takes_weights(scorer):
        raise ValueError(f"scoring={scoring!r} takes no sample_weight, but the validation samples have weights.")
    X = samples.source.gathered_rows(np.arange(samples.size))

    def score(predictions, target):
        value = scorer(fitted, X, samples.y, **weights)
        if not is_number(value, -np.inf, np.inf):
            raise ValueError(f"scoring={scoring!r} returned {value!r} for the validation data; a number is allowed.")
        return float(value)

    return score


def _takes_weights(scorer):
    parameters = inspect.signature(getattr(scorer, "_score_func", scorer)).parameters.values()
    return any(parameter.name == "sample_weight" or parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
