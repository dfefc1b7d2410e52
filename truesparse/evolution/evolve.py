"""One update of the topology: prune, then grow as many connections in every layer.

    n_drop = ⌊drop_fraction · nnz⌋            for every layer that is not full
    prune picks n_drop stored weights, grow picks n_drop pairs among those absent after pruning

The number of weights never changes, unless the density decays (`truesparse.evolution.density_decay`). If nnz is to fall
to nnz′, then

    n_grow = ⌊drop_fraction · nnz′⌋,   n_drop = nnz − nnz′ + n_grow

If a grow rule finds fewer pairs, random absent pairs are grown for the rest. A
pair that is pruned and picked again in the same update keeps its weight and optimiser state. Besides the signals of
`truesparse.evolution.signals`, rules may read

| signal | is |
|---|---|
| ``layers`` | all layers of the network, read-only |
| ``paths`` | ``paths()``: weights of paths into inputs and out of outputs, see `truesparse.evolution.paths` |
| ``changing`` | indices of the layers that change in this update, whose weights prune rules are given |
| ``rng`` | a `numpy.random.Generator`, for prune rules; grow rules are given it without asking |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from truesparse._typing import IndexArray
from truesparse.evolution.checks import check_rule, checked_keys, checked_mask, one_per_layer, signals_for
from truesparse.evolution.density_decay import WeightCounts, check_decay
from truesparse.evolution.grow import Cosine
from truesparse.evolution.paths import path_weights
from truesparse.evolution.prune import Magnitude
from truesparse.evolution.rules import DensityDecay, Grow, Prune, Schedule, Vacancy, Within, pairs_allowed
from truesparse.evolution.schedule import CosineAnnealing
from truesparse.evolution.unit_removal import ImportancePruning
from truesparse.network.initial_weights import Initializer, draw
from truesparse.network.protocol import Layer
from truesparse.runtime.checks import LARGEST, is_number
from truesparse.runtime.plugins import plugin, resolve
from truesparse.topology import Rewiring
from truesparse.topology.pattern import Pattern, not_among

_EXAMPLES = {"prune": "Magnitude()", "grow": "Random()", "schedule": "Constant(drop_fraction=0.2)"}


@plugin("evolution")
@dataclass(frozen=True)
class Evolution:
    """Prune rule, grow rule and schedule: how the topology changes during training.

    Parameters
    ----------
    prune, grow, schedule : Prune, Grow and Schedule, or str
        Which weights are dropped, which pairs become connections, and when and how many.
    grow_init : "zeros", float or Initializer
        Values of grown weights: zero; drawn like the network's first weights, times this factor; or drawn by an
        initializer of their own (see `truesparse.network.initial_weights`).
    within : Within, optional
        Restricts growth to some pairs, such as those of a `Given` topology. Unless `density` makes room, they must be
        more than the first topology connects: otherwise nothing can be grown.
    unit_pruning : ImportancePruning, optional
        Removes unimportant hidden units, so that the network gets narrower and has fewer weights.
    density : DensityDecay, optional
        Lets a training begin with more weights than the estimator's `epsilon` or `density` give, and end with these,
        such as ``Cubic(start=4)``.

    Raises
    ------
    ValueError
        If a part is not what it must be, or if `unit_pruning` is combined with `within` or with `density`.

    Examples
    --------
    A rule of your own is a dataclass with ``needs`` and ``__call__``. This one grows random absent pairs.
    `truesparse.plugin` gives it a short name, and lets files hold it:

    >>> from dataclasses import dataclass
    >>> from typing import ClassVar
    >>> from truesparse import Evolution, SparseMLPClassifier, plugin
    >>> @plugin("grow", my_random={})
    ... @dataclass(frozen=True)
    ... class MyRandom:
    ...     needs: ClassVar = ()
    ...     def __call__(self, vacancies, *, rng):
    ...         return [vacancy.pattern.sample_absent(vacancy.n_grow, rng) for vacancy in vacancies]
    >>> classifier = SparseMLPClassifier((50,), evolution=Evolution(grow="my_random"), max_iter=10)
    """

    prune: Prune = field(default_factory=Magnitude)
    grow: Grow = field(default_factory=Cosine)
    schedule: Schedule = field(default_factory=CosineAnnealing)
    grow_init: float | str | Initializer = 1.0
    within: Within | None = None
    unit_pruning: ImportancePruning | None = None
    density: DensityDecay | None = None

    def __post_init__(self):
        grow_init = self.grow_init
        has_bounds = hasattr(grow_init, "bounds") and not isinstance(grow_init, type)
        if not (grow_init == "zeros" or is_number(grow_init, least=0) or has_bounds):
            raise ValueError(
                f"grow_init={grow_init!r} must be 'zeros', a number in [0, {LARGEST:.3g}], or an initializer."
            )
        for name in ("prune", "grow", "schedule"):
            object.__setattr__(self, name, resolve(name, getattr(self, name)))  # so that a short name is enough
            check_rule(name, getattr(self, name), _EXAMPLES[name])
        if self.within is not None and (isinstance(self.within, type) or not hasattr(self.within, "allowed")):
            raise ValueError(f"within={self.within!r} must have a method 'allowed', as truesparse.evolution.Given has.")
        if self.unit_pruning is not None and not isinstance(self.unit_pruning, ImportancePruning):
            raise ValueError(f"unit_pruning={self.unit_pruning!r} must be an ImportancePruning or None.")
        if self.unit_pruning is not None and self.within is not None:
            raise ValueError("unit_pruning and within cannot be combined: within has the pairs of all units.")
        if self.density is not None:
            check_decay(self.density)
            if self.unit_pruning is not None:
                raise ValueError("unit_pruning and density cannot be combined: both say how many weights there are.")

    @property
    def replaces(self) -> bool:
        """Whether the schedule ever replaces connections, as far as can be seen from its drop fraction."""
        return getattr(self.schedule, "drop_fraction", 1) != 0


def due_fraction(schedule: Schedule, step: int, epoch_step: int, total_steps: int) -> float:
    """Return the share of weights that a schedule replaces; raise a ValueError if it is no number in [0, 1]."""
    fraction = schedule(step, epoch_step, total_steps)
    if not (isinstance(fraction, Real) and 0 <= fraction <= 1):
        raise ValueError(f"{schedule!r} returned {fraction!r} for step {step}; it must return a number in [0, 1].")
    return float(fraction)


class Due(NamedTuple):
    """What an update has to do: replace a share of the weights, after `counts` of each layer are left if given."""

    drop_fraction: float
    counts: list[int] | None = None


def due_update(
    evolution: Evolution | None, counts: WeightCounts | None, layers: Sequence[Layer], *place: int
) -> Due | None:
    """Return the update before a step, None if none is due.

    `place` is the step, the step within its epoch, and the number of planned steps; `counts` are the numbers of weights
    if the density decays.
    """
    if evolution is None:
        return None
    fraction = due_fraction(evolution.schedule, *place)
    if counts is None:
        return Due(fraction) if fraction else None
    left = counts.due(layers, getattr(evolution.schedule, "update_every", "auto"), *place)
    if fraction and left is None:
        left = counts.at(layers, place[0], place[2])
    return None if left is None else Due(fraction, left)


def evolve(
    layers: Sequence[Layer],
    evolution: Evolution,
    drop_fraction: float,
    rng: np.random.Generator,
    signals: Mapping[str, Any],
    counts: Sequence[int] | None = None,
) -> list[Rewiring | None]:
    """Choose the next topology; the caller applies it.

    `counts` are the numbers of weights that the layers will have, those that they have by default; none can be larger.
    `signals` are those besides ``layers`` and ``changing``, by name. Return one Rewiring per layer, or None if it is
    full or too small to change. Raise a ValueError if a rule needs an unknown signal, or returns masks or edges that
    are not allowed.
    """
    sizes = [layer.nnz for layer in layers]
    left = sizes if counts is None else counts
    n_grow = {i: int(drop_fraction * n) for i, n in enumerate(left) if layers[i].can_change or n < sizes[i]}
    within = evolution.within if drop_fraction else None  # to make its pairs takes long, and nothing grows
    allowed = {i: pairs_allowed(within, i, layers[i].shape) for i in n_grow}
    for i, pairs in allowed.items():
        if pairs is not None:
            n_grow[i] = min(n_grow[i], _n_vacant(pairs, layers[i].pattern, surplus=sizes[i] - left[i]))
    n_drop = {i: sizes[i] - left[i] + n for i, n in n_grow.items()}
    changing = [i for i, n in n_drop.items() if n > 0]
    rewirings: list[Rewiring | None] = [None] * len(layers)
    if not changing:
        return rewirings
    signals = {"paths": partial(path_weights, layers), **signals, "layers": list(layers), "changing": changing}
    prune, grow = evolution.prune, evolution.grow
    weights = [layers[i].weight for i in changing]
    for weight in weights:  # read-only, so that a rule cannot change the network
        weight.data = weight.data.view()
        weight.data.flags.writeable = False
    masks = prune(weights, [n_drop[i] for i in changing], **signals_for(prune, {**signals, "rng": rng}))
    vacancies = [
        Vacancy(i, layers[i].pattern, checked_mask(prune, mask, sizes[i], n_drop[i]), n_grow[i], allowed[i])
        for i, mask in zip(changing, one_per_layer(prune, masks, len(changing)), strict=True)
    ]
    del masks, weights, weight
    nothing = np.empty(0, dtype=np.int64)
    for vacancy in vacancies:
        if vacancy.n_grow == 0:  # grow rules are not asked about it
            rewirings[vacancy.layer] = Rewiring.replace(vacancy.before, vacancy.dropped, nothing)
    vacancies = [vacancy for vacancy in vacancies if vacancy.n_grow]
    if not vacancies:
        return rewirings
    edges = one_per_layer(grow, grow(vacancies, rng=rng, **signals_for(grow, signals)), len(vacancies))
    while vacancies:  # each is freed before the next one
        vacancy = vacancies.pop(0)
        keys = filled(vacancy, checked_keys(grow, edges.pop(0), vacancy), rng)
        rewirings[vacancy.layer] = Rewiring.replace(vacancy.before, vacancy.dropped, keys)
    return rewirings


def can_grow(within: Within | None, layers: Sequence[Layer]) -> bool:
    """Return whether a layer that can change has an absent pair that may be connected."""
    changing = [(index, layer) for index, layer in enumerate(layers) if layer.can_change]
    allowed = [(layer.pattern, pairs_allowed(within, index, layer.shape)) for index, layer in changing]
    return any(pairs is None or _n_vacant(pairs, pattern, surplus=0) for pattern, pairs in allowed)


def _n_vacant(pairs: Pattern, pattern: Pattern, surplus: int) -> int:
    """Return how many of the allowed pairs are surely absent once `surplus` connections of a layer are dropped."""
    n_absent = not_among(pairs.keys, pattern.keys).size
    n_not_allowed = pattern.nnz - (pairs.nnz - n_absent)  # connections, which a prune rule may drop first
    return n_absent + max(0, surplus - n_not_allowed)


def initialise_grown(
    layers: Sequence[Layer],
    rewirings: Sequence[Rewiring | None],
    grow_init: float | str | Initializer,
    first: Initializer,
    rng: np.random.Generator,
) -> None:
    """Give grown weights, which are zero so far, their first values; `first` is the initializer of the network's."""
    if grow_init == "zeros":
        return
    scales = isinstance(grow_init, Real)  # a factor of the first weights
    initializer: Any = first if scales else grow_init
    factor: Any = grow_init if scales else 1.0
    for layer, rewiring in zip(layers, rewirings, strict=True):
        if rewiring is not None:
            layer.data[rewiring.grown] = factor * draw(initializer, layer.pattern, rewiring.grown, rng)


def filled(vacancy: Vacancy, keys: IndexArray, rng: np.random.Generator) -> IndexArray:
    """Return ``n_grow`` keys: the picked ones (sorted, at most ``n_grow``) that are allowed, and random ones."""
    if vacancy.within is not None:
        keys = keys[np.isin(keys, vacancy.candidates)]
    n_missing = vacancy.n_grow - keys.size
    return np.concatenate([keys, vacancy.sample(n_missing, rng, besides=keys)]) if n_missing else keys
