"""Numbers that are none or too large, and damage that SciPy overlooks.

Some of it ends the process when SciPy converts or multiplies the matrix.
"""

import re
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array, csr_matrix

from truesparse.data.checks import sound_csr
from truesparse.runtime.checks import LARGEST, check_count, check_number, refuse_masked

DENSE = np.array([[0.0, 1, 0, 2], [3, 0, 0, 0], [0, 0, 4, 5]])


def damaged(fmt, attribute, change):
    matrix = csr_matrix(DENSE).asformat(fmt).copy()
    setattr(matrix, attribute, change(getattr(matrix, attribute).copy()))
    return matrix


def put(place, value):
    def change(array):
        array[place] = value
        return array

    return change


@pytest.mark.parametrize("fmt", ["csr", "csc", "bsr"])
@pytest.mark.parametrize(
    ("attribute", "change", "message"),
    [
        ("indices", put(0, 10**6), r"indices must lie in \[0, \d\), got \d to 1000000"),
        ("indices", put(0, -1), "indices must lie in .* got -1 to"),
        ("indices", lambda a: np.where(a == 0, np.nan, a), r"indices array must hold \d integers, .* float64"),
        ("indices", lambda a: a[:-1], "indices"),
        ("indptr", put(1, 10**6), r"indptr must lie in \[0, \d\), got 0 to 1000000"),
        ("indptr", put(2, 0), "never fall"),
        (
            "indptr",
            put(-1, 0),
            "never fall|must lie",
        ),  # SciPy then takes the matrix for empty, and all the rest for fine
        ("indptr", put(-1, -2), r"indptr must lie in .* got -2"),
        ("indptr", put(-1, 50), "indptr|index pointer"),
        ("indptr", lambda a: put(2, 0)(a.astype(np.uint32)), "never fall"),
        ("indptr", put(0, 1), "begin with 0|start with 0"),
        ("indptr", lambda a: a[:-1], "indptr|index pointer"),
        ("data", lambda a: a[:-1], "indices"),
    ],
)
@pytest.mark.filterwarnings("ignore:.* array has non-integer dtype")
def test_damaged_index_arrays(fmt, attribute, change, message):
    with pytest.raises(ValueError, match=f"X is a damaged sparse matrix: .*({message})"):
        sound_csr("X", damaged(fmt, attribute, change))


@pytest.mark.parametrize(
    ("attribute", "change", "message"),
    [
        ("row", put(0, 10**7), r"row must lie in \[0, 3\), got 0 to 10000000"),
        ("row", put(0, -4), "row must lie in"),
        ("col", put(0, 4), r"column must lie in \[0, 4\), got 0 to 4"),
        ("data", lambda a: a[:2], "row array must hold 2 integers"),
    ],
)
def test_damaged_coordinates(attribute, change, message):
    with pytest.raises(ValueError, match=f"X is a damaged sparse matrix: .*{message}"):
        sound_csr("X", damaged("coo", attribute, change))


@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "bsr"])
def test_damaged_data(fmt):
    n_axes = 3 if fmt == "bsr" else 1
    for change in (lambda a: a.reshape(len(a), -1)[:, :0], lambda a: a[..., None]):
        with pytest.raises(ValueError, match=f"damaged .* must have {n_axes} axes"):
            sound_csr("X", damaged(fmt, "data", change))


@pytest.mark.parametrize("shape", [(2, 1), (1, 3), (50, 50), (0, 1)])
def test_damaged_blocks(shape):
    with pytest.raises(ValueError, match=r"damaged .*(do not fill|axes)"):
        sound_csr("X", damaged("bsr", "data", lambda a: np.ones((len(a), *shape))))


@pytest.mark.parametrize("fmt", ["csr", "csc", "bsr", "coo", "lil", "dok", "dia"])
def test_whole_matrices_of_every_format(fmt):
    assert_array_equal(sound_csr("X", csr_matrix(DENSE).asformat(fmt)).toarray(), DENSE)
    assert sound_csr("X", csr_matrix((3, 4)).asformat(fmt)).nnz == 0


@pytest.mark.parametrize("dtype", [np.int16, np.uint32, ">i4"])
@pytest.mark.filterwarnings("ignore:.* array has non-integer dtype")
def test_index_arrays_get_a_dtype_that_kernels_know(dtype):
    matrix = csr_matrix(DENSE)
    matrix.indices, matrix.indptr = matrix.indices.astype(dtype), matrix.indptr.astype(np.int64)
    sound = sound_csr("X", matrix)
    assert sound.indices.dtype == sound.indptr.dtype
    assert sound.indices.dtype in (np.dtype(np.int32), np.dtype(np.int64))
    assert_array_equal(sound.toarray(), DENSE)
    assert matrix.indices.dtype == dtype  # the caller's matrix stays as it was


def test_what_lies_behind_the_last_row_is_not_looked_at():
    matrix = csr_array(DENSE)
    matrix.indices, matrix.data = np.append(matrix.indices, -7), np.append(matrix.data, np.nan)
    assert_array_equal(sound_csr("X", matrix).toarray(), DENSE)


def test_masked_entries():
    refuse_masked("y", np.ma.masked_array([1, 2], mask=False))
    refuse_masked("y", [1, 2])
    with pytest.raises(ValueError, match="y has masked entries"):
        refuse_masked("y", np.ma.masked_array([1, 2], mask=[False, True]))
    matrix = csr_matrix(DENSE)
    matrix.data = np.ma.masked_array(matrix.data, mask=matrix.data > 4)
    with pytest.raises(ValueError, match="X has masked entries"):
        sound_csr("X", matrix)


@pytest.mark.parametrize("value", [0, 0.5, 1, np.float16(0.5), np.float32(1), np.int8(1), Fraction(1, 3)])
def test_numbers_of_every_type(value):
    check_number("share", value, 0, 1)
    check_number("slope", value)
    check_number("slope", -LARGEST * float(value))


@pytest.mark.parametrize("value", [True, np.bool_(True), 10**400, -(10**400), 1e39, np.inf, np.nan, None, "1", 1j, [1]])
def test_what_is_no_number_or_too_large(value):
    with pytest.raises(ValueError, match=re.escape(f"gain={value!r} must be a number in [0, 3.4e+38].")):
        check_number("gain", value, 0)


def test_ends_of_intervals():
    for without, interval in ((0, "(0, 1]"), (1, "[0, 1)")):
        check_number("share", 1 - without, 0, 1, without=without)
        with pytest.raises(ValueError, match=re.escape(f"share={without} must be a number in {interval}.")):
            check_number("share", without, 0, 1, without=without)


def test_counts():
    for value in (1, np.int8(3), np.uint64(2**60), 10**400):
        check_count("width", value)
    check_count("n_samples", None, none=True)
    for value in (0, -1, 1.0, True, np.bool_(True), None, "1"):
        with pytest.raises(ValueError, match=re.escape(f"width={value!r} must be a positive integer.")):
            check_count("width", value)
    with pytest.raises(ValueError, match="n_samples=True must be a positive integer or None"):
        check_count("n_samples", True, none=True)
