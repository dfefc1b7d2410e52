"""Samples mixed with other samples of the batch, and their targets.

With a partner j of each sample i, and its share λ,

    mixup:   x = λ xᵢ + (1 − λ) xⱼ                       cutmix:  x = xᵢ outside of a box, xⱼ in it, a share 1 − λ
    both:    loss = λ · loss(yᵢ) + (1 − λ) · loss(yⱼ) for classes;  y = λ yᵢ + (1 − λ) yⱼ for numbers and labels

Each sample is the partner of one sample, and has a share of its own. (The authors' code draws one share for a batch.)
The training loss of an epoch is that of mixed targets, and so higher than that of the samples themselves.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from truesparse._typing import FloatArray
from truesparse.kernels.images import paste_boxes
from truesparse.kernels.mixing import mix_rows
from truesparse.network.losses import BatchTarget, mix_targets
from truesparse.runtime.checks import check_number, checked_image_shape
from truesparse.runtime.plugins import plugin
from truesparse.transforms.batches import height_and_width, random_boxes, writable, writable_images


@plugin("batch_transform")
@dataclass(frozen=True)
class MixUp:
    """Average each sample and target with those of a random partner (Zhang et al., "mixup: beyond …", 2018).

    Parameters
    ----------
    alpha : float above 0, default=0.2
        Shares have a beta distribution with both parameters `alpha`: near 0 or 1 if it is small, near ½ if it is large.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.transforms import MixUp
    >>> X, y = np.array([[0.0], [1.0]]), np.array([[0.0], [10.0]])
    >>> X, y = MixUp(alpha=1.0)(X, y, np.random.default_rng(2))
    >>> np.allclose(y, 10 * X)
    True
    """

    changes_targets: ClassVar[bool] = True
    alpha: float = 0.2

    def __post_init__(self):
        check_number("alpha", self.alpha, 0, without=0)

    def __call__(
        self, X_batch: Any, target_batch: BatchTarget, rng: np.random.Generator
    ) -> tuple[FloatArray, BatchTarget]:
        """Return the mixed batch (n, n_features), changed in place where it can be, and its targets."""
        X = writable(self, X_batch)
        partner = rng.permutation(len(X))
        share = rng.beta(float(self.alpha), float(self.alpha), len(X))
        mix_rows(X, partner, share.astype(X.dtype))
        return X, mix_targets(target_batch, target_batch[partner], share)


@plugin("batch_transform")
@dataclass(frozen=True)
class CutMix:
    """Paste a random box of another image into each image, and mix targets by area (Yun et al., "CutMix", 2019).

    The middle of the box is any pixel, and what lies outside the image does not count. For series, the box is an
    interval.

    Parameters
    ----------
    image_shape : (height, width, channels) or (length, channels)
        How the features of a sample are laid out.
    alpha : float above 0, default=1
        The share of the image that remains is drawn from a beta distribution with both parameters `alpha`. It is
        larger where the box passes the border.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.transforms import CutMix
    >>> X, y = np.array([[0.0] * 4, [1.0] * 4]), np.array([[0.0], [1.0]])
    >>> X, y = CutMix((2, 2, 1))(X, y, np.random.default_rng(0))
    >>> np.allclose(y.ravel(), X.mean(axis=1))
    True
    """

    changes_targets: ClassVar[bool] = True
    image_shape: tuple[int, ...]
    alpha: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "image_shape", checked_image_shape(self.image_shape, or_series=True))
        check_number("alpha", self.alpha, 0, without=0)

    def __call__(
        self, X_batch: Any, target_batch: BatchTarget, rng: np.random.Generator
    ) -> tuple[FloatArray, BatchTarget]:
        """Return the mixed batch (n, n_features), changed in place where it can be, and its targets."""
        X = writable_images(self, X_batch)
        height, width = height_and_width(self.image_shape)
        partner = rng.permutation(len(X))
        pasted = 1 - rng.beta(float(self.alpha), float(self.alpha), len(X))  # shares of the area
        of_side = pasted if 1 in (height, width) else np.sqrt(pasted)
        heights, widths = (np.rint(size * of_side).astype(np.int64) for size in (height, width))
        if height == 1:  # an interval along the other side
            heights[:] = 1
        elif width == 1:
            widths[:] = 1
        boxes = random_boxes(self.image_shape, heights, widths, rng)
        paste_boxes(X, height, width, boxes, partner)
        area = (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])
        return X, mix_targets(target_batch, target_batch[partner], 1 - area / (height * width))
