import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.kernels import reference_images as reference
from truesparse.kernels.jit import threads
from truesparse.kernels.mixing import mask_features, mix_rows


@pytest.mark.parametrize("shape", [(1, 1), (7, 64), (9, 200), (30, 5)])
def test_mix_rows(shape, dtype, rng):
    x = rng.standard_normal(shape).astype(dtype)
    partner, share = rng.integers(len(x), size=len(x)), rng.random(len(x)).astype(dtype)
    one, two = x.copy(), x.copy()
    mix_rows(one, partner, share)
    assert_allclose(one, reference.mix_rows(x, partner, share), rtol=1e-5, atol=1e-6)
    with threads(2):
        mix_rows(two, partner, share)
    assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("from_samples", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (7, 64), (9, 200), (30, 5)])
def test_mask_features(shape, from_samples, dtype, rng):
    x = rng.standard_normal(shape).astype(dtype)
    key = rng.integers(2**64, dtype=np.uint64)
    for share in (0.0, 0.3, 1.0):
        threshold = np.uint64(round(share * 2**32))
        expected = reference.mask_features(x, key, threshold, from_samples)
        for n_threads in (1, 2):
            masked = x.copy()
            with threads(n_threads):
                mask_features(masked, key, threshold, from_samples)
            assert_array_equal(masked, expected)
