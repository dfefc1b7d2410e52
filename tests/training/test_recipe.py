"""Training without an estimator: the same recipe on the same samples makes the same bytes."""

from dataclasses import fields, replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.metrics import accuracy_score

from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.data import array_source
from truesparse.estimators.recipes import make_recipe
from truesparse.evolution import SNIP, Constant, ImportancePruning, Random, preset, suited_settings
from truesparse.network.activations import PiecewiseLinear
from truesparse.network.initial_weights import FanIn
from truesparse.network.losses import BinaryCrossEntropy, SoftmaxCrossEntropy, SquaredError, Weighted
from truesparse.runtime.plugins import resolve
from truesparse.training import SGD, Adam, Recipe, Start, Trainer, Validation, new_network
from truesparse.training.inference import forward_all
from truesparse.training.lr_schedules import Cosine, Step

SMALL = {"hidden_layer_sizes": (20, 15), "epsilon": 4, "max_iter": 5, "update_every": 5, "random_state": 0}


@pytest.fixture
def data(rng):
    X = (rng.standard_normal((90, 6)) * (rng.random((90, 6)) < 0.7)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] > 0).astype(int)


def recipe_of(method, loss=None, **changes):
    """What the estimator's defaults and `SMALL` mean, written out."""
    evolution, suited = preset(method), suited_settings(method)
    if evolution is not None:
        evolution = replace(evolution, schedule=replace(evolution.schedule, update_every=5))
    recipe = Recipe(
        loss=loss or SoftmaxCrossEntropy(),
        hidden_layer_sizes=(20, 15),
        epsilon=4,
        activation=suited["activation"],
        initializer=suited["weight_init"],
        dropout=0.0 if isinstance(loss, SquaredError) else 0.1,
        evolution=evolution,
        n_epochs=5,
    )
    return replace(recipe, **changes)


def trained(recipe, source, n_outputs, seed, **options):
    trainer = Trainer(new_network(recipe, source, n_outputs, seed=seed), recipe, source, seed=seed, **options)
    trainer.train()
    return trainer


def assert_same(trainer, model):
    """Connections, parameters, moments and history."""
    for one, other in zip(trainer.network.layers, model._network.layers, strict=True):
        assert_array_equal(one.pattern.keys, other.pattern.keys)
    assert trainer.network.params.tobytes() == model._network.params.tobytes()
    state, other = trainer.state, model._run.state
    assert state.progress == other.progress
    assert state.optimizer_state.keys() == other.optimizer_state.keys()
    for name, moments in state.optimizer_state.items():
        assert moments.tobytes() == other.optimizer_state[name].tobytes()
    history, other_history = state.history.as_dict(), other.history.as_dict()
    for name in history.keys() - {"seconds"}:
        assert_array_equal(history[name], other_history[name])


METHODS = (
    "static", "set", "cte", "ctre_sim", "ctre_seq", "rigl", "gse", "cht", "chts", "omp", "path_weight", "sensitivity",
)  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", [np.asarray, csr_array])
def test_every_method_without_an_estimator(kind, method, data):
    X, y = data
    model = SparseMLPClassifier(**SMALL, evolution=method).fit(kind(X), y)
    assert (np.sum(model.history_["edges_replaced"]) > 0) == (method != "static")
    trainer = trained(recipe_of(method), array_source(kind(X), y), 2, model._run.seed)
    assert_same(trainer, model)
    z = forward_all(trainer.network, array_source(kind(X)))
    assert_array_equal(SoftmaxCrossEntropy().predictions(z).T, model.predict_proba(kind(X)))


def shifted(batch, rng):
    return batch + rng.normal(scale=0.1, size=batch.shape).astype(np.float32)


PAIRS = {
    "snip": ({"topology_init": "snip"}, {"topology": SNIP(centred=True, connected=True)}),
    "erdos_renyi": ({"topology_init": "erdos_renyi"}, {"topology": Random()}),
    "full": (
        {"topology_init": "full"},
        {"topology": resolve("topology", "full"), "activation": PiecewiseLinear(0.0), "initializer": FanIn(1.0)},
    ),
    "density": ({"epsilon": None, "density": 0.3}, {"epsilon": None, "density": 0.3}),
    "sgd": ({"solver": SGD(0.5, nesterov=False)}, {"optimizer": SGD(0.5, nesterov=False)}),
    "sgd_by_name": ({"solver": "sgd"}, {"optimizer": SGD()}),
    "step": (
        {"learning_rate": "step", "learning_rate_init": 0.02, "alpha": 0.01},
        {"lr_schedule": Step(), "learning_rate": 0.02, "alpha": 0.01},
    ),
    "batches": ({"batch_size": 13, "shuffle": False}, {"batch_size": 13, "shuffle": False}),
    "one_batch": ({"batch_size": 1000}, {"batch_size": 1000}),
    "dropout": ({"dropout": 0.4}, {"dropout": 0.4}),
    "transform": ({"batch_transform": shifted}, {"batch_transform": shifted}),
    "patience": ({"n_iter_no_change": 2, "tol": 10.0}, {"patience": 2, "tol": 10.0}),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_parameters_are_fields_of_the_recipe(pair, data):
    X, y = data
    parameters, changes = PAIRS[pair]
    model = SparseMLPClassifier(**SMALL | {"evolution": "static"} | parameters).fit(X, y)
    assert_same(trained(recipe_of("static", **changes), array_source(X, y), 2, model._run.seed), model)
    if pair != "one_batch":  # there, all samples come at a time anyway
        plain = SparseMLPClassifier(**SMALL, evolution="static").fit(X, y)
        assert plain._network.params.tobytes() != model._network.params.tobytes()


def test_float64_and_unit_pruning(data):
    X, y = data
    evolution = replace(
        preset("cte"), schedule=Constant(0.3, update_every=4), unit_pruning=ImportancePruning(0.3, begin=0.1, every=2)
    )
    settings = SMALL | {"evolution": evolution, "dtype": "float64", "update_every": None}
    model = SparseMLPClassifier(**settings).fit(X.astype(np.float64), y)
    assert model._network.layer_sizes[1] < 20
    recipe = recipe_of("cte", evolution=evolution, dtype="float64")
    assert_same(trained(recipe, array_source(X.astype(np.float64), y), 2, model._run.seed), model)


def test_labels_numbers_and_weights(data, rng):
    X, y = data
    labels = np.stack([y, 1 - y, X[:, 2] > 0], axis=1).astype(int)
    model = SparseMLPClassifier(**SMALL).fit(X, labels)
    source = array_source(X, labels.astype(np.float32))
    assert_same(trained(recipe_of("cte", BinaryCrossEntropy()), source, 3, model._run.seed), model)

    numbers = 7 + 5 * X[:, :2].astype(np.float64)
    regressor = SparseMLPRegressor(**SMALL).fit(X, numbers)
    scaled = ((numbers - regressor.target_mean_) / regressor.target_scale_).astype(np.float32)
    trainer = trained(recipe_of("cte", SquaredError()), array_source(X, scaled), 2, regressor._run.seed)
    assert_same(trainer, regressor)

    weights = rng.uniform(0.5, 1, 90)
    weights[3], weights[7:9] = 2, 0.25
    model = SparseMLPClassifier(**SMALL).fit(X, y, sample_weight=weights)
    relative = weights / 2
    relative /= relative.mean()
    trainer = trained(recipe_of("cte"), array_source(X, Weighted(y, relative)), 2, model._run.seed)
    assert_same(trainer, model)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_validation(early_stopping, data):
    X, y = data
    train, aside = slice(0, 60), slice(60, 90)
    model = SparseMLPClassifier(**SMALL, early_stopping=early_stopping)
    model.fit(X[train], y[train], X_val=X[aside], y_val=y[aside])

    def accuracy(predictions, target):
        return accuracy_score(target, predictions.argmax(axis=0))

    validation = Validation(array_source(X[aside], y[aside]), accuracy, decides=early_stopping, by_loss=True)
    source = array_source(X[train], y[train])
    assert_same(trained(recipe_of("cte"), source, 2, model._run.seed, validation=validation), model)


def test_warm_starts_and_parts(data):
    X, y = data
    model = SparseMLPClassifier(**SMALL, warm_start=True).fit(X, y)
    trainer = trained(recipe_of("cte"), array_source(X, y), 2, model._run.seed)
    model.fit(X, y)
    trainer.train(Start.WARM)
    assert_same(trainer, model)

    model = SparseMLPClassifier(**SMALL)
    for _ in range(3):
        model.partial_fit(X, y, classes=[0, 1])
    recipe, source = recipe_of("cte"), array_source(X, y)
    trainer = Trainer(new_network(recipe, source, 2, seed=model._run.seed), recipe, source, seed=model._run.seed)
    for _ in range(3):
        trainer.train(Start.PART)
    assert_same(trainer, model)


def test_the_defaults_of_a_recipe_are_those_of_the_classifier():
    """But for dropout, of which the classifier has 0.1, and for the evolution, of which a recipe has none."""
    of_classifier = make_recipe(SparseMLPClassifier().get_params(deep=False), SoftmaxCrossEntropy())
    plain = Recipe(SoftmaxCrossEntropy())
    differ = {f.name for f in fields(Recipe) if getattr(plain, f.name) != getattr(of_classifier, f.name)}
    assert differ == {"dropout", "evolution"}
    assert (plain.optimizer, plain.lr_schedule) == (Adam(), Cosine())
    assert make_recipe(SparseMLPRegressor().get_params(deep=False), SquaredError()).dropout == plain.dropout == 0


def test_a_recipe_can_be_used_again(data):
    """It is a value: nothing of a training stays in it."""
    X, y = data
    recipe, source = recipe_of("cte"), array_source(X, y)
    first, second = (trained(recipe, source, 2, 5) for _ in range(2))
    assert first.network.params.tobytes() == second.network.params.tobytes()
    assert recipe == recipe_of("cte")
    assert trained(recipe, source, 2, 6).network.params.tobytes() != first.network.params.tobytes()
