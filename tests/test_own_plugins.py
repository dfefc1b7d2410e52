"""Plug-ins of a user's own, each one class under one decorator: named, trained with, shown, saved and loaded."""

import copy
import io
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from helpers import assert_same_run
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import make_classification

import truesparse
from truesparse import Evolution, SparseMLPClassifier, SparseMLPRegressor, plugin, recommended_settings
from truesparse.callbacks import Checkpoint
from truesparse.estimators.persistence import ModelFormatError
from truesparse.evolution import PRESETS, Constant, Cubic, Linear, Magnitude, Random, method, preset
from truesparse.evolution.presets import SUITED
from truesparse.network.activations import AllReLU, PiecewiseLinear
from truesparse.network.initial_weights import Glorot
from truesparse.network.losses import Loss
from truesparse.runtime import plugins
from truesparse.runtime.plugins import names

X, y = make_classification(90, 12, n_informative=6, n_classes=3, random_state=0)
X = X.astype(np.float32)
SMALL = {"hidden_layer_sizes": (30, 20), "epsilon": 3, "max_iter": 3, "random_state": 0, "warm_start": True}
EVERY_5 = Constant(0.3, update_every=5)


TABLES = (plugins._classes, plugins._named, PRESETS, SUITED)


def registered():
    return [{key: copy.copy(value) for key, value in table.items()} for table in TABLES]


def restore(tables):
    for table, content in zip(TABLES, tables, strict=True):
        table.clear()
        table.update({key: copy.copy(value) for key, value in content.items()})


ELSEWHERE = registered()


@plugin("grow", own_rule={})
@dataclass(frozen=True)
class OwnRule:
    """Random pairs, of which the last rows come first."""

    k: int = 2
    needs: ClassVar = ()

    def __call__(self, vacancies, *, rng):
        return Random()(vacancies, rng=rng)


@plugin("loss", own_loss={}, own_loss_4={"power": 4})
@dataclass(frozen=True)
class OwnLoss(Loss):
    """|p − t|^power / power."""

    power: int = 2

    def of_samples(self, z, values, gradient):
        residuals = z - values.T
        gradient[:] = np.sign(residuals) * np.abs(residuals) ** (self.power - 1)
        return np.sum(np.abs(residuals, dtype=np.float64) ** self.power, axis=0) / self.power


@plugin("learning_rate", own_schedule={})
@dataclass(frozen=True)
class OwnSchedule:
    share: float = 0.5

    def factor(self, step, total_steps):
        return 1.0 if step < self.share * total_steps else 0.1


@plugin("initializer", own_init={})
@dataclass(frozen=True)
class OwnInit:
    bound: float = 0.25

    def bounds(self, pattern):
        return np.full(pattern.shape[0], self.bound)


@plugin("activation", own_activation={})
@dataclass(frozen=True)
class OwnActivation(PiecewiseLinear):
    slope: float = 0.2


method("own_method", Evolution(grow="own_rule", schedule=EVERY_5), activation="all_relu", weight_init=Glorot())
HERE = registered()
restore(ELSEWHERE)

PARTS = {
    "evolution": ("own_method", Evolution(grow=OwnRule(3), schedule=EVERY_5), "OwnRule(k=3)"),
    "learning_rate": ("own_schedule", OwnSchedule(0.4), "OwnSchedule(share=0.4)"),
    "weight_init": ("own_init", OwnInit(0.3), "OwnInit(bound=0.3)"),
    "activation": ("own_activation", OwnActivation(0.3), "OwnActivation(slope=0.3)"),
    "loss": ("own_loss", OwnLoss(4), "OwnLoss(power=4)"),
}
NEEDED = ("activation", "loss")  # for predictions
CASES = [(name, value) for name, (short, instance, _) in PARTS.items() for value in (short, instance)]


def fitted(name, value):
    if name == "loss":
        return SparseMLPRegressor(**SMALL, loss=value).fit(X, y)
    return SparseMLPClassifier(**SMALL, **{name: value}).fit(X, y)


def saved(model):
    file = io.BytesIO()
    truesparse.save(model, file)
    return file.getvalue()


def load(content):
    return truesparse.load(io.BytesIO(content))


@pytest.fixture(autouse=True)
def here():
    """The plug-ins of this file are registered in its own tests only."""
    restore(HERE)
    yield
    restore(ELSEWHERE)


def elsewhere():
    """Forget the plug-ins of this file, as a program that has not imported it."""
    restore(ELSEWHERE)


@pytest.mark.parametrize(("name", "value"), CASES)
def test_an_own_plugin_trains_is_shown_saved_and_loaded_whole(name, value):
    model = fitted(name, value)
    shown = PARTS[name][2] if not isinstance(value, str) else f"{name}={value!r}"
    assert shown in re.sub(r"\s+", " ", repr(model))
    loaded = load(saved(model))
    assert loaded.get_params() == model.get_params()
    assert_same_run(loaded, model)
    assert saved(loaded) == saved(model)
    assert_same_run(loaded.partial_fit(X, y), model.partial_fit(X, y))


@pytest.mark.parametrize(("name", "value"), [case for case in CASES if case[0] not in NEEDED])
def test_elsewhere_the_model_predicts_and_says_what_training_needs(name, value):
    model = fitted(name, value)
    content = saved(model)
    elsewhere()
    with pytest.warns(UserWarning, match=rf"could only name {name} \(.*(?i:own).*\): the model predicts"):
        loaded = load(content)
    assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert "<missing: " in repr(loaded)
    assert loaded.summary() == model.summary()
    assert saved(loaded) == content
    assert repr(clone(loaded)) == repr(loaded)
    for train in (loaded.fit, loaded.partial_fit):
        with pytest.raises(ValueError, match=rf"{name}=.*<missing: .*set_params\({name}=…\)"):
            train(X, y)
    assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("place", [0, 1])
def test_elsewhere_what_predictions_need_is_asked_for(name, place):
    content = saved(fitted(name, PARTS[name][place]))
    elsewhere()
    with pytest.raises(ModelFormatError, match=rf"{name}.*(own_activation|Own).*not registered"):
        load(content)


@pytest.mark.parametrize(
    "parameters",
    [{"hidden_layer_sizes": None}, {"hidden_layer_sizes": (20,), "evolution": Evolution(density=Cubic(2))}],
)
def test_an_unregistered_topology_is_asked_for_where_training_needs_its_numbers(parameters):
    @dataclass(frozen=True)
    class Unregistered:
        hidden_layer_sizes: ClassVar = [20]
        needs: ClassVar = ()

        def __call__(self, vacancies, *, rng):
            return Random()(vacancies, rng=rng)

    model = SparseMLPClassifier(**parameters, topology_init=Unregistered(), max_iter=2, random_state=0).fit(X, y)
    with pytest.warns(UserWarning, match=r"could only name topology_init \(.*Unregistered\)"):
        loaded = load(saved(model))
    assert_array_equal(loaded.predict(X), model.predict(X))
    with pytest.raises(ValueError, match=r"topology_init=<missing: .*set_params\(topology_init=…\)"):
        loaded.partial_fit(X, y)
    loaded.set_params(topology_init=Unregistered())
    assert_same_run(loaded.partial_fit(X, y), model.partial_fit(X, y))


def test_an_unregistered_rule_is_named_and_can_be_given_back():
    @dataclass(frozen=True)
    class Unregistered:
        k: int = 0
        needs: ClassVar = ()

        def __call__(self, vacancies, *, rng):
            return Random()(vacancies, rng=rng)

    evolution = Evolution(Magnitude(), Unregistered(7), EVERY_5)
    model = fitted("evolution", evolution)
    with pytest.warns(UserWarning, match=r"could only name evolution \(.*Unregistered\)"):
        loaded = load(saved(model))
    assert "grow=<missing: Unregistered(k=7)>" in re.sub(r"\s+", " ", repr(loaded.evolution))
    with pytest.raises(ValueError, match=r"needs .*Unregistered, which the loaded file"):
        loaded.fit(X, y)
    loaded.set_params(evolution=evolution)
    assert_same_run(loaded.partial_fit(X, y), model.partial_fit(X, y))


def test_a_class_that_is_registered_after_the_model_was_saved_is_found():
    @dataclass(frozen=True)
    class LateActivation(PiecewiseLinear):
        slope: float = 0.1

    model = fitted("activation", LateActivation())
    content = saved(model)
    with pytest.raises(ModelFormatError, match=r"activation needs .*LateActivation.* not registered.*\.plugin"):
        load(content)
    plugin("activation")(LateActivation)
    assert_same_run(load(content), model)


def test_a_checkpoint_of_own_plugins_goes_on(tmp_path):
    path = tmp_path / "checkpoint.npz"
    options = SMALL | {name: short for name, (short, *_) in PARTS.items() if name != "loss"} | {"warm_start": False}
    copies = []

    class Keep:
        def on_epoch_end(self, network, record):
            if record.epoch == 2:
                copies.append(path.read_bytes())

    model = SparseMLPClassifier(**options, callbacks=[Checkpoint(path), Keep()]).fit(X, y)
    path.write_bytes(copies[0])
    assert_same_run(SparseMLPClassifier(**options).fit(X, y, resume_from=path), model)
    with pytest.raises(ValueError, match=r"learning_rate='own_schedule', not 'cosine'"):
        SparseMLPClassifier(**options | {"learning_rate": "cosine"}).fit(X, y, resume_from=path)
    elsewhere()
    with pytest.raises(ModelFormatError, match=r"activation needs activation\.OwnActivation, .* not registered"):
        truesparse.load(path)


@pytest.mark.parametrize("name", PARTS)
def test_messages_list_the_names_there_are(name):
    estimator = SparseMLPRegressor if name == "loss" else SparseMLPClassifier
    with pytest.raises(ValueError, match=rf"'{name}' parameter .*'{PARTS[name][0]}'.*Got 'own'"):
        estimator(**{name: "own"}).fit(X, y)


def test_rules_have_short_names_too():
    assert Evolution(grow="own_rule", schedule="linear") == Evolution(grow=OwnRule(), schedule=Linear())
    with pytest.raises(ValueError, match=r"grow='own_rules' is not registered; .*Did you mean 'own_rule'\?"):
        Evolution(grow="own_rules")


def test_own_methods_have_settings_and_can_be_changed():
    assert preset("own_method").grow == OwnRule()
    settings = recommended_settings("own_method")
    assert settings["evolution"] == "own_method"
    assert (settings["activation"], settings["weight_init"]) == (AllReLU(), Glorot())
    alone = SparseMLPClassifier(**SMALL, evolution="own_method").fit(X, y)
    assert_same_run(alone, SparseMLPClassifier(**settings | SMALL).fit(X, y))
    options = SMALL | {"evolution": "another_method", "warm_start": False, "max_iter": 10}
    method("another_method", None)
    assert not np.any(SparseMLPClassifier(**options).fit(X, y).history_["edges_replaced"])
    method("another_method", Evolution(schedule=EVERY_5))
    assert np.any(SparseMLPClassifier(**options).fit(X, y).history_["edges_replaced"])
    with pytest.raises(ValueError, match=r"name='cte' is a method of truesparse"):
        method("cte", None)


def test_the_documentation_names_all_plugins_of_the_library():
    documented = SparseMLPClassifier.__doc__ + SparseMLPRegressor.__doc__
    elsewhere()
    kinds = ("activation", "initializer", "learning_rate", "loss", "method", "optimizer", "topology")
    assert {name for kind in kinds for name in names(kind) if f'"{name}"' not in documented} == set()
