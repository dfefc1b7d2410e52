"""Twins in plain NumPy of the kernels that move, cut and mix samples; `truesparse.kernels.reference` has the others."""

from typing import Any

import numpy as np

from truesparse.kernels.draws import number_in_python
from truesparse.kernels.images import EDGE, REFLECT, ZEROS


# images.py
def _images(x, height, width):
    return x.reshape(len(x), height, width, -1)


def _padded(images, size, fill):
    mode: Any = {EDGE: "edge", ZEROS: "constant", REFLECT: "reflect"}[fill]
    return np.pad(images, [(0, 0), (size, size), (size, size), (0, 0)], mode=mode)


def move_pixels(x, height, width, down, right, flipped, fill):
    """Return images cut out of padded ones."""
    size = max(np.abs(down).max(), np.abs(right).max())
    padded = _padded(_images(x, height, width), size, fill)
    cut = [
        image[size + d : size + d + height, size + r : size + r + width]
        for image, d, r in zip(padded, down, right, strict=True)
    ]
    moved = [image[:, ::-1] if mirrored else image for image, mirrored in zip(cut, flipped, strict=True)]
    return np.reshape(moved, x.shape)


def resample(x, height, width, places, fill):
    """Return the weighted means of the pixels around the places, found in padded images."""
    grid = np.stack([np.ones((height, width)), *np.mgrid[:height, :width]])
    y, x_place = np.einsum("nak,khw->anhw", places.reshape(-1, 2, 3), grid)
    size = 2 + int(max(np.abs(y).max(), np.abs(x_place).max()))
    padded = _padded(_images(x, height, width), size, fill)
    top, left = np.floor(y).astype(int), np.floor(x_place).astype(int)
    total = np.zeros((len(x), height, width, padded.shape[3]))
    for below in (0, 1):
        for beside in (0, 1):
            weight = (1 - np.abs(y - top - below)) * (1 - np.abs(x_place - left - beside))
            pixels = padded[np.arange(len(x))[:, None, None], size + top + below, size + left + beside]
            total += weight[..., None] * pixels
    return total.reshape(x.shape)


def _in_boxes(height, width, boxes):
    rows, columns = np.mgrid[:height, :width]
    top, bottom, left, right = boxes.T[:, :, None, None]
    return ((top <= rows) & (rows < bottom) & (left <= columns) & (columns < right))[..., None]


def fill_boxes(x, height, width, boxes, value):
    """Return images with boxes of one value."""
    return np.where(_in_boxes(height, width, boxes), value, _images(x, height, width)).reshape(x.shape)


def paste_boxes(x, height, width, boxes, partner):
    """Return images with boxes of other images."""
    images = _images(x, height, width)
    return np.where(_in_boxes(height, width, boxes), images[partner], images).reshape(x.shape)


# mixing.py
def mix_rows(x, partner, share):
    """Return weighted means of samples."""
    return share[:, None] * x + (1 - share[:, None]) * x[partner]


def mask_features(x, key, threshold, from_samples):
    """Return samples with random entries replaced."""
    rows, columns = np.indices(x.shape)
    drawn = number_in_python(key, (rows.astype(np.uint64) << np.uint64(32)) + columns.astype(np.uint64))
    sample = ((drawn & np.uint64(2**32 - 1)) * np.uint64(len(x)) >> np.uint64(32)).astype(int)
    return np.where(drawn >> np.uint64(32) < threshold, x[sample, columns] if from_samples else 0, x)
