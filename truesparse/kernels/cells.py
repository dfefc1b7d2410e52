"""The search for the most similar absent pairs of units in wide layers, where scoring all pairs takes too long.

It is the inverted file of nearest-neighbour search (Jégou, Douze & Schmid, 2011) with two changes. The signatures of
the columns are grouped into cells, each around a centroid; a row is compared only with the columns of those cells whose
centroids are similar to it:

    row r probes cell c   if   |⟨x_r, μ_c⟩| ≥ τ

- Similarity has no sign, so a unit and its negative belong together: cells are made by spherical k-means on |cos|, in
  which a member whose product with the centroid is negative adds its negative to the sum (Dhillon, Marcotte & Roshan,
  2003).
- The k best of all pairs are wanted, not those of each row, and many rows hold none of them. So τ is one number for all
  rows and cells, rather than a number of cells per row. It is measured: some hundred rows, drawn at random, are
  searched exactly, and τ is what all but a few of their best pairs reach.

| symbol | here |
|---|---|
| μ, the centroids | ``centroids``, of unit length |
| x, the signatures of the rows | ``row_signatures`` |
| τ | ``tau`` |
| recall that τ aims at | ``_RECALL`` |

Cost: C = 3 √n cells for n units a side, so that n · C products find the cells of the columns, another n · C those of
the rows, and between 4 and 32 cells a row are probed on average, of n / C columns each: O(n^1.5 · width) in all. The
upper bound may cost recall where the units form no groups: there, good pairs are in all cells.
Memory: O(units · width + k), above all for the signatures of the columns in the order of their cells, and one tile.
"""

from itertools import pairwise

import numpy as np

from truesparse.kernels.similarity import BestPairs, top_absent_pairs

# Set by measurement, see benchmarks/speed/growth_search.py.
_CELLS = 3  # times √n
_ROUNDS = 4
_TRAINING_UNITS = 16  # a cell
_SAMPLED_ROWS = 512
_SAMPLED_PAIRS = 256
_RECALL = 0.98
_FEWEST_PROBES, _MOST_PROBES = 4, 32  # cells a row, on average
_PROBES = 2**20  # held at a time, so that those of one cell can be multiplied together
_TILE_ROWS = 1024


def top_absent_pairs_in_cells(row_signatures, column_signatures, indices, indptr, k, rng, *, n_all=None, by_key=False):
    """Return nearly all of the pairs that `top_absent_pairs` returns.

    A few pairs are replaced by the next best; scores are the same up to rounding. Layers of which most pairs would be
    scored, because they are small or `k` is large, are searched exactly.

    Parameters
    ----------
    row_signatures, column_signatures : (fan_out, width), (fan_in, width), of the same dtype
    rng : numpy.random.Generator
    n_all : int, optional
        Columns of the layer where silent ones are left out, so that cells are as large as with them.
    others, and what is returned : as for `top_absent_pairs`
    """
    fan_out, fan_in = row_signatures.shape[0], column_signatures.shape[0]
    # The harmonic mean of the two sides balances the work for the cells of all units and the work in the cells.
    n_all = fan_in if n_all is None else n_all
    n_cells = round(_CELLS * np.sqrt(2 * fan_out * n_all / (fan_out + n_all)))
    most = max(_MOST_PROBES / n_cells, 4 * k / (fan_out * n_all))
    if most >= 1:
        return top_absent_pairs(row_signatures, column_signatures, indices, indptr, k, by_key=by_key)
    rows, columns = _varying(row_signatures), _varying(column_signatures)
    if rows.size == 0 or columns.size == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=row_signatures.dtype)
    centroids = _centroids(column_signatures, columns, min(n_cells, columns.size), rng)
    cell_of, _ = _nearest(column_signatures, centroids)
    # The columns of one cell are neighbours from here on.
    columns = columns[np.argsort(cell_of[columns], kind="stable")]
    sizes = np.bincount(cell_of[columns], minlength=len(centroids))

    sample = np.sort(rng.choice(rows, min(_SAMPLED_ROWS, rows.size), replace=False))
    n_best = max(_SAMPLED_PAIRS, -(-k * sample.size // rows.size))
    in_sample = BestPairs(2 * n_best, indices, indptr, fan_in, row_signatures.dtype)
    in_sample.search(row_signatures[sample], sample, column_signatures, np.arange(fan_in))
    keys, scores = in_sample.in_order()
    i, j = np.divmod(keys[:n_best], fan_in)
    similarities = np.abs(row_signatures[sample] @ centroids.T)  # (n_sampled, n_cells)
    wanted = similarities[np.searchsorted(sample, i), cell_of[j]]
    tau = _tau(wanted, similarities, sizes, _FEWEST_PROBES / n_cells, most)

    # About 2 k pairs reach the score of the sample's last one. If it was a poor sample, the floor may be too high.
    for floor in (scores[-1] if scores.size == 2 * n_best else 0, 0):
        best = BestPairs(k, indices, indptr, fan_in, row_signatures.dtype, floor)
        _probe(best, row_signatures, column_signatures[columns], columns, centroids, sizes, tau)
        if best.is_full() or floor == 0:
            return (best.sorted_keys(), None) if by_key else best.in_order()


def _varying(signatures):
    """Return the units whose signature is finite and not zero; the others match nothing."""
    squares = np.einsum("uw,uw->u", signatures, signatures)
    return np.flatnonzero((squares > 0) & np.isfinite(squares))


def _centroids(signatures, units, n_cells, rng):
    """Return centroids by spherical k-means on |cos| over a sample of the units, starting from some of them."""
    sample = signatures[rng.choice(units, min(_TRAINING_UNITS * n_cells, units.size), replace=False)]
    sample /= np.sqrt(np.einsum("uw,uw->u", sample, sample))[:, None]
    centroids = sample[:n_cells].copy()  # (n_cells, width)
    for _ in range(_ROUNDS):
        cell_of, sign = _nearest(sample, centroids)
        order = np.argsort(cell_of, kind="stable")
        cells, first = np.unique(cell_of[order], return_index=True)
        sums = np.add.reduceat(sample[order] * sign[order, None], first, axis=0)  # (cells that have members, width)
        squares = np.einsum("uw,uw->u", sums, sums)
        kept = squares > 0  # members that are orthogonal to all centroids may cancel
        centroids[cells[kept]] = sums[kept] / np.sqrt(squares[kept])[:, None]
    return centroids


def _nearest(signatures, centroids):
    """Return for each unit the centroid with the largest |inner product|, and the sign of that product."""
    cell_of, sign = np.empty(len(signatures), dtype=np.int64), np.empty(len(signatures), dtype=signatures.dtype)
    for start in range(0, len(signatures), _TILE_ROWS):
        part = slice(start, start + _TILE_ROWS)
        products = signatures[part] @ centroids.T  # (tile rows, n_cells)
        cell_of[part] = np.abs(products).argmax(axis=1)
        sign[part] = np.where(products[np.arange(len(products)), cell_of[part]] < 0, -1, 1)
    return cell_of, sign


def _tau(wanted, similarities, sizes, fewest, most):
    """Return τ, from the similarities (n_sampled, n_cells) and those that find the best pairs of the sampled rows.

    The share of all pairs that is scored lies between `fewest` and `most`; a cell has ``sizes`` columns.
    """
    order = np.argsort(-similarities, axis=None, kind="stable")
    scored = np.cumsum(np.broadcast_to(sizes, similarities.shape).ravel()[order])
    at_fewest, at_most = (
        similarities.ravel()[order[np.searchsorted(scored, share * scored[-1])]] for share in (fewest, most)
    )
    enough = np.quantile(wanted, 1 - _RECALL, method="lower") if wanted.size > 0 else at_fewest
    return max(min(enough, at_fewest), at_most)


def _probe(best, row_signatures, column_signatures, columns, centroids, sizes, tau):
    """Score the pairs of every row with the columns, ordered by cell, of the cells that it probes."""
    stops = np.cumsum(sizes)
    for rows, cells in _probes(row_signatures, centroids, tau):
        order = np.argsort(cells, kind="stable")
        rows, cells = rows[order], cells[order]
        for start, stop in pairwise(np.flatnonzero(np.diff(cells, prepend=-1, append=-1))):
            part = slice(stops[cells[start]] - sizes[cells[start]], stops[cells[start]])
            for first in range(start, stop, _TILE_ROWS):
                some = rows[first : min(first + _TILE_ROWS, stop)]
                best.search(row_signatures[some], some, column_signatures[part], columns[part])


def _probes(row_signatures, centroids, tau):
    """Yield rows and the cells that they probe, in the order of the rows, about `_PROBES` at a time."""
    rows, cells, held = [], [], 0
    for start in range(0, len(row_signatures), _TILE_ROWS):
        similarities = np.abs(row_signatures[start : start + _TILE_ROWS] @ centroids.T)  # (tile rows, n_cells)
        row, cell = np.divmod(np.flatnonzero(similarities >= tau), len(centroids))
        rows.append(row + start)
        cells.append(cell)
        held += row.size
        if held >= _PROBES or start + _TILE_ROWS >= len(row_signatures):
            yield np.concatenate(rows), np.concatenate(cells)
            rows, cells, held = [], [], 0
