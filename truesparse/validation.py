"""Arrays from outside, before a kernel sees them: kernels check neither indices nor masks."""

from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse


def refuse_masked(name: str, values: Any) -> None:
    """Refuse masked entries, which NumPy would take for numbers as soon as the mask is lost.

    Raises
    ------
    ValueError
        If `values` is a masked array, or a sparse one made of masked arrays, with at least one masked entry.
    """
    parts = vars(values).values() if issparse(values) else [values]
    if any(isinstance(part, np.ma.MaskedArray) and np.ma.is_masked(part) for part in parts):
        raise ValueError(
            f"{name} has masked entries; only arrays without are allowed. Fill them in, or leave them out."
        )


def sound_csr(name: str, matrix: Any) -> csr_array:
    """A two-dimensional SciPy sparse matrix or array as CSR, once its indices are known to lie within its shape.

    SciPy's conversions follow an index wherever it leads, and its ``check_format`` overlooks NaN among the indices, as
    well as everything in a matrix whose index pointer ends with 0.

    Raises
    ------
    ValueError
        If the matrix is damaged.
    """
    refuse_masked(name, matrix)
    try:
        if matrix.format in ("csc", "bsr", "coo"):  # others are converted with care
            _check_indices(matrix)
        matrix = csr_array(matrix)
        _check_indices(matrix)
        matrix.check_format(full_check=True)  # gives the index arrays one dtype
        return matrix
    except (ValueError, IndexError) as error:
        raise ValueError(f"{name} is a damaged sparse matrix: {error}") from error


def _check_indices(matrix):
    n_rows, n_columns = matrix.shape
    n_stored = len(matrix.data)
    if matrix.format == "coo":
        _check_range("row", _checked_vector("row", matrix.row, n_stored), n_rows)
        _check_range("column", _checked_vector("column", matrix.col, n_stored), n_columns)
        return
    if matrix.format == "bsr":
        n_rows, n_columns = n_rows // matrix.blocksize[0], n_columns // matrix.blocksize[1]
    elif matrix.format == "csc":
        n_rows, n_columns = n_columns, n_rows
    indptr = _checked_vector("indptr", matrix.indptr, n_rows + 1)
    indices = _checked_vector("indices", matrix.indices, n_stored)
    _check_range("indptr", indptr, n_stored + 1)
    if indptr[0] != 0 or np.any(indptr[1:] < indptr[:-1]):
        raise ValueError("indptr must begin with 0 and never fall.")
    _check_range("indices", indices[: indptr[-1]], n_columns)  # what lies behind is not used


def _checked_vector(what, values, size):
    if values.shape != (size,) or values.dtype.kind not in "iu":
        raise ValueError(f"the {what} array must hold {size} integers, got shape {values.shape}, dtype {values.dtype}.")
    return values


def _check_range(what, values, end):
    if values.size and not (values.min() >= 0 and values.max() < end):
        raise ValueError(f"{what} must lie in [0, {end}), got {values.min()} to {values.max()}.")
