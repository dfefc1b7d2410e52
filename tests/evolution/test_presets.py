import pytest

from truesparse import SparseMLPClassifier, paper_settings, preset
from truesparse.evolution import (
    FIRST_TOPOLOGIES,
    OMP,
    PRESETS,
    AfterStall,
    Constant,
    Cosine,
    CosineAnnealing,
    Gradient,
    GuidedStochastic,
    Magnitude,
    PathWeightGrow,
    PathWeightPrune,
    Random,
    SensitivityGrow,
    SensitivityPrune,
    SignedMagnitude,
)
from truesparse.initializers import Dense


def test_each_name_is_the_method_of_its_paper():
    assert preset("static") is preset("snip") is preset("dense") is None
    assert (preset("set").prune, preset("set").grow) == (SignedMagnitude(), Random())
    assert (preset("cte").prune, preset("cte").grow) == (Magnitude(), Cosine())
    assert not preset("ctre_sim").grow.regrow
    assert isinstance(preset("ctre_seq").grow, AfterStall)
    assert preset("ctre_seq").grow.patience == 40
    assert (preset("rigl").prune, preset("rigl").grow) == (Magnitude(), Gradient())
    assert (preset("gse").prune, preset("gse").grow) == (Magnitude(), GuidedStochastic())
    assert (preset("omp").prune, preset("omp").grow) == (Magnitude(), OMP())
    assert (preset("path_weight").prune, preset("path_weight").grow) == (PathWeightPrune(), PathWeightGrow())
    assert (preset("sensitivity").prune, preset("sensitivity").grow) == (SensitivityPrune(), SensitivityGrow())
    assert {preset(name).grow_init for name in ("rigl", "gse", "omp", "path_weight", "sensitivity")} == {"zeros"}


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


@pytest.mark.parametrize("function", [preset, paper_settings])
def test_unknown_name(function):
    with pytest.raises(ValueError, match=r"'ctre' is not a preset; there are \['cte', 'ctre_seq'"):
        function("ctre")


def test_what_was_not_published_has_no_published_settings():
    with pytest.raises(ValueError, match=r"name='omp' is a method of this library.*'cte'.*'static'"):
        paper_settings("omp")
