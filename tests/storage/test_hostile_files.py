"""Files made to do harm, with right checksums, are refused; `benchmarks/stress/damaged_files.py` makes more of them."""

import io
import json
import zipfile

import numpy as np
import pytest

import truesparse
from truesparse import Evolution, SparseMLPClassifier
from truesparse.estimators.persistence import ModelFormatError
from truesparse.evolution import OMP, AfterStall, Constant, Cosine, Gradient, Mixed, Random
from truesparse.storage import write_archive
from truesparse.training import lr_schedules


@pytest.fixture(scope="module")
def honest():
    """The members of a model's file."""
    rng = np.random.default_rng(0)
    file = io.BytesIO()
    truesparse.save(
        SparseMLPClassifier((5,), max_iter=1, random_state=0).fit(rng.random((20, 4)), np.arange(20) % 2), file
    )
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_metadata(honest, change):
    """The file with other metadata; `change` is given them and returns text, or None after it changed them."""
    metadata = json.loads(honest["metadata.json"])
    text = change(metadata) or json.dumps(metadata)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in (honest | {"metadata.json": text.encode()}).items():
            archive.writestr(name, content)
    file.seek(0)
    return file


def test_unchanged_members_make_a_model(honest):
    assert truesparse.load(with_metadata(honest, lambda metadata: None)).n_iter_ == 1


@pytest.mark.parametrize("place", ["weight_init", "evolution", "hidden_layer_sizes"])
@pytest.mark.parametrize("depth", [70, 900, 10**5])
def test_deep_metadata_are_refused_not_followed(honest, place, depth):
    # 900 levels are few enough for the parser, and were too many for what reads parameters.
    def nest(metadata):
        metadata["parameters"][place] = "HERE"
        return json.dumps(metadata).replace('"HERE"', "[" * depth + "]" * depth)

    with pytest.raises(ModelFormatError):
        truesparse.load(with_metadata(honest, nest))


def test_deep_metadata_are_not_written():
    deep = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ModelFormatError, match="more than 64 levels deep"):
        write_archive(io.BytesIO(), {"deep": deep}, {})


def test_metadata_of_many_small_things_are_refused_before_they_are_parsed(honest):
    # A list of empty lists takes thirty times its text.
    def fill(metadata):
        metadata["libraries"]["more"] = "HERE"
        return json.dumps(metadata).replace('"HERE"', "[" + "[]," * 1_400_000 + "0]")

    with pytest.raises(ModelFormatError, match="at most 4194304 are allowed"):
        truesparse.load(with_metadata(honest, fill))


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400, "1e400", "-1e400", "9" * 5000])
@pytest.mark.parametrize("name", ["epsilon", "random_state", "learning_rate_init"])
def test_numbers_beyond_a_float_are_refused(honest, name, number):
    def enlarge(metadata):
        metadata["parameters"][name] = "HERE"
        return json.dumps(metadata).replace('"HERE"', number)

    with pytest.raises(ModelFormatError):
        truesparse.load(with_metadata(honest, enlarge))


def test_numbers_beyond_a_float_are_not_written():
    with pytest.raises(ModelFormatError, match="max_iter"):
        truesparse.save(SparseMLPClassifier(max_iter=10**400), io.BytesIO())


def rule(name, **fields):
    return {"type": name, "fields": fields}


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("evolution", rule("evolution.Evolution", prune=rule("evolution.Random"))),
        ("evolution", rule("evolution.Evolution", grow=rule("evolution.Magnitude"))),
        ("evolution", rule("evolution.Evolution", schedule=rule("evolution.Random"))),
        ("evolution", rule("evolution.Evolution", grow=rule("evolution.AfterStall", first="text", then=None))),
        ("evolution", rule("evolution.Evolution", grow=rule("evolution.Cosine", regrow="no"))),
        ("learning_rate", rule("learning_rate.Step", milestones=0.5)),
        ("learning_rate", rule("learning_rate.Step", milestones=["a"])),
        ("learning_rate", rule("learning_rate.Step", gamma=None)),
        ("activation", rule("activation.AllReLU", slope="steep")),
    ],
)
def test_fields_of_rules_that_hold_something_else_are_refused(honest, parameter, value):
    with pytest.raises(ModelFormatError):
        truesparse.load(with_metadata(honest, lambda metadata: metadata["parameters"].update({parameter: value})))


@pytest.mark.parametrize(
    "changed",
    [
        {"learning_rate": lr_schedules.Step(milestones=(0.5, 1), gamma=1)},
        {"evolution": Evolution(grow=Cosine(regrow=0), schedule=Constant(end_step=3), grow_init=1)},
        {"evolution": Evolution(grow=AfterStall(Random(), Mixed(OMP(), Gradient(n_samples=None), 1), patience=9))},
    ],
)
def test_fields_that_a_rule_accepts_come_back(changed):
    file = io.BytesIO()
    truesparse.save(SparseMLPClassifier(**changed), file)
    file.seek(0)
    for name, value in changed.items():
        assert getattr(truesparse.load(file), name) == value
