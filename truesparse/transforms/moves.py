"""Moves of images: crops, flips, shifts and rotations, several of them in one pass.

A move of an image is a map M from places of the new image to places of the old one, in homogeneous coordinates
(y, x, 1) from the centre:

    new(p) = old(M p),        and after a second move    new(p) = old(M₁ M₂ p)

So the maps of several moves are multiplied, and the pixels are read once. Maps that lead from pixels to pixels copy
them, others interpolate bilinearly.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from truesparse._typing import FloatArray
from truesparse.kernels import images as kernels
from truesparse.runtime.checks import check_number, checked_image_shape, is_count
from truesparse.runtime.plugins import plugin
from truesparse.transforms.batches import height_and_width, writable_images

_MOST_PADDING = 2**31 - 1  # whose sums are exact in float64
_FILLS = {"edge": kernels.EDGE, "zeros": kernels.ZEROS, "reflect": kernels.REFLECT}


class Move(ABC):
    """Base of the transforms that move images; a subclass is a frozen dataclass with an `image_shape`."""

    changes_targets: ClassVar[bool] = False
    to_pixels: ClassVar[bool] = True  # whether its maps lead from pixels to pixels
    fill: str | None = None  # how places outside of the image are filled, if it moves them in
    image_shape: tuple[int, ...]

    @abstractmethod
    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw the maps of `n` images, (n, 3, 3)."""

    def __call__(self, X_batch: Any, rng: np.random.Generator) -> FloatArray:
        """Return the batch (n, n_features), moved in place where it can be changed."""
        return move_images(X_batch, [self], rng)

    def _check(self):
        object.__setattr__(self, "image_shape", checked_image_shape(self.image_shape, or_series=True))
        has_fill = any(field.name == "fill" for field in fields(self))  # type: ignore[arg-type]
        if has_fill and self.fill not in sorted(_FILLS):  # a list, which takes what has no hash
            raise ValueError(f"fill={self.fill!r} must be one of {sorted(_FILLS)}.")


@plugin("batch_transform")
@dataclass(frozen=True)
class Crop(Move):
    """Random crops of images that are padded on all sides: shifts by whole pixels.

    Parameters
    ----------
    image_shape : (height, width, channels) or (length, channels)
        How the features of a sample are laid out.
    padding : int, default=4
        An image is padded by so many pixels on each side, and a crop has the image's size.
    fill : {"edge", "zeros", "reflect"}, default="edge"
        What the padding shows: the nearest pixel of the edge, zeros, or the image reflected at its outermost pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.transforms import Crop
    >>> series = np.arange(5, dtype=np.float32)[None]
    >>> Crop((5, 1), padding=2, fill="zeros")(series, np.random.default_rng(0))
    array([[2., 3., 4., 0., 0.]], dtype=float32)
    """

    image_shape: tuple[int, ...]
    padding: int = 4
    fill: str = "edge"

    def __post_init__(self):
        self._check()
        if not is_count(self.padding, 0) or self.padding > _MOST_PADDING:
            raise ValueError(f"padding={self.padding!r} must be an integer in [0, {_MOST_PADDING}].")

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw whole numbers of pixels up to `padding`, along the width alone for series."""
        most, n_axes = int(self.padding), len(self.image_shape) - 1
        maps = _still(n)
        maps[:, 2 - n_axes : 2, 2] = rng.integers(-most, most, size=(n, n_axes), endpoint=True)
        return maps


@plugin("batch_transform")
@dataclass(frozen=True)
class Flip(Move):
    """Mirror images left to right at random; series are reversed.

    Parameters
    ----------
    image_shape : (height, width, channels) or (length, channels)
        How the features of a sample are laid out.
    probability : float in [0, 1], default=0.5

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.transforms import Flip
    >>> Flip((2, 2, 1), probability=1)(np.array([[1.0, 2.0, 3.0, 4.0]]), np.random.default_rng(0))
    array([[2., 1., 4., 3.]])
    """

    image_shape: tuple[int, ...]
    probability: float = 0.5

    def __post_init__(self):
        self._check()
        check_number("probability", self.probability, 0, 1)

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw which images are mirrored."""
        maps = _still(n)
        maps[rng.random(n) < float(self.probability), 1, 1] = -1
        return maps


@plugin("batch_transform")
@dataclass(frozen=True)
class Shift(Move):
    """Shift images by random distances, interpolated bilinearly between pixels.

    Parameters
    ----------
    image_shape : (height, width, channels) or (length, channels)
        How the features of a sample are laid out.
    share : float in [0, 1], default=0.1
        An image moves by up to this share of its height, and of its width, either way.
    fill : {"edge", "zeros", "reflect"}, default="edge"
        What is seen beyond the edge: its nearest pixel, zeros, or the image reflected at its outermost pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.transforms import Shift
    >>> Shift((8, 8, 1), share=1 / 16)(np.zeros((100, 64), dtype=np.float32), np.random.default_rng(0)).shape
    (100, 64)
    """

    to_pixels: ClassVar[bool] = False
    image_shape: tuple[int, ...]
    share: float = 0.1
    fill: str = "edge"

    def __post_init__(self):
        self._check()
        check_number("share", self.share, 0, 1)

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw distances, along the width alone for series."""
        n_axes = len(self.image_shape) - 1
        most = float(self.share) * np.array(self.image_shape[:-1])
        maps = _still(n)
        maps[:, 2 - n_axes : 2, 2] = most * rng.uniform(-1, 1, (n, n_axes))
        return maps


@plugin("batch_transform")
@dataclass(frozen=True)
class Rotate(Move):
    """Rotate images about their centres by random angles, interpolated bilinearly.

    Parameters
    ----------
    image_shape : (height, width, channels)
        How the features of a sample are laid out.
    degrees : float, default=10
        An image is rotated by up to this angle either way.
    fill : {"edge", "zeros", "reflect"}, default="edge"
        What is seen beyond the edge: its nearest pixel, zeros, or the image reflected at its outermost pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.transforms import Rotate
    >>> Rotate((8, 8, 1), degrees=20)(np.zeros((100, 64), dtype=np.float32), np.random.default_rng(0)).shape
    (100, 64)
    """

    to_pixels: ClassVar[bool] = False
    image_shape: tuple[int, ...]
    degrees: float = 10.0
    fill: str = "edge"

    def __post_init__(self):
        self._check()
        if len(self.image_shape) != 3:
            raise ValueError(f"image_shape={self.image_shape} must be (height, width, channels): series do not rotate.")
        check_number("degrees", self.degrees, 0)

    def draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw angles, counter-clockwise."""
        return rotations(float(self.degrees) * rng.uniform(-1, 1, n))


def rotations(degrees: FloatArray) -> FloatArray:
    """Return the maps of rotations by some angles (n,), counter-clockwise: (n, 3, 3)."""
    angles = np.deg2rad(degrees)
    maps = _still(len(angles))
    maps[:, 0, 0] = maps[:, 1, 1] = np.cos(angles)
    maps[:, 0, 1] = np.sin(angles)
    maps[:, 1, 0] = -maps[:, 0, 1]
    return maps


def _still(n):
    """Return the maps of images that do not move, (n, 3, 3)."""
    maps = np.zeros((n, 3, 3))
    maps[:, (0, 1, 2), (0, 1, 2)] = 1
    return maps


def can_join(moves: Sequence[Move], other: Any) -> bool:
    """Return whether a transform can be made in one pass with the moves before it: same images, same fill."""
    if not moves or not isinstance(other, Move) or other.image_shape != moves[0].image_shape:
        return False
    return len({move.fill for move in (*moves, other)} - {None}) <= 1


def move_images(X: Any, moves: Sequence[Move], rng: np.random.Generator) -> FloatArray:
    """Return a batch after some moves that can be joined, made in one pass; in place where it can be changed."""
    X = writable_images(moves[0], X)
    maps = moves[0].draw(len(X), rng)
    for move in moves[1:]:
        maps = maps @ move.draw(len(X), rng)  # (n, 3, 3)
    size = height_and_width(moves[0].image_shape)
    fill = _FILLS[next((move.fill for move in moves if move.fill is not None), "edge")]
    if all(move.to_pixels for move in moves):
        down, right = np.rint(maps[:, :2, 2]).astype(np.int64).T.copy()
        kernels.move_pixels(X, *size, down, right, maps[:, 1, 1] < 0, fill)
    else:
        kernels.resample(X, *size, _places(maps, size).astype(X.dtype), fill)
    return X


def _places(maps, size):
    """Return the places, (n, 6), that `truesparse.kernels.images.resample` takes: counted from the first pixel."""
    centre = (np.array(size) - 1) / 2
    linear = maps[:, :2, :2]
    origin = centre - linear @ centre + maps[:, :2, 2]  # (n, 2), the place of the first pixel
    return np.concatenate([origin[:, :, None], linear], axis=2).reshape(-1, 6)
