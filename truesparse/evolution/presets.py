"""Methods by name.

`preset` gives a method with this library's settings; `truesparse.evolution.settings` has whole runs.

| name | prune | grow | source |
|---|---|---|---|
| ``static`` | – | – | Mocanu et al., 2018 |
| ``set`` | `SignedMagnitude` | `Random` | Mocanu et al., 2018 |
| ``cte`` | `Magnitude` | `Cosine` | Atashgahi et al., 2022 |
| ``ctre_sim`` | `Magnitude` | `Cosine`, with random pairs instead of those just dropped | Atashgahi et al., 2022 |
| ``ctre_seq`` | `Magnitude` | `Cosine` until training stalls, then `Random` | Atashgahi et al., 2022 |
| ``rigl`` | `Magnitude` | `Gradient` | Evci et al., 2020 |
| ``gse`` | `Magnitude` | `GuidedStochastic` | Heddes et al., 2024 |
| ``omp`` | `Magnitude` | `OMP` | ours |
| ``path_weight`` | `PathWeightPrune` | `PathWeightGrow` | ours, after the abstract of Naji et al., 2021 |
| ``sensitivity`` | `SensitivityPrune` | `SensitivityGrow` | ours, after the abstract of Naji et al., 2021 |
| ``snip`` | – | –, but the first topology is chosen by `truesparse.evolution.snip.SNIP` | Lee et al., 2019 |
| ``dense`` | – | –, every layer is full | |

``snip`` and ``dense`` are no ways to change a topology: their evolution is None, as that of ``static``. What makes them
is the first topology, which `FIRST_TOPOLOGIES` names; the estimators take it from there, not from ``topology_init``.
`method` adds a method of your own.
"""

from typing import Any

from truesparse.evolution.combine import AfterStall
from truesparse.evolution.evolve import Evolution
from truesparse.evolution.grow import (
    OMP,
    Cosine,
    Gradient,
    GuidedStochastic,
    PathWeightGrow,
    Random,
    SensitivityGrow,
)
from truesparse.evolution.prune import PathWeightPrune, SensitivityPrune, SignedMagnitude
from truesparse.evolution.schedule import CosineAnnealing
from truesparse.evolution.snip import SNIP
from truesparse.network.activations import AllReLU
from truesparse.network.initial_weights import FanIn
from truesparse.runtime.plugins import register_value, resolve

PRESETS: dict[str, Evolution | None] = {}
"""The evolution of every method by its name, with this library's settings; None where the topology never changes."""

FIRST_TOPOLOGIES: dict[str, str] = {}
"""The first topology of those methods that are made by it, whatever ``topology_init`` says."""

SETTINGS: dict[str, dict[str, Any]] = {}
"""Parameters of the estimators by which `recommended_settings` differ from one method to another."""


def method(
    name: str,
    evolution: Evolution | None,
    *,
    first_topology: str | None = None,
    settings: dict[str, Any] | None = None,
) -> None:
    """Register a method, so that ``evolution=name`` means it.

    Parameters
    ----------
    name : str
        That of a method of your own replaces it.
    evolution : Evolution or None
        How the topology changes; None if it never does.
    first_topology : {"balanced", "erdos_renyi", "snip", "full"}, optional
        The first topology, whatever ``topology_init`` says.
    settings : dict, optional
        Parameters of the estimators, for `truesparse.evolution.settings.recommended_settings`.

    Raises
    ------
    ValueError
        If this library has a method of that name.

    Examples
    --------
    >>> from truesparse import Evolution, SparseMLPClassifier
    >>> from truesparse.evolution import Mixed, method
    >>> method("half_random", Evolution(grow=Mixed()))
    >>> classifier = SparseMLPClassifier((50,), evolution="half_random")
    """
    if name in _OWN:
        raise ValueError(f"name={name!r} is a method of truesparse; choose one that is not among {sorted(_OWN)}.")
    register_value("method", name, evolution)
    PRESETS[name], SETTINGS[name] = evolution, settings or {}
    FIRST_TOPOLOGIES.pop(name, None)
    if first_topology is not None:
        FIRST_TOPOLOGIES[name] = first_topology


def preset(name: str) -> Evolution | None:
    """The evolution of a method, with this library's settings; None if its topology never changes.

    Parameters
    ----------
    name : str, one of `PRESETS`

    Raises
    ------
    ValueError
        If there is no such method.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from truesparse import preset
    >>> from truesparse.evolution import Constant
    >>> no_annealing = replace(preset("cte"), schedule=Constant(drop_fraction=0.2))
    """
    return resolve("method", name)


_OWN: frozenset[str] = frozenset()

# Without growth between similar units, ReLU passes nothing on through most units that have two inputs.
_STEEP = {"activation": AllReLU(0.6), "weight_init": FanIn(1.0)}
_SLANTED = {"activation": AllReLU(0.25)}

method("static", None, settings=_STEEP)
# Random newborns start best at zero, where they disturb nothing; similar ones at full size.
method("set", Evolution(prune=SignedMagnitude(), grow=Random(), grow_init="zeros"), settings=_STEEP)
method("cte", Evolution(grow=Cosine()))
method("ctre_sim", Evolution(grow=Cosine(regrow=False), schedule=CosineAnnealing(drop_fraction=0.5)))
method("ctre_seq", Evolution(grow=AfterStall(first=Cosine(), then=Random(), patience=40)))
# The gradient says where a weight should go; from zero, it goes there.
method("rigl", Evolution(grow=Gradient(), grow_init="zeros"), settings=_SLANTED)
method("gse", Evolution(grow=GuidedStochastic(), grow_init="zeros"), settings=_SLANTED)
method("omp", Evolution(grow=OMP(), grow_init="zeros"), settings=_SLANTED)
method(
    "path_weight",
    Evolution(prune=PathWeightPrune(), grow=PathWeightGrow(), grow_init="zeros"),
    settings=_SLANTED,
)
method(
    "sensitivity",
    Evolution(prune=SensitivityPrune(), grow=SensitivityGrow(), grow_init="zeros"),
    settings=_SLANTED,
)
# The paper's scores leave some of many classes, and most units, on no path.
method("snip", None, first_topology="snip", settings=_STEEP | {"topology_init": SNIP(centred=True, connected=True)})
# A dense network needs no small batches, and diverges at the sparse ones' learning rate.
method(
    "dense",
    None,
    first_topology="full",
    settings={"batch_size": 100, "learning_rate_init": 0.001, "weight_init": FanIn(1.0)},
)

_OWN = frozenset(PRESETS)
