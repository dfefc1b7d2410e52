import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.kernels import reference
from truesparse.kernels.jit import threads
from truesparse.kernels.losses import softmax_cross_entropy


@pytest.mark.parametrize("shape", [(2, 1), (3, 16), (10, 100), (300, 7)])
def test_against_the_reference(shape, dtype, rng):
    z = (5 * rng.standard_normal(shape)).astype(dtype)
    target = rng.integers(shape[0], size=shape[1])
    expected, expected_losses = reference.softmax_cross_entropy(z.astype(np.float64), target)
    out, losses = np.full(shape, np.nan, dtype), np.empty(shape[1])
    softmax_cross_entropy(z, target, out, losses)
    close = {"rtol": 1e-4, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-14}
    assert_allclose(out, expected, **close)
    assert_allclose(losses, expected_losses, rtol=1e-5, atol=1e-6)
    in_place = z.copy()
    softmax_cross_entropy(in_place, target, in_place, losses)
    assert_array_equal(in_place, out)
    softmax_cross_entropy(z, target[:0], out, losses[:0])
    assert_allclose(out.sum(axis=0), 1, rtol=1e-5)


def test_a_sample_has_the_same_bytes_wherever_it_stands(rng):
    z = rng.standard_normal((7, 50)).astype(np.float32)
    none, no_losses = np.empty(0, dtype=np.int64), np.empty(0)
    whole, alone = np.empty_like(z), np.empty((7, 1), dtype=np.float32)
    with threads(2):
        softmax_cross_entropy(z, none, whole, no_losses)
    for s in (0, 17, 49):
        softmax_cross_entropy(np.ascontiguousarray(z[:, s : s + 1]), none, alone, no_losses)
        assert_array_equal(alone[:, 0], whole[:, s])
