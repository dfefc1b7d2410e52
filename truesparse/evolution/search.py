"""The search for the absent pairs whose units have the largest inner products over the training samples.

Several grow rules are one retrieval problem. Each unit has a vector, of one number for each sample: its activations,
or its errors. The vectors are centred and normalised, or not, and the pairs with the largest products are wanted:

    score(j, i) = |⟨y_j, x_i⟩|

| rule | x_i, of the input unit | y_j, of the output unit |
|---|---|---|
| `Cosine` | a_i, centred (or not) and normalised | z_j, likewise |
| `OMP` | a_i, centred and normalised | δ_j |
| `Gradient` | a_i | δ_j |

The search has two stages. A count sketch of every unit's vector is filled while the samples stream by, and the sketches
are multiplied tile by tile for the most promising pairs; these are then scored exactly in a second pass over the same
samples. The exact search has one stage: the vectors themselves take the place of the sketches.

Between wide layers, multiplying all sketches takes too long: they are grouped into cells there, and only those of
similar cells are multiplied (`truesparse.kernels.cells`).

Cost per update: two passes over ``n_samples``, and per layer, in BLAS, 2 · fan_in · fan_out · width operations,
or with cells and n units on both sides O(n^1.5 · width); memory O(units · width + candidates), and for the exact search
O(units · n_samples).
"""

from dataclasses import dataclass

import numpy as np

from truesparse._typing import FloatArray
from truesparse.kernels.cells import top_absent_pairs_in_cells
from truesparse.kernels.lanes import width_of
from truesparse.kernels.select import k_smallest
from truesparse.kernels.similarity import add_to_sketch, pair_products, top_absent_pairs
from truesparse.network.workspace import BatchShape

SEARCHES = ("auto", "sketch", "cells", "exact")

# With more pairs than between 20,000 units on both sides, cells take a fraction of the time of all pairs, unless one
# side has too few units to group.
_WIDE_PAIRS = 20_000**2
_WIDE_SIDE = 2_000


@dataclass(frozen=True)
class Vectors:
    """What becomes of the units' vectors before they are multiplied."""

    centred: bool = False
    normalised: bool = False


class SideBySide:
    """The activations and errors of an `ErrorStream` in one list: errors of layer l are number ``first_error`` + l."""

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
    """Keys of the absent pairs with the largest |inner product|, at most ``n_grow`` for each vacancy.

    Parameters
    ----------
    vacancies : list of Vacancy
    stream : ActivationStream or SideBySide
        Number l of each batch holds the inputs of layer l.
    first_output : int
        Number ``first_output + l`` of each batch holds the outputs of layer l.
    inputs, outputs : Vectors
        Equal where an array is both.
    rng : numpy.random.Generator
    search : {"auto", "sketch", "cells", "exact"}
    width, candidates : int
        Numbers per sketch; pairs that are scored exactly for each that is wanted.
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
            vacancy.n_grow if exact else min(vacancy.n_grow * int(candidates), n_absent),  # room is made for so many
        )
        if uses_cells(search, vacancy.pattern.shape):
            keys, _ = top_absent_pairs_in_cells(*arguments, rng, by_key=True)
        else:
            keys, _ = top_absent_pairs(*arguments, by_key=True)
        picks.append(keys)
    if exact and all(vacancy.within is None for vacancy in vacancies):
        return picks
    return _best_of(picks, vacancies, stream, first_output, units, prepared)


def uses_cells(search: str, shape: tuple[int, int]) -> bool:
    """Whether a layer is searched through cells: decided by its shape alone, so that results do not vary."""
    if search == "auto":
        return shape[0] * shape[1] > _WIDE_PAIRS and min(shape) >= _WIDE_SIDE
    return search == "cells"


def _best_of(candidates, vacancies, stream, first_output, units, prepared):
    """The second stage: the candidates with the highest exact scores, as many as are to be grown."""
    shifts = {number: unit.shift(prepared[number]) for number, unit in units.items()}

    def shifted(number, array, out):
        # Before they are multiplied: a correction of the sums afterwards would cancel digits.
        np.subtract(array, shifts[number][:, None], out=out)

    pairs = [np.divmod(keys, vacancy.pattern.shape[1]) for keys, vacancy in zip(candidates, vacancies, strict=True)]
    layers = [vacancy.layer for vacancy in vacancies]
    products = sums_of_products(stream, layers, first_output, pairs, shifted)
    best = []
    for layer, vacancy, keys, (rows, columns), product in zip(
        layers, vacancies, candidates, pairs, products, strict=True
    ):
        scale_rows = units[first_output + layer].scale(prepared[first_output + layer])[rows]
        scale_columns = units[layer].scale(prepared[layer])[columns]
        scores = np.abs(product) * scale_rows * scale_columns
        n_scored = keys.size if vacancy.within is None else np.count_nonzero(scores)
        best.append(keys[k_smallest(-scores, min(vacancy.n_grow, n_scored))])
    return best


def _unchanged(number, array, out):
    out[:] = array


def sums_of_products(stream, layers, first_output, pairs, write=_unchanged):
    """Σ over the samples of output · input, for chosen pairs of units only.

    Parameters
    ----------
    stream, first_output : as for `largest_products`
    layers : list of int
    pairs : list of (rows, columns), int64 each, one per layer; fastest where equal rows follow each other
    write : callable
        ``write(number, array, out)`` writes what is to be multiplied into `out`, of the shape of `array`; the arrays
        themselves by default.

    Returns
    -------
    list of (n_pairs,) float64
    """
    sums = [np.zeros(rows.size) for rows, _ in pairs]
    for batch in stream:
        shape = BatchShape.of(batch[0].shape[1])
        numbers = {*layers, *(first_output + layer for layer in layers)}
        written = {number: _written(number, batch[number], write, shape) for number in numbers}
        for layer, (rows, columns), out in zip(layers, pairs, sums, strict=True):
            y, x = written[first_output + layer], written[layer]
            for tile in range(shape.n_tiles):
                lanes = slice(tile * shape.n_lanes, None)
                pair_products(rows, columns, y[lanes], x[lanes], shape.stride, out, width_of(shape.n_lanes))
    return [stream.reduce(out) for out in sums]


def _written(number, array, write, shape):
    """What `write` makes of an array, as a vector of rows as long as kernels want them; zero behind the samples."""
    out = np.zeros((len(array), shape.stride), dtype=array.dtype)
    write(number, array, out[:, : array.shape[1]])
    return out.reshape(-1)


def mean_magnitudes(stream, numbers) -> dict[int, np.ndarray]:
    """The mean over the samples of |x| for every unit of the numbered arrays, (n_units,) float64 each."""
    sums = {number: np.zeros(stream.layer_sizes[number]) for number in numbers}
    for batch in stream:
        for number, total in sums.items():
            total += np.abs(batch[number]).sum(axis=1, dtype=np.float64)
    return {number: stream.reduce(sums[number]) / stream.n_samples for number in sorted(sums)}


@dataclass
class Units:
    """What a pass over the samples leaves of the units of one layer: signature, sum and sum of squares."""

    signature: FloatArray  # (n_units, width), a count sketch, or the vectors themselves
    ones: FloatArray  # (width,), the signature of a unit that is 1 on every sample
    total: np.ndarray  # (n_units,)
    squares: np.ndarray  # (n_units,)
    n_samples: int

    def shift(self, vectors: Vectors) -> FloatArray:
        """What is subtracted from the vectors: their mean, or nothing."""
        mean = self.total / self.n_samples if vectors.centred else np.zeros_like(self.total)
        return mean.astype(self.signature.dtype)

    def scale(self, vectors: Vectors) -> np.ndarray:
        """1 / ‖x‖ after shifting, or 0 for units that are constant up to rounding or subnormal, which match nothing.

        1 if vectors are not to be normalised.
        """
        if not vectors.normalised:
            return np.ones_like(self.squares)
        shift = self.shift(vectors).astype(np.float64)
        squares = self.squares - 2 * shift * self.total + self.n_samples * shift**2
        smallest = float(np.finfo(self.signature.dtype).tiny)  # of which the inverse is finite
        varies = squares > np.maximum(1e-9 * self.squares, smallest**2)
        return np.where(varies, 1 / np.sqrt(np.where(varies, squares, 1)), 0)

    def prepare(self, vectors: Vectors) -> None:
        """Shift and scale the signatures such that their inner products are, or estimate, those that are wanted."""
        if vectors == Vectors():
            return
        shift, scale = self.shift(vectors), self.scale(vectors).astype(self.signature.dtype)
        for start in range(0, len(shift), 4096):  # in parts, so that the outer product stays small
            part = slice(start, start + 4096)
            self.signature[part] -= shift[part, None] * self.ones
            self.signature[part] *= scale[part, None]


def observe(stream, numbers: set[int], width: int | None, rng: np.random.Generator) -> dict[int, Units]:
    """One pass over the samples; `width` None keeps the vectors instead of sketching them."""
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
