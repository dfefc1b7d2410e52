import numpy as np
import pytest

from truesparse import SparseMLPClassifier, paper_settings, preset, recommended_settings
from truesparse.estimators.building import resolved_dropout
from truesparse.evolution import FIRST_TOPOLOGIES, PRESETS, Constant, CosineAnnealing
from truesparse.network.initial_weights import Dense


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"omp"}))
def test_paper_settings_are_parameters_of_the_estimator(name):
    settings = paper_settings(name)
    classifier = SparseMLPClassifier(**settings, epsilon=1, max_iter=150)
    assert classifier.get_params()["solver"] == "sgd"
    assert (settings["learning_rate_init"], settings["momentum"], settings["batch_size"]) == (0.01, 0.9, 100)
    evolution = settings["evolution"]
    if name in FIRST_TOPOLOGIES:
        assert evolution == name
    elif name == "static":
        assert evolution is None
    elif name in ("rigl", "gse"):
        assert evolution.schedule == CosineAnnealing(drop_fraction=0.2, update_every="epoch", end_step=0.75)
        assert evolution.grow_init == "zeros"
    else:
        assert (evolution.prune, type(evolution.grow)) == (preset(name).prune, type(preset(name).grow))
        assert evolution.schedule == Constant(drop_fraction=0.2, update_every="epoch")
        assert evolution.grow_init == Dense()
    if name.startswith("ct"):
        cosine = evolution.grow.first if name == "ctre_seq" else evolution.grow
        assert (cosine.centred, cosine.n_samples) == (False, None)


def test_what_was_not_published_has_no_published_settings():
    with pytest.raises(ValueError, match=r"name='omp' is a method of this library.*'cte'.*'static'"):
        paper_settings("omp")


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_recommended_settings_learn_digits(name, digits):
    X_train, X_test, y_train, y_test = digits
    small = {"hidden_layer_sizes": (100, 100), "epsilon": 5, "max_iter": 30, "random_state": 0}
    model = SparseMLPClassifier(**recommended_settings(name) | small).fit(X_train, y_train)
    assert model.score(X_test, y_test) > 0.9


def test_what_is_recommended_for_the_default_method_is_the_default():
    parameters = SparseMLPClassifier().get_params()
    settings = recommended_settings(parameters["evolution"])
    parameters["dropout"] = resolved_dropout(SparseMLPClassifier())
    assert settings == {parameter: parameters[parameter] for parameter in settings}


def test_snip_is_recommended_with_a_path_for_every_class(rng):
    """The paper's scores leave classes without one here."""
    X, y = rng.random((520, 100)) + np.eye(26).repeat(20, axis=0)[:, np.arange(100) % 26], np.arange(26).repeat(20)

    def n_reached(**parameters):
        small = {"hidden_layer_sizes": (200, 200), "epsilon": 1, "max_iter": 1, "random_state": 0}
        settings = recommended_settings("snip") | small | parameters
        return np.count_nonzero(fan_in_of_paths(SparseMLPClassifier(**settings).fit(X, y)))

    def fan_in_of_paths(model):
        reached = np.ones(100)
        for coef in model.coefs_:
            reached = abs(coef).T @ reached
        return reached

    assert n_reached() == 26
    assert n_reached(topology_init="snip") < 26
