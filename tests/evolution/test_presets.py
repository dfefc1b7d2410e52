import pytest

from truesparse import paper_settings, preset, recommended_settings
from truesparse.evolution import (
    OMP,
    AfterStall,
    Cosine,
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
from truesparse.runtime.plugins import resolve

AT_ZERO = ("rigl", "gse", "cht", "chts", "omp", "path_weight", "sensitivity")


def test_each_name_is_the_method_of_its_paper():
    assert preset("static") is None
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
    assert {preset(name).grow_init for name in AT_ZERO} == {"zeros"}


@pytest.mark.parametrize(("name", "first"), [("snip", "snip"), ("dense", "full")])
def test_methods_known_by_their_first_topology_say_what_to_write(name, first):
    with pytest.raises(ValueError, match=f"evolution='{name}' .* evolution='static', topology_init='{first}'"):
        preset(name)
    for settings in (paper_settings(name), recommended_settings(name)):
        assert settings["evolution"] == "static"
        topology = settings["topology_init"]
        assert type(resolve("topology", topology)) is type(resolve("topology", first))


@pytest.mark.parametrize("function", [preset, paper_settings, recommended_settings])
def test_unknown_name(function):
    with pytest.raises(ValueError, match=r"'ctre' is not registered; there are \['cht', 'chts', 'cte', 'ctre_seq'"):
        function("ctre")
