"""Methods by name.

`preset` gives a method with this library's settings, `paper_settings` the whole run as it was published.

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
| ``snip`` | – | –, but the first topology is chosen by `truesparse.topology.snip.SNIP` | Lee et al., 2019 |
| ``dense`` | – | –, every layer is full | |

``snip`` and ``dense`` are no ways to change a topology: their evolution is None, as that of ``static``. What makes them
is the first topology, which `FIRST_TOPOLOGIES` names; the estimators take it from there, not from ``topology_init``.
"""

from dataclasses import replace

import numpy as np

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
from truesparse.evolution.schedule import Constant, CosineAnnealing
from truesparse.initializers import Dense
from truesparse.topology.snip import SNIP

PRESETS: dict[str, Evolution | None] = {
    "static": None,
    # Random newborns start best at zero, where they disturb nothing; similar ones at full size.
    "set": Evolution(prune=SignedMagnitude(), grow=Random(), grow_init="zeros"),
    "cte": Evolution(grow=Cosine()),
    "ctre_sim": Evolution(grow=Cosine(regrow=False), schedule=CosineAnnealing(drop_fraction=0.5)),
    "ctre_seq": Evolution(grow=AfterStall(first=Cosine(), then=Random(), patience=40)),
    "snip": None,
    "dense": None,
    # The gradient says where a weight should go; from zero, it goes there.
    "rigl": Evolution(grow=Gradient(), grow_init="zeros"),
    "gse": Evolution(grow=GuidedStochastic(), grow_init="zeros"),
    "omp": Evolution(grow=OMP(), grow_init="zeros"),
    "path_weight": Evolution(prune=PathWeightPrune(), grow=PathWeightGrow(), grow_init="zeros"),
    "sensitivity": Evolution(prune=SensitivityPrune(), grow=SensitivityGrow(), grow_init="zeros"),
}

FIRST_TOPOLOGIES = {"snip": "snip", "dense": "full"}

_PAPER_COSINE = Cosine(centred=False, n_samples=None)
_EVERY_EPOCH = {"schedule": Constant(drop_fraction=0.2, update_every="epoch"), "grow_init": Dense()}
_ANNEALED = {
    "schedule": CosineAnnealing(drop_fraction=0.2, update_every="epoch", end_step=0.75),
    "grow_init": "zeros",
}

# What the papers change of this library's own evolution.
_PAPER = {
    "set": _EVERY_EPOCH,
    "cte": _EVERY_EPOCH | {"grow": _PAPER_COSINE},
    "ctre_sim": _EVERY_EPOCH | {"grow": replace(_PAPER_COSINE, regrow=False)},
    "ctre_seq": _EVERY_EPOCH | {"grow": AfterStall(first=_PAPER_COSINE, then=Random(), patience=40)},
    "rigl": _ANNEALED,
    "gse": _ANNEALED,
    "path_weight": _EVERY_EPOCH,
    "sensitivity": _EVERY_EPOCH,
}


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
    if name not in PRESETS:
        raise ValueError(f"evolution={name!r} is not a preset; there are {sorted(PRESETS)}.")
    return PRESETS[name]


def paper_settings(name: str) -> dict:
    """The published settings of a method, as parameters of the estimators.

    Those of the experiments of Atashgahi et al. (2022), sections 4.1 and 4.2:
    three hidden layers of 1000 ReLU units; first weights scaled for a dense network, ±√(6 / (n_in + n_out)), grown ones
    ±√(6 / n_in); batches of 100; SGD with learning rate 0.01 and Nesterov momentum 0.9; L2 1e-4; a fifth of the weights
    replaced after every epoch; a tenth of the training data for validation, and the best epoch's network in the end.
    ``epsilon`` (1 to 13 in the paper) and ``max_iter`` (500) are left to the caller. ``snip`` judges all layers
    together by one batch of 100, as Lee et al. (2019) do; ``dense`` uses no ``epsilon``.

    ``rigl`` and ``gse`` have their own schedule in this setting: the share that is replaced is annealed to 0 at three
    quarters of the training, along a cosine, and grown weights start at zero. ``path_weight`` and ``sensitivity`` are a
    reconstruction from an abstract (Naji, Abtahi & Marvasti, 2021), so there are no settings of their own to give; they
    get those of the experiments above. ``omp`` is a method of this library, and has no published settings.

    Parameters
    ----------
    name : str, one of `PRESETS` but ``omp``

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If there is no such method, or if it has not been published.

    Examples
    --------
    >>> from truesparse import SparseMLPClassifier, paper_settings
    >>> classifier = SparseMLPClassifier(**paper_settings("cte"), epsilon=1, max_iter=150)
    >>> smaller = SparseMLPClassifier(**paper_settings("cte") | {"hidden_layer_sizes": (100,)}, epsilon=1)
    """
    evolution = preset(name)
    if evolution is not None:
        if name not in _PAPER:
            raise ValueError(
                f"name={name!r} is a method of this library and has no published settings; there are some for "
                f"{sorted([*_PAPER, 'static'])}."
            )
        evolution = replace(evolution, **_PAPER[name])
    return {
        "hidden_layer_sizes": (1000, 1000, 1000),
        "evolution": name if name in FIRST_TOPOLOGIES else evolution,
        "weight_init": "glorot",
        "topology_init": SNIP(n_samples=100, per_layer=False) if name == "snip" else "erdos_renyi",
        "activation": "relu",
        "solver": "sgd",
        "alpha": 1e-4,
        "batch_size": 100,
        "learning_rate": "constant",
        "learning_rate_init": 0.01,
        "momentum": 0.9,
        "nesterovs_momentum": True,
        "early_stopping": True,
        "validation_fraction": 0.1,
        "n_iter_no_change": np.inf,
    }
