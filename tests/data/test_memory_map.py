"""A memory map is trained from where it lies: the process grows by little more than the network."""

import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import assert_same_run
from numpy.testing import assert_array_equal

from truesparse import SparseMLPClassifier
from truesparse.data import ArraySource
from truesparse.network.workspace import Workspace
from truesparse.runtime import memory
from truesparse.runtime.memory import MappedRows

PROGRAM = """
import sys
import numpy as np
import truesparse

def resident(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024

path, n_samples = sys.argv[1], int(sys.argv[2])
X = np.memmap(path, mode="w+", dtype=np.float32, shape=(n_samples, 1024))
y = np.arange(n_samples) % 2  # of a file that is one hole there is nothing to learn
settings = dict(epsilon=2, max_iter=1, batch_size=1024, update_every=10**6, random_state=0, early_stopping=True)
truesparse.SparseMLPClassifier((50,), **settings).fit(X[:2048].copy(), y[:2048])  # compiles
del X
X = np.memmap(path, mode="r", dtype=np.float32, shape=(n_samples, 1024))
open("/proc/self/clear_refs", "w").write("5")  # the peak begins here
before = resident("VmRSS:")
model = truesparse.SparseMLPClassifier((50,), **settings).fit(X, y)
print(resident("VmHWM:") - before, model.n_iter_)
"""


def growth(path, n_samples):
    """By how many MB the process has grown at most."""
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(path), str(n_samples)]
    process = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)
    assert process.returncode == 0, process.stderr
    megabytes, n_epochs = map(float, process.stdout.split())
    assert n_epochs == 1
    return megabytes


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_fit_of_a_map_of_a_gigabyte_does_not_copy_it(tmp_path):
    megabytes = growth(tmp_path / "X", 2**18)
    print(f"{megabytes:.0f} MB")
    assert megabytes < 200


def maps(path):
    """The same numbers as an array and as maps of every kind, (600, 50)."""
    array = np.random.default_rng(0).standard_normal((600, 50), dtype=np.float32)
    with open(path, "wb") as file:
        file.write(bytes(100) + array.tobytes())
    whole = {mode: np.memmap(path, np.float32, mode, 100, (600, 50)) for mode in ("r", "r+", "c")}
    longer = np.memmap(path, np.float32, "r", 100 - 100 % 4, (600 * 50,))
    return array, [*whole.values(), np.asarray(whole["r"]), whole["r"][:], longer.reshape(600, 50)]


def test_a_map_is_read_as_an_array(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(memory, "_MOST_RESIDENT", 7 * 2**21)  # a few rows at a time
    array, mapped = maps(tmp_path / "X")
    workspace, expected = (Workspace([50, 3], 64, np.float32) for _ in range(2))
    samples = rng.integers(600, size=61)
    for X in mapped:
        assert MappedRows(X).is_mapped == (getattr(X, "mode", "") != "c")
        for source, of_array in (
            (ArraySource(X), ArraySource(array)),
            (ArraySource(X[100:]).subset(np.arange(500)[::-1]), ArraySource(array[100:][::-1].copy())),
        ):
            some = samples % source.n_samples
            assert_array_equal(source.rows(some), of_array.rows(some))
            source.read(some, workspace)
            of_array.read(some, expected)
            assert_array_equal(workspace.x, expected.x)
    assert not MappedRows(array).is_mapped


def test_what_has_been_written_into_a_map_is_not_lost(tmp_path):
    array, (_, writable, *_) = maps(tmp_path / "X")
    writable[:] += 1
    rows = MappedRows(writable)
    rows.give_back(np.arange(600))
    assert_array_equal(rows.take(np.arange(600)), array + 1)


def test_fit_of_a_map_is_fit_of_its_array(tmp_path):
    array, mapped = maps(tmp_path / "X")
    y = (array[:, 0] > 0).astype(int)
    settings = {"epsilon": 3, "max_iter": 3, "update_every": 10, "random_state": 0, "early_stopping": True}
    model = SparseMLPClassifier((20,), **settings).fit(array, y)
    for X in mapped:
        assert_same_run(model, SparseMLPClassifier((20,), **settings).fit(X, y))
    mapped[1][577, 3] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        SparseMLPClassifier((20,), **settings).fit(mapped[0], y)
