"""Parameters come back as they were, and nothing else comes with them."""

import json
import math
from dataclasses import dataclass, fields, is_dataclass

import numpy as np
import pytest

from truesparse import Evolution, evolution, transforms
from truesparse.evolution import PRESETS, Constant, Cosine, Magnitude, Mixed, Random, preset, snip
from truesparse.network import activations, initial_weights, losses
from truesparse.network.activations import AllReLU
from truesparse.runtime.plugins import find, name_in_files
from truesparse.storage import Missing, ModelFormatError, decode, encode
from truesparse.training import lr_schedules, optimizers
from truesparse.training.lr_schedules import Step


@dataclass(frozen=True)
class OwnRule:
    needs = ()

    def __call__(self, vacancies, *, rng):
        return Random()(vacancies, rng=rng)


def round_trip(value):
    return decode(json.loads(json.dumps(encode(value, "value"), allow_nan=False)), "value")


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -3, 0.1, 1e-300, math.inf, -math.inf, "text", [1, [2, "a"]], (10, 20), [], (),
        AllReLU(0.3), Step((0.2, 0.9), 0.5), Mixed(Cosine(n_samples=10), Random()),
        Evolution(Magnitude(), Cosine(), Constant(0.2, update_every="epoch"), grow_init=initial_weights.FanIn(2.0)),
        *(preset(name) for name in PRESETS if preset(name) is not None),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_values_come_back(value):
    again = round_trip(value)
    assert again == value
    assert type(again) is type(value)


def test_numbers_of_numpy_become_those_of_python():
    assert encode([np.int64(3), np.float32(0.5), np.bool_(True)], "value") == [3, 0.5, True]
    assert encode(np.array([5, 6]), "value") == [5, 6]


def test_not_a_number_comes_back():
    assert math.isnan(round_trip(math.nan))


def test_every_rule_of_the_library_can_be_stored():
    modules = (activations, evolution, initial_weights, losses, lr_schedules, optimizers, snip, transforms)
    rules = {
        value
        for module in modules
        for value in vars(module).values()
        if is_dataclass(value) and isinstance(value, type) and value.__dataclass_params__.frozen
    } - {evolution.Vacancy, snip.DenseStart, losses.Weighted, losses.SoftmaxCrossEntropy, losses.BinaryCrossEntropy}
    rules = {rule for rule in rules if rule.__module__.startswith("truesparse") and rule.__name__ != "Pattern"}
    others = ("DenseStart", "MixedTargets", "Rewiring", "RandomStreams", "_Scaled")
    rules = {rule for rule in rules if rule.__name__ not in others}
    assert rules
    assert all(find(name_in_files(rule)) is rule for rule in rules)


def test_files_name_the_rules_as_ever():
    names = {cls: name_in_files(cls) for cls in (Magnitude, Random, Constant, Evolution, AllReLU, Step)}
    assert [*names.values()] == [
        "evolution.Magnitude", "evolution.Random", "evolution.Constant", "evolution.Evolution", "activation.AllReLU",
        "learning_rate.Step",
    ]  # fmt: skip
    assert name_in_files(snip.SNIP) == "topology.SNIP"
    assert name_in_files(initial_weights.Glorot) == "initializer.Glorot"
    assert name_in_files(losses.Huber) == "loss.Huber"
    assert name_in_files(evolution.ImportancePruning) == "evolution.ImportancePruning"


@pytest.mark.parametrize(
    "value",
    [len, lambda: 0, object(), {"a": object()}, {None: 1}, {(1, 2): 1}, {1}, OwnRule(), 1j, b"a", Magnitude],
    ids=lambda value: type(value).__name__,
)
def test_code_and_other_objects_are_only_named(value):
    content = encode(value, "some_parameter")
    missing = content if type(value) is not dict else content["items"][0][1] if "items" in content else content
    assert missing["type"] == "not stored"
    with pytest.raises(ModelFormatError, match=r"some_parameter.* needs .*truesparse\.plugin"):
        decode(content, "some_parameter")
    again = decode(content, "some_parameter", may_miss=True)
    assert encode(again, "some_parameter") == content


def test_a_rule_within_a_rule_is_named():
    content = json.loads(json.dumps(encode(Evolution(grow=Mixed(OwnRule(), Random(), 0.2)), "evolution")))
    with pytest.raises(ModelFormatError, match=r"evolution\.grow\.first needs .*\.OwnRule"):
        decode(content, "evolution")
    missing = decode(content, "evolution", may_miss=True)
    assert isinstance(missing, Missing)
    assert repr(missing).startswith("Evolution(prune=Magnitude(), grow=Mixed(first=<missing: OwnRule()>, second=")
    assert encode(missing, "evolution") == content


MAGNITUDE = {"type": "evolution.Magnitude", "fields": {}}


@pytest.mark.parametrize(
    "content",
    [
        {"type": "os.system", "fields": {}},
        {"type": "builtins.eval", "fields": {"source": "1"}},
        {"type": "evolution.Vacancy", "fields": {}},
        {"type": ["evolution.Magnitude"], "fields": {}},
        MAGNITUDE | {"more": 1},
        {"type": "evolution.Magnitude", "fields": []},
        {"type": "evolution.Magnitude", "fields": {"__class__": "x"}},
        {"type": "evolution.Cosine", "fields": {"n_pairs": 1}},
        {"type": "activation.AllReLU", "fields": {"slope": "steep"}},
        {"type": "activation.AllReLU", "fields": {"slope": {"type": "float", "value": "nan"}}},
        {"type": "initializer.FanIn", "fields": {"gain": -1}},
        {"type": "evolution.Evolution", "fields": {"prune": 3}},
        {"type": "float", "value": "1e5"},
        {"type": "tuple", "items": {"a": 1}},
        {},
        {"a": 1},
    ],
    ids=lambda value: type(value).__name__,
)
def test_hostile_content_is_refused(content):
    with pytest.raises(ModelFormatError, match=r"parameter"):
        decode(content, "parameter")


def test_fields_that_are_missing_have_their_defaults():
    assert decode({"type": "initializer.FanIn", "fields": {}}, "value") == initial_weights.FanIn()
    assert [field.name for field in fields(initial_weights.FanIn)] == ["gain"]


def test_dicts_and_the_numbers_of_numpy_in_them():
    assert decode(encode({np.int64(3): np.float32(0.5), "a": 1, True: None}, "w"), "w") == {3: 0.5, "a": 1, True: None}
    for damaged in ([[1]], [[None, 1]], [[[1], 1]], [1], "ab"):
        with pytest.raises(ModelFormatError):
            decode({"type": "dict", "items": damaged}, "w")
