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

PRESETS: dict[str, Evolution | None] = {
    "static": None,
    # Random newborns start best at zero, where they disturb nothing; similar ones at full size.
    "set": Evolution(prune=SignedMagnitude(), grow=Random(), grow_init="zeros"),
    "cte": Evolution(grow=Cosine()),
    "ctre_sim": Evolution(grow=Cosine(regrow=False), schedule=CosineAnnealing(drop_fraction=0.5)),
    "ctre_seq": Evolution(grow=AfterStall(first=Cosine(), then=Random(), patience=40)),
    # The gradient says where a weight should go; from zero, it goes there.
    "rigl": Evolution(grow=Gradient(), grow_init="zeros"),
    "gse": Evolution(grow=GuidedStochastic(), grow_init="zeros"),
    "omp": Evolution(grow=OMP(), grow_init="zeros"),
    "path_weight": Evolution(prune=PathWeightPrune(), grow=PathWeightGrow(), grow_init="zeros"),
    "sensitivity": Evolution(prune=SensitivityPrune(), grow=SensitivityGrow(), grow_init="zeros"),
}
"""The evolution of every method by its name, with this library's settings; None where the topology never changes."""

_FIRST_TOPOLOGIES = {"snip": "snip", "dense": "full"}  # methods that are no evolution


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
    if name in _FIRST_TOPOLOGIES:
        raise ValueError(
            f"evolution={name!r} is a first topology, not an evolution: write evolution='static', "
            f"topology_init={_FIRST_TOPOLOGIES[name]!r}."
        )
    if name not in PRESETS:
        raise ValueError(f"evolution={name!r} is not a preset; there are {sorted(PRESETS)}.")
    return PRESETS[name]
