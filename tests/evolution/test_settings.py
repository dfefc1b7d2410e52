import numpy as np
import pytest

from truesparse import SparseMLPClassifier, paper_settings, preset, recommended_settings
from truesparse.estimators.recipes import make_recipe
from truesparse.evolution import PRESETS, SNIP, Constant, CosineAnnealing, suited_settings
from truesparse.network.activations import AllReLU, PiecewiseLinear
from truesparse.network.initial_weights import Dense, FanIn
from truesparse.network.losses import SoftmaxCrossEntropy, SquaredError
from truesparse.runtime.plugins import resolve
from truesparse.training import SGD

METHODS = [*PRESETS, "snip", "dense"]


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"omp"}))
def test_paper_settings_are_parameters_of_the_estimator(name):
    settings = paper_settings(name)
    classifier = SparseMLPClassifier(**settings, epsilon=1, max_iter=150)
    assert (settings["learning_rate_init"], settings["batch_size"]) == (0.01, 100)
    recipe = make_recipe(classifier.get_params(deep=False), SoftmaxCrossEntropy())
    assert recipe.optimizer == SGD(momentum=0.9, nesterov=True)
    evolution = settings["evolution"]
    if name in ("static", "snip", "dense"):
        assert evolution == "static"
        assert recipe.evolution is None
        first = {"snip": SNIP(n_samples=100, per_layer=False), "dense": "full"}.get(name, "erdos_renyi")
        assert settings["topology_init"] == first
    elif name in ("rigl", "gse"):
        assert evolution.schedule == CosineAnnealing(drop_fraction=0.2, update_every="epoch", end_step=0.75)
        assert evolution.grow_init == "zeros"
    elif name in ("cht", "chts"):
        assert (evolution.prune, evolution.grow) == (preset(name).prune, preset(name).grow)
        assert (evolution.schedule, evolution.grow_init) == (Constant(0.3, update_every="epoch"), "zeros")
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


@pytest.mark.parametrize("name", sorted(METHODS))
def test_recommended_settings_learn_digits(name, digits):
    X_train, X_test, y_train, y_test = digits
    small = {"hidden_layer_sizes": (100, 100), "epsilon": 5, "max_iter": 30, "random_state": 0}
    model = SparseMLPClassifier(**recommended_settings(name) | small).fit(X_train, y_train)
    assert model.score(X_test, y_test) > 0.9


def test_what_is_recommended_for_the_default_method_is_the_default():
    parameters = SparseMLPClassifier().get_params()
    settings = recommended_settings(parameters["evolution"])
    unset = {name for name in settings if parameters[name] is None}
    assert unset == {"activation", "weight_init", "dropout"}  # what suits the method and the task
    assert {name: settings[name] for name in settings.keys() - unset} == {
        name: parameters[name] for name in settings.keys() - unset
    }
    made, meant = (
        make_recipe(parameters | changes, SoftmaxCrossEntropy()) for changes in ({}, {n: settings[n] for n in unset})
    )
    assert made == meant
    assert make_recipe(parameters, SquaredError()).dropout == 0


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_name_alone_means_what_is_recommended_for_it(name):
    by_name = SparseMLPClassifier(evolution=name).get_params(deep=False)
    recommended = SparseMLPClassifier(**recommended_settings(name)).get_params(deep=False)
    loss = SoftmaxCrossEntropy()
    assert make_recipe(by_name, loss) == make_recipe(recommended, loss)


def test_what_suits_a_method():
    assert suited_settings("cte") == {"activation": PiecewiseLinear(0.0), "weight_init": FanIn()}
    assert suited_settings("set") == suited_settings(None) == suited_settings("static")
    assert suited_settings("set") == {"activation": AllReLU(0.6), "weight_init": FanIn(1.0)}
    assert suited_settings("rigl")["activation"] == AllReLU(0.25)
    assert suited_settings(preset("set")) == suited_settings("cte")  # a user's own
    dense = {"activation": PiecewiseLinear(0.0), "weight_init": FanIn(1.0)}
    assert suited_settings("static", resolve("topology", "full")) == dense


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
    assert n_reached(topology_init=SNIP()) < 26
