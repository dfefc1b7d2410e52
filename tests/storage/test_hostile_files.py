"""Files that were made to do harm, with correct checksums, are refused in words; `benchmarks/faults.py` makes more."""

import io
import json
import zipfile

import numpy as np
import pytest

import truesparse
from truesparse import SparseMLPClassifier
from truesparse.persistence import ModelFormatError
from truesparse.storage import write_archive


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
