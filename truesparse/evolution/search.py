"""Search for the absent pairs of units with the largest inner products over training samples.

Each unit has a vector with one number per sample: its activations x_i or its errors, centred and normalised or not
(`Vectors`). Wanted are the largest scores

    score(j, i) = |⟨y_j, x_i⟩|

A first pass over the samples fills a count sketch of every unit's vector, and the sketches are multiplied tile by tile
to find candidates. A second pass over the same samples scores the candidates exactly. The exact search has one stage,
with the vectors in place of sketches. Between wide layers, sketches are grouped into cells and multiplied only within
similar cells (`truesparse.kernels.cells`). Of sparse data, only features that occur in the samples have vectors.

Cost per update: two passes over ``n_samples``, and per layer 2 · fan_in · fan_out · width operations in BLAS, or
O(n^1.5 · width) in cells with n units on both sides; memory O(units · width + candidates), of the exact search
O(units · n_samples).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from truesparse._typing import FloatArray
from truesparse.evolution.rules import keys_in_all
from truesparse.kernels.cells import top_absent_pairs_in_cells
from truesparse.kernels.lanes import CHUNK
from truesparse.kernels.select import k_smallest
from truesparse.kernels.similarity import add_to_sketch, centre, pair_products, top_absent_pairs
from truesparse.network.protocol import consecutive_slices

SEARCHES = ("auto", "sketch", "cells", "exact")

# Above so many pairs, cells take a fraction of the time of all pairs, unless one side has too few units to group.
_WIDE_PAIRS = 20_000**2
_WIDE_SIDE = 2_000

_CHUNK = 2**16  # pairs at a time
_HELD = 2**20  # numbers of exact vectors in memory at a time, unless there are very many units


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
        self.layer_sizes = [*errors.layer_sizes, *errors.layer_sizes[first_output(errors) :]]
        self.dtype, self.n_samples = errors.dtype, errors.n_samples
        self.present = getattr(errors, "present", lambda: None)

    def of_features(self, features):
        """Return these with some of the features, as `ActivationStream.of_features`."""
        return SideBySide(self._errors.of_features(features))

    def __iter__(self):
        for activations, errors in self._errors:
            yield [*activations, *errors]


def first_output(stream) -> int:
    """Return the number of the first layer's outputs in the batches of a stream: 1 where layers form a chain."""
    return getattr(stream, "first_output", 1)


def largest_products(
    vacancies, stream, first_output, *, inputs: Vectors, outputs: Vectors, rng, search="exact", width=128, candidates=4
):
    """Return keys of the absent pairs with the largest |inner product|, at most ``n_grow`` per vacancy.

    Number l of each batch of `stream` holds the inputs of layer l, number ``first_output + l`` its outputs; `inputs`
    and `outputs` are equal where one array is both. `search`, `width` and `candidates` are those of `Cosine`.
    """
    shapes = [vacancy.before.shape for vacancy in vacancies]
    stream, present = narrowed(stream, [vacancy.layer for vacancy in vacancies])
    if present is not None:
        vacancies = [vacancy.of_inputs(present) if vacancy.layer == 0 else vacancy for vacancy in vacancies]
    exact = search == "exact" or stream.n_samples <= width
    prepared = {vacancy.layer: inputs for vacancy in vacancies}
    prepared |= {first_output + vacancy.layer: outputs for vacancy in vacancies}
    units = observe(stream, set(prepared), None if exact else width, rng)
    for number, unit in units.items():
        unit.prepare(prepared[number])
    found = [
        _found(v, shape, units[first_output + v.layer], units[v.layer], search, exact, candidates, rng)
        for v, shape in zip(vacancies, shapes, strict=True)
    ]
    if exact and all(vacancy.within is None for vacancy in vacancies):
        best = [pattern.keys for pattern in found]
    else:
        for unit in units.values():
            unit.signature = unit.signature[:0].copy()  # they are views of one array, which is freed
        best = _rescored(found, vacancies, stream, first_output, units, prepared)
    if present is not None:
        best = [keys_in_all(k, present) if v.layer == 0 else k for k, v in zip(best, vacancies, strict=True)]
    return best


def narrowed(stream, layers):
    """Return a stream without features that are zero in all samples, and which are left, (n_features,) bool.

    The others are similar to nothing. If that would save little, return the stream itself and None.
    """
    present = stream.present() if hasattr(stream, "present") else None
    if present is not None and 0 not in layers:
        return stream.of_features(np.arange(1)), None  # nobody reads them
    if present is None or 2 * np.count_nonzero(present) > present.size:
        return stream, None
    if not present.any():
        present = np.arange(present.size) == 0  # one stays, so that no array is empty
    return stream.of_features(np.flatnonzero(present)), present


def _found(vacancy, shape, outputs, inputs, search, exact, candidates, rng):
    """Return the absent pairs with the most similar signatures, a multiple of ``n_grow``, as a Pattern.

    The layer has the `shape`, of which the vacancy may be a part.
    """
    if vacancy.within is not None:
        return vacancy.pattern_of(vacancy.candidates)  # few enough to score them all
    pattern = vacancy.pattern
    # This much is allocated.
    k = vacancy.n_grow if exact else min(vacancy.n_grow * int(candidates), pattern.n_pairs - pattern.nnz)
    layer = outputs.signature, inputs.signature, pattern.indices, pattern.indptr, k
    if uses_cells(search, shape):
        return vacancy.pattern_of(top_absent_pairs_in_cells(*layer, rng, n_all=shape[1], by_key=True)[0])
    return vacancy.pattern_of(top_absent_pairs(*layer, varying=(outputs.varying, inputs.varying), by_key=True)[0])


def uses_cells(search: str, shape: tuple[int, int]) -> bool:
    """Return whether a layer is searched in cells; "auto" goes by its shape alone, to be reproducible."""
    if search == "auto":
        return shape[0] * shape[1] > _WIDE_PAIRS and min(shape) >= _WIDE_SIDE
    return search == "cells"


def best_of(vacancy, keys, scores):
    """Return the keys with the highest scores, at most ``n_grow``; under ``within`` none with a score of zero."""
    return keys[_best_of(vacancy, scores)]


def _best_of(vacancy, scores):
    """Return a mask of these; `scores` become negative."""
    n_scored = scores.size if vacancy.within is None else np.count_nonzero(scores)
    return k_smallest(np.negative(scores, out=scores), min(vacancy.n_grow, n_scored))


def _rescored(found, vacancies, stream, first_output, units, prepared):
    """Return the keys of the pairs with the highest exact scores: the second stage."""
    layers = [vacancy.layer for vacancy in vacancies]
    # Shift before multiplying: correcting the sums afterwards would cancel digits.
    shifts = {number: unit.shift(prepared[number]) for number, unit in units.items()}
    products, squares = _sums(stream, layers, first_output, found, shifts=shifts)
    best = []
    for vacancy, pattern in zip(vacancies, found, strict=True):
        scores = products.pop(0)  # each is freed before the next one
        np.abs(scores, out=scores)
        sides = first_output + vacancy.layer, vacancy.layer
        inverse = [
            units[number].inverse_lengths(squares[number]) if prepared[number].normalised else None for number in sides
        ]
        for slots, *places in pattern.chunks(_CHUNK):
            for lengths, place in zip(inverse, places, strict=True):
                if lengths is not None:
                    scores[slots] *= lengths[place]
        best.append(pattern.keys_at(_best_of(vacancy, scores)))
    return best


def sums_of_products(stream, layers, first_output, patterns, change=None):
    """Return Σ_samples output · input at the pairs of a pattern for each layer, a list of (nnz,) float64.

    ``change(number, array)`` returns the factors made of an array, zero where it is zero; by default the array itself.
    `stream` and `first_output` as for `largest_products`.
    """
    stream, present = narrowed(stream, layers)
    if present is None:
        return _sums(stream, layers, first_output, patterns, change)[0]
    first, whole = layers.index(0), list(patterns)
    whole[first], slots = patterns[first].between(np.ones(patterns[first].shape[0], dtype=bool), present)
    sums = _sums(stream, layers, first_output, whole, change)[0]
    of_all = np.zeros(patterns[first].nnz)
    of_all[slots] = sums[first]
    sums[first] = of_all
    return sums


def _sums(stream, layers, first_output, patterns, change=None, shifts=None):
    """Return `sums_of_products` of shifted vectors, and the sums of squares of the units that occur, by number."""
    numbers = sorted({*layers, *(first_output + layer for layer in layers)})
    parts = dict(zip(numbers, consecutive_slices(0, [stream.layer_sizes[n] for n in numbers]), strict=True))
    occurs = np.zeros(sum(stream.layer_sizes[n] for n in numbers), dtype=bool)  # units, numbered through all arrays
    for layer, pattern in zip(layers, patterns, strict=True):
        occurs[parts[first_output + layer]] |= pattern.out_units_fan_in > 0
        occurs[parts[layer]][pattern.indices] = True
    units = np.flatnonzero(occurs)
    place = np.cumsum(occurs, dtype=np.int32) - np.int32(1)  # among the units that occur
    sums, squares = [np.zeros(pattern.nnz) for pattern in patterns], np.zeros(units.size)
    itself = np.arange(units.size, dtype=np.int32)
    shift = np.zeros(occurs.size, dtype=stream.dtype)
    for number, values in (shifts or {}).items():
        shift[parts[number]] = values

    def chunks():
        """Generate pairs of units that occur, and where the sums of their products are."""
        for layer, pattern, out in zip(layers, patterns, sums, strict=True):
            of_outputs, of_inputs = place[parts[first_output + layer]], place[parts[layer]]
            for slots, rows, columns in pattern.chunks(_CHUNK):
                yield of_outputs[rows], of_inputs[columns], out[slots]
        yield itself, itself, squares

    # Pairs as integers take as much memory as their sums, so those of a large network are made anew for each part.
    held = list(chunks()) if sum(pattern.nnz for pattern in patterns) < _HELD else None
    for vectors, n in _samples_of(stream, numbers, units, shift[units], change):
        for rows, columns, out in held or chunks():
            pair_products(rows, columns, vectors, n, out)
    of_all = np.zeros(occurs.size)
    of_all[units] = squares
    return [stream.reduce(out) for out in sums], {number: stream.reduce(of_all[parts[number]]) for number in numbers}


def _samples_of(stream, numbers, units, shift, change):
    """Yield the vectors of some units, (n_units, ≥ n), in parts of n samples: all at once if they are small."""
    n_own = len(stream.places)
    room = min(n_own, max(CHUNK, _HELD // max(1, units.size)))
    vectors, sums = np.zeros((units.size, room), dtype=stream.dtype), np.zeros(units.size)
    places, ones, n = np.arange(room), np.ones(room, dtype=stream.dtype), 0
    for batch in stream:
        arrays = [batch[number] if change is None else change(number, batch[number]) for number in numbers]
        start, stop = 0, arrays[0].shape[1]
        while start < stop:
            size = min(stop - start, room - n)
            part = arrays if size == stop else [array[:, start : start + size] for array in arrays]
            add_to_sketch(part, units, shift, places[n : n + size], ones[:size], vectors, sums)
            n, start = n + size, start + size
            if n == room:
                yield vectors, n
                vectors[:], n = 0, 0
    if n > 0:
        yield vectors, n


@dataclass
class Units:
    """Units of one layer after a pass over the samples: signatures and sums."""

    signature: FloatArray  # (n_units, width), count sketches or the vectors themselves
    ones: FloatArray  # (width,), the signature of a unit that is 1 on every sample
    total: np.ndarray  # (n_units,)
    n_samples: int
    varying: Any = None  # (n,) integers, the units that are not constant, sorted; None where it does not matter

    def shift(self, vectors: Vectors) -> FloatArray:
        """Return what is subtracted from the vectors, (n_units,): their means if centred, else zeros."""
        mean = self.total / self.n_samples if vectors.centred else np.zeros_like(self.total)
        return mean.astype(self.ones.dtype)

    def prepare(self, vectors: Vectors) -> None:
        """Shift and scale the signatures, so that their inner products are, or estimate, the scores.

        A signature is divided by its own length. That estimates a cosine better than the length of the unit's vector:
        signatures of equal directions have the cosine 1, whatever their lengths.
        """
        if vectors != Vectors():
            lengths = np.empty(len(self.signature))
            centre(self.signature, self.shift(vectors), self.ones, vectors.normalised, lengths)
            self.varying = np.flatnonzero(lengths)

    def inverse_lengths(self, squares) -> np.ndarray:
        """Return 1 / ‖shifted x‖ for sums of squares, (n_units,).

        Units that are constant up to rounding, or subnormal, get 0 and match nothing.
        """
        inverse, varying = np.zeros(squares.size), self.varying[squares[self.varying] > 0]
        inverse[varying] = 1 / np.sqrt(squares[varying])
        return inverse


def observe(stream, numbers: set[int], width: int | None, rng: np.random.Generator) -> dict[int, Units]:
    """Return the numbered units after one pass over the samples; `width` None keeps the vectors, unsketched."""
    n = stream.n_samples
    signs = np.ones(n, dtype=stream.dtype)
    if width is None:
        width = n
    else:
        signs = rng.choice(np.array([-1, 1], dtype=stream.dtype), size=n)
    buckets = np.arange(n) % width
    ones = np.bincount(buckets, weights=signs, minlength=width).astype(stream.dtype)
    ordered = sorted(numbers)
    sizes = [stream.layer_sizes[number] for number in ordered]
    signature, total = np.zeros((sum(sizes), width), dtype=stream.dtype), np.zeros(sum(sizes))
    every, unshifted = np.arange(sum(sizes)), np.zeros(sum(sizes), dtype=stream.dtype)
    buckets, signs = buckets[stream.places], signs[stream.places]
    start = 0
    for batch in stream:
        stop = start + batch[0].shape[1]
        arrays = [batch[number] for number in ordered]
        add_to_sketch(arrays, every, unshifted, buckets[start:stop], signs[start:stop], signature, total)
        start = stop
    signature, total = stream.reduce(signature), stream.reduce(total)
    ends = np.cumsum(sizes)
    return {
        number: Units(signature[end - size : end], ones, total[end - size : end], n)
        for number, size, end in zip(ordered, sizes, ends, strict=True)
    }
