"""The parts of the fault benchmarks that would let a fault go unseen if they were wrong."""

import io

import numpy as np
import pytest
from helpers import benchmark_modules

import truesparse
from truesparse.estimators.persistence import ModelFormatError

_models, mutants, soak = benchmark_modules("stress", "_models", "mutants", "soak")


@pytest.fixture(scope="module")
def honest_files(tmp_path_factory):
    return mutants.honest_files(str(tmp_path_factory.mktemp("honest")))


def test_the_writer_of_mutants_writes_what_can_be_read(honest_files):
    for honest in honest_files:
        copied = mutants.zip_bytes(mutants.pack(*honest.parts()))
        expected, found = (_models.content(truesparse.load(io.BytesIO(file))) for file in (honest.file, copied))
        assert found == expected


def test_a_mutant_is_made_of_its_number_alone(honest_files):
    first, again = ([mutants.mutant(honest_files, index).file for index in range(30)] for _ in range(2))
    assert first == again
    assert len(set(first)) > 25


def test_checksums_of_hostile_files_are_right(honest_files):
    # Else they would be refused for those, and nothing else would be tried.
    metadata, arrays = honest_files[0].parts()
    arrays["layer0.bias"][0] = np.nan
    with pytest.raises(ModelFormatError, match="NaN"):
        truesparse.load(io.BytesIO(mutants.zip_bytes(mutants.pack(metadata, arrays))))


def test_models_that_differ_in_a_bit_are_told_apart(honest_files):
    model, other = (truesparse.load(io.BytesIO(honest_files[0].file)) for _ in range(2))
    assert _models.content(model) == _models.content(other)
    other._network.params[3] = np.nextafter(other._network.params[3], np.float32(9))
    assert _models.content(model) != _models.content(other)


def test_a_leak_is_seen_and_a_level_is_not():
    minutes = np.arange(100.0)
    line, spread = soak.growth(minutes, 300 + 0.1 * minutes)
    assert line == pytest.approx(spread) == pytest.approx(9.9 / 304.95)
    assert soak.growth(minutes, np.full(100, 300.0)) == pytest.approx((0, 0), abs=1e-12)
