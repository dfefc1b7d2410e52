"""Parameters that contradict each other, names that are no methods, and objects in the place of names."""

import io
import pickle
import re

import numpy as np
import pytest
from helpers import METHODS, assert_same_run
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.neural_network import MLPClassifier, MLPRegressor

import truesparse
from truesparse import (
    SparseMLPClassifier,
    SparseMLPEnsembleClassifier,
    SparseMLPEnsembleRegressor,
    SparseMLPRegressor,
)
from truesparse.callbacks import Checkpoint
from truesparse.estimators import SparseFeatureSelector
from truesparse.training import SGD, Adam

X, y = make_classification(90, 12, n_informative=6, n_classes=3, random_state=0)
X = X.astype(np.float32)
SMALL = {"hidden_layer_sizes": (30, 20), "epsilon": 3, "max_iter": 6, "update_every": 4, "random_state": 0}


@pytest.fixture(params=[SparseMLPClassifier, SparseMLPRegressor])
def kind(request):
    return request.param


def params_of(model):
    return model._network.params.tobytes()


# How many weights.


def test_epsilon_and_density_both_given_contradict_each_other(kind):
    with pytest.raises(ValueError, match=r"(?=.*epsilon=2)(?=.*density=0\.1).*None"):
        kind(**SMALL | {"epsilon": 2, "density": 0.1}).fit(X, y)
    with pytest.raises(ValueError, match=r"(?=.*epsilon=1)(?=.*density=0\.1)"):
        kind(**SMALL | {"epsilon": 1, "density": 0.1}).partial_fit(X, y, **classes(kind))


def classes(kind):
    return {"classes": [0, 1, 2]} if kind is SparseMLPClassifier else {}


def test_neither_of_them_is_epsilon_1(kind):
    neither = kind(**SMALL | {"epsilon": None}).fit(X, y)
    assert_same_run(neither, kind(**SMALL | {"epsilon": 1}).fit(X, y))
    assert params_of(neither) != params_of(kind(**SMALL | {"epsilon": 2}).fit(X, y))


def test_density_alone_is_the_density(kind):
    model = kind(**SMALL | {"epsilon": None, "density": 0.2}).fit(X, y)
    assert model.density_ == pytest.approx(0.2, abs=0.005)


# Methods that are first topologies.


@pytest.mark.parametrize("name", ["snip", "dense"])
def test_a_first_topology_as_evolution_says_what_to_write_instead(kind, name, tmp_path):
    topology = METHODS[name]["topology_init"]
    match = re.escape(f"write evolution='static', topology_init='{topology}'")
    for do in (
        lambda: kind(**SMALL, evolution=name).fit(X, y),
        lambda: kind(**SMALL, evolution=name).partial_fit(X, y, **classes(kind)),
        lambda: truesparse.save(kind(**SMALL, evolution=name), tmp_path / "model.npz"),
        lambda: truesparse.preset(name),
    ):
        with pytest.raises(ValueError, match=match):
            do()
    assert kind(**SMALL | METHODS[name]).fit(X, y).n_iter_ == 6  # which does


def test_another_name_is_refused_with_those_there_are(kind):
    with pytest.raises(ValueError, match=r"'evolution' parameter .*'cte'.*Got 'snap'"):
        kind(**SMALL, evolution="snap").fit(X, y)


# Names and values of other libraries.


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("batch_size", "auto", "Write batch_size=200"),
        ("learning_rate", "adaptive", "Write learning_rate='step'"),
        ("learning_rate", "invscaling", "Write learning_rate='step'"),
        ("learning_rate", 0.01, "Write learning_rate_init=0.01."),
        ("solver", "lbfgs", "Write solver='adam'"),
        ("activation", "sigmoid", "Write activation='logistic'."),
        ("activation", "logistc", "Did you mean 'logistic'?"),
        ("evolution", "ctr", "Did you mean 'cte'?"),
        ("scoring", "acuracy", "Did you mean 'accuracy'?"),
        ("update_every", "epochs", "Did you mean 'epoch'?"),
        ("dtype", "double", "a str among ['float32', 'float64']. Got 'double' instead."),
    ],
)
def test_a_value_that_is_not_allowed_says_what_to_write(kind, name, value, hint):
    model = kind(**SMALL).set_params(**{name: value})
    for call in (lambda: model.fit(X, y), lambda: model.partial_fit(X, y, **classes(kind))):
        with pytest.raises(ValueError, match=rf"'{name}' parameter of {kind.__name__} must .*{re.escape(hint)}"):
            call()


@pytest.mark.parametrize(("loss", "meant"), [("mse", "squared_error"), ("mae", "absolute_error")])
def test_other_names_of_losses(loss, meant):
    with pytest.raises(ValueError, match=rf"'poisson', 'squared_error'\].* Write loss='{meant}'"):
        SparseMLPRegressor(**SMALL, loss=loss).fit(X, y)


def test_all_parameters_of_scikit_learns_networks_are_taken_or_say_what_to_write(kind):
    of_scikit_learn = MLPClassifier if kind is SparseMLPClassifier else MLPRegressor
    missing = of_scikit_learn().get_params().keys() - kind().get_params().keys()
    assert {"beta_1", "momentum", "power_t", "max_fun"} <= missing
    for name in missing:
        with pytest.raises(TypeError, match=rf"{kind.__name__} has no parameter '{name}'\. Write "):
            kind(**{name: 0.5})
        with pytest.raises(ValueError, match=rf"{kind.__name__} has no parameter '{name}'\. Write "):
            kind().set_params(**{name: 0.5})


@pytest.mark.parametrize(
    "cls", [SparseMLPClassifier, SparseMLPRegressor, SparseMLPEnsembleClassifier, SparseMLPEnsembleRegressor,
            SparseFeatureSelector]
)  # fmt: skip
def test_an_unknown_name_is_refused_with_the_class_and_the_names_there_are(cls):
    names = sorted(cls().get_params(deep=False))
    message = f"{cls.__name__} has no parameter 'randomstate'. Did you mean 'random_state'? Its parameters are {names}."
    with pytest.raises(TypeError, match=rf"^{re.escape(message)}$"):
        cls(randomstate=3)
    with pytest.raises(ValueError, match=rf"^{re.escape(message)}$"):
        cls().set_params(randomstate=3)


def test_parameters_of_the_network_in_the_place_of_an_ensembles():
    with pytest.raises(TypeError, match=r"has no parameter 'epsilon'\. It is a parameter of the network: estimator="):
        SparseMLPEnsembleClassifier(epsilon=3)
    ensemble = SparseMLPEnsembleClassifier(SparseMLPClassifier())
    assert ensemble.set_params(estimator__epsilon=3).estimator.epsilon == 3
    with pytest.raises(ValueError, match=r"SparseMLPClassifier has no parameter 'seed'\. Write random_state\."):
        ensemble.set_params(estimator__seed=3)


def test_adams_constant_in_the_place_of_epsilon(kind):
    with pytest.raises(ValueError, match=r"epsilon=1e-08 leaves .*MLPClassifier's epsilon is here solver="):
        kind((20,), epsilon=1e-8).fit(X, y)


def test_one_layer_as_an_array_without_an_axis(kind):
    layer = SMALL | {"hidden_layer_sizes": (30,)}
    assert_same_run(kind(**layer | {"hidden_layer_sizes": np.array(30)}).fit(X, y), kind(**layer).fit(X, y))
    for wrong in (np.array(30.5), np.array(0), np.array("30")):
        with pytest.raises(ValueError, match=r"hidden_layer_sizes=.* must hold positive integers only"):
            kind(**layer | {"hidden_layer_sizes": wrong}).fit(X, y)


# Optimisers.


def with_solver(kind, solver, **others):
    return kind(**SMALL | {"solver": solver, "learning_rate_init": 0.05, **others})


def test_an_optimiser_with_values_of_its_own_trains_is_cloned_saved_loaded_and_resumed(kind, tmp_path):
    solver, path, copies = SGD(0.5, nesterov=False), tmp_path / "checkpoint.npz", []
    model = with_solver(kind, solver).fit(X, y)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    for other in ("sgd", SGD(0.5), SGD(0.9, nesterov=False)):
        assert params_of(with_solver(kind, other).fit(X, y)) != params_of(model)
    assert clone(model).solver == solver
    assert_same_run(clone(model).fit(X, y), model)
    file = io.BytesIO()
    truesparse.save(model, file)
    file.seek(0)
    loaded = truesparse.load(file)
    assert loaded.solver == solver
    assert_same_run(loaded, model)

    class Keep:
        def on_epoch_end(self, network, record):
            if record.epoch == 3:
                copies.append(path.read_bytes())

    with_solver(kind, solver, callbacks=[Checkpoint(path), Keep()]).fit(X, y)
    path.write_bytes(copies[0])
    assert truesparse.load(path).n_iter_ == 3
    assert_same_run(with_solver(kind, SGD(0.5, nesterov=False)).fit(X, y, resume_from=path), model)
    with pytest.raises(ValueError, match=r"with solver=SGD\(momentum=0.5, nesterov=False\), not "):
        with_solver(kind, SGD(0.5)).fit(X, y, resume_from=path)
    assert_same_run(loaded.partial_fit(X, y), model.partial_fit(X, y))


def test_names_of_optimisers_are_their_defaults(kind):
    for name, solver in (("sgd", SGD(0.9, nesterov=True)), ("adam", Adam(0.9, 0.999, 1e-8))):
        assert_same_run(with_solver(kind, name).fit(X, y), with_solver(kind, solver).fit(X, y))


class SignDescent:
    """An optimiser of a user's own: steps of one size, along the sign of the running sum of gradients."""

    def __init__(self, decay):
        self.decay, self.calls = decay, []

    def init(self, params):
        return {"sum": np.zeros_like(params)}

    def step(self, params, gradient, state, *, learning_rate, alpha, n_weights, n_steps):
        self.calls.append((params.shape, gradient.shape, alpha, n_weights, n_steps))
        state["sum"] *= self.decay
        state["sum"] += gradient
        params -= learning_rate * np.sign(state["sum"]).astype(params.dtype)


def test_an_optimiser_of_a_users_own_trains_and_predicts(kind):
    solver = SignDescent(0.5)
    model = with_solver(kind, solver, learning_rate_init=0.01, alpha=0.25).fit(X, y)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert np.isfinite(model.predict(X)).all()
    n = model._network.params.size
    assert {call[:4] for call in solver.calls} == {((n,), (n,), 0.25, model._network.n_weights)}
    assert [call[-1] for call in solver.calls] == list(range(1, 6 * 3 + 1))
    assert model._run.state.optimizer_state.keys() == {"sum"}
    assert np.sum(model.history_["edges_replaced"]) > 0  # its state went along with the weights
    assert model._run.state.optimizer_state["sum"].shape == (n,)
    assert_same_run(pickle.loads(pickle.dumps(model)), model)
    assert_same_run(clone(model).fit(X, y), model)
    assert model.partial_fit(X, y).n_iter_ == 7


def test_a_class_in_the_place_of_an_optimiser_is_refused(kind):
    for wrong in (SGD, SignDescent):
        with pytest.raises(ValueError, match=r"solver=.* is a class; an instance of it is allowed"):
            with_solver(kind, wrong).fit(X, y)
