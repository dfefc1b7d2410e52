"""Methods by name, with this library's settings; `truesparse.evolution.settings` has those of whole runs.

| name | prune | grow | source |
|---|---|---|---|
| ``static`` | – | – | Mocanu et al., 2018 |
| ``set`` | `SignedMagnitude` | `Random` | Mocanu et al., 2018 |
| ``cte`` | `Magnitude` | `Cosine` | Atashgahi et al., 2022 |
| ``ctre_sim`` | `Magnitude` | `Cosine`, but random pairs in place of those just dropped | Atashgahi et al., 2022 |
| ``ctre_seq`` | `Magnitude` | `Cosine` until training stalls, then `Random` | Atashgahi et al., 2022 |
| ``rigl`` | `Magnitude` | `Gradient` | Evci et al., 2020 |
| ``gse`` | `Magnitude` | `GuidedStochastic` | Heddes et al., 2024 |
| ``cht`` | `Magnitude` | `CHT` | Zhang et al., 2024 |
| ``chts`` | `SoftMagnitude` | `CHT`, drawn in proportion to its scores | Zhang et al., 2025 |
| ``omp`` | `Magnitude` | `OMP` | ours |
| ``path_weight`` | `PathWeightPrune` | `PathWeightGrow` | ours, after the abstract of Naji et al., 2021 |
| ``sensitivity`` | `SensitivityPrune` | `SensitivityGrow` | ours, after the abstract of Naji et al., 2021 |

SNIP and dense networks are first topologies: ``evolution="static"`` with ``topology_init="snip"`` or ``"full"``.
"""

from truesparse.evolution.cannistraci_hebb import CHT
from truesparse.evolution.combine import AfterStall
from truesparse.evolution.evolve import Evolution
from truesparse.evolution.grow import OMP, Cosine, Gradient, GuidedStochastic, PathWeightGrow, Random, SensitivityGrow
from truesparse.evolution.prune import PathWeightPrune, SensitivityPrune, SignedMagnitude, SoftMagnitude
from truesparse.evolution.schedule import CosineAnnealing
from truesparse.network.activations import Activation, AllReLU
from truesparse.network.initial_weights import FanIn, Initializer
from truesparse.runtime.plugins import register_value, resolve

PRESETS: dict[str, Evolution | None] = {}
"""Evolution of every method by name; None if the topology never changes."""

SUITED: dict[str, tuple[Activation, Initializer]] = {}
"""Activation and initial weights that suit each method."""

FIRST_TOPOLOGIES = {"snip": "snip", "dense": "full"}
"""``topology_init`` of the methods that are first topologies."""


def method(
    name: str,
    evolution: Evolution | None,
    *,
    activation: Activation | str = "relu",
    weight_init: Initializer | str = "fan_in",
) -> None:
    """Register a method, so that ``evolution=name`` means it.

    Parameters
    ----------
    name : str
        May be registered again, unless it is a method of this library.
    evolution : Evolution or None
        None if the topology never changes.
    activation, weight_init
        Used by the estimators where these parameters are None.

    Examples
    --------
    >>> from truesparse import Evolution, SparseMLPClassifier
    >>> from truesparse.evolution import Mixed, method
    >>> method("half_random", Evolution(grow=Mixed()), activation="all_relu")
    >>> classifier = SparseMLPClassifier((50,), evolution="half_random")
    """
    if name in _OWN:
        raise ValueError(f"name={name!r} is a method of truesparse; choose one that is not among {sorted(_OWN)}.")
    register_value("method", name, evolution)
    PRESETS[name] = evolution
    SUITED[name] = resolve("activation", activation), resolve("initializer", weight_init)


def preset(name: str) -> Evolution | None:
    """Return the evolution of a method of `PRESETS`; None if its topology never changes.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from truesparse import preset
    >>> from truesparse.evolution import Constant
    >>> no_annealing = replace(preset("cte"), schedule=Constant(drop_fraction=0.2))
    """
    if name in FIRST_TOPOLOGIES:
        raise ValueError(
            f"evolution={name!r} is a first topology, not an evolution: write evolution='static', "
            f"topology_init={FIRST_TOPOLOGIES[name]!r}."
        )
    return resolve("method", name)


_OWN: frozenset[str] = frozenset(FIRST_TOPOLOGIES)

# Without growth between similar units, ReLU passes nothing on through most units that have two inputs.
_STEEP, _WIDE = AllReLU(0.6), FanIn(1.0)

method("static", None, activation=_STEEP, weight_init=_WIDE)
# Grown weights start best at zero if they are random, and at full size if their units are similar.
method("set", Evolution(SignedMagnitude(), Random(), grow_init="zeros"), activation=_STEEP, weight_init=_WIDE)
method("cte", Evolution(grow=Cosine()))
method("ctre_sim", Evolution(grow=Cosine(regrow=False), schedule=CosineAnnealing(drop_fraction=0.5)))
method("ctre_seq", Evolution(grow=AfterStall(first=Cosine(), then=Random(), patience=40)))
# The gradient tells in which direction a weight should leave zero.
for _name, _evolution in {
    "rigl": Evolution(grow=Gradient(), grow_init="zeros"),
    "gse": Evolution(grow=GuidedStochastic(), grow_init="zeros"),
    "cht": Evolution(grow=CHT(), grow_init="zeros"),
    "chts": Evolution(SoftMagnitude(), CHT("ch2_l3n", soft=True), grow_init="zeros"),
    "omp": Evolution(grow=OMP(), grow_init="zeros"),
    "path_weight": Evolution(PathWeightPrune(), PathWeightGrow(), grow_init="zeros"),
    "sensitivity": Evolution(SensitivityPrune(), SensitivityGrow(), grow_init="zeros"),
}.items():
    method(_name, _evolution, activation=AllReLU(0.25))

_OWN = frozenset([*FIRST_TOPOLOGIES, *PRESETS])
