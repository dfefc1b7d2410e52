"""Transformers of features, fitted to chunks in one pass."""

import copy
from collections.abc import Iterator
from typing import Any


def fit_in_parts(transformer: Any, parts: Iterator[tuple[str, Any]]) -> None:
    """Fit a scikit-learn transformer by ``partial_fit`` to parts, each with a name, unless it is fitted already.

    Raises ValueError if it cannot be fitted in parts, or fails for one; then it is as it was before.
    """
    if not hasattr(transformer, "transform") or isinstance(transformer, type):
        raise ValueError(f"transformer={transformer!r} must be a transformer of scikit-learn, with transform.")
    if _is_fitted(transformer):
        return
    if not hasattr(transformer, "partial_fit"):
        raise ValueError(
            f"transformer={transformer!r} has no partial_fit, so that it cannot be fitted chunk by chunk; fit it to "
            "some of the data first, or take one that has, such as StandardScaler, MinMaxScaler, MaxAbsScaler or "
            "IncrementalPCA."
        )
    fitted = copy.deepcopy(transformer)
    for name, X in parts:
        try:
            fitted.partial_fit(X)
        except Exception as error:
            raise ValueError(f"transformer={transformer!r} cannot be fitted to {name}: {error}") from error
    vars(transformer).update(vars(fitted))


def _is_fitted(transformer):
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(transformer)
    except NotFittedError:
        return False
    except TypeError:  # no estimator of scikit-learn, and nothing tells whether it is fitted
        return not hasattr(transformer, "partial_fit")
    return True
