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


# convolution.py: images are (samples, channels, height, width), weights (channels out, channels in, window, window)
def _windows(x, window, stride):
    """Return the inputs of each place, (samples, channels, height, width, window, window), with zero padding."""
    padded = np.pad(x, [(0, 0), (0, 0), (window // 2, window // 2), (window // 2, window // 2)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (window, window), axis=(2, 3))
    return windows[:, :, ::stride, ::stride]


def convolve(w, x, stride):
    """Return W * x."""
    return np.einsum("oiab,niyxab->noyx", w, _windows(x, w.shape[2], stride))


def convolve_backward(w, x, delta, stride):
    """Return the gradient of the weights and the errors of x, from the errors of W * x."""
    window = w.shape[2]
    gradient = np.einsum("noyx,niyxab->oiab", delta, _windows(x, window, stride))
    errors = np.zeros((*x.shape[:2], x.shape[2] + window - 1, x.shape[3] + window - 1))
    for dy in range(window):
        for dx in range(window):
            last_row, last_column = dy + stride * delta.shape[2], dx + stride * delta.shape[3]
            part = errors[:, :, dy:last_row:stride, dx:last_column:stride]
            part += np.einsum("oi,noyx->niyx", w[:, :, dy, dx], delta)[:, :, : part.shape[2], : part.shape[3]]
    border = window // 2
    return gradient, errors[:, :, border : border + x.shape[2], border : border + x.shape[3]]


def gradient_of_products(products, slots):
    """Return the sums of 16 parts over all tiles, (nnz,), in the order of the weights."""
    gradient = np.zeros(slots.size)
    gradient[slots] = products.reshape(len(products), -1, 16).sum(axis=(0, 2))
    return gradient


# batch_norm.py
def batch_norm(z, scale, shift, mean, variance, eps):
    """Return γ ẑ + β."""
    scale, shift, mean, variance = (of_channel[:, None, None] for of_channel in (scale, shift, mean, variance))
    return scale * (z - mean) / np.sqrt(variance + eps) + shift


def batch_norm_backward(delta, z, scale, eps):
    """Return the gradients of γ and β, and the errors of z, where mean and variance are those of z."""
    axes, n = (0, 2, 3), z.size / z.shape[1]
    deviation = np.sqrt(z.var(axis=axes, keepdims=True) + eps)
    normalised = (z - z.mean(axis=axes, keepdims=True)) / deviation
    of_shift = delta.sum(axis=axes, keepdims=True)
    of_scale = (delta * normalised).sum(axis=axes, keepdims=True)
    errors = scale[:, None, None] / deviation * (delta - of_shift / n - normalised * of_scale / n)
    return of_scale.ravel(), of_shift.ravel(), errors


def normalise(z, scale, shift, residual=0.0, *, activates):
    """Return scale · z + shift + residual, or its positive part."""
    made = scale[:, None, None] * z + shift[:, None, None] + residual
    return np.maximum(made, 0) if activates else made


def error_totals(delta, z, means):
    """Return Σ δ and Σ δ (z − mean) of each channel, (n_channels, 2)."""
    products = delta * (z - means[:, None, None])
    return np.stack([delta.sum(axis=(0, 2, 3)), products.sum(axis=(0, 2, 3))], axis=1)


# planes.py: planes are (n_tiles, channels, rows, columns, samples)
def split_phases(planes):
    """Return planes of even and odd rows, and of even and odd columns among them, four for each channel."""
    n_tiles, channels, rows, columns, samples = planes.shape
    phases = np.zeros((n_tiles, 4 * channels, -(-rows // 2), -(-columns // 2), samples), planes.dtype)
    for phase in range(4):
        part = planes[:, :, phase // 2 :: 2, phase % 2 :: 2]
        phases[:, phase::4, : part.shape[2], : part.shape[3]] = part
    return phases


def merge_phases(phases, like):
    """Return the planes whose phases these are, of the shape of `like`."""
    planes = np.zeros_like(like)
    for phase in range(4):
        part = planes[:, :, phase // 2 :: 2, phase % 2 :: 2]
        part[:] = phases[:, phase::4, : part.shape[2], : part.shape[3]]
    return planes


def means_of_places(planes):
    """Return the means over the places within the border, (n_tiles, channels, samples)."""
    return planes[:, :, 1:-1, 1:-1].mean(axis=(2, 3))


def errors_of_means(errors, planes):
    """Return the errors (n_tiles, channels, samples) of the means at places above zero within the border."""
    n_places = (planes.shape[2] - 2) * (planes.shape[3] - 2)
    out = np.where(planes > 0, errors[:, :, None, None] / n_places, 0)
    out[:, :, [0, -1]] = out[:, :, :, [0, -1]] = 0
    return out
