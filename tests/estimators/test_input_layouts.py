"""The same numbers give the same bytes, however they lie in memory and whoever owns them."""

import numpy as np
import pytest
from scipy.sparse import csc_matrix, csr_array, csr_matrix

from truesparse import SparseMLPClassifier

SHAPE = (40, 5)


@pytest.fixture(scope="module", name="X")
def data():
    rng = np.random.default_rng(0)
    return np.where(rng.random(SHAPE) < 0.4, 0, rng.standard_normal(SHAPE)).astype(np.float32)


def trained_bytes(X):
    """What an estimator that is trained on these data predicts."""
    y = np.arange(SHAPE[0]) % 3
    model = SparseMLPClassifier((20,), epsilon=2, max_iter=3, update_every=1, random_state=0).fit(X, y)
    return model.predict_proba(X).tobytes()


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def memory_mapped(X, path):
    X.tofile(path)
    return np.memmap(path, dtype=X.dtype, mode="r", shape=X.shape)


DENSE = {
    "Fortran order": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "backwards": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "read-only": read_only,
    "float64": lambda X: X.astype(np.float64),
    "another byte order": lambda X: X.astype(">f4"),
    "objects": lambda X: X.astype(object),
    "list": lambda X: X.tolist(),
    "masked, but nothing is": np.ma.masked_array,
}


@pytest.mark.parametrize("name", DENSE)
def test_dense(name, X):
    assert trained_bytes(DENSE[name](X)) == trained_bytes(X)


def test_memory_mapped(X, tmp_path):
    assert trained_bytes(memory_mapped(X, tmp_path / "X")) == trained_bytes(X)


def reversed_rows(X):
    matrix = csr_matrix(X)
    for row in range(SHAPE[0]):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        matrix.indices[part], matrix.data[part] = matrix.indices[part][::-1].copy(), matrix.data[part][::-1].copy()
    matrix.has_sorted_indices = False
    return matrix


def in_halves(X):
    """Every entry twice, as two halves, which SciPy adds up."""
    matrix = csr_matrix(X)
    parts = np.repeat(matrix.data / 2, 2), np.repeat(matrix.indices, 2), 2 * matrix.indptr
    doubled = csr_matrix(parts, shape=SHAPE)
    assert doubled.nnz == 2 * matrix.nnz
    return doubled


def with_zeros(X):
    return csr_matrix((X.ravel(), np.tile(np.arange(SHAPE[1]), SHAPE[0]), SHAPE[1] * np.arange(SHAPE[0] + 1)))


def wide_indices(X):
    matrix = csr_matrix(X)
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)
    return matrix


def read_only_parts(X):
    matrix = csr_matrix(X)
    for array in (matrix.data, matrix.indices, matrix.indptr):
        array.flags.writeable = False
    return matrix


SPARSE = {
    "matrix": csr_matrix,
    "array": csr_array,
    "columns": csc_matrix,
    "unsorted": reversed_rows,
    "duplicates": in_halves,
    "explicit zeros": with_zeros,
    "int64 indices": wide_indices,
    "read-only": read_only_parts,
    "coo": lambda X: csr_matrix(X).tocoo(),
    "lil": lambda X: csr_matrix(X).tolil(),
    "bsr": lambda X: csr_matrix(X).tobsr((4, 5)),
}


@pytest.mark.parametrize("name", SPARSE)
def test_sparse(name, X):
    assert trained_bytes(SPARSE[name](X)) == trained_bytes(X)


@pytest.mark.parametrize("make", [csr_matrix, reversed_rows, in_halves, with_zeros, csc_matrix])
def test_the_callers_matrix_stays_as_it_was(make, X):
    matrix = make(X)
    before = [array.copy() for array in (matrix.data, matrix.indices, matrix.indptr)]
    trained_bytes(matrix)
    after = matrix.data, matrix.indices, matrix.indptr
    assert all(a.tobytes() == b.tobytes() for a, b in zip(before, after, strict=True))
