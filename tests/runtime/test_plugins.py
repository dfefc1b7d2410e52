import importlib
from dataclasses import dataclass

import pytest

from truesparse.network.losses import Huber
from truesparse.runtime import plugins
from truesparse.runtime.plugins import classes, find, name_in_files, names, plugin, register_value, resolve
from truesparse.training import lr_schedules


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """A registry that the test may add to."""
    for table in ("_classes", "_named"):
        monkeypatch.setattr(plugins, table, {kind: dict(found) for kind, found in getattr(plugins, table).items()})


def define(**named):
    @plugin("learning_rate", **named)
    @dataclass(frozen=True)
    class Own:
        steps: int = 10

    return Own


def test_a_class_is_found_by_kind_name_and_short_names():
    own = define(warmup={}, long_warmup={"steps": 100})
    assert names("learning_rate") == ["constant", "cosine", "linear", "long_warmup", "step", "warm_up", "warmup"]
    assert resolve("learning_rate", "warmup") == own()
    assert resolve("learning_rate", "long_warmup") == own(100)
    assert resolve("learning_rate", "warmup") is resolve("learning_rate", "warmup")
    assert classes("learning_rate")[-1] is own
    assert find("learning_rate.Own") is own
    assert find(f"{own.__module__}.{own.__qualname__}") is own
    assert name_in_files(own) == "learning_rate.Own"


def test_what_is_no_name_stands_for_itself():
    for value in (Huber(0.5), 3, None):
        assert resolve("loss", value) is value


@pytest.mark.parametrize("value", ["hubert", "Huber"])
def test_an_unknown_name_lists_those_there_are(value):
    known = r"\['absolute_error', 'huber', 'poisson', 'squared_error'\]"
    with pytest.raises(
        ValueError, match=rf"loss='{value}' is not registered; there are {known}\. Did you mean 'huber'\?"
    ):
        resolve("loss", value)


def test_no_guess_where_nothing_is_close():
    with pytest.raises(ValueError, match=r"'squared_error'\]\.$"):
        resolve("loss", "xyz")


def test_the_rules_of_evolution_share_a_word_in_files():
    assert {name_in_files(cls).split(".")[0] for kind in ("prune", "grow", "schedule") for cls in classes(kind)} == {
        "evolution"
    }


def test_classes_that_are_no_frozen_dataclass_are_refused():
    class Plain:
        pass

    class Inherits(lr_schedules.Step):
        pass

    @dataclass
    class Thawed:
        pass

    for cls in (Plain, Inherits, lambda: None):
        with pytest.raises(ValueError, match="must be a dataclass; put @plugin above @dataclass"):
            plugin("loss")(cls)
    with pytest.raises(ValueError, match="must be frozen"):
        plugin("loss")(Thawed)
    with pytest.raises(ValueError, match=r"kind='losses' must be one of \['activation', "):
        plugin("losses")


def test_a_name_is_given_once():
    @dataclass(frozen=True)
    class Step:
        pass

    @dataclass(frozen=True)
    class Cosine:
        pass

    with pytest.raises(ValueError, match=r"the learning_rate Step is truesparse\..*Step already"):
        plugin("learning_rate")(Step)
    with pytest.raises(ValueError, match=r"the evolution Cosine is truesparse\.evolution\.grow\.Cosine already"):
        plugin("prune")(Cosine)
    with pytest.raises(ValueError, match="the loss 'huber' is truesparse"):
        plugin("loss", huber={})(Step)
    assert find("loss.Step") is None
    plugin("loss", step={})(Step)


def test_arguments_that_a_class_has_not_are_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'n'"):
        define(warmup={"n": 3})
    assert "warmup" not in names("learning_rate")


def test_the_same_class_may_be_defined_again():
    first = define(warmup={}, forgotten={})
    second = define(warmup={"steps": 3})
    assert first is not second
    assert find("learning_rate.Own") is second
    assert resolve("learning_rate", "warmup") == second(3)
    assert "forgotten" not in names("learning_rate")


def test_a_module_may_be_reloaded():
    before = names("learning_rate")
    old = dict(vars(lr_schedules))
    try:
        importlib.reload(lr_schedules)
        assert names("learning_rate") == before
        assert find("learning_rate.Step") is lr_schedules.Step is not old["Step"]
    finally:
        vars(lr_schedules).update(old)


def test_a_value_has_no_class_of_its_own():
    register_value("method", "quiet", None)
    assert resolve("method", "quiet") is None
