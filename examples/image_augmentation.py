"""Images that are never twice the same: rotated a little, shifted a little, and flipped at random.

`ShiftFlipRotate` is made for the parameter ``batch_transform`` of the estimators; ``examples/06_augment_images.py``
uses it. To write another transform, any callable ``(X_batch, rng) -> X_batch`` will do.
"""

import math
from dataclasses import dataclass
from numbers import Integral, Real

import numba
import numpy as np


@dataclass(frozen=True)
class ShiftFlipRotate:
    """Rotates, shifts and flips every image of a batch by random amounts of its own.

    Each image is rotated about its centre, shifted, and then flipped left to right with probability 1/2. Values between
    pixels are interpolated bilinearly; beyond the edge, the nearest pixel of the edge is repeated.

    Parameters
    ----------
    image_shape : (height, width, channels)
        How the features of a sample are laid out.
    shift : float in [0, 1]
        An image moves by up to this share of its height, and of its width, either way.
    degrees : float
        An image is rotated by up to this angle either way.
    flip : bool

    Examples
    --------
    >>> import numpy as np
    >>> from image_augmentation import ShiftFlipRotate
    >>> augment = ShiftFlipRotate(image_shape=(8, 8, 1), shift=0.1, flip=False)
    >>> augment(np.zeros((100, 64), dtype=np.float32), np.random.default_rng(0)).shape
    (100, 64)
    """

    image_shape: tuple[int, int, int] = (32, 32, 3)
    shift: float = 0.1
    degrees: float = 10.0
    flip: bool = True

    def __post_init__(self):
        shape = tuple(self.image_shape)
        if len(shape) != 3 or not all(isinstance(size, Integral) and size > 0 for size in shape):
            raise ValueError(f"image_shape={self.image_shape!r} must be three positive integers.")
        if not (isinstance(self.shift, Real) and 0 <= self.shift <= 1):
            raise ValueError(f"shift={self.shift!r} must be a number in [0, 1].")
        if not (isinstance(self.degrees, Real) and 0 <= self.degrees < math.inf):
            raise ValueError(f"degrees={self.degrees!r} must be a finite number, not below 0.")

    def __call__(self, X_batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change the images in place, and return them.

        Parameters
        ----------
        X_batch : (n, height · width · channels), C-contiguous, float32 or float64
        rng : Generator
            It is asked for the same four numbers of every image, whichever of them are used.

        Raises
        ------
        ValueError
            If the features are not those of `image_shape`.
        """
        draws = rng.random((len(X_batch), 4))
        degrees, down, right = (limit * (2 * draws[:, i] - 1) for i, limit in enumerate(self._limits()))
        return warp(X_batch, self.image_shape, degrees, down, right, self.flip & (draws[:, 3] < 0.5))

    def _limits(self):
        height, width, _ = self.image_shape
        return self.degrees, self.shift * height, self.shift * width


def warp(X, image_shape, degrees, down, right, flipped):
    """Change images in place by given amounts, and return them.

    Parameters
    ----------
    X : (n, height · width · channels), C-contiguous, float32 or float64
    image_shape : (height, width, channels)
    degrees : (n,)
        Rotation, counter-clockwise.
    down, right : (n,)
        Shift in pixels.
    flipped : (n,) bool

    Raises
    ------
    ValueError
        If the features are not those of `image_shape`, or `X` is not C-contiguous.
    """
    height, width, channels = image_shape
    if X.ndim != 2 or X.shape[1] != height * width * channels or not X.flags.c_contiguous:
        raise ValueError(f"X of shape {X.shape} must be C-contiguous, with the features of image_shape={image_shape}.")
    # Of the new image's pixel (y, x), the source is at origin + y · by_y + x · by_x: undo flip, shift and rotation.
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    mirror = np.where(flipped, -1.0, 1.0)
    from_y, from_x = -middle_y - down, -mirror * middle_x - right  # pixel (0, 0), from the centre
    places = np.empty((len(X), 6), dtype=np.float32)
    places[:, 0] = middle_y + cos * from_y + sin * from_x
    places[:, 1] = cos
    places[:, 2] = sin * mirror
    places[:, 3] = middle_x + cos * from_x - sin * from_y
    places[:, 4] = -sin
    places[:, 5] = cos * mirror
    _resample(X.reshape(len(X), height, width, channels), places)
    return X


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz"})
def _resample(images, places):
    """Replace every image by what it shows at other places; see `warp` for the six numbers of an image."""
    n, height, width, channels = images.shape
    one, zero = np.float32(1), np.float32(0)
    last_y, last_x = np.float32(height - 1), np.float32(width - 1)
    # The four pixels around a place begin at most one before the last, where the other one then has all the weight.
    most_y, most_x = np.int32(max(height - 2, 0)), np.int32(max(width - 2, 0))
    # Unsigned, so that nothing has to be done about negative indices.
    right = np.uintp(channels if width > 1 else 0)
    below = np.uintp(width * channels if height > 1 else 0)
    second, third = np.uintp(1), np.uintp(2)
    source = np.empty(height * width * channels, dtype=images.dtype)
    corner = np.empty(width, dtype=np.int32)
    weights = np.empty((4, width), dtype=np.float32)
    for i in range(n):
        image = images[i].reshape(-1)
        source[:] = image
        y0, y_by_y, y_by_x, x0, x_by_y, x_by_x = places[i]
        for row in range(height):
            y_row = y0 + np.float32(row) * y_by_y
            x_row = x0 + np.float32(row) * x_by_y
            for column in range(width):  # a loop of its own, for it becomes vector instructions
                y = y_row + np.float32(column) * y_by_x
                x = x_row + np.float32(column) * x_by_x
                y = y if y > zero else zero
                x = x if x > zero else zero
                y = y if y < last_y else last_y
                x = x if x < last_x else last_x
                top, left = np.int32(y), np.int32(x)
                top = top if top < most_y else most_y
                left = left if left < most_x else most_x
                lower, righter = y - np.float32(top), x - np.float32(left)
                corner[column] = (top * np.int32(width) + left) * np.int32(channels)
                weights[0, column] = (one - lower) * (one - righter)
                weights[1, column] = (one - lower) * righter
                weights[2, column] = lower * (one - righter)
                weights[3, column] = lower * righter
            for column in range(width):
                a, b, c, d = weights[0, column], weights[1, column], weights[2, column], weights[3, column]
                p, to = np.uintp(corner[column]), np.uintp((row * width + column) * channels)
                q, r = p + right, p + below
                s = r + right
                if channels == 3:  # written out, for this is faster than a loop
                    image[to] = a * source[p] + b * source[q] + c * source[r] + d * source[s]
                    image[to + second] = (
                        a * source[p + second]
                        + b * source[q + second]
                        + c * source[r + second]
                        + d * source[s + second]
                    )
                    image[to + third] = (
                        a * source[p + third] + b * source[q + third] + c * source[r + third] + d * source[s + third]
                    )
                else:
                    for channel in range(channels):
                        j = np.uintp(channel)
                        image[to + j] = a * source[p + j] + b * source[q + j] + c * source[r + j] + d * source[s + j]
