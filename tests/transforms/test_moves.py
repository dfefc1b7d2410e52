import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.transforms import Compose, Crop, Flip, Rotate, Shift
from truesparse.transforms.moves import Move, move_images, rotations

SHAPES = [(32, 32, 3), (8, 8, 1), (5, 7, 3), (6, 6, 4), (1, 6, 3), (6, 1, 2), (1, 1, 1), (9, 2)]
MODES = {"edge": "edge", "zeros": "constant", "reflect": "reflect"}


def images(shape, n=7, dtype=np.float32):
    return np.random.default_rng(0).normal(size=(n, *shape)).astype(dtype)


def flat(batch):
    return batch.reshape(len(batch), -1).copy()


def coordinates(height, width, n):
    """Images whose pixels hold their own row and column."""
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1)
    return np.repeat(grid[None], n, axis=0).astype(np.float32)


class Turn(Move):
    """A rotation by an angle that is known."""

    to_pixels = False

    def __init__(self, image_shape, degrees, fill="edge"):
        self.image_shape, self.degrees, self.fill = image_shape, degrees, fill

    def draw(self, n, rng):
        return rotations(np.full(n, float(self.degrees)))


class Slide(Turn):
    """A shift to below and to the right by distances that are known."""

    def draw(self, n, rng):
        maps = np.tile(np.eye(3), (n, 1, 1))
        maps[:, :2, 2] = -np.array(self.degrees)
        return maps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_change_gives_the_same_bytes(shape, dtype, rng):
    batch = images(shape, dtype=dtype)
    still = [Crop(shape, padding=0), Flip(shape, probability=0), Shift(shape, share=0)]
    still += [Rotate(shape, degrees=0)] if len(shape) == 3 else []
    for transform in (*still, Compose(still)):
        moved = transform(flat(batch), rng)
        assert moved.dtype == dtype
        assert_array_equal(moved, flat(batch))


@pytest.mark.parametrize("fill", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_crop_is_cut_out_of_a_padded_image(shape, fill):
    """Each image is found among all crops of it, and of many images none is missing."""
    n, padding = 400, 2
    batch = np.repeat(images(shape, 1), n, axis=0)
    cropped = Crop(shape, padding, fill)(flat(batch), np.random.default_rng(1)).reshape(batch.shape)
    series = len(shape) == 2
    sides = [(0, 0) if series else (padding, padding), (padding, padding), (0, 0)]
    height, width, channels = (1, *shape)[-3:]
    padded = np.pad(batch[0].reshape(height, width, channels), sides, mode=MODES[fill])
    downs = [0] if series else range(2 * padding + 1)
    crops = {
        padded[down : down + height, right : right + width].tobytes()
        for down in downs
        for right in range(2 * padding + 1)
    }
    assert {image.tobytes() for image in cropped} == crops


@pytest.mark.parametrize("shape", SHAPES)
def test_a_flip_mirrors_the_columns(shape, rng):
    batch = images(shape, 200)
    mirrored = batch[..., ::-1, :]
    assert_array_equal(Flip(shape, probability=1)(flat(batch), rng), flat(mirrored))
    half = Flip(shape, probability=0.5)(flat(batch), rng)
    flipped = (half == flat(mirrored)).all(axis=1)
    assert (flipped | (half == flat(batch)).all(axis=1)).all()
    if shape[-2] > 1:
        assert 0.35 < flipped.mean() < 0.65


@pytest.mark.parametrize("fill", MODES)
@pytest.mark.parametrize("shape", [(5, 7, 3), (8, 8, 1)])
@pytest.mark.parametrize("moved", [(2, 0), (0, -3), (-1, 2), (11, 4)])
def test_a_shift_by_whole_pixels_is_a_cut_of_a_padded_image(shape, fill, moved, rng):
    batch, (down, right) = images(shape), moved
    padded = np.pad(batch, [(0, 0), (12, 12), (12, 12), (0, 0)], mode=MODES[fill])
    expected = padded[:, 12 - down : 12 - down + shape[0], 12 - right : 12 - right + shape[1]]
    assert_array_equal(move_images(flat(batch), [Slide(shape, moved, fill)], rng), flat(expected))


def test_a_shift_by_half_a_pixel_is_the_mean_of_two(rng):
    batch = images((5, 6, 3))
    moved = move_images(flat(batch), [Slide((5, 6, 3), (0, 0.5))], rng).reshape(batch.shape)
    assert_allclose(moved[:, :, 1:], (batch[:, :, :-1] + batch[:, :, 1:]) / 2, rtol=1e-5, atol=1e-6)
    assert_array_equal(moved[:, :, 0], batch[:, :, 0])
    into_zeros = move_images(flat(batch), [Slide((5, 6, 3), (0, 0.5), "zeros")], rng).reshape(batch.shape)
    assert_allclose(into_zeros[:, :, 0], batch[:, :, 0] / 2, rtol=1e-6)


@pytest.mark.parametrize("fill", MODES)
@pytest.mark.parametrize("shape", [(33, 33, 3), (32, 32, 3), (7, 7, 2)])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_about_the_centre(shape, turns, fill, rng):
    batch = images(shape)
    turned = move_images(flat(batch), [Turn(shape, 90 * turns, fill)], rng)
    assert_allclose(turned, flat(np.rot90(batch, turns, axes=(1, 2))), rtol=1e-4, atol=1e-4)


def test_any_rotation_keeps_the_middle_pixel(rng):
    batch = images((9, 9, 3))
    turned = Rotate((9, 9, 3), degrees=180)(flat(batch), rng).reshape(batch.shape)
    assert_allclose(turned[:, 4, 4], batch[:, 4, 4], rtol=1e-5, atol=1e-5)
    assert np.abs(turned - batch).max() > 0.1


def test_each_image_has_its_own_amounts_within_the_limits():
    batch, shape = coordinates(41, 61, 400), (41, 61, 2)
    augment = Compose([Shift(shape, share=0.1), Flip(shape)])
    seen = augment(flat(batch), np.random.default_rng(0)).reshape(batch.shape)
    down, right = 20 - seen[:, 20, 30, 0], 30 - seen[:, 20, 30, 1]
    flipped = seen[:, 20, 31, 1] < seen[:, 20, 30, 1]
    for moved, limit in ((down, 4.1), (right, 6.1)):
        assert moved.min() < -0.9 * limit
        assert moved.max() > 0.9 * limit
        assert np.abs(moved).max() <= limit + 1e-3
    assert 0.4 < flipped.mean() < 0.6
    assert abs(np.corrcoef(down, right)[0, 1]) < 0.2
    turned = Rotate(shape, degrees=10)(flat(batch), np.random.default_rng(0)).reshape(batch.shape)
    angle = np.rad2deg(np.arcsin(turned[:, 20, 31, 0] - turned[:, 20, 30, 0]))
    assert 9 < np.abs(angle).max() <= 10.001
    assert min((angle > 0).mean(), (angle < 0).mean()) > 0.4


def test_moves_in_one_pass_are_those_one_after_the_other():
    """Where an image varies linearly, interpolating twice changes nothing; the middle does not show the edge."""
    batch, shape = coordinates(61, 61, 20), (61, 61, 2)
    moves = [Crop(shape, 3), Rotate(shape, 15), Flip(shape), Shift(shape, 0.05), Crop(shape, 2)]
    at_once = Compose(moves)(flat(batch), np.random.default_rng(5)).reshape(batch.shape)
    rng, one_by_one = np.random.default_rng(5), flat(batch)
    for move in moves:
        one_by_one = move(one_by_one, rng)
    middle = (slice(None), slice(20, 41), slice(20, 41))
    assert_allclose(at_once[middle], one_by_one.reshape(batch.shape)[middle], atol=2e-3)
    assert np.abs(at_once - batch)[middle].max() > 2


@pytest.mark.parametrize("fill", MODES)
def test_crop_and_flip_in_one_pass_are_exact(fill):
    batch, shape = images((9, 8, 3), 50), (9, 8, 3)
    at_once = Compose([Crop(shape, 3, fill), Flip(shape)])(flat(batch), np.random.default_rng(5))
    rng = np.random.default_rng(5)
    assert_array_equal(at_once, Flip(shape)(Crop(shape, 3, fill)(flat(batch), rng), rng))


def test_what_one_move_leaves_outside_the_next_one_brings_back(rng):
    batch, shape = images((9, 8, 3)), (9, 8, 3)
    there_and_back = [Slide(shape, (3, -2), "zeros"), Slide(shape, (-3, 2), "zeros")]
    assert_array_equal(Compose(there_and_back)(flat(batch), rng), flat(batch))
    other_fill = [there_and_back[0], Slide(shape, (-3, 2), "edge")]
    assert (Compose(other_fill)(flat(batch), rng) != flat(batch)).any()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Crop((32,)), "image_shape"),
        (lambda: Crop((0, 8, 1)), "image_shape"),
        (lambda: Crop((8.5, 8, 1)), "image_shape"),
        (lambda: Flip(8), "image_shape"),
        (lambda: Flip("aaa"), "image_shape"),
        (lambda: Crop((8, 8, 1), padding=-1), "padding"),
        (lambda: Crop((8, 8, 1), padding=1.5), "padding"),
        (lambda: Crop((8, 8, 1), padding=2**64), rf"padding={2**64} must be an integer in \[0, {2**31 - 1}\]"),
        (lambda: Crop((8, 8, 1), fill="mirror"), r"fill='mirror' must be one of \['edge', 'reflect', 'zeros'\]"),
        (lambda: Shift((8, 8, 1), fill=0), "fill"),
        (lambda: Flip((8, 8, 1), probability=1.5), "probability"),
        (lambda: Shift((8, 8, 1), share=1.5), "share"),
        (lambda: Rotate((8, 8, 1), degrees=float("nan")), "degrees"),
        (lambda: Rotate((8, 8)), r"image_shape=\(8, 8\) must be \(height, width, channels\): series do not rotate"),
    ],
)
def test_wrong_parameters_are_named(make, name):
    with pytest.raises(ValueError, match=name):
        make()


def test_shapes_become_tuples_of_python():
    crop = Crop(np.array([8, 8, 1], dtype=np.int8))
    assert crop == Crop([8, 8, 1]) == Crop((8, 8, 1))
    assert all(type(size) is int for size in crop.image_shape)
    assert hash(crop) == hash(Crop((8, 8, 1)))
