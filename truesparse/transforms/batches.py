"""Batches that transforms are given, and boxes in images."""

from math import prod
from typing import Any

import numpy as np

from truesparse._typing import FloatArray, IndexArray
from truesparse.runtime.checks import refuse_masked, refuse_sparse


def height_and_width(image_shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the size of an image; series are images of height 1."""
    return (1, *image_shape)[-3:-1]  # type: ignore[return-value]


def writable(transform: Any, X: Any) -> FloatArray:
    """Return a dense batch (n, n_features) that kernels may change: `X` itself, or a copy if it is no such array."""
    name = f"X of {type(transform).__name__}"
    refuse_sparse(name, X)
    refuse_masked(name, X)
    X = np.asarray(X)
    if X.ndim != 2 or X.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be (n_samples, n_features) real numbers, got shape {X.shape}, dtype {X.dtype}.")
    dtype = X.dtype if X.dtype in (np.float32, np.float64) else np.float32
    return np.require(X, dtype, ["C_CONTIGUOUS", "ALIGNED", "WRITEABLE"])


def writable_images(transform: Any, X: Any) -> FloatArray:
    """Return `writable`, whose features are those of the transform's `image_shape`."""
    X = writable(transform, X)
    size = prod(transform.image_shape)
    if X.shape[1] != size:
        raise ValueError(
            f"image_shape={transform.image_shape} of {type(transform).__name__} has {size} features, but X has "
            f"{X.shape[1]}."
        )
    return X


def random_boxes(
    image_shape: tuple[int, ...], heights: IndexArray, widths: IndexArray, rng: np.random.Generator
) -> IndexArray:
    """Draw boxes around any pixel of an image, cut off at its edge: (n, 4) int64, top, bottom, left, right."""
    boxes = np.empty((len(heights), 4), dtype=np.int64)
    for axis, (size, lengths) in enumerate(zip(height_and_width(image_shape), (heights, widths), strict=True)):
        begin = rng.integers(size, size=len(lengths)) - lengths // 2
        boxes[:, 2 * axis] = np.maximum(begin, 0)
        boxes[:, 2 * axis + 1] = np.minimum(begin + lengths, size)
    boxes[:, 1::2] = np.maximum(boxes[:, 1::2], boxes[:, ::2])  # a box of length 0 may begin behind its end
    return boxes
