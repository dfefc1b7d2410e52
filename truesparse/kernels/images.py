"""Images moved, cut and pasted: rows of a batch (n, height · width · channels), changed in place.

A moved image shows at its pixel (y, x) the old image at another place. Places beyond the edge show what `fill` says:
the nearest pixel of the edge, zeros, or the image reflected at the middle of its outermost pixels. Every image, or
every row of pixels of all images, has one writer. Series are images of height 1.

`resample` interpolates bilinearly. A pixel at distance d from a place has the weight max(0, 1 − d) along each axis, and
the products of both weights add up to 1 within the image.
"""

import numpy as np
from numba import prange

from truesparse.kernels.jit import parallel
from truesparse.kernels.parts import inner

EDGE, ZEROS, REFLECT = range(3)


@inner
def _shown_at(place, size, fill):
    """Return which of `size` pixels is shown at an integer place, −1 for zeros."""
    if 0 <= place < size:
        return place
    if fill == ZEROS:
        return -1
    if fill == EDGE or size == 1:
        return 0 if place < 0 else size - 1
    period = 2 * (size - 1)
    place %= period
    return place if place < size else period - place


@parallel
def move_pixels(x, height, width, down, right, flipped, fill):
    """new[r, c] = old[r + down, c' + right], where c' is width − 1 − c if flipped, else c.

    Parameters
    ----------
    x : (n, height · width · channels), C-contiguous, changed in place
    height, width, fill : int
    down, right, flipped : (n,) int64, (n,) int64, (n,) bool
    """
    channels = x.shape[1] // (height * width)
    size = width * channels
    zero = x.dtype.type(0)
    for i in prange(x.shape[0]):
        new, old = x[i], x[i].copy()
        index = np.zeros(size, dtype=np.uintp)  # within a row of pixels, of the number that is shown; 0 for zeros
        for column in range(width):
            shown = _shown_at((width - 1 - column if flipped[i] else column) + right[i], width, fill)
            for channel in range(channels if shown >= 0 else 0):
                index[column * channels + channel] = shown * channels + channel
        begin, end = max(0, -right[i]), min(width, width - right[i])  # of the columns whose place is within the image
        begin, end = (width - end, width - begin) if flipped[i] else (begin, end)
        begin, end = (begin * channels, end * channels) if begin < end else (size, size)
        begins_at = index[begin] if begin < size else np.uintp(0)
        for row in range(height):
            shown_row = _shown_at(row + down[i], height, fill)
            line = new[row * size : (row + 1) * size]
            if shown_row < 0:
                line[:] = zero
                continue
            shown_line = old[shown_row * size : (shown_row + 1) * size]
            if flipped[i]:
                for j in range(begin, end):
                    line[np.uintp(j)] = shown_line[index[np.uintp(j)]]
            else:
                within, shown_within = line[begin:end], shown_line[begins_at:]
                for j in range(within.size):
                    within[j] = shown_within[j]
            for j in range(begin):
                line[j] = zero if fill == ZEROS else shown_line[index[j]]
            for j in range(end, size):
                line[j] = zero if fill == ZEROS else shown_line[index[j]]


@inner
def _folded(place, last, zero, one, fill):
    """Return the place from −1 to last + 1 that stands for a place."""
    if fill == REFLECT:
        if last == zero:
            return zero
        place = abs(place)
        place -= (last + last) * np.floor(place / (last + last))
        return last - abs(place - last)
    least, most = (-one, last + one) if fill == ZEROS else (zero, last)
    place = place if place > least else least
    return place if place < most else most


@parallel
def resample(x, height, width, places, fill):
    """new[r, c] = old[y₀ + r · y_r + c · y_c, x₀ + r · x_r + c · x_c], interpolated.

    Parameters
    ----------
    x : (n, height · width · channels), C-contiguous, changed in place
    height, width, fill : int
    places : (n, 6), of the dtype of x: y₀, y_r, y_c, x₀, x_r, x_c of each image
    """
    channels = x.shape[1] // (height * width)
    number = x.dtype.type
    zero, one = number(0), number(1)
    last_y, last_x = number(height - 1), number(width - 1)
    # The four pixels around a place begin at most one before the last. If there is one only, it has all the weight.
    most_y, most_x = max(height - 2, 0), max(width - 2, 0)
    beside, below = (channels if width > 1 else 0), (width * channels if height > 1 else 0)
    has_beside, has_below = number(width > 1), number(height > 1)
    for i in prange(x.shape[0]):
        new, old = x[i], x[i].copy()
        corner = np.empty(width, dtype=np.int32)
        weights = np.empty((4, width), dtype=x.dtype)
        y_0, y_r, y_c, x_0, x_r, x_c = places[i]
        for row in range(height):
            y_row, x_row = y_0 + number(row) * y_r, x_0 + number(row) * x_r
            for column in range(width):  # a loop of its own, for it becomes vector instructions
                place_y = _folded(y_row + number(column) * y_c, last_y, zero, one, fill)
                place_x = _folded(x_row + number(column) * x_c, last_x, zero, one, fill)
                top = min(max(np.int32(place_y), np.int32(0)), np.int32(most_y))
                left = min(max(np.int32(place_x), np.int32(0)), np.int32(most_x))
                from_top, from_left = place_y - number(top), place_x - number(left)
                upper, lower = max(zero, one - abs(from_top)), has_below * max(zero, one - abs(from_top - one))
                nearer, farther = max(zero, one - abs(from_left)), has_beside * max(zero, one - abs(from_left - one))
                corner[column] = (top * np.int32(width) + left) * np.int32(channels)
                weights[0, column] = upper * nearer
                weights[1, column] = upper * farther
                weights[2, column] = lower * nearer
                weights[3, column] = lower * farther
            for column in range(width):
                a, b, c, d = weights[0, column], weights[1, column], weights[2, column], weights[3, column]
                p, to = np.uintp(corner[column]), np.uintp((row * width + column) * channels)
                q, r = p + np.uintp(beside), p + np.uintp(below)
                s = r + np.uintp(beside)
                for channel in range(channels):
                    j = np.uintp(channel)  # unsigned, so that nothing has to be done about negative indices
                    new[to + j] = a * old[p + j] + b * old[q + j] + c * old[r + j] + d * old[s + j]


@parallel
def fill_boxes(x, height, width, boxes, value):
    """new[r, c] = value for top ≤ r < bottom and left ≤ c < right.

    Parameters
    ----------
    x : (n, height · width · channels), C-contiguous, changed in place
    height, width : int
    boxes : (n, 4) int64: top, bottom, left and right of each image, within it
    value : of the dtype of x
    """
    channels = x.shape[1] // (height * width)
    for i in prange(x.shape[0]):
        top, bottom, left, right = boxes[i]
        for row in range(top, bottom):
            for j in range((row * width + left) * channels, (row * width + right) * channels):
                x[i, j] = value


@parallel
def paste_boxes(x, height, width, boxes, partner):
    """new[i, r, c] = old[partner[i], r, c] for top ≤ r < bottom and left ≤ c < right.

    Parameters
    ----------
    x, height, width, boxes : as for `fill_boxes`
    partner : (n,) int64, in range
    """
    channels = x.shape[1] // (height * width)
    size = width * channels
    for row in prange(height):
        lines = x[:, row * size : (row + 1) * size]
        old = lines.copy()
        for i in range(x.shape[0]):
            top, bottom, left, right = boxes[i]
            if top <= row < bottom:
                new, other = lines[i, left * channels : right * channels], old[partner[i], left * channels :]
                for j in range(new.size):
                    new[j] = other[j]
