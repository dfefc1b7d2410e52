"""Checks of the data that estimators and ensembles are given."""

import math
from abc import abstractmethod
from contextlib import contextmanager

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_array, get_tags
from sklearn.utils.validation import validate_data

from truesparse.data.checks import sound_features
from truesparse.data.source import Source, array_source
from truesparse.estimators.samples import Samples, checked_weights, refuse_source
from truesparse.network.losses import values_and_weights
from truesparse.runtime.checks import refuse_masked, refuse_sparse
from truesparse.runtime.memory import MappedRows


class InputChecks(BaseEstimator):
    """Base that turns the arguments of ``fit`` into `Samples`, and those of ``predict`` into arrays or CSR."""

    _y_numeric: bool
    _fewest_to_score: int

    @property
    @abstractmethod
    def _dtype(self):
        """The parameter `dtype` of the network."""

    @abstractmethod
    def _encode(self, y, weights, classes, *, first):
        """Check the targets and encode them for the loss; if `first`, learn classes or scales from them."""

    def _class_weights(self, samples):
        """Return factors of the weights of training samples, (n_samples,), or None."""
        return None

    def _samples(self, suffix, X, y, sample_weight, classes=None, *, first):
        """Check the arguments X, y and sample_weight of `fit`, or those with that suffix, and return the samples.

        Those of weight 0 are left out, in training data also those of classes of weight 0.
        """
        samples = self._all_samples(suffix, X, y, sample_weight, classes, first=first)
        return samples if (kept := samples.weighted) is None else samples[kept]

    def _all_samples(self, suffix, X, y, sample_weight, classes=None, *, first):
        """Return the samples of `_samples` with those of weight 0."""
        if isinstance(X, Source):
            if y is not None or sample_weight is not None:
                raise ValueError(f"y{suffix} and sample_weight{suffix} must be None where X{suffix} is a Source.")
            y, sample_weight = values_and_weights(X.target) if X.target is not None else (None, None)
            classes = X.classes if classes is None and not suffix else classes
        refuse_sparse(f"y{suffix}", y)
        refuse_masked(f"y{suffix}", y)
        with _naming(suffix):
            source, y = self._checked_source(X, y, first=first)
        weights = checked_weights(f"sample_weight{suffix}", sample_weight, source.n_samples)
        with _naming(suffix):  # classes are there even if all their samples have weight 0, as in scikit-learn
            samples = Samples(source, y, self._encode(y, weights, classes, first=first), weights)
        return samples if suffix else samples.without(self._class_weights(samples))

    def _checked_to_predict(self, X, dtype):
        """Return X as `_checked` does, which takes longer than one sample's forward pass.

        So an array in which that would find nothing to refuse, to warn of or to name is only converted.
        """
        is_plain = type(X) is np.ndarray and X.dtype.kind == "f" and X.shape[1:] == (self.n_features_in_,)
        if is_plain and len(X) > 0 and not hasattr(self, "feature_names_in_"):
            with np.errstate(over="ignore", invalid="ignore"):
                converted = np.ascontiguousarray(X, dtype=dtype)
                if math.isfinite(converted.sum()):  # no sum of infinite numbers or NaN is finite
                    return converted
        (X,) = self._checked(X, dtype=dtype, reset=False)
        return X

    @property
    def _takes_sparse(self):
        """Whether X may be sparse, as the estimator's tags tell scikit-learn."""
        return get_tags(self).input_tags.sparse

    def _checked(self, X, *y, dtype, **options):
        """Return data as C-contiguous arrays, or CSR with sound indices, in the dtype of the network."""
        refuse_source(X)
        X = sound_features("X", X)
        sparse = "csr" if self._takes_sparse else False
        with np.errstate(over="ignore", invalid="ignore"):  # an overflow is refused as infinite
            try:
                checked = validate_data(self, X, *y, accept_sparse=sparse, dtype=np.dtype(dtype), order="C", **options)
            except OverflowError as error:  # Python's integers have no largest
                raise ValueError(f"X or y holds an integer that dtype={dtype!s} cannot: {error}.") from error
        return checked if y else (checked,)

    def _checked_source(self, X, y, *, first):
        """Return the samples of a fit as a source without targets, and the user's targets."""
        if isinstance(X, Source):
            return self._checked_given_source(X, y, first)
        options = {"dtype": self._dtype, "reset": first, "multi_output": True, "y_numeric": self._y_numeric}
        fits = isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype == self._dtype and X.flags.c_contiguous
        if fits and MappedRows(X).is_mapped:
            X, y = self._checked(X, y, **options, ensure_all_finite=False)
            mapped, step = MappedRows(X), max(1, 2**24 // max(1, X[:1].nbytes))
            for start in range(0, len(X), step):  # not all at once, which would make the whole file resident
                assert_all_finite(X[start : start + step], input_name="X")
                mapped.give_back(np.arange(start, min(start + step, len(X))))
        else:
            X, y = self._checked(X, y, **options)
        return array_source(X), y

    def _checked_given_source(self, source, y, first):
        """Check a user's source and its targets, which scikit-learn cannot."""
        if source.dtype != self._dtype:
            raise ValueError(
                f"The source X has dtype {source.dtype}, but the estimator has dtype={self._dtype!r}; both must be "
                "equal."
            )
        if source.is_sparse and not self._takes_sparse:
            raise ValueError(f"The source X is sparse, but {type(self).__name__} takes dense samples only.")
        if first:
            self.n_features_in_ = source.n_features
            self.__dict__.pop("feature_names_in_", None)
        elif source.n_features != self.n_features_in_:
            raise ValueError(
                f"X has {source.n_features} features, but {type(self).__name__} is expecting {self.n_features_in_} "
                "features as input."
            )
        if y is None:
            raise ValueError(f"The source X has no targets, which {type(self).__name__} needs.")
        if source.n_samples == 0:
            raise ValueError("The source X has no samples.")
        y = check_array(y, ensure_2d=False, dtype="numeric" if self._y_numeric else None, input_name="y")
        if y.shape[:1] != (source.n_samples,):
            raise ValueError(f"The source X has {source.n_samples} samples, but targets of shape {y.shape}.")
        return source.with_target(None), y


@contextmanager
def _naming(suffix):
    """Let errors of a ``with`` block say that they are about the validation data."""
    try:
        yield
    except ValueError as error:
        if not suffix:
            raise
        raise ValueError(f"X{suffix}, y{suffix}: {error}") from error
