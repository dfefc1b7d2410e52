"""Images with a square cut out."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from truesparse._typing import FloatArray
from truesparse.kernels.images import fill_boxes
from truesparse.runtime.checks import check_count, check_number, checked_image_shape
from truesparse.runtime.plugins import plugin
from truesparse.transforms.batches import height_and_width, random_boxes, writable_images


@plugin("batch_transform")
@dataclass(frozen=True)
class CutOut:
    """Set a random square of each image to one value (DeVries & Taylor, "Improved regularization … with cutout", 2017).

    The middle of the square is any pixel, so a part of it may lie outside the image. For series, the square is an
    interval.

    Parameters
    ----------
    image_shape : (height, width, channels) or (length, channels)
        How the features of a sample are laid out.
    size : int
        Side of the square in pixels.
    value : float, default=0

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.transforms import CutOut
    >>> CutOut((8, 1), size=2)(np.ones((2, 8)), np.random.default_rng(0))
    array([[1., 1., 1., 1., 1., 0., 0., 1.],
           [1., 1., 1., 1., 0., 0., 1., 1.]])
    """

    changes_targets: ClassVar[bool] = False
    image_shape: tuple[int, ...]
    size: int
    value: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "image_shape", checked_image_shape(self.image_shape, or_series=True))
        check_count("size", self.size)
        check_number("value", self.value)

    def __call__(self, X_batch: Any, rng: np.random.Generator) -> FloatArray:
        """Return the batch (n, n_features), changed in place where it can be."""
        X = writable_images(self, X_batch)
        height, width = height_and_width(self.image_shape)
        sides = np.full(len(X), min(int(self.size), 2 * max(height, width)))  # more than that covers all in any case
        boxes = random_boxes(self.image_shape, sides, sides, rng)
        fill_boxes(X, height, width, boxes, X.dtype.type(self.value))
        return X
