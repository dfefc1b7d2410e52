import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from image_augmentation import ShiftFlipRotate, warp

SHAPES = [(32, 32, 3), (8, 8, 1), (5, 7, 3), (6, 6, 4), (1, 6, 3), (6, 1, 2), (1, 1, 1)]


def images(shape, n=7, dtype=np.float32):
    return np.random.default_rng(0).normal(size=(n, *shape)).astype(dtype)


def warped(batch, degrees=0.0, down=0.0, right=0.0, flipped=False):
    """`warp` with the same amounts for all of a copy of some images."""
    n = len(batch)
    amounts = np.full(n, degrees), np.full(n, down), np.full(n, right), np.full(n, flipped)
    return warp(batch.reshape(n, -1).copy(), batch.shape[1:], *amounts).reshape(batch.shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_change_gives_the_same_bytes(shape, dtype):
    batch = images(shape, dtype=dtype)
    flat = batch.reshape(len(batch), -1)
    still = ShiftFlipRotate(shape, shift=0, degrees=0, flip=False)(flat.copy(), np.random.default_rng(0))
    assert still.dtype == dtype
    assert still.tobytes() == flat.tobytes()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_flip_mirrors_the_columns(shape):
    batch = images(shape)
    np.testing.assert_array_equal(warped(batch, flipped=True), batch[:, :, ::-1])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("down", "right"), [(2, 0), (0, -3), (-1, 2), (40, 0)])
def test_a_shift_by_pixels_repeats_the_edge(shape, down, right):
    batch = images(shape)
    rows = np.clip(np.arange(shape[0]) - down, 0, shape[0] - 1)
    columns = np.clip(np.arange(shape[1]) - right, 0, shape[1] - 1)
    np.testing.assert_array_equal(warped(batch, down=down, right=right), batch[:, rows][:, :, columns])


def test_a_shift_by_half_a_pixel_is_the_mean_of_two():
    batch = images((5, 6, 3))
    expected = (batch[:, :, :-1] + batch[:, :, 1:]) / 2
    np.testing.assert_allclose(warped(batch, right=0.5)[:, :, 1:], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(warped(batch, right=0.5)[:, :, 0], batch[:, :, 0])


@pytest.mark.parametrize("shape", [(32, 32, 3), (8, 8, 1), (7, 7, 2)])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_about_the_centre(shape, turns):
    batch = images(shape)
    expected = np.rot90(batch, turns, axes=(1, 2))
    np.testing.assert_allclose(warped(batch, degrees=90 * turns), expected, rtol=1e-4, atol=1e-4)


def test_any_rotation_keeps_the_middle_pixel():
    batch = images((9, 9, 3))
    np.testing.assert_allclose(warped(batch, degrees=33)[:, 4, 4], batch[:, 4, 4], rtol=1e-5, atol=1e-5)


def test_a_flip_comes_after_shift_and_rotation():
    batch = images((9, 8, 3))
    moved = warped(batch, degrees=8, down=1.3, right=-0.7)
    both = warped(batch, degrees=8, down=1.3, right=-0.7, flipped=True)
    np.testing.assert_allclose(both, moved[:, :, ::-1], rtol=1e-4, atol=1e-4)


def test_each_image_has_its_own_amounts_within_the_limits():
    # Images that hold their own coordinates, in the middle of which the edge does not show.
    rows, columns = np.meshgrid(np.arange(41.0), np.arange(61.0), indexing="ij")
    batch = np.repeat(np.stack([rows, columns], axis=-1)[None], 400, axis=0).astype(np.float32)
    augment = ShiftFlipRotate(batch.shape[1:], shift=0.1, degrees=0, flip=True)
    seen = augment(batch.reshape(400, -1), np.random.default_rng(0)).reshape(batch.shape)
    down = 20 - seen[:, 20, 30, 0]
    right = 30 - seen[:, 20, 30, 1]
    flipped = seen[:, 20, 31, 1] < seen[:, 20, 30, 1]
    for moved, limit in ((down, 4.1), (right, 6.1)):
        assert moved.min() < -0.9 * limit
        assert moved.max() > 0.9 * limit
        assert np.abs(moved).max() <= limit + 1e-3
    assert 0.4 < flipped.mean() < 0.6
    assert abs(np.corrcoef(down, right)[0, 1]) < 0.2


def test_the_same_generator_gives_the_same_bytes():
    flat = images((32, 32, 3)).reshape(7, -1)
    first, again, other = (ShiftFlipRotate()(flat.copy(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()
    assert np.abs(first).max() <= np.abs(flat).max() + 1e-6


@pytest.mark.parametrize(
    "wrong", [{"image_shape": (32, 32)}, {"image_shape": (0, 8, 1)}, {"shift": 1.5}, {"degrees": float("nan")}]
)
def test_wrong_parameters_are_named(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        ShiftFlipRotate(**wrong)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match="image_shape"):
        ShiftFlipRotate()(np.zeros((2, 64), dtype=np.float32), np.random.default_rng(0))
