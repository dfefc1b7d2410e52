"""Scores of absent pairs by the paths of length three between their units, and the best pairs or a draw in proportion.

The connections of a layer are a bipartite graph of output units (rows) and input units (columns). A path of length
three from the row u to the column v goes over the column z and the row y,

    u – z – y – v,   with the pairs (u, z), (y, z) and (y, v) connected

The rows are walked one by one. A row needs one number for each column, so nothing has the size of all pairs. Of those
pairs that pass a threshold, the best k so far are kept.

Cost: as many operations as there are paths, about nnz · (connections of a unit)²; memory O(nnz + units + k).
"""

import math

import numpy as np

from truesparse.kernels.draws import number
from truesparse.kernels.jit import serial

PATHS, PATHS_WITHIN, UNITS = range(3)
"""Kinds of scores: CH3-L3, CH2-L3 and CH2-L3n, see `truesparse.evolution.cannistraci_hebb`."""

_ROOM = 65536
_WIDE = 0.25  # paths of a column, as a share of all columns
_TIE = 2.0**-18  # relative difference of scores, which are float32, below which chance decides


def top_pairs_on_paths(indptr, indices, fan_in, k, kind, key, *, soft, within=None):
    """Return the keys row · fan_in + column, (≤ k,) int64, of absent pairs on paths of length three, in no order.

    Parameters
    ----------
    indptr, indices, fan_in : canonical CSR pattern
    k : int, how many pairs to return at most
    kind : `PATHS`, `PATHS_WITHIN` or `UNITS`
    key : uint64, of the random numbers
    soft : bool
        Draw pairs without replacement, each with a probability in proportion to its score. If not, take the highest
        scores, among equal ones at random.
    within : (indptr, indices), optional
        Canonical CSR pattern of the same shape: only its pairs are returned.
    """
    n_rows = indptr.size - 1
    order = np.argsort(indices, kind="stable")
    rows_t = np.repeat(np.arange(n_rows), np.diff(indptr))[order]
    indptr_t = np.zeros(fan_in + 1, dtype=np.int64)
    np.cumsum(np.bincount(indices, minlength=fan_in), out=indptr_t[1:])
    allowed = (indptr[:1], indices[:0]) if within is None else within
    keys = np.empty(2 * k + max(_ROOM, fan_in), dtype=np.int64)
    values = np.empty(keys.size)
    held, row, threshold = 0, 0, 0.0
    if k == 0:
        return keys[:0]
    while row < n_rows:
        held, row = _collect(
            indptr, indices, indptr_t, rows_t, fan_in, *allowed, kind, np.uint64(key), soft, row, threshold, keys,
            values, held,
        )  # fmt: skip
        if held > k:  # either there is no more room, or this was the last row
            best = np.argpartition(values[:held], held - k)[held - k :]
            keys[:k], values[:k] = keys[best], values[best]
            held, threshold = k, values[:k].min()
    return keys[:held]


@serial
def _collect(
    indptr, indices, indptr_t, rows_t, fan_in, within_indptr, within_indices, kind, key, soft, row, threshold, keys,
    values, held,
):  # fmt: skip
    """Append the absent pairs above the threshold, from a row on, until the room or the rows end.

    Return how many are held, and the row to go on with. With d(z) connections of a unit z, the factors of a path
    follow from n(z, v), the number of rows connected to both columns z and v, and c(y), the number of columns connected
    to both rows u and y: z has n and y has c connections within the local community, d − n − 1 and d − c − 1 lead out
    of it, and one goes to u or v.
    """
    n_rows, is_within = indptr.size - 1, within_indptr.size > 1
    common = np.zeros(n_rows, dtype=np.int64)  # c(y)
    factor = np.zeros(n_rows, dtype=np.float32)  # of the rows y
    near = np.empty(n_rows, dtype=np.int64)  # rows y with a column in common with u
    n_paths = np.zeros(fan_in, dtype=np.float32)  # n(z, v) of one z
    of_paths = np.zeros(fan_in, dtype=np.float32)  # sum of the factors of the rows y on these paths
    score = np.zeros(fan_in, dtype=np.float32)
    zero, one = np.float32(0), np.float32(1)
    reached = np.empty(fan_in, dtype=np.int64)
    seen = np.full(fan_in, -1, dtype=np.int64)  # the last row that reached a column
    taken = np.full(fan_in, -1, dtype=np.int64)  # the last row that is connected with it
    allowed = np.full(fan_in, -1, dtype=np.int64)  # the last row that may be connected with it
    while row < n_rows:
        if keys.size - held < fan_in:
            return held, row
        n_near, n_walked, n_reached = 0, 0, 0
        for slot in range(indptr[row], indptr[row + 1]):
            taken[indices[slot]] = row
            for place in range(indptr_t[indices[slot]], indptr_t[indices[slot] + 1]):
                y = rows_t[place]
                if common[y] == 0:
                    near[n_near] = y
                    n_near += 1
                common[y] += 1
                n_walked += indptr[y + 1] - indptr[y]
        for i in range(n_near):
            y = near[i]
            n_out = np.float32(indptr[y + 1] - indptr[y] - common[y])  # 1 + those that lead out; 0 for the row itself
            if kind == UNITS:
                factor[y] = np.float32(1 + common[y]) / n_out
            elif kind == PATHS_WITHIN:
                factor[y] = math.sqrt(np.float32(1 + common[y]) / n_out)
            else:
                factor[y] = one / math.sqrt(n_out)
        # Where most columns are reached, it is faster to go through all of them than to look for those.
        is_wide = n_walked > _WIDE * fan_in * (indptr[row + 1] - indptr[row])
        for slot in range(indptr[row], indptr[row + 1]):
            z = indices[slot]
            degree = np.float32(indptr_t[z + 1] - indptr_t[z])
            for place in range(indptr_t[z], indptr_t[z + 1]):
                y = rows_t[place]
                if y == row:
                    continue
                if kind == UNITS:
                    for other in range(indptr[y], indptr[y + 1]):
                        n_paths[indices[other]] += one
                    continue
                of_row = factor[y]
                for other in range(indptr[y], indptr[y + 1]):
                    n_paths[indices[other]] += one
                    of_paths[indices[other]] += of_row
            if is_wide:
                if kind == UNITS:
                    for v in range(fan_in):
                        score[v] += min(n_paths[v], one) * (one + n_paths[v]) / (degree - n_paths[v])
                elif kind == PATHS_WITHIN:
                    for v in range(fan_in):
                        score[v] += math.sqrt((one + n_paths[v]) / (degree - n_paths[v])) * of_paths[v]
                else:
                    for v in range(fan_in):
                        score[v] += of_paths[v] / math.sqrt(degree - n_paths[v])
                n_paths[:] = zero
                if kind != UNITS:
                    of_paths[:] = zero
                continue
            for place in range(indptr_t[z], indptr_t[z + 1]):
                y = rows_t[place]
                if y == row:
                    continue
                for other in range(indptr[y], indptr[y + 1]):
                    v = indices[other]
                    n = n_paths[v]
                    if n == zero:
                        continue
                    if seen[v] != row:
                        seen[v] = row
                        reached[n_reached] = v
                        n_reached += 1
                    if kind == UNITS:
                        score[v] += (one + n) / (degree - n)
                    elif kind == PATHS_WITHIN:
                        score[v] += math.sqrt((one + n) / (degree - n)) * of_paths[v]
                    else:
                        score[v] += of_paths[v] / math.sqrt(degree - n)
                    n_paths[v] = zero
                    of_paths[v] = zero
        for i in range(n_near):
            y = near[i]
            common[y] = 0
            if kind == UNITS and y != row:
                for other in range(indptr[y], indptr[y + 1]):
                    score[indices[other]] += factor[y]
        if is_within:
            for slot in range(within_indptr[row], within_indptr[row + 1]):
                allowed[within_indices[slot]] = row
        for i in range(fan_in if is_wide else n_reached):
            v = i if is_wide else reached[i]
            of_pair = np.float64(score[v])
            score[v] = zero
            if of_pair == 0.0 or taken[v] == row or (is_within and allowed[v] != row):
                continue
            if not soft and of_pair * (1.0 + _TIE) <= threshold:
                continue
            bits = number(key, np.int64(row) * fan_in + v) >> np.uint64(11)
            uniform = (float(bits) + 0.5) * 2.0**-53
            if soft and of_pair <= threshold * (1.0 - uniform):  # −log(x) is at least 1 − x
                continue
            value = of_pair / -math.log(uniform) if soft else of_pair * (1.0 + _TIE * uniform)
            if value > threshold:
                keys[held] = np.int64(row) * fan_in + v
                values[held] = value
                held += 1
        row += 1
    return held, row
