"""Models that are trained, saved and compared here; everything changes from one number to the next."""

import json
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from truesparse import Evolution, SparseMLPClassifier, SparseMLPRegressor, preset
from truesparse.estimators.storing import store
from truesparse.evolution import Constant, ImportancePruning

METHODS = ("cte", "set", "rigl", "gse", "omp", "snip", "dense", "ctre_seq", "path_weight", "sensitivity", "ctre_sim")


def settings_of(method, unit_pruning=None):
    """The parameters of a method by its name, which may also be that of a first topology."""
    first = {"snip": "snip", "dense": "full"}.get(method)
    settings = {"evolution": method} if first is None else {"evolution": "static", "topology_init": first}
    if unit_pruning is not None:
        evolution = preset(settings["evolution"]) or Evolution(schedule=Constant(0.0))
        settings["evolution"] = replace(evolution, unit_pruning=unit_pruning)
    return settings


def training_run(index):
    """The estimator and the data of a run; everything changes from one to the next."""
    rng = np.random.default_rng(index)
    X = rng.standard_normal((80, 40))
    scores = X @ rng.standard_normal((40, 3))
    X = csr_array(np.where(np.abs(X) > 1, X, 0)) if index % 3 == 1 else X
    classify = index % 4 != 3
    parameters = {
        "hidden_layer_sizes": (150, 100) if index % 2 else (120,),
        **settings_of(METHODS[index % len(METHODS)], ImportancePruning(every=2) if index % 5 == 2 else None),
        "epsilon": 8,
        "activation": ("all_relu", "srelu", "tanh")[index % 3],
        "solver": ("adam", "sgd")[index // 2 % 2],
        "learning_rate_init": 0.002,
        "dropout": 0.2,
        "update_every": 2,
        "max_iter": 16,
        "early_stopping": index % 4 != 2,
        "n_iter_no_change": 6,
        "dtype": ("float32", "float64")[index // 5 % 2],
        "random_state": index,
        "n_jobs": 1,
    }
    model = (SparseMLPClassifier if classify else SparseMLPRegressor)(**parameters)
    return model, X, np.array(["a", "b", "c"])[scores.argmax(axis=1)] if classify else scores[:, 0]


@cache
def two_models():
    """Two models of different sizes."""
    models = []
    for index in (0, 1):
        model, X, y = training_run(index)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            models.append(model.set_params(max_iter=2).fit(X, y))
    return models


def content(model):
    """All that a model is, but the seconds that its epochs took, in a form that can be compared."""
    metadata, arrays = store(model, training=True)
    arrays.pop("history.seconds", None)
    bytes_of = {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}
    return json.dumps(metadata | {"data": None}, sort_keys=True), bytes_of


def unfinished(folder):
    """Files that a save has begun and not ended."""
    return list(Path(folder).glob("*.unfinished"))
