"""Grow rules: which absent pairs become connections.

A rule scores the pair of an input unit i and an output unit j, and picks the absent pairs with the highest scores. Over
training samples, a_i are the activations of the input, z_j those of the output, and δ_j the errors of the output: the
gradient of the loss with respect to its sums.

| rule | score | search | source |
|---|---|---|---|
| `Random` | – | – | SET; Mocanu et al., 2018 |
| `Cosine` | abs⟨a_i, z_j⟩ / (‖a_i‖ · ‖z_j‖), centred or not | two stages | CTRE; Atashgahi et al., 2022 |
| `Gradient` | abs⟨a_i, δ_j⟩, the size of ∂L/∂w_ji | tiles | RigL; Evci et al., 2020 |
| `OMP` | abs⟨a_i − ā_i, δ_j⟩ / ‖a_i − ā_i‖ | two stages | ours |
| `GuidedStochastic` | abs⟨a_i, δ_j⟩ | pairs drawn with p ∝ E abs a_i · E abs δ_j | GSE; Heddes et al., 2024 |
| `SensitivityGrow` | E abs a_i · E abs δ_j | ranks | ours |
| `PathWeightGrow` | in_i · out_j, weights of paths | ranks | ours |

No rule makes a matrix of all pairs: `truesparse.evolution.search` has the two stages and the tiles,
`truesparse.kernels.products` the ranks. Pairs with a score of zero are not picked; random pairs take their places.

A_(l−1) and A_l of CTRE's paper are ``activations[layer]`` and ``activations[layer + 1]``: features first, predictions
last. (For convolutions, see `truesparse.evolution.patches`.) Its ζ is ``drop_fraction`` of the schedule.

Differences from the authors' code: CTRE's makes the matrix of similarities and RigL's the dense gradient, fan_in ×
fan_out each. GSE's can draw from other distributions; ours is the one that bounds the gradient.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from truesparse.evolution.rules import edges_of
from truesparse.evolution.search import (
    SEARCHES,
    SideBySide,
    Vectors,
    best_of,
    first_output,
    largest_products,
    narrowed,
    sums_of_products,
)
from truesparse.kernels.products import top_absent_products
from truesparse.runtime.checks import check_count, check_number
from truesparse.runtime.plugins import plugin
from truesparse.topology.pattern import not_among


@plugin("grow", random={})
@dataclass(frozen=True)
class Random:
    """Absent pairs chosen uniformly at random (SET; Mocanu et al., 2018)."""

    needs: ClassVar[tuple[str, ...]] = ()

    def __call__(self, vacancies, *, rng):
        """Return the edges to grow, per layer."""
        return edges_of([vacancy.sample(vacancy.n_grow, rng) for vacancy in vacancies], vacancies)


@plugin("grow", cosine={})
@dataclass(frozen=True)
class Cosine:
    """Absent pairs whose units' activations have the highest absolute cosine similarity (CTRE).

    Parameters
    ----------
    centred : bool
        Subtract each unit's mean over the samples first, which makes the cosine a correlation. Without, the cosine of
        any two ReLU units is large, because their activations are never negative.
    regrow : bool
        Whether a pair that was dropped in the same update may be picked; it then keeps its weight. If not, random
        pairs take the places of such picks (CTRE-sim).
    n_samples : int or None
        Training samples, drawn anew for each update; None for all of them.
    search : {"auto", "sketch", "cells", "exact"}
        "sketch" compares the sketches of all pairs, then scores the best of them exactly. "cells" compares only
        sketches in similar cells and misses some pairs (docs/trials.md has figures). "auto" is "cells" for layers of
        more than 20,000 × 20,000 pairs with at least 2,000 units on each side, otherwise "sketch". "exact" scores all
        pairs exactly and holds the activations of all samples: n_samples × (features + units), also of sparse data.
    width, candidates : int
        Numbers per sketch, and pairs that are scored exactly for each connection to grow.
    """

    centred: bool = True
    regrow: bool = True
    n_samples: int | None = 1000
    search: str = "auto"
    width: int = 128
    candidates: int = 4

    needs: ClassVar[tuple[str, ...]] = ("activations",)

    def __post_init__(self):
        _check_search(self)

    def __call__(self, vacancies, *, rng, activations):
        """Return the edges to grow, per layer."""
        both = Vectors(centred=self.centred, normalised=True)
        stream = activations(self.n_samples)
        picks = largest_products(
            vacancies, stream, first_output(stream), inputs=both, outputs=both, rng=rng,
            search=self.search, width=self.width, candidates=self.candidates,
        )  # fmt: skip
        return _edges(picks, vacancies, self.regrow)


@plugin("grow", omp={})
@dataclass(frozen=True)
class OMP:
    """Absent pairs whose input explains most of the output's error, |⟨δ_j, a_i − ā_i⟩| / ‖a_i − ā_i‖.

    The selection rule of orthogonal matching pursuit (Pati, Rezaiifar & Krishnaprasad, 1993), as a grow rule new here.
    It is RigL's score with inputs normalised as in CTRE, so that large inputs have no advantage. Parameters as for
    `Cosine`.
    """

    n_samples: int | None = 500
    search: str = "auto"
    width: int = 128
    candidates: int = 4
    regrow: bool = True

    needs: ClassVar[tuple[str, ...]] = ("errors",)

    def __post_init__(self):
        _check_search(self)

    def __call__(self, vacancies, *, rng, errors):
        """Return the edges to grow, per layer."""
        stream = SideBySide(errors(self.n_samples))
        picks = largest_products(
            vacancies, stream, stream.first_error, inputs=Vectors(centred=True, normalised=True), outputs=Vectors(),
            rng=rng, search=self.search, width=self.width, candidates=self.candidates,
        )  # fmt: skip
        return _edges(picks, vacancies, self.regrow)


@plugin("grow", gradient={})
@dataclass(frozen=True)
class Gradient:
    """Absent pairs with the largest |∂L/∂w| (RigL; Evci et al., 2020), computed in tiles.

    Parameters
    ----------
    n_samples, regrow
        As for `Cosine`; L is the mean loss over these samples, RigL's over one batch. Their activations and errors are
        held in memory, n_samples × (features + twice the units); time grows with fan_in · fan_out · n_samples.
    """

    n_samples: int | None = 100
    regrow: bool = True

    needs: ClassVar[tuple[str, ...]] = ("errors",)

    def __post_init__(self):
        check_count("n_samples", self.n_samples, none=True)

    def __call__(self, vacancies, *, rng, errors):
        """Return the edges to grow, per layer."""
        stream = SideBySide(errors(self.n_samples))
        picks = largest_products(
            vacancies, stream, stream.first_error, inputs=Vectors(), outputs=Vectors(), rng=rng, search="exact"
        )
        return _edges(picks, vacancies, self.regrow)


@plugin("grow", guided_stochastic={})
@dataclass(frozen=True)
class GuidedStochastic:
    """Pairs with the largest |∂L/∂w| among randomly drawn absent pairs (guided stochastic exploration, GSE).

    A pair is drawn with a probability proportional to Σ|a_i| · Σ|δ_j|, an upper bound of its gradient (Heddes et al.,
    2024).

    Parameters
    ----------
    candidates : float
        Number of draws, as a multiple of the layer's weights before pruning. Pairs that are connected or drawn twice
        are not replaced. If no more pairs than that have a signal, all of them are taken. Takes time
        O(candidates · nnz · n_samples) and memory O(candidates · nnz), independent of fan_in · fan_out.
    n_samples, regrow
        As for `Cosine`. The paper takes one batch.
    """

    candidates: float = 1.0
    n_samples: int | None = 100
    regrow: bool = True

    needs: ClassVar[tuple[str, ...]] = ("errors",)

    def __post_init__(self):
        check_number("candidates", self.candidates, least=0, without=0)
        check_count("n_samples", self.n_samples, none=True)

    def __call__(self, vacancies, *, rng, errors):
        """Return the edges to grow, per layer."""
        stream = SideBySide(errors(self.n_samples))
        drawn = []
        for vacancy, (of_outputs, of_inputs) in zip(vacancies, _mean_factors(stream, vacancies), strict=True):
            if vacancy.within is not None:
                drawn.append(vacancy.candidates)  # few enough to score them all
                continue
            multiple = min(float(self.candidates), vacancy.before.n_pairs)
            n = max(vacancy.n_grow, round(multiple * vacancy.before.nnz))
            drawn.append(not_among(_draw_pairs(of_outputs, of_inputs, n, rng), vacancy.pattern.keys))
        layers = [vacancy.layer for vacancy in vacancies]
        patterns = [vacancy.pattern_of(keys) for vacancy, keys in zip(vacancies, drawn, strict=True)]
        gradients = sums_of_products(stream, layers, stream.first_error, patterns)
        picks = [best_of(*scored) for scored in zip(vacancies, drawn, map(np.abs, gradients), strict=True)]
        return _edges(picks, vacancies, self.regrow)


@plugin("grow", sensitivity={})
@dataclass(frozen=True)
class SensitivityGrow:
    """Absent pairs with the largest E|a_i| · E|δ_j|: their sensitivity at weight one if both were independent.

    Goes with `SensitivityPrune`. Ties are broken at random. Time O(units · n_samples + nnz log nnz). Parameters as for
    `Cosine`.
    """

    n_samples: int | None = 1000
    regrow: bool = True

    needs: ClassVar[tuple[str, ...]] = ("errors",)

    def __post_init__(self):
        check_count("n_samples", self.n_samples, none=True)

    def __call__(self, vacancies, *, rng, errors):
        """Return the edges to grow, per layer."""
        factors = _mean_factors(SideBySide(errors(self.n_samples)), vacancies)
        return _edges(_largest_of_rank_one(vacancies, factors, rng), vacancies, self.regrow)


@plugin("grow", path_weight={})
@dataclass(frozen=True)
class PathWeightGrow:
    """Absent pairs on the heaviest paths, in_i · out_j with the weights before pruning (see `evolution.paths`).

    Goes with `PathWeightPrune`. Reads no data. Ties are broken at random: all features have in_i = 1. Time
    O(nnz log nnz). `regrow` as for `Cosine`.
    """

    regrow: bool = True

    needs: ClassVar[tuple[str, ...]] = ("paths",)

    def __call__(self, vacancies, *, rng, paths):
        """Return the edges to grow, per layer."""
        into, out_of = paths()
        factors = [(out_of[vacancy.layer], into[vacancy.layer]) for vacancy in vacancies]
        return _edges(_largest_of_rank_one(vacancies, factors, rng), vacancies, self.regrow)


def _check_search(rule):
    if rule.search not in SEARCHES:
        raise ValueError(f"search={rule.search!r} must be 'auto', 'sketch', 'cells' or 'exact'.")
    check_count("n_samples", rule.n_samples, none=True)
    check_count("width", rule.width)
    check_count("candidates", rule.candidates)


def _edges(picks, vacancies, regrow):
    """Return the pairs of picked keys, without pairs dropped in this update unless `regrow`."""
    if not regrow:
        picks = [not_among(keys, vacancy.dropped_keys) for keys, vacancy in zip(picks, vacancies, strict=True)]
    return edges_of(picks, vacancies)


def _mean_factors(stream, vacancies):
    """Return E|δ| of the outputs, (fan_out,) float64, and E|a| of the inputs, (fan_in,), per layer."""
    pairs = [(stream.first_error + vacancy.layer, vacancy.layer) for vacancy in vacancies]
    stream, present = narrowed(stream, [vacancy.layer for vacancy in vacancies])
    sums = {number: np.zeros(stream.layer_sizes[number]) for pair in pairs for number in pair}
    for batch in stream:
        for number, total in sums.items():
            total += np.abs(batch[number]).sum(axis=1, dtype=np.float64)
    means = {number: stream.reduce(total) / stream.n_samples for number, total in sums.items()}
    if present is not None:
        of_all = np.zeros(present.size)
        of_all[present] = means[0]
        means[0] = of_all
    return [(means[of_outputs], means[of_inputs]) for of_outputs, of_inputs in pairs]


def _largest_of_rank_one(vacancies, factors, rng):
    """Return keys of the absent pairs with the largest output factor · input factor, per layer; ties at random."""
    picks = []
    for vacancy, (of_outputs, of_inputs) in zip(vacancies, factors, strict=True):
        if vacancy.within is None:
            pattern = vacancy.pattern
            keys, _ = top_absent_products(of_outputs, of_inputs, pattern.indices, pattern.indptr, vacancy.n_grow, rng)
        else:
            keys = rng.permutation(vacancy.candidates)
            rows, columns = np.divmod(keys, vacancy.within.shape[1])
            keys = best_of(vacancy, keys, of_outputs[rows] * of_inputs[columns])
        picks.append(keys)
    return picks


def _draw_pairs(of_outputs, of_inputs, n, rng):
    """Return keys of the pairs that occur in `n` draws, sorted; all pairs with a signal if there are at most `n`."""
    outputs, inputs = np.flatnonzero(of_outputs), np.flatnonzero(of_inputs)
    if outputs.size * inputs.size <= n:  # also none, where a side is silent
        return (outputs[:, None] * of_inputs.size + inputs).reshape(-1)
    return np.unique(_draw(of_outputs, n, rng) * of_inputs.size + _draw(of_inputs, n, rng))


def _draw(weights, n, rng):
    """Draw `n` units with probabilities proportional to the weights, at least one of which is positive."""
    possible = np.flatnonzero(weights)
    sums = np.cumsum(weights[possible])
    places = np.searchsorted(sums, rng.random(n) * sums[-1], side="right")
    return possible[np.minimum(places, possible.size - 1)]  # the product can round to the last sum
