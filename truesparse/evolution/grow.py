"""Which absent pairs become connections.

Each rule has a score for the pair of an input unit i and an output unit j, and picks the absent pairs with the highest
scores. a_i are the input's activations over training samples, z_j the output's, δ_j the output's errors: the gradient
of the loss with respect to its sums.

| rule | score | search | source |
|---|---|---|---|
| `Random` | – | – | SET; Mocanu et al., 2018 |
| `Cosine` | abs⟨a_i, z_j⟩ / (‖a_i‖ · ‖z_j‖), centred or not | two stages | CTRE; Atashgahi et al., 2022 |
| `Gradient` | abs⟨a_i, δ_j⟩, the size of ∂L/∂w_ji | tiles | RigL; Evci et al., 2020 |
| `OMP` | abs⟨a_i − ā_i, δ_j⟩ / ‖a_i − ā_i‖ | two stages | ours |
| `GuidedStochastic` | abs⟨a_i, δ_j⟩ | pairs drawn with p ∝ E abs a_i · E abs δ_j | GSE; Heddes et al., 2024 |
| `SensitivityGrow` | E abs a_i · E abs δ_j | ranks | ours |
| `PathWeightGrow` | in_i · out_j, weights of paths | ranks | ours |

No search makes a matrix of all pairs: `truesparse.evolution.search` has the two stages and the tiles,
`truesparse.kernels.products` the ranks.

*CTRE*, for units that fire together wire together, needs forward passes only:

| paper | here |
|---|---|
| similarity matrix Sim_l | never made: a search for its largest absent entries |
| ζ, fraction of weights replaced | ``drop_fraction`` of the schedule |
| A_(l−1), A_l | ``activations[layer]``, ``activations[layer + 1]``; raw features below, predictions on top |

*Centred* scores subtract each unit's mean first, which turns the cosine into the correlation: ReLU units are never
negative, so the plain cosine of any two of them is large and says little.

*OMP* is the selection rule of orthogonal matching pursuit (Pati, Rezaiifar & Krishnaprasad, 1993): the input that
explains most of what is left of the error. It is RigL's score with the inputs normalised as in CTRE, so that a large
input has no advantage.

No search returns pairs whose score is zero; random pairs take their places. A pair that was dropped in the same update
may be picked, unless ``regrow`` is False.

Where this differs from the authors' code: CTRE's makes the matrix of similarities and RigL's the dense gradient, of
fan_in × fan_out; ours never do. GSE's also has other distributions to draw from; this is the one that bounds the
gradient.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from truesparse.evolution.paths import path_weights
from truesparse.evolution.search import (
    SEARCHES,
    SideBySide,
    Vectors,
    largest_products,
    mean_magnitudes,
    sums_of_products,
)
from truesparse.kernels.products import top_absent_products
from truesparse.kernels.select import k_smallest
from truesparse.runtime.checks import check_count, check_number
from truesparse.runtime.plugins import plugin
from truesparse.topology.pattern import not_among


@plugin("grow", random={})
@dataclass(frozen=True)
class Random:
    """Absent pairs chosen uniformly at random (SET; Mocanu et al., 2018)."""

    needs: ClassVar[tuple[str, ...]] = ()

    def __call__(self, vacancies, *, rng):
        """Edges to grow, per layer."""
        return _edges([vacancy.sample(vacancy.n_grow, rng) for vacancy in vacancies], vacancies)


@plugin("grow", cosine={})
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
        _check_search(self)

    def __call__(self, vacancies, *, rng, activations):
        """Edges to grow, per layer."""
        both = Vectors(centred=self.centred, normalised=True)
        picks = largest_products(
            vacancies, activations(self.n_samples), first_output=1, inputs=both, outputs=both, rng=rng,
            search=self.search, width=self.width, candidates=self.candidates,
        )  # fmt: skip
        return _edges(picks, vacancies, self.regrow)


@plugin("grow", omp={})
@dataclass(frozen=True)
class OMP:
    """The absent pairs whose input explains most of the output's error: the rule of orthogonal matching pursuit.

    The score is |⟨δ_j, a_i − ā_i⟩| / ‖a_i − ā_i‖ over the samples. A method of this library.

    Parameters
    ----------
    n_samples : int or None
        Training samples to look at, drawn anew for each update; None for all of them.
    search, width, candidates, regrow
        As for `Cosine`.
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
        """Edges to grow, per layer."""
        stream = SideBySide(errors(self.n_samples))
        picks = largest_products(
            vacancies, stream, stream.first_error, inputs=Vectors(centred=True, normalised=True), outputs=Vectors(),
            rng=rng, search=self.search, width=self.width, candidates=self.candidates,
        )  # fmt: skip
        return _edges(picks, vacancies, self.regrow)


@plugin("grow", gradient={})
@dataclass(frozen=True)
class Gradient:
    """The absent pairs with the largest |∂L/∂w| (RigL; Evci et al., 2020).

    The gradient is made tile by tile, and only the best pairs so far are kept.

    Parameters
    ----------
    n_samples : int or None
        Training samples whose mean loss L is, drawn anew for each update; None for all of them. All their activations
        and errors are held in memory: n_samples × (features + twice the units). RigL takes one batch.
    regrow : bool
        As for `Cosine`.

    Notes
    -----
    The time grows with fan_in · fan_out · n_samples. There is no search in cells: these need inputs of one length,
    as `OMP` has.
    """

    n_samples: int | None = 100
    regrow: bool = True

    needs: ClassVar[tuple[str, ...]] = ("errors",)

    def __post_init__(self):
        check_count("n_samples", self.n_samples, none=True)

    def __call__(self, vacancies, *, rng, errors):
        """Edges to grow, per layer."""
        stream = SideBySide(errors(self.n_samples))
        picks = largest_products(
            vacancies, stream, stream.first_error, inputs=Vectors(), outputs=Vectors(), rng=rng, search="exact"
        )
        return _edges(picks, vacancies, self.regrow)


@plugin("grow", guided_stochastic={})
@dataclass(frozen=True)
class GuidedStochastic:
    """The largest |∂L/∂w| among absent pairs that are drawn at random (guided stochastic exploration, GSE).

    A pair is drawn with a probability in proportion to Σ|a_i| · Σ|δ_j|, which is never less than its gradient (Heddes
    et al., 2024).

    Parameters
    ----------
    candidates : float
        Pairs that are drawn, as a multiple of the layer's weights before pruning; those that are drawn twice or
        connected do not count again. Where the layer has no more pairs with a signal than that, all are taken.
    n_samples : int or None
        Training samples to look at, drawn anew for each update; None for all of them. The paper takes one batch.
    regrow : bool
        As for `Cosine`.

    Notes
    -----
    Time O(candidates · nnz · n_samples), memory O(candidates · nnz): nothing depends on fan_in · fan_out.
    """

    candidates: float = 1.0
    n_samples: int | None = 100
    regrow: bool = True

    needs: ClassVar[tuple[str, ...]] = ("errors",)

    def __post_init__(self):
        check_number("candidates", self.candidates, least=0, without=0)
        check_count("n_samples", self.n_samples, none=True)

    def __call__(self, vacancies, *, rng, errors):
        """Edges to grow, per layer."""
        stream = SideBySide(errors(self.n_samples))
        means = _mean_factors(stream, vacancies)
        drawn = []
        for vacancy, (of_outputs, of_inputs) in zip(vacancies, means, strict=True):
            if vacancy.within is not None:
                drawn.append(vacancy.candidates)  # few enough to score them all
                continue
            multiple = min(float(self.candidates), vacancy.before.n_pairs)
            n = max(vacancy.n_grow, round(multiple * vacancy.before.nnz))
            drawn.append(not_among(_draw_pairs(of_outputs, of_inputs, n, rng), vacancy.pattern.keys))
        pairs = [np.divmod(keys, vacancy.pattern.shape[1]) for keys, vacancy in zip(drawn, vacancies, strict=True)]
        layers = [vacancy.layer for vacancy in vacancies]
        gradients = sums_of_products(stream, layers, stream.first_error, pairs)
        picks = []
        for vacancy, keys, gradient in zip(vacancies, drawn, gradients, strict=True):
            n_usable = keys.size if vacancy.within is None else np.count_nonzero(gradient)  # those drawn have a signal
            picks.append(keys[k_smallest(-np.abs(gradient), min(vacancy.n_grow, n_usable))])
        return _edges(picks, vacancies, self.regrow)


@plugin("grow", sensitivity={})
@dataclass(frozen=True)
class SensitivityGrow:
    """The absent pairs with the largest E|a_i| · E|δ_j|: their sensitivity at weight one if the two were independent.

    Goes with `SensitivityPrune`. Ties are broken at random.

    Parameters
    ----------
    n_samples : int or None
        Training samples to look at, drawn anew for each update; None for all of them.
    regrow : bool
        As for `Cosine`.

    Notes
    -----
    O(units · n_samples + nnz log nnz).
    """

    n_samples: int | None = 1000
    regrow: bool = True

    needs: ClassVar[tuple[str, ...]] = ("errors",)

    def __post_init__(self):
        check_count("n_samples", self.n_samples, none=True)

    def __call__(self, vacancies, *, rng, errors):
        """Edges to grow, per layer."""
        factors = _mean_factors(SideBySide(errors(self.n_samples)), vacancies)
        return _edges(_largest_of_rank_one(vacancies, factors, rng), vacancies, self.regrow)


@plugin("grow", path_weight={})
@dataclass(frozen=True)
class PathWeightGrow:
    """The absent pairs that would open the paths with the largest weight, in_i · out_j (see `evolution.paths`).

    Goes with `PathWeightPrune`. Reads no data. Ties are broken at random: all features have in_i = 1.

    Parameters
    ----------
    regrow : bool
        As for `Cosine`.

    Notes
    -----
    O(nnz log nnz). The weights are those before pruning.
    """

    regrow: bool = True

    needs: ClassVar[tuple[str, ...]] = ("layers",)

    def __call__(self, vacancies, *, rng, layers):
        """Edges to grow, per layer."""
        into, out_of = path_weights(layers)
        factors = [(out_of[vacancy.layer + 1], into[vacancy.layer]) for vacancy in vacancies]
        return _edges(_largest_of_rank_one(vacancies, factors, rng), vacancies, self.regrow)


def _check_search(rule):
    if rule.search not in SEARCHES:
        raise ValueError(f"search={rule.search!r} must be 'auto', 'sketch', 'cells' or 'exact'.")
    check_count("n_samples", rule.n_samples, none=True)
    check_count("width", rule.width)
    check_count("candidates", rule.candidates)


def _edges(picks, vacancies, regrow=True):
    """Picked keys as pairs, without those just dropped if not `regrow`."""
    if not regrow:
        picks = [not_among(keys, vacancy.dropped_keys) for keys, vacancy in zip(picks, vacancies, strict=True)]
    return [np.divmod(keys, vacancy.pattern.shape[1]) for keys, vacancy in zip(picks, vacancies, strict=True)]


def _mean_factors(stream, vacancies):
    """E|δ| of the outputs and E|a| of the inputs, per layer."""
    layers = [vacancy.layer for vacancy in vacancies]
    means = mean_magnitudes(stream, {*layers, *(stream.first_error + layer for layer in layers)})
    return [(means[stream.first_error + layer], means[layer]) for layer in layers]


def _largest_of_rank_one(vacancies, factors, rng):
    """Keys of the absent pairs with the largest product of the output's and the input's factor, per layer."""
    return [
        top_absent_products(*pair, vacancy.pattern.indices, vacancy.pattern.indptr, vacancy.n_grow, rng)[0]
        if vacancy.within is None
        else _largest_candidates(vacancy, *pair, rng)
        for vacancy, pair in zip(vacancies, factors, strict=True)
    ]


def _largest_candidates(vacancy, of_outputs, of_inputs, rng):
    """Return the same among the pairs that a layer may connect."""
    keys = rng.permutation(vacancy.candidates)  # ties are broken at random
    rows, columns = np.divmod(keys, vacancy.pattern.shape[1])
    scores = of_outputs[rows] * of_inputs[columns]
    return keys[k_smallest(-scores, min(vacancy.n_grow, np.count_nonzero(scores)))]


def _draw_pairs(of_outputs, of_inputs, n, rng):
    """Keys of the pairs that occur in `n` draws, sorted; all pairs with a signal if there are no more of them."""
    outputs, inputs = np.flatnonzero(of_outputs), np.flatnonzero(of_inputs)
    if outputs.size * inputs.size <= n:  # also none, where a side is silent
        return (outputs[:, None] * of_inputs.size + inputs).reshape(-1)
    return np.unique(_draw(of_outputs, n, rng) * of_inputs.size + _draw(of_inputs, n, rng))


def _draw(weights, n, rng):
    """`n` units, each time with probability in proportion to the weights, which are not all zero."""
    possible = np.flatnonzero(weights)
    sums = np.cumsum(weights[possible])
    places = np.searchsorted(sums, rng.random(n) * sums[-1], side="right")
    return possible[np.minimum(places, possible.size - 1)]  # the product can round to the last sum
