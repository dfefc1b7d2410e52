import numpy as np
import pytest
from helpers import random_csr, read_only, tolerance
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.kernels import reference
from truesparse.kernels.jit import threads
from truesparse.kernels.sddmm import sddmm


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 1), (7, 30, 33), (64, 9, 128), (4, 5, 100)])
@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 1.0])
def test_is_the_dense_gradient_at_the_stored_pairs(shape, density, dtype, rng):
    fan_out, fan_in, batch = shape
    w = random_csr((fan_out, fan_in), density, rng, dtype)
    delta = rng.standard_normal((fan_out, batch)).astype(dtype)
    x = rng.standard_normal((fan_in, batch)).astype(dtype)
    out = np.full(w.nnz, np.nan, dtype=dtype)
    sddmm(*read_only(w.indices, w.indptr, delta, x), out)
    assert_allclose(out, reference.sddmm(w.indices, w.indptr, delta, x), **tolerance(dtype))


def test_by_hand():
    # Two outputs, three inputs, a batch of two; stored are (0, 2) and (1, 0).
    delta = np.array([[1.0, 2.0], [3.0, 4.0]])
    x = np.array([[1.0, 1.0], [9.0, 9.0], [5.0, -1.0]])
    out = np.empty(2)
    sddmm(np.array([2, 0], dtype=np.int32), np.array([0, 1, 2], dtype=np.int32), delta, x, out)
    assert_array_equal(out, [1 * 5 + 2 * -1, 3 * 1 + 4 * 1])


def test_same_bytes_for_every_number_of_threads(rng):
    w = random_csr((301, 200), 0.1, rng, np.float32)
    delta = rng.standard_normal((301, 100)).astype(np.float32)
    x = rng.standard_normal((200, 100)).astype(np.float32)
    results = []
    for n in (1, 2):
        with threads(n):
            sddmm(w.indices, w.indptr, delta, x, out := np.empty_like(w.data))
        results.append(out)
    assert_array_equal(*results)
