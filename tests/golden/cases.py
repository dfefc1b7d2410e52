"""Table of the golden fits: small trainings that cover every method and every setting.

``CASES`` maps a name to a function of `n_jobs`, which trains and returns a dict of arrays:

| array | content |
|---|---|
| ``predictions`` | probabilities, outputs or scores of features |
| ``topology`` | CRC-32 of the connections of each layer, (n_layers,) int64 |
| ``weights`` | sum of the weights, weighted sum of the weights, and both of the biases, (n_layers, 4) float64 |

Arguments of the estimators are spelled out here only. Those of a kind that several cases share are made by the helper
functions `method`, `evolving` and `sgd`.
"""

import math
import tempfile
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from truesparse import Evolution, SparseFeatureSelector, SparseMLPClassifier, SparseMLPRegressor, paper_settings, preset
from truesparse.callbacks import Checkpoint
from truesparse.evolution import (
    MEST,
    OMP,
    PRESETS,
    SNIP,
    AfterStall,
    Confirmed,
    Constant,
    Cosine,
    Cubic,
    Gradient,
    ImportancePruning,
    Linear,
    Magnitude,
    Mixed,
    Random,
    Sigmoid,
    neuron_evolution,
)
from truesparse.network.initial_weights import Dense
from truesparse.runtime.plugins import names
from truesparse.training import SGD
from truesparse.training.lr_schedules import Step

# Data. All values and sums are multiples of 1/8, so that no machine rounds them.


def make_data(n_samples=60, n_features=20):
    """Features, three classes, three labels and two outputs; the frozen RandomState gives the same everywhere."""
    rng = np.random.RandomState(0)
    X = rng.randint(-8, 9, (n_samples, n_features)) * (rng.random_sample((n_samples, n_features)) < 0.6) / 8
    sums = X @ rng.randint(-2, 3, (n_features, 3))
    return X, {"classes": sums.argmax(axis=1), "labels": (sums > 0).astype(int), "outputs": sums[:, :2]}


X, TARGETS = make_data()
CLASSES, LABELS, OUTPUTS = TARGETS.values()
NUMBERS = OUTPUTS[:, 0]
SAMPLE_WEIGHT = np.arange(60) % 4 / 2  # some are 0


# Arguments of the estimators.


def method(name):
    """A method by its name, with the density of its first topology."""
    if name == "dense":
        return {"evolution": "static", "epsilon": None, "topology_init": "full"}
    if name == "snip":
        return {"evolution": "static", "epsilon": 3.0, "topology_init": SNIP()}
    return {"evolution": name, "epsilon": 3.0, "topology_init": "balanced"}


def evolving(name, **fields):
    """A method with other first values of grown weights, or with the removal of units."""
    if name == "static":
        return rules(schedule=Constant(0.0), **fields)
    return {"evolution": replace(preset(name), **fields)}


def rules(**fields):
    """An evolution by its rules, with updates as the schedule says if there is one."""
    schedule = {"drop_fraction": None, "update_every": None} if "schedule" in fields else {}
    return {"evolution": Evolution(**fields)} | schedule


def sgd(momentum, *, nesterov):
    """Stochastic gradient descent."""
    return {"solver": SGD(momentum, nesterov), "learning_rate_init": 0.05}


EXPLICIT = method("cte") | {
    "hidden_layer_sizes": (30, 20),
    "drop_fraction": 0.3,
    "update_every": 2,
    "weight_init": "fan_in",
    "activation": "relu",
    "solver": "adam",
    "alpha": 1e-4,
    "batch_size": 16,
    "learning_rate": "cosine",
    "learning_rate_init": 0.01,
    "batch_transform": None,
    "max_iter": 6,
    "shuffle": True,
    "random_state": 0,
    "tol": 1e-4,
    "early_stopping": False,
    "scoring": None,
    "validation_fraction": 0.2,
    "n_iter_no_change": 20,
    "dtype": "float32",
}
CLASSIFIER = {"dropout": 0.1, "class_weight": None}
REGRESSOR = {"dropout": 0.0, "loss": "squared_error"}
DEFAULTS = {
    "hidden_layer_sizes": (30, 20),
    "max_iter": 6,
    "update_every": 2,
    "random_state": 0,
    "activation": "relu",
    "weight_init": "fan_in",
}


def classifier(**changes):
    """A classifier with all settings explicit."""
    return SparseMLPClassifier(**(EXPLICIT | CLASSIFIER | changes))


def regressor(**changes):
    """A regressor, likewise."""
    return SparseMLPRegressor(**(EXPLICIT | REGRESSOR | changes))


# What is recorded.


def results(model, predictions):
    """The arrays of a fitted estimator."""
    topology, weights = [], []
    for coef, intercept in zip(model.coefs_, model.intercepts_, strict=True):
        structure = np.concatenate([coef.indices, coef.indptr]).astype(np.int64)
        topology.append(zlib.crc32(structure.tobytes()))
        weights.append([*_sums(coef.data), *_sums(intercept)])
    return {"predictions": predictions, "topology": np.array(topology), "weights": np.array(weights)}


def _sums(numbers):
    """Σ x_i and Σ i · x_i, exactly rounded, so that they do not depend on the order of summation."""
    numbers = numbers.astype(np.float64)
    return math.fsum(numbers), math.fsum(numbers * np.arange(1, numbers.size + 1))


def predicted(model, X):
    """The arrays of a fitted classifier or regressor."""
    return results(model, getattr(model, "predict_proba", model.predict)(X))


# Ways to train. Each takes an unfitted estimator and the data.


def fit(model, y, n_jobs, *, X=X, **others):
    return predicted(model.set_params(n_jobs=n_jobs).fit(X, y, **others), X)


def fit_in_parts(model, y, n_jobs):
    model.set_params(n_jobs=n_jobs)
    classes = {"classes": np.unique(y)} if isinstance(model, SparseMLPClassifier) else {}
    for part in np.split(np.arange(60), 4):
        model.partial_fit(X[part], y[part], **classes)
    return predicted(model, X)


def fit_twice(model, y, n_jobs):
    return fit(model.set_params(warm_start=True).fit(X, y), y, n_jobs)


def resume(make, y, n_jobs):
    """Train 7 epochs, then the last 3 of them once more from the checkpoint after the fourth."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.npz"
        make(max_iter=7, callbacks=[Checkpoint(path, every=4)]).fit(X, y)
        return fit(make(max_iter=7), y, n_jobs, resume_from=path)


def select(strategy, y, n_jobs):
    selector = SparseFeatureSelector(5, strategy=strategy, estimator=classifier(), random_state=0, n_jobs=n_jobs)
    selector.fit(X, y)
    return results(selector.estimator_, selector.scores_)


def shake(batch, rng):
    """A `batch_transform`."""
    return batch * rng.uniform(0.5, 1.5)


def of_classes(**changes):
    return lambda n_jobs: fit(classifier(**changes), CLASSES, n_jobs)


def of_numbers(**changes):
    return lambda n_jobs: fit(regressor(**changes), NUMBERS, n_jobs)


def of_methods():
    """Every method × explicit settings or defaults × classifier or regressor × dense or CSR features."""
    for name in sorted([*PRESETS, "dense", "snip"]):
        for kind, x in (("dense", X), ("csr", csr_array(X))):
            explicit = method(name)
            yield (
                f"explicit {name} classifier {kind}",
                lambda n_jobs, explicit=explicit, x=x: fit(classifier(**explicit), CLASSES, n_jobs, X=x),
            )
            yield (
                f"explicit {name} regressor {kind}",
                lambda n_jobs, explicit=explicit, x=x: fit(regressor(**explicit), NUMBERS, n_jobs, X=x),
            )
            default = DEFAULTS | method(name) | {"epsilon": None}
            yield (
                f"defaults {name} classifier {kind}",
                lambda n_jobs, default=default, x=x: fit(SparseMLPClassifier(**default), CLASSES, n_jobs, X=x),
            )
            yield (
                f"defaults {name} regressor {kind}",
                lambda n_jobs, default=default, x=x: fit(SparseMLPRegressor(**default), NUMBERS, n_jobs, X=x),
            )


OTHERS = {
    # Targets, losses and weights.
    "labels": lambda n_jobs: fit(classifier(), LABELS, n_jobs),
    "several outputs": lambda n_jobs: fit(regressor(), OUTPUTS, n_jobs),
    "counts": lambda n_jobs: fit(regressor(loss="poisson"), np.floor(np.abs(OUTPUTS)), n_jobs),
    **{
        f"loss {name}": lambda n_jobs, name=name: fit(regressor(loss=name), np.abs(NUMBERS), n_jobs)
        for name in names("loss")
    },
    "sample_weight": lambda n_jobs: fit(classifier(), CLASSES, n_jobs, sample_weight=SAMPLE_WEIGHT),
    "sample_weight regressor": lambda n_jobs: fit(regressor(), NUMBERS, n_jobs, sample_weight=SAMPLE_WEIGHT),
    "class_weight balanced": of_classes(class_weight="balanced"),
    "class_weight dict": of_classes(class_weight={0: 2.0, 2: 0.5}),
    # Networks.
    **{f"activation {name}": of_classes(activation=name) for name in names("activation")},
    "srelu csr sgd": lambda n_jobs: fit(
        classifier(activation="srelu", **sgd(0.9, nesterov=True)), CLASSES, n_jobs, X=csr_array(X)
    ),
    "weight_init dense": of_classes(weight_init="dense"),
    "weight_init Dense(2)": of_classes(weight_init=Dense(2.0)),
    "erdos_renyi": of_classes(topology_init="erdos_renyi"),
    "SNIP together": of_classes(**method("snip") | {"topology_init": SNIP(n_samples=40, per_layer=False)}),
    "SNIP connected": of_classes(**method("snip") | {"topology_init": SNIP(centred=True, connected=True)}),
    "SNIP then cte": of_classes(topology_init=SNIP()),
    "density": of_classes(density=0.1, epsilon=None),
    "density regressor": of_numbers(density=0.1, epsilon=None),
    "full layers on BLAS": of_classes(**method("dense"), hidden_layer_sizes=(80, 64)),
    "full layers on BLAS, sgd": of_numbers(**method("dense"), hidden_layer_sizes=(80, 64), **sgd(0.9, nesterov=True)),
    # Training.
    "sgd": of_classes(**sgd(0.0, nesterov=False)),
    "momentum": of_classes(**sgd(0.9, nesterov=False)),
    "nesterov": of_classes(**sgd(0.9, nesterov=True)),
    "nesterov regressor": of_numbers(**sgd(0.9, nesterov=True)),
    "dropout": of_classes(dropout=0.3),
    "dropout regressor": of_numbers(dropout=0.3),
    "no alpha": of_classes(alpha=0.0),
    "constant": of_classes(learning_rate="constant"),
    "step": of_classes(learning_rate=Step(milestones=(0.3, 0.6), gamma=0.5)),
    "no shuffle": of_classes(shuffle=False),
    "float64": of_classes(dtype="float64"),
    "float64 regressor": of_numbers(dtype="float64"),
    "batch_transform": of_classes(batch_transform=shake),
    "batch_transform csr": lambda n_jobs: fit(classifier(batch_transform=shake), CLASSES, n_jobs, X=csr_array(X)),
    "early_stopping": of_classes(early_stopping=True, n_iter_no_change=2, max_iter=8),
    "early_stopping regressor": of_numbers(early_stopping=True, n_iter_no_change=2, max_iter=8),
    "early_stopping by loss": of_classes(early_stopping=True, scoring="loss", n_iter_no_change=2, max_iter=8),
    "X_val": lambda n_jobs: fit(
        classifier(early_stopping=True, scoring="balanced_accuracy"),
        CLASSES[:40],
        n_jobs,
        X=X[:40],
        X_val=X[40:],
        y_val=CLASSES[40:],
        sample_weight_val=SAMPLE_WEIGHT[40:],
    ),
    "partial_fit": lambda n_jobs: fit_in_parts(classifier(batch_size=4, max_iter=4), CLASSES, n_jobs),
    "partial_fit regressor": lambda n_jobs: fit_in_parts(regressor(batch_size=4, max_iter=4), NUMBERS, n_jobs),
    "warm_start": lambda n_jobs: fit_twice(classifier(), CLASSES, n_jobs),
    "warm_start regressor": lambda n_jobs: fit_twice(regressor(), NUMBERS, n_jobs),
    "resume_from": partial(resume, classifier, CLASSES),
    "resume_from regressor": partial(resume, partial(regressor, **sgd(0.9, nesterov=True)), NUMBERS),
    # Evolution.
    "ImportancePruning": of_classes(
        **evolving("cte", unit_pruning=ImportancePruning(fraction=0.2, begin=0.2, every=2))
    ),
    "ImportancePruning static": of_numbers(
        **evolving("static", unit_pruning=ImportancePruning(fraction=0.2, begin=0.2, every=2))
    ),
    "density Cubic": of_classes(**evolving("cte", density=Cubic(2))),
    "density Sigmoid, static": of_classes(**evolving("static", density=Sigmoid(3))),
    "grow_init 0.5": of_classes(**evolving("set", grow_init=0.5)),
    "grow_init Dense()": of_classes(**evolving("cte", grow_init=Dense())),
    "grow_init zeros": of_classes(**evolving("cte", grow_init="zeros")),
    "update_every epoch": of_classes(update_every="epoch"),
    "drop_fraction 0.6": of_classes(drop_fraction=0.6, update_every=3),
    "Constant": of_classes(**rules(schedule=Constant(0.2, update_every=3, begin_step=2, end_step=0.9))),
    "Linear": of_classes(**rules(schedule=Linear(0.4, update_every=2), grow=Random())),
    "Confirmed": of_classes(**rules(grow=Confirmed())),
    "Confirmed least 0": of_numbers(**rules(grow=Confirmed(least=0.0, n_samples=40))),
    "Mixed": of_classes(**rules(grow=Mixed(Cosine(), OMP(), share=0.7))),
    "AfterStall": of_classes(
        **rules(grow=AfterStall(first=Cosine(), then=Random(), patience=1), schedule=Constant(0.3, update_every=2)),
        learning_rate_init=0.2,  # so high that the loss rises in between
        max_iter=8,
    ),
    "MEST": of_classes(**rules(prune=MEST(n_samples=30), grow=Gradient(n_samples=30, regrow=False))),
    "neuron_evolution": of_classes(evolution=neuron_evolution(5), drop_fraction=None, update_every=None),
    "neuron_evolution Gradient": of_numbers(evolution=neuron_evolution(5, Gradient()), drop_fraction=0.4),
    "Cosine sketch": of_classes(**rules(grow=Cosine(search="sketch", width=16, n_samples=40))),
    "Cosine cells": of_classes(**rules(grow=Cosine(search="cells", width=16, centred=False))),
    "OMP sketch": of_numbers(**rules(prune=Magnitude(), grow=OMP(search="sketch", width=16, candidates=2))),
    **{
        f"paper_settings {name}": of_classes(
            **paper_settings(name) | {"hidden_layer_sizes": (30, 20), "epsilon": 3.0, "batch_size": 16},
            drop_fraction=None,
        )
        for name in ("cte", "rigl", "snip")
    },
    "select by strength": partial(select, "strength", CLASSES),
    "select by neuron_evolution": partial(select, "neuron_evolution", CLASSES),
}


def of_large_data(kind, make, target, **changes):
    """Batches of several tiles, and more samples than a sketch is wide."""
    x, targets = make_data(640, 80)

    def run(n_jobs):
        found = fit(make(batch_size=300, **changes), targets[target], n_jobs, X=kind(x))
        return found | {"predictions": found["predictions"][:60]}

    return run


LARGE = {
    "several tiles": of_large_data(np.asarray, classifier, "classes"),
    "several tiles csr": of_large_data(csr_array, classifier, "classes", activation="srelu"),
    "several tiles omp": of_large_data(np.asarray, regressor, "outputs", **method("omp")),
    "several tiles BLAS": of_large_data(
        np.asarray, classifier, "labels", **method("dense"), hidden_layer_sizes=(80, 64)
    ),
    "several tiles BLAS csr": of_large_data(
        csr_array, classifier, "classes", **method("dense"), hidden_layer_sizes=(80, 64)
    ),
}

CASES = dict(of_methods()) | OTHERS | LARGE
