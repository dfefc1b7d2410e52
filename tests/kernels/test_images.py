import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.kernels import reference_images as reference
from truesparse.kernels.images import EDGE, REFLECT, ZEROS, fill_boxes, move_pixels, paste_boxes, resample
from truesparse.kernels.jit import threads

SHAPES = [(32, 32, 3), (8, 8, 1), (5, 7, 3), (6, 6, 4), (1, 6, 3), (6, 1, 2), (1, 1, 1)]
FILLS = [EDGE, ZEROS, REFLECT]


def batch_of(shape, rng, dtype=np.float64, n=9):
    return rng.standard_normal((n, shape[0] * shape[1] * shape[2])).astype(dtype)


def boxes_of(height, width, n, rng):
    top, left = rng.integers(height + 1, size=n), rng.integers(width + 1, size=n)
    return np.stack([top, rng.integers(top, height + 1), left, rng.integers(left, width + 1)], axis=1)


def same_on_two_threads(kernel, x, *arguments):
    """The result of a kernel on one thread, which is that on two, to the last byte."""
    one, two = x.copy(), x.copy()
    with threads(1):
        kernel(one, *arguments)
    with threads(2):
        kernel(two, *arguments)
    assert one.tobytes() == two.tobytes()
    return one


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("shape", SHAPES)
def test_move_pixels(shape, fill, dtype, rng):
    x = batch_of(shape, rng, dtype)
    for most in (1, 4, 40):
        down, right = rng.integers(-most, most + 1, size=(2, len(x)))
        arguments = (*shape[:2], down, right, rng.random(len(x)) < 0.5, fill)
        assert_array_equal(same_on_two_threads(move_pixels, x, *arguments), reference.move_pixels(x, *arguments))


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("shape", SHAPES)
def test_resample(shape, fill, dtype, rng):
    x = batch_of(shape, rng, dtype)
    places = rng.normal(0, 1, (len(x), 6))
    places[:, [0, 3]] *= max(shape[:2])
    places = places.astype(dtype)
    expected = reference.resample(x.astype(float), *shape[:2], places.astype(float), fill)
    close = {"rtol": 1e-3, "atol": 2e-4} if dtype == np.float32 else {"rtol": 1e-10, "atol": 1e-10}
    assert_allclose(same_on_two_threads(resample, x, *shape[:2], places, fill), expected, **close)


@pytest.mark.parametrize("fill", FILLS)
def test_resampling_at_whole_pixels_keeps_their_bytes(fill, dtype, rng):
    x = batch_of((5, 7, 3), rng, dtype)
    down, right = rng.integers(-8, 9, size=(2, len(x)))
    one, zero = np.ones(len(x)), np.zeros(len(x))
    places = np.stack([down, one, zero, right, zero, one], axis=1).astype(dtype)
    resampled, moved = x.copy(), x.copy()
    resample(resampled, 5, 7, places, fill)
    move_pixels(moved, 5, 7, down, right, np.zeros(len(x), dtype=bool), fill)
    assert_array_equal(resampled, moved)


@pytest.mark.parametrize("shape", SHAPES)
def test_boxes(shape, dtype, rng):
    x, (height, width, _) = batch_of(shape, rng, dtype), shape
    boxes, partner = boxes_of(height, width, len(x), rng), rng.permutation(len(x))
    filled = same_on_two_threads(fill_boxes, x, height, width, boxes, dtype(0.5))
    assert_array_equal(filled, reference.fill_boxes(x, height, width, boxes, dtype(0.5)))
    pasted = same_on_two_threads(paste_boxes, x, height, width, boxes, partner)
    assert_array_equal(pasted, reference.paste_boxes(x, height, width, boxes, partner))
