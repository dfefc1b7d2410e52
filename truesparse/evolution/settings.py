"""Settings of methods, as parameters of the estimators: published ones, and those that do best in this library."""

from dataclasses import replace
from typing import Any

import numpy as np

from truesparse.evolution.combine import AfterStall
from truesparse.evolution.evolve import Evolution
from truesparse.evolution.first import FirstTopology, Full
from truesparse.evolution.grow import Cosine, Random
from truesparse.evolution.presets import FIRST_TOPOLOGIES, SUITED, preset
from truesparse.evolution.schedule import Constant, CosineAnnealing
from truesparse.evolution.snip import SNIP
from truesparse.network.activations import PiecewiseLinear
from truesparse.network.initial_weights import Dense, FanIn

_PAPER_COSINE = Cosine(centred=False, n_samples=None)
_EVERY_EPOCH: dict[str, Any] = {"schedule": Constant(drop_fraction=0.2, update_every="epoch"), "grow_init": Dense()}
_ANNEALED: dict[str, Any] = {
    "schedule": CosineAnnealing(drop_fraction=0.2, update_every="epoch", end_step=0.75),
    "grow_init": "zeros",
}
_THREE_TENTHS: dict[str, Any] = {
    "schedule": Constant(drop_fraction=0.3, update_every="epoch"),
    "grow_init": "zeros",
}

# Changes of the papers to this library's own evolution.
_PAPER: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("set", "path_weight", "sensitivity"), _EVERY_EPOCH),
    "cte": _EVERY_EPOCH | {"grow": _PAPER_COSINE},
    "ctre_sim": _EVERY_EPOCH | {"grow": replace(_PAPER_COSINE, regrow=False)},
    "ctre_seq": _EVERY_EPOCH | {"grow": AfterStall(first=_PAPER_COSINE, then=Random(), patience=40)},
    **dict.fromkeys(("rigl", "gse"), _ANNEALED),
    **dict.fromkeys(("cht", "chts"), _THREE_TENTHS),
}

_PAPER_TOPOLOGIES = {"snip": SNIP(n_samples=100, per_layer=False), "dense": "full"}


def paper_settings(name: str) -> dict[str, Any]:
    """Return the published settings of a method, as parameters of the estimators.

    They are those of the experiments of Atashgahi et al. (2022), sections 4.1 and 4.2: three hidden layers of 1000 ReLU
    units; first weights scaled for a dense network, ±√(6 / (n_in + n_out)), grown ones ±√(6 / n_in); batches of 100;
    SGD with learning rate 0.01 and Nesterov momentum 0.9; L2 1e-4; a fifth of the weights replaced after every epoch; a
    tenth of the training data for validation, and the best epoch's network in the end. ``epsilon`` (1 to 13 in the
    paper; ``dense`` uses none) and ``max_iter`` (500) are left to the caller.

    Exceptions: ``rigl`` and ``gse`` anneal the share along a cosine to 0 at three quarters of the training and start
    grown weights at zero. ``snip`` scores all layers together by one batch of 100, as Lee et al. (2019) do.
    ``cht`` and ``chts`` replace three tenths after every epoch and start grown weights at zero.
    Zhang et al. (2025) also train with batches of 32, a learning rate that falls linearly from 0.025, and L2 5e-4.
    ``path_weight`` and ``sensitivity``, reconstructed from an abstract, have no published settings and get the above.

    Parameters
    ----------
    name : str
        A method of `PRESETS` but ``omp``, which is this library's own, or ``"snip"`` or ``"dense"``.

    Examples
    --------
    >>> from truesparse import SparseMLPClassifier, paper_settings
    >>> classifier = SparseMLPClassifier(**paper_settings("cte"), epsilon=1, max_iter=150)
    >>> smaller = SparseMLPClassifier(**paper_settings("cte") | {"hidden_layer_sizes": (100,)}, epsilon=1)
    """
    evolution = None if name in FIRST_TOPOLOGIES else preset(name)
    if evolution is not None:
        if name not in _PAPER:
            raise ValueError(
                f"name={name!r} is a method of this library and has no published settings; there are some for "
                f"{sorted([*_PAPER, 'static'])}."
            )
        evolution = replace(evolution, **_PAPER[name])
    return {
        "hidden_layer_sizes": (1000, 1000, 1000),
        "evolution": "static" if evolution is None else evolution,
        "weight_init": "glorot",
        "topology_init": _PAPER_TOPOLOGIES.get(name, "erdos_renyi"),
        "activation": "relu",
        "solver": "sgd",  # with Nesterov momentum 0.9
        "alpha": 1e-4,
        "batch_size": 100,
        "learning_rate": "constant",
        "learning_rate_init": 0.01,
        "dropout": 0.0,
        "early_stopping": True,
        "scoring": "accuracy",
        "validation_fraction": 0.1,
        "n_iter_no_change": np.inf,
    }


# Best for `cte` on validation parts of the small data sets. Other methods share them, except for `suited_settings`.
# benchmarks/study/README.md has the trials.
_RECOMMENDED = {
    "hidden_layer_sizes": (1000, 1000, 1000),
    "topology_init": "balanced",  # at two connections a unit, random degrees leave every seventh unit without any
    "solver": "adam",  # weights with few inputs have gradients of very different sizes
    "batch_size": 32,  # 100 leaves small data with too few steps
    "learning_rate": "cosine",
    "learning_rate_init": 0.006,  # twice the best one without annealing
    "dropout": 0.1,  # 0.3 does as well on small data; none costs a point
    "alpha": 1e-4,  # 1e-3 drives whole networks to zero; 1e-5 costs a point
}

# A dense network needs no small batches, and diverges at the learning rate of sparse ones.
_RECOMMENDED_DENSE = {"batch_size": 100, "learning_rate_init": 0.001}


def suited_settings(evolution: str | Evolution | None, topology: FirstTopology | None = None) -> dict[str, Any]:
    """Return the ``activation`` and the ``weight_init`` that suit a method.

    Parameters
    ----------
    evolution : str, Evolution or None
        A method of `PRESETS`. An `Evolution` gets the settings of ``"cte"``, None those of ``"static"``.
    topology : FirstTopology, optional
        `Full` has settings of its own.

    Examples
    --------
    >>> from truesparse.evolution import suited_settings
    >>> suited_settings("set")
    {'activation': AllReLU(slope=0.6), 'weight_init': FanIn(gain=1.0)}
    """
    if isinstance(topology, Full):
        return {"activation": PiecewiseLinear(), "weight_init": FanIn(1.0)}
    name = "static" if evolution is None else "cte" if isinstance(evolution, Evolution) else evolution
    preset(name)  # refuses what is no method
    activation, weight_init = SUITED[name]
    return {"activation": activation, "weight_init": weight_init}


def recommended_settings(name: str) -> dict[str, Any]:
    """Return the settings with which a method did best in this library's study, as parameters of the estimators.

    Classifiers with ``evolution=name`` use them by default, except for the first topologies ``"snip"`` and ``"dense"``.
    `name` is one of these two or a method of `PRESETS`. The study was one of classification; for regression, leave
    ``dropout`` out. ``epsilon`` and ``max_iter`` are left to the caller.

    Examples
    --------
    >>> from truesparse import SparseMLPClassifier, recommended_settings
    >>> classifier = SparseMLPClassifier(**recommended_settings("set"), epsilon=5)
    """
    if name not in FIRST_TOPOLOGIES:
        preset(name)
        return {"evolution": name} | _RECOMMENDED | suited_settings(name)
    first = {"evolution": "static", "topology_init": FIRST_TOPOLOGIES[name]}
    if name == "dense":
        return _RECOMMENDED | first | suited_settings("static", Full()) | _RECOMMENDED_DENSE
    return _RECOMMENDED | first | suited_settings("static")
