"""A method's name alone trains as the settings that are recommended for it, to the byte."""

import numpy as np
import pytest
from helpers import assert_same_run
from sklearn.datasets import load_digits

from truesparse import SparseMLPClassifier, SparseMLPRegressor, recommended_settings
from truesparse.evolution import PRESETS, Evolution, suited_settings

X, y = load_digits(return_X_y=True)
X, y = X[:200] / 16, y[:200]
SMALL = {"hidden_layer_sizes": (60, 40), "epsilon": 4, "max_iter": 3, "update_every": 4, "random_state": 0}


def assert_the_same(alone, settings):
    """The settings say explicitly what the parameters of the other estimator leave open."""
    assert {settings[name] for name in ("activation", "weight_init", "dropout")} & {None} == set()
    for name in settings.keys() - {"activation", "weight_init", "dropout"}:
        assert alone[name] == settings[name]
    models = [SparseMLPClassifier(**given | SMALL).fit(X, y) for given in (alone, settings)]
    assert_same_run(*models)
    return models[0]


def parameters(**given):
    return SparseMLPClassifier(**given).get_params()


@pytest.mark.parametrize("name", PRESETS)
def test_the_name_alone_is_the_recommended_settings(name):
    model = assert_the_same(parameters(evolution=name), recommended_settings(name))
    assert np.any(model.history_["edges_replaced"]) == (PRESETS[name] is not None)


def test_a_first_topology_with_a_static_network_is_the_recommended_settings():
    model = assert_the_same(parameters(evolution="static", topology_init="snip"), recommended_settings("snip"))
    assert model.density_ < 0.3


def test_a_dense_network_with_its_batch_size_and_learning_rate_is_the_recommended_settings():
    given = {"evolution": "static", "topology_init": "full", "batch_size": 100, "learning_rate_init": 0.001}
    assert assert_the_same(parameters(**given), recommended_settings("dense")).density_ == 1


def test_methods_differ_in_what_suits_them():
    """Otherwise the tests above would compare defaults with themselves."""
    assert suited_settings("set") != suited_settings("cte") != suited_settings("rigl") != suited_settings("set")
    assert suited_settings("static") == suited_settings("set") == suited_settings(None)
    assert suited_settings(Evolution()) == suited_settings("cte")


@pytest.mark.parametrize("kind", [SparseMLPClassifier, SparseMLPRegressor])
def test_what_is_given_takes_the_place_of_what_suits(kind):
    suited = suited_settings("set")
    model = kind(**SMALL, evolution="set").fit(X, y)
    assert_same_run(kind(**SMALL, evolution="set", **suited).fit(X, y), model)
    for other in ({"activation": "relu"}, {"weight_init": "fan_in"}, {"dropout": 0.5}):
        changed = kind(**SMALL, evolution="set", **other).fit(X, y)
        assert changed._network.params.tobytes() != model._network.params.tobytes()


def test_dropout_is_for_classes_only():
    for kind, dropout in ((SparseMLPClassifier, 0.1), (SparseMLPRegressor, 0.0)):
        assert_same_run(kind(**SMALL, dropout=dropout).fit(X, y), kind(**SMALL).fit(X, y))
