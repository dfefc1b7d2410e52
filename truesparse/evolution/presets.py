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


Two methods change no topology, but are known by their first one: ``topology_init="snip"`` and ``topology_init="full"``,
a dense network, go with ``evolution="static"``. `truesparse.evolution.settings` has settings for them too.
`method` adds a method of your own.
"""

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
from truesparse.network.activations import Activation, AllReLU
from truesparse.network.initial_weights import FanIn, Initializer
from truesparse.runtime.plugins import register_value, resolve

PRESETS: dict[str, Evolution | None] = {}
"""The evolution of every method by its name, with this library's settings; None where the topology never changes."""

SUITED: dict[str, tuple[Activation, Initializer]] = {}
"""The activation and the initial weights that suit every method."""

FIRST_TOPOLOGIES = {"snip": "snip", "dense": "full"}
"""Methods that are first topologies, and what ``topology_init`` calls them."""


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
        A method of your own may be registered again.
    evolution : Evolution or None
        How the topology changes; None if it never does.
    activation, weight_init
        What suits the method: the estimators use it where these parameters are None.

    Raises
    ------
    ValueError
        If this library has a method of that name.

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
    """Return the evolution of a method, with this library's settings; None if its topology never changes.

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
    if name in FIRST_TOPOLOGIES:
        raise ValueError(
            f"evolution={name!r} is a first topology, not an evolution: write evolution='static', "
            f"topology_init={FIRST_TOPOLOGIES[name]!r}."
        )
    return resolve("method", name)


_OWN: frozenset[str] = frozenset(FIRST_TOPOLOGIES)

# Without growth between similar units, ReLU passes nothing on through most units that have two inputs.
_STEEP = {"activation": AllReLU(0.6), "weight_init": FanIn(1.0)}
_SLANTED = {"activation": AllReLU(0.25)}

method("static", None, **_STEEP)
# Random newborns start best at zero, where they disturb nothing; similar ones at full size.
method("set", Evolution(prune=SignedMagnitude(), grow=Random(), grow_init="zeros"), **_STEEP)
method("cte", Evolution(grow=Cosine()))
method("ctre_sim", Evolution(grow=Cosine(regrow=False), schedule=CosineAnnealing(drop_fraction=0.5)))
method("ctre_seq", Evolution(grow=AfterStall(first=Cosine(), then=Random(), patience=40)))
# The gradient says where a weight should go; from zero, it goes there.
for _name, _rules in {
    "rigl": {"grow": Gradient()},
    "gse": {"grow": GuidedStochastic()},
    "omp": {"grow": OMP()},
    "path_weight": {"prune": PathWeightPrune(), "grow": PathWeightGrow()},
    "sensitivity": {"prune": SensitivityPrune(), "grow": SensitivityGrow()},
}.items():
    method(_name, Evolution(**_rules, grow_init="zeros"), **_SLANTED)

_OWN = frozenset([*FIRST_TOPOLOGIES, *PRESETS])
