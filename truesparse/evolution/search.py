"""Search for the absent pairs of units with the largest inner products over training samples.

Each unit has a vector with one number per sample: its activations x_i or its errors, centred and normalised or not
(`Vectors`). Wanted are the largest scores

    score(j, i) = |⟨y_j, x_i⟩|

A first pass over the samples fills a count sketch of every unit's vector, and the sketches are multiplied tile by tile
to find candidates. A second pass over the same samples scores the candidates exactly. The exact search has one stage,
with the vectors in place of sketches. Between wide layers, sketches are grouped into cells and multiplied only within
similar cells (`truesparse.kernels.cells`).

Cost per update: two passes over ``n_samples``, and per layer 2 · fan_in · fan_out · width operations in BLAS, or
O(n^1.5 · width) in cells with n units on both sides; memory O(units · width + candidates), of the exact search
O(units · n_samples).
"""

from dataclasses import dataclass

import numpy as np

from truesparse._typing import FloatArray
from truesparse.evolution.rules import edges_of
from truesparse.kernels.cells import top_absent_pairs_in_cells
from truesparse.kernels.lanes import width_of
from truesparse.kernels.select import k_smallest
from truesparse.kernels.similarity import add_to_sketch, pair_products, top_absent_pairs
from truesparse.network.workspace import BatchShape

SEARCHES = ("auto", "sketch", "cells", "exact")

# Above so many pairs, cells take a fraction of the time of all pairs, unless one side has too few units to group.
_WIDE_PAIRS = 20_000**2
_WIDE_SIDE = 2_000


@dataclass(frozen=True)
class Vectors:
    """Preparation of the units' vectors before they are multiplied."""

    centred: bool = False
    normalised: bool = False


class SideBySide:
    """An `ErrorStream` with one list per batch: the activations, then the errors, from number ``first_error`` on."""

    def __init__(self, errors):
        self._errors, self.places, self.reduce = errors, errors.places, errors.reduce
        self.first_error = len(errors.layer_sizes)
        self.layer_sizes = [*errors.layer_sizes, *errors.layer_sizes[1:]]
        self.dtype, self.n_samples = errors.dtype, errors.n_samples

    def __iter__(self):
        for activations, errors in self._errors:
            yield [*activations, *errors]


def largest_products(
    vacancies, stream, first_output, *, inputs: Vectors, outputs: Vectors, rng, search="exact", width=128, candidates=4
):
    """Return keys of the absent pairs with the largest |inner product|, at most ``n_grow`` per vacancy.

    Number l of each batch of `stream` holds the inputs of layer l, number ``first_output + l`` its outputs; `inputs`
    and `outputs` are equal where one array is both. `search`, `width` and `candidates` are those of `Cosine`.
    """
    exact = search == "exact" or stream.n_samples <= width
    prepared = {vacancy.layer: inputs for vacancy in vacancies}
    prepared |= {first_output + vacancy.layer: outputs for vacancy in vacancies}
    units = observe(stream, set(prepared), None if exact else width, rng)
    for number, unit in units.items():
        unit.prepare(prepared[number])
    picks = []
    for vacancy in vacancies:
        if vacancy.within is not None:
            picks.append(vacancy.candidates)  # few enough to score them all
            continue
        n_absent = vacancy.pattern.n_pairs - vacancy.pattern.nnz
        arguments = (
            units[first_output + vacancy.layer].signature,
            units[vacancy.layer].signature,
            vacancy.pattern.indices,
            vacancy.pattern.indptr,
            vacancy.n_grow if exact else min(vacancy.n_grow * int(candidates), n_absent),  # this much is allocated
        )
        if uses_cells(search, vacancy.pattern.shape):
            picks.append(top_absent_pairs_in_cells(*arguments, rng, by_key=True)[0])
        else:
            picks.append(top_absent_pairs(*arguments, by_key=True)[0])
    if exact and all(vacancy.within is None for vacancy in vacancies):
        return picks
    return _rescored(picks, vacancies, stream, first_output, units, prepared)


def uses_cells(search: str, shape: tuple[int, int]) -> bool:
    """Return whether a layer is searched in cells; "auto" goes by its shape alone, to be reproducible."""
    if search == "auto":
        return shape[0] * shape[1] > _WIDE_PAIRS and min(shape) >= _WIDE_SIDE
    return search == "cells"


def best_of(vacancy, keys, scores):
    """Return the keys with the highest scores, at most ``n_grow``; under ``within`` none with a score of zero."""
    n_scored = keys.size if vacancy.within is None else np.count_nonzero(scores)
    return keys[k_smallest(-scores, min(vacancy.n_grow, n_scored))]


def _rescored(candidates, vacancies, stream, first_output, units, prepared):
    """Return the candidates with the highest exact scores: the second stage."""
    shifts = {number: unit.shift(prepared[number]) for number, unit in units.items()}
    scales = {number: unit.scale(prepared[number]) for number, unit in units.items()}
    edges = edges_of(candidates, vacancies)
    layers = [vacancy.layer for vacancy in vacancies]
    # Shift before multiplying: correcting the sums afterwards would cancel digits.
    products = sums_of_products(stream, layers, first_output, edges, lambda number, x: x - shifts[number][:, None])
    best = []
    for vacancy, keys, (rows, columns), product in zip(vacancies, candidates, edges, products, strict=True):
        scores = np.abs(product) * scales[first_output + vacancy.layer][rows] * scales[vacancy.layer][columns]
        best.append(best_of(vacancy, keys, scores))
    return best


def sums_of_products(stream, layers, first_output, edges, change=lambda number, array: array):
    """Return Σ_samples output · input at some pairs (rows, columns) of each layer, a list of (n_pairs,) float64.

    Fastest where equal rows follow each other. ``change(number, array)`` returns the factors made of an array. `stream`
    and `first_output` as for `largest_products`.
    """
    sums = [np.zeros(rows.size) for rows, _ in edges]
    for batch in stream:
        shape = BatchShape.of(batch[0].shape[1])
        numbers = {*layers, *(first_output + layer for layer in layers)}
        factors = {number: _padded(change(number, batch[number]), shape) for number in numbers}
        for layer, (rows, columns), out in zip(layers, edges, sums, strict=True):
            y, x = factors[first_output + layer], factors[layer]
            for tile in range(shape.n_tiles):
                lanes = slice(tile * shape.n_lanes, None)
                pair_products(rows, columns, y[lanes], x[lanes], shape.stride, out, width_of(shape.n_lanes))
    return [stream.reduce(out) for out in sums]


def _padded(array, shape):
    """Return one vector of rows of the kernels' length, zero behind the samples."""
    out = np.zeros((len(array), shape.stride), dtype=array.dtype)
    out[:, : array.shape[1]] = array
    return out.reshape(-1)


@dataclass
class Units:
    """Units of one layer after a pass over the samples: signatures, sums and sums of squares."""

    signature: FloatArray  # (n_units, width), count sketches or the vectors themselves
    ones: FloatArray  # (width,), the signature of a unit that is 1 on every sample
    total: np.ndarray  # (n_units,)
    squares: np.ndarray  # (n_units,)
    n_samples: int

    def shift(self, vectors: Vectors) -> FloatArray:
        """Return what is subtracted from the vectors, (n_units,): their means if centred, else zeros."""
        mean = self.total / self.n_samples if vectors.centred else np.zeros_like(self.total)
        return mean.astype(self.signature.dtype)

    def scale(self, vectors: Vectors) -> np.ndarray:
        """Return 1 / ‖shifted x‖, (n_units,), or 1 if not normalised.

        Units that are constant up to rounding, or subnormal, get 0 and match nothing.
        """
        if not vectors.normalised:
            return np.ones_like(self.squares)
        shift = self.shift(vectors).astype(np.float64)
        squares = self.squares - 2 * shift * self.total + self.n_samples * shift**2
        smallest = float(np.finfo(self.signature.dtype).tiny)  # its inverse is finite
        varies = squares > np.maximum(1e-9 * self.squares, smallest**2)
        return np.where(varies, 1 / np.sqrt(np.where(varies, squares, 1)), 0)

    def prepare(self, vectors: Vectors) -> None:
        """Shift and scale the signatures, so that their inner products are, or estimate, the scores."""
        if vectors == Vectors():
            return
        shift, scale = self.shift(vectors), self.scale(vectors).astype(self.signature.dtype)
        for start in range(0, len(shift), 4096):  # in parts, so that the outer product stays small
            part = slice(start, start + 4096)
            self.signature[part] -= shift[part, None] * self.ones
            self.signature[part] *= scale[part, None]


def observe(stream, numbers: set[int], width: int | None, rng: np.random.Generator) -> dict[int, Units]:
    """Return the numbered units after one pass over the samples; `width` None keeps the vectors, unsketched."""
    n = stream.n_samples
    if width is None:
        width, buckets, signs = n, np.arange(n), np.ones(n, dtype=stream.dtype)
    else:
        buckets = rng.integers(width, size=n)
        signs = rng.choice(np.array([-1, 1], dtype=stream.dtype), size=n)
    ones = np.bincount(buckets, weights=signs, minlength=width).astype(stream.dtype)
    units = {}
    for number in sorted(numbers):
        size = stream.layer_sizes[number]
        units[number] = Units(np.zeros((size, width), dtype=stream.dtype), ones, np.zeros(size), np.zeros(size), n)
    buckets, signs = buckets[stream.places], signs[stream.places]
    start = 0
    for batch in stream:
        stop = start + batch[0].shape[1]
        for number, unit in units.items():
            a = np.ascontiguousarray(batch[number])  # the compiler needs to know
            add_to_sketch(a, buckets[start:stop], signs[start:stop], unit.signature, unit.total, unit.squares)
        start = stop
    for unit in units.values():
        unit.signature, unit.total, unit.squares = map(stream.reduce, (unit.signature, unit.total, unit.squares))
    return units
