"""Which absent pairs become connections.

`Cosine` is the idea of CTRE (Atashgahi et al., 2022): units that fire together wire together. The score of a
pair (i, j) is the absolute cosine of the angle between the activations of the input unit i and the output unit j
over the training samples (eq. 1 of the paper),

    score(j, i) = |⟨a_i, z_j⟩| / (‖a_i‖ · ‖z_j‖)

and the absent pairs with the highest scores are grown. It needs forward passes only, no gradient.

| paper | here |
|---|---|
| similarity matrix Sim_l | never made: a search for its largest absent entries |
| ζ, fraction of weights replaced | ``drop_fraction`` of the schedule |
| A_(l−1), A_l | ``activations[layer]``, ``activations[layer + 1]``; raw features below, predictions on top |

*Centred* scores subtract each unit's mean first, which turns the cosine into the correlation: ReLU units are never
negative, so the plain cosine of any two of them is large and says little.

The search has two stages. A count sketch of every unit is filled while the samples stream by, and the sketches are
multiplied tile by tile for the most promising pairs; these are then scored exactly in a second pass over the
same samples. With ``search="exact"`` the activations of all samples take the place of the sketches.

Between wide layers, multiplying all sketches takes too long: they are grouped into cells there, and only those of
similar cells are multiplied (`truesparse.kernels.cells`).

Cost per update: two forward passes over ``n_samples``, and per layer, in BLAS, 2 · fan_in · fan_out · width operations,
or with cells and n units on both sides O(n^1.5 · width); memory O(units · width + candidates), and for the exact search
O(units · n_samples).

Where this differs from the authors' code: theirs makes the whole matrix, of fan_in × fan_out; ours never does.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from truesparse._typing import FloatArray, Grow
from truesparse.batches import BatchShape
from truesparse.kernels.cells import top_absent_pairs_in_cells
from truesparse.kernels.lanes import width_of
from truesparse.kernels.select import k_smallest
from truesparse.kernels.similarity import add_to_sketch, pair_products, top_absent_pairs

# With more pairs than between 20,000 units on both sides, cells take a fraction of the time of all pairs, unless one
# side has too few units to group.
_WIDE_PAIRS = 20_000**2
_WIDE_SIDE = 2_000


@dataclass(frozen=True)
class Random:
    """Absent pairs chosen uniformly at random (SET; Mocanu et al., 2018)."""

    needs: ClassVar[tuple[str, ...]] = ()

    def __call__(self, vacancies, *, rng):
        """Edges to grow, per layer."""
        return [vacancy.pattern.sample_absent(vacancy.n_grow, rng) for vacancy in vacancies]


@dataclass(frozen=True)
class Cosine:
    """The absent pairs whose units' activations have the highest absolute cosine similarity (CTRE).

    Parameters
    ----------
    centred : bool
        Subtract each unit's mean over the samples first.
    regrow : bool
        Whether a pair that was dropped in the same update may be picked; it then keeps its weight. If not, such
        picks are left out, and random pairs take their places (CTRE-sim).
    n_samples : int or None
        Training samples to look at, drawn anew for each update; None for all of them.
    search : {"auto", "sketch", "cells", "exact"}
        "sketch": in two stages, the first of which compares the sketches of all pairs. "cells": likewise, but the
        first stage compares only sketches in similar cells, and misses some of the pairs that "sketch" finds.
        "auto": "cells" for layers of more than 20,000 × 20,000 pairs with at least 2,000 units on each side, and
        "sketch" for all others. "exact": over all samples at once, whose activations are then held in memory:
        n_samples × (features + units), and so dense even if the features are sparse.
    width : int
        Numbers per sketch.
    candidates : int
        Pairs that are scored exactly for each connection that is grown.

    Notes
    -----
    In ``benchmarks/growth_search.py``, "cells" found 98 to 100 % of the best pairs of sketches at 100,000 units a side,
    in 4 to 7 % of the time. It finds fewer in narrower layers if many pairs are wanted of units without clear groups:
    87 % at 20,000 units, for 48 pairs a unit. Between sketches of pure noise it finds a third or less.
    """

    centred: bool = True
    regrow: bool = True
    n_samples: int | None = 1000
    search: str = "auto"
    width: int = 128
    candidates: int = 4

    needs: ClassVar[tuple[str, ...]] = ("activations",)

    def __post_init__(self):
        if self.search not in ("auto", "sketch", "cells", "exact"):
            raise ValueError(f"search={self.search!r} must be 'auto', 'sketch', 'cells' or 'exact'.")
        for name in ("n_samples", "width", "candidates"):
            value = getattr(self, name)
            if not (value is None and name == "n_samples") and not (isinstance(value, (int, np.integer)) and value > 0):
                raise ValueError(f"{name}={value!r} must be a positive integer.")

    def __call__(self, vacancies, *, rng, activations):
        """Edges to grow, per layer."""
        stream = activations(self.n_samples)
        exact = self.search == "exact" or stream.n_samples <= self.width
        layers = {layer for vacancy in vacancies for layer in (vacancy.layer, vacancy.layer + 1)}
        units = _observe(stream, layers, None if exact else self.width, rng)
        for unit in units.values():
            unit.turn_into_directions(self.centred)
        picks = []
        for vacancy in vacancies:
            arguments = (
                units[vacancy.layer + 1].signature,
                units[vacancy.layer].signature,
                vacancy.pattern.indices,
                vacancy.pattern.indptr,
                vacancy.n_grow if exact else vacancy.n_grow * self.candidates,
            )
            if self._uses_cells(vacancy.pattern.shape):
                keys, _ = top_absent_pairs_in_cells(*arguments, rng, by_key=True)
            else:
                keys, _ = top_absent_pairs(*arguments, by_key=True)
            picks.append(keys)
        if not exact:
            picks = self._best_of(picks, vacancies, units, stream)
        if not self.regrow:
            picks = [_not_among(keys, vacancy.dropped_keys) for keys, vacancy in zip(picks, vacancies, strict=True)]
        return [np.divmod(keys, vacancy.pattern.shape[1]) for keys, vacancy in zip(picks, vacancies, strict=True)]

    def _uses_cells(self, shape):
        """Whether the layer is searched through cells: decided by its shape alone, so that results do not vary."""
        if self.search == "auto":
            return shape[0] * shape[1] > _WIDE_PAIRS and min(shape) >= _WIDE_SIDE
        return self.search == "cells"

    def _best_of(self, candidates, vacancies, units, stream):
        """The second stage: the candidates with the highest exact scores, as many as are to be grown."""
        pairs = [np.divmod(keys, vacancy.pattern.shape[1]) for keys, vacancy in zip(candidates, vacancies, strict=True)]
        products = [np.zeros(keys.size) for keys in candidates]
        shifts = {layer: unit.shift(self.centred) for layer, unit in units.items()}
        for batch in stream:
            shape = BatchShape.of(batch[0].shape[1])
            # Shifted before they are multiplied: a correction of the sums afterwards would cancel digits.
            shifted = {layer: _shifted(batch[layer], shift, shape) for layer, shift in shifts.items()}
            for vacancy, (rows, columns), product in zip(vacancies, pairs, products, strict=True):
                z, a = shifted[vacancy.layer + 1], shifted[vacancy.layer]
                for tile in range(shape.n_tiles):
                    lanes = slice(tile * shape.n_lanes, None)
                    pair_products(rows, columns, z[lanes], a[lanes], shape.stride, product, width_of(shape.n_lanes))
        best = []
        for vacancy, keys, (rows, columns), product in zip(vacancies, candidates, pairs, products, strict=True):
            scale_z = units[vacancy.layer + 1].inverse_norm(self.centred)[rows]
            scale_a = units[vacancy.layer].inverse_norm(self.centred)[columns]
            scores = np.abs(product) * scale_z * scale_a
            best.append(keys[k_smallest(-scores, min(vacancy.n_grow, keys.size))])
        return best


def _not_among(keys, others):
    """Those keys that do not occur in the sorted others, of which there is at least one."""
    return keys[others[np.minimum(np.searchsorted(others, keys), others.size - 1)] != keys]


def _shifted(a, shift, shape):
    """Activations minus their shifts as a vector, with rows as long as kernels want them; zero behind the samples."""
    out = np.zeros((len(a), shape.stride), dtype=a.dtype)
    np.subtract(a, shift[:, None], out=out[:, : a.shape[1]])
    return out.reshape(-1)


@dataclass(frozen=True)
class AfterStall:
    """A rule that is followed until training stalls, and another one that is followed from then on (CTRE-seq).

    Training has stalled once the monitored quantity (the validation score, or without validation data the
    training loss) has not improved for ``patience`` epochs. The second rule then stays to the end.

    Parameters
    ----------
    first, then : Grow
    patience : int
        In epochs.
    """

    first: Grow = field(default_factory=Cosine)
    then: Grow = field(default_factory=Random)
    patience: int = 40

    def __post_init__(self):
        if not (isinstance(self.patience, (int, np.integer)) and self.patience > 0):
            raise ValueError(f"patience={self.patience!r} must be a positive number of epochs.")

    @property
    def needs(self) -> tuple[str, ...]:
        """Those of both rules, and the progress of training."""
        return ("progress", *dict.fromkeys((*self.first.needs, *self.then.needs)))

    def __call__(self, vacancies, *, rng, progress, **signals):
        """Edges to grow, per layer."""
        rule = self.then if progress.longest_stall >= self.patience else self.first
        return rule(vacancies, rng=rng, **{name: signals[name] for name in rule.needs})


@dataclass
class _Units:
    """What a pass over the samples leaves of the units of one layer: signature, sum and sum of squares."""

    signature: FloatArray  # (n_units, width), a count sketch, or the activations themselves
    ones: FloatArray  # (width,), the signature of a unit that is 1 on every sample
    total: np.ndarray  # (n_units,)
    squares: np.ndarray  # (n_units,)
    n_samples: int

    def shift(self, centred: bool) -> FloatArray:
        """What is subtracted from the activations: their mean, or nothing."""
        mean = self.total / self.n_samples if centred else np.zeros_like(self.total)
        return mean.astype(self.signature.dtype)

    def inverse_norm(self, centred: bool) -> np.ndarray:
        """1 / ‖a‖ after shifting; 0 for units that are constant up to rounding, which match nothing."""
        shift = self.shift(centred).astype(np.float64)
        squares = self.squares - 2 * shift * self.total + self.n_samples * shift**2
        varies = squares > 1e-9 * self.squares
        return np.where(varies, 1 / np.sqrt(np.where(varies, squares, 1)), 0)

    def turn_into_directions(self, centred: bool) -> None:
        """Shift and scale the signatures such that their inner products are, or estimate, cosines."""
        shift, scale = self.shift(centred), self.inverse_norm(centred).astype(self.signature.dtype)
        for start in range(0, len(shift), 4096):  # in parts, so that the outer product stays small
            part = slice(start, start + 4096)
            self.signature[part] -= shift[part, None] * self.ones
            self.signature[part] *= scale[part, None]


def _observe(stream, layers: set[int], width: int | None, rng: np.random.Generator) -> dict[int, _Units]:
    """One pass over the samples; `width` None keeps the activations instead of sketching them."""
    n = stream.n_samples
    if width is None:
        width, buckets, signs = n, np.arange(n), np.ones(n, dtype=stream.dtype)
    else:
        buckets = rng.integers(width, size=n)
        signs = rng.choice(np.array([-1, 1], dtype=stream.dtype), size=n)
    ones = np.bincount(buckets, weights=signs, minlength=width).astype(stream.dtype)
    units = {}
    for layer in layers:
        size = stream.layer_sizes[layer]
        units[layer] = _Units(np.zeros((size, width), dtype=stream.dtype), ones, np.zeros(size), np.zeros(size), n)
    start = 0
    for batch in stream:
        stop = start + batch[0].shape[1]
        for layer, unit in units.items():
            a = np.ascontiguousarray(batch[layer])  # the compiler needs to know
            add_to_sketch(a, buckets[start:stop], signs[start:stop], unit.signature, unit.total, unit.squares)
        start = stop
    return units
