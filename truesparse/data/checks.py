"""Checks of features, because kernels check neither indices nor masks."""

from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse

from truesparse.kernels.update import all_finite
from truesparse.network.losses import BatchTarget, MixedTargets, Weighted, values_and_weights
from truesparse.runtime.checks import refuse_masked


def sound_features(name: str, X: Any) -> Any:
    """Return features unchanged, or as sound CSR if they are sparse and have two dimensions; refuse masked entries."""
    refuse_masked(name, X)
    return sound_csr(name, X) if issparse(X) and X.ndim == 2 else X


def sound_csr(name: str, matrix: Any) -> csr_array:
    """Return a two-dimensional SciPy sparse matrix or array as CSR; ValueError if it is damaged.

    Neither scikit-learn nor SciPy's conversions of CSR, CSC, BSR and COO check bounds. SciPy's ``check_format``
    overlooks NaN among the indices, and everything if the index pointer ends with 0. LIL, DOK and DIA are left to it.
    """
    refuse_masked(name, matrix)
    try:
        if matrix.format in ("csr", "csc", "bsr", "coo"):
            _check_indices(matrix)
        matrix = csr_array(matrix)
        _check_indices(matrix)
        matrix.check_format(full_check=True)  # gives the index arrays one dtype
        return matrix
    except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"{name} is a damaged sparse matrix: {error}") from error


def sound_batch(name: str, returned: Any, shape: tuple[int, int], dtype: np.dtype, *, is_sparse: bool) -> Any:
    """Return features made by the user's code `name`, as C-contiguous array or CSR; refuse unsuitable ones."""
    refuse_masked(f"What {name} returned", returned)
    try:
        given = returned if issparse(returned) else np.asarray(returned)
    except ValueError:  # rows of different lengths
        given = np.empty(0, dtype=object)
    if issparse(given) != is_sparse or given.shape != shape or given.dtype.kind not in "fiub":
        kind = "a CSR array" if is_sparse else "a dense array"
        raise ValueError(
            f"{name} must return {kind} of shape {shape} and of real numbers, got {type(returned).__name__} of "
            f"shape {given.shape} and dtype {given.dtype}."
        )
    with np.errstate(over="ignore"):  # an overflow is refused as infinite below
        if is_sparse:
            given = sound_csr(f"What {name} returned", given).astype(dtype)
        else:
            given = np.ascontiguousarray(given, dtype=dtype)
    if not all_finite(given.data if is_sparse else given.reshape(-1)):
        raise ValueError(f"{name} returned numbers that are infinite or NaN.")
    return given


def sound_target(name: str, returned: Any, given: Any, n_outputs: int | None) -> BatchTarget:
    """Return targets of a batch made by the user's code `name` out of `given`; refuse unsuitable ones.

    Parameters
    ----------
    returned : array, Weighted or MixedTargets
        Of the kind of `given`, or a `MixedTargets` with such values.
    given : array or Weighted
        Classes, (n,) integers, or numbers, (n, n_outputs).
    n_outputs : int, optional
        Classes are below it.
    """
    like, weights = values_and_weights(given)
    if isinstance(returned, MixedTargets):
        parts = [_sound_weighted(name, part, like, n_outputs) for part in returned.parts]
        if not parts:
            raise ValueError(f"{name} returned a MixedTargets without parts.")
        return MixedTargets(tuple(parts))
    if weights is not None or isinstance(returned, Weighted):
        return _sound_weighted(name, returned, like, n_outputs)
    return _sound_values(name, returned, like, n_outputs)


def _sound_weighted(name, part, like, n_outputs):
    if not isinstance(part, Weighted):
        raise ValueError(
            f"{name} must return targets with weights, truesparse.network.losses.Weighted, as it was given; got "
            f"{type(part).__name__}."
        )
    weights = np.asarray(part.weights)
    is_real = weights.shape == like.shape[:1] and weights.dtype.kind in "fiu"
    if not is_real or (weights.size and not (weights.min() >= 0 and weights.max() < np.inf)):
        raise ValueError(
            f"{name} must return finite weights of shape {like.shape[:1]} that are not below 0, got shape "
            f"{weights.shape} and dtype {weights.dtype}."
        )
    weights = np.ascontiguousarray(weights, dtype=np.float64)
    return Weighted(_sound_values(name, part.values, like, n_outputs), weights)


def _sound_values(name, returned, like, n_outputs):
    refuse_masked(f"Targets that {name} returned", returned)
    try:
        values = np.asarray(returned)
    except ValueError:  # rows of different lengths
        values = np.empty(0, dtype=object)
    of_classes = like.dtype.kind in "iu"
    if values.shape != like.shape or values.dtype.kind not in ("iu" if of_classes else "fiub"):
        kind = "classes, integers" if of_classes else "real numbers"
        hint = " MixedTargets classes are those of truesparse.transforms.mix_targets." if of_classes else ""
        raise ValueError(
            f"{name} must return targets of shape {like.shape} that are {kind}, got {type(returned).__name__} of shape "
            f"{values.shape} and dtype {values.dtype}.{hint}"
        )
    values = np.ascontiguousarray(values, dtype=like.dtype)
    if of_classes and values.size:
        _check_range(f"Classes that {name} returned", values, np.inf if n_outputs is None else n_outputs)
    if not of_classes and not all_finite(values.reshape(-1)):
        raise ValueError(f"{name} returned targets that are infinite or NaN.")
    return values


def _check_indices(matrix):
    n_rows, n_columns = matrix.shape
    n_stored = len(matrix.data)
    n_axes = 3 if matrix.format == "bsr" else 1
    if matrix.data.ndim != n_axes or 0 in matrix.data.shape[1:]:
        raise ValueError(f"the data array must have {n_axes} axes, got shape {matrix.data.shape}.")
    if matrix.format == "coo":
        _check_range("row", _checked_vector("row", matrix.row, n_stored), n_rows)
        _check_range("column", _checked_vector("column", matrix.col, n_stored), n_columns)
        return
    if matrix.format == "bsr":
        if n_rows % matrix.blocksize[0] or n_columns % matrix.blocksize[1]:
            raise ValueError(f"blocks of shape {matrix.blocksize} do not fill a matrix of shape {matrix.shape}.")
        n_rows, n_columns = n_rows // matrix.blocksize[0], n_columns // matrix.blocksize[1]
    elif matrix.format == "csc":
        n_rows, n_columns = n_columns, n_rows
    indptr = _checked_vector("indptr", matrix.indptr, n_rows + 1)
    indices = _checked_vector("indices", matrix.indices, n_stored)
    _check_range("indptr", indptr, n_stored + 1)
    if indptr[0] != 0 or np.any(indptr[1:] < indptr[:-1]):
        raise ValueError("indptr must begin with 0 and never fall.")
    _check_range("indices", indices[: indptr[-1]], n_columns)  # the rest is not used


def _checked_vector(what, values, size):
    if values.shape != (size,) or values.dtype.kind not in "iu":
        raise ValueError(f"the {what} array must hold {size} integers, got shape {values.shape}, dtype {values.dtype}.")
    return values


def _check_range(what, values, end):
    if values.size and not (values.min() >= 0 and values.max() < end):
        raise ValueError(f"{what} must lie in [0, {end}), got {values.min()} to {values.max()}.")
