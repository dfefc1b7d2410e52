import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import random_csr, read_only, tolerance
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.kernels import cells, reference
from truesparse.kernels.cells import top_absent_pairs_in_cells
from truesparse.kernels.similarity import BestPairs, top_absent_pairs
from truesparse.runtime.threads import threads
from truesparse.topology import Pattern


def grouped(n_units, n_groups, rng, noise=0.15, width=32):
    """Signatures around some directions or their negatives, which are the same for every call with these groups."""
    directions = np.random.default_rng(n_groups).standard_normal((n_groups, width)) / np.sqrt(width)
    signs = rng.choice([-1, 1], size=n_units)
    units = signs[:, None] * directions[rng.integers(n_groups, size=n_units)]
    units += noise * rng.standard_normal((n_units, width)) * rng.random((n_units, 1)) / np.sqrt(width)
    return units.astype(np.float32)


@pytest.fixture
def layer(rng):
    """Signatures and pattern of a layer of 4000 × 3000 pairs in which 60 groups of units are similar."""
    return grouped(4000, 60, rng), grouped(3000, 60, rng), Pattern.sample((4000, 3000), 20_000, rng)


@pytest.fixture
def looked_at(monkeypatch):
    """The number of pairs in each call of `BestPairs.search`."""
    numbers, search = [], BestPairs.search

    def counting(self, row_signatures, rows, column_signatures, columns):
        numbers.append(rows.size * columns.size)
        search(self, row_signatures, rows, column_signatures, columns)

    monkeypatch.setattr(BestPairs, "search", counting)
    return numbers


def assert_absent_pairs(keys, scores, rows, columns, indices, indptr, k):
    """What holds for every search: distinct absent pairs, with their scores, in order."""
    fan_in = len(columns)
    assert keys.dtype == np.int64
    assert keys.size == scores.size <= k
    assert np.unique(keys).size == keys.size
    i, j = np.divmod(keys, fan_in)
    assert not np.isin(keys, reference.rows_of(indptr) * np.int64(fan_in) + indices).any()
    assert_allclose(scores, np.abs(np.einsum("pw,pw->p", rows[i], columns[j])), **tolerance(rows.dtype))
    assert (scores > 0).all()
    assert_array_equal(np.lexsort((keys, -scores)), np.arange(keys.size))


@pytest.mark.parametrize("k", [1, 60, 100_000])
@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (13, 40), (300, 1), (70, 25)])
def test_small_layers_and_large_k_are_searched_exactly(shape, density, k, rng):
    """Integers, so that there are many ties and no rounding."""
    w = random_csr(shape, density, rng)
    rows = rng.integers(-2, 3, size=(shape[0], 4)).astype(np.float32)
    columns = rng.integers(-2, 3, size=(shape[1], 4)).astype(np.float32)
    found = top_absent_pairs_in_cells(rows, columns, w.indices, w.indptr, k, rng)
    expected = reference.top_absent_pairs_in_cells(rows, columns, w.indices, w.indptr, k)
    for actual, wanted in zip(found, expected, strict=True):
        assert_array_equal(actual, wanted)


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize("k", [1, 500, 20_000])
def test_absent_pairs_in_order(k, index_dtype, dtype, rng):
    rows, columns = grouped(600, 20, rng).astype(dtype), grouped(900, 20, rng).astype(dtype)
    rows[::7], columns[::5] = 0, 0
    w = random_csr((600, 900), 0.3, rng)
    arrays = read_only(rows, columns, w.indices.astype(index_dtype), w.indptr.astype(index_dtype))
    keys, scores = top_absent_pairs_in_cells(*arrays, k, rng)
    assert keys.size == k
    assert_absent_pairs(keys, scores, *arrays, k)


@pytest.mark.parametrize("largest", [2, 4])
def test_everything_in_cells_is_the_reference(largest, rng, monkeypatch):
    """If all cells are probed, nothing can be missed; blocks and tiles far smaller than the layer."""
    for name, value in {"_MOST_PROBES": 0.99, "_FEWEST_PROBES": 1, "_PROBES": 100, "_TILE_ROWS": 16}.items():
        monkeypatch.setattr(cells, name, value)
    monkeypatch.setattr(cells, "_tau", lambda *arguments: 0)
    w = random_csr((150, 130), 0.2, rng)
    rows = rng.integers(-largest, largest + 1, size=(150, 4)).astype(np.float32)
    columns = rng.integers(-largest, largest + 1, size=(130, 4)).astype(np.float32)
    found = top_absent_pairs_in_cells(rows, columns, w.indices, w.indptr, 700, rng)
    expected = reference.top_absent_pairs_in_cells(rows, columns, w.indices, w.indptr, 700)
    for actual, wanted in zip(found, expected, strict=True):
        assert_array_equal(actual, wanted)


@pytest.mark.parametrize("k", [3_000, 60_000])
def test_recall_in_a_part_of_the_pairs(layer, k, looked_at):
    rows, columns, pattern = layer
    found, scores = top_absent_pairs_in_cells(
        rows, columns, pattern.indices, pattern.indptr, k, np.random.default_rng(0)
    )
    assert sum(looked_at) < 0.35 * 4000 * 3000  # the sampled rows alone are an eighth
    expected, _ = top_absent_pairs(rows, columns, pattern.indices, pattern.indptr, k)
    assert np.isin(expected, found).mean() > 0.97
    assert_absent_pairs(found, scores, rows, columns, pattern.indices, pattern.indptr, k)


def test_without_groups_the_work_is_bounded_all_the_same(rng, looked_at):
    rows, columns = (rng.standard_normal((n, 32)).astype(np.float32) for n in (5000, 4000))
    empty = np.zeros(0, dtype=np.int32), np.zeros(5001, dtype=np.int32)
    keys, scores = top_absent_pairs_in_cells(rows, columns, *empty, 1000, rng)
    assert sum(looked_at) < (512 / 5000 + 32 / 200 + 0.05) * 5000 * 4000
    assert keys.size == 1000
    assert_absent_pairs(keys, scores, rows, columns, *empty, 1000)


def test_signatures_of_zeros_match_nothing(rng):
    signatures, zeros = grouped(700, 10, rng), np.zeros((700, 32), dtype=np.float32)
    pattern = Pattern.sample((700, 700), 900, rng)
    for rows, columns in ((signatures, zeros), (zeros, signatures), (zeros, zeros)):
        keys, scores = top_absent_pairs_in_cells(rows, columns, pattern.indices, pattern.indptr, 50, rng)
        assert keys.size == scores.size == 0
    zeros[[3, 500]] = signatures[[3, 500]]
    keys, _ = top_absent_pairs_in_cells(zeros, signatures, pattern.indices, pattern.indptr, 50, rng)
    assert set((keys // 700).tolist()) <= {3, 500}
    assert keys.size == 50


def test_a_poor_sample_loses_nothing(rng, monkeypatch):
    """A fifth of the rows holds the best pairs, and four rows are sampled: too high a floor is noticed."""
    monkeypatch.setattr(cells, "_SAMPLED_ROWS", 4)
    monkeypatch.setattr(cells, "_SAMPLED_PAIRS", 1)
    probes, probe = [], cells._probe
    monkeypatch.setattr(cells, "_probe", lambda *arguments: probes.append(probe(*arguments)))
    rows, columns = grouped(1000, 10, rng), grouped(800, 10, rng)
    rows[:200] *= 10
    empty = np.zeros(0, dtype=np.int32), np.zeros(1001, dtype=np.int32)
    for seed in range(20):
        keys, _ = top_absent_pairs_in_cells(rows, columns, *empty, 3000, np.random.default_rng(seed))
        assert keys.size == 3000
    assert 20 < len(probes) < 40


def test_rows_that_probe_nothing_for_a_while(rng, monkeypatch):
    """The first rows are zero, and so are the last: nothing is held when their turn ends."""
    monkeypatch.setattr(cells, "_PROBES", 1)
    monkeypatch.setattr(cells, "_TILE_ROWS", 64)
    rows, columns = grouped(900, 10, rng), grouped(900, 10, rng)
    rows[:500], rows[700:] = 0, 0
    empty = np.zeros(0, dtype=np.int32), np.zeros(901, dtype=np.int32)
    keys, scores = top_absent_pairs_in_cells(rows, columns, *empty, 300, rng)
    assert keys.size == 300
    assert_absent_pairs(keys, scores, rows, columns, *empty, 300)


def test_orthogonal_units_and_their_negatives(rng):
    """Units that no centroid is similar to, and members of a cell that cancel."""
    rows = np.concatenate([np.eye(200), -np.eye(200)]).astype(np.float32)
    columns = rng.permutation(rows)
    empty = np.zeros(0, dtype=np.int32), np.zeros(401, dtype=np.int32)
    for seed in range(10):
        keys, scores = top_absent_pairs_in_cells(rows, columns, *empty, 500, np.random.default_rng(seed))
        assert_absent_pairs(keys, scores, rows, columns, *empty, 500)


def test_units_that_are_all_the_same(rng):
    """One cell holds every column; all pairs tie and the smallest keys win among those looked at.

    With a width of 16, nothing is rounded.
    """
    rows = columns = np.ones((800, 16), dtype=np.float32)
    pattern = Pattern.sample((800, 800), 5000, rng)
    keys, scores = top_absent_pairs_in_cells(rows, columns, pattern.indices, pattern.indptr, 900, rng)
    expected, _ = top_absent_pairs(rows, columns, pattern.indices, pattern.indptr, 900)
    assert_array_equal(keys, expected)
    assert_allclose(scores, 16)


def test_same_generator_same_bytes_on_one_and_two_threads(layer):
    rows, columns, pattern = layer
    found = []
    for n_threads in (1, 2, 1):
        with threads(n_threads):
            rng = np.random.default_rng(3)
            keys, scores = top_absent_pairs_in_cells(rows, columns, pattern.indices, pattern.indptr, 9000, rng)
        found.append((keys.tobytes(), scores.tobytes(), rng.integers(2**60)))
    assert found[0] == found[1] == found[2]


# 30,000 × 30,000 pairs would take 3.6 GB as float32 and 900 MB as a mere mask.
PROGRAM = """
import resource
import numpy as np
from test_cells import grouped
from truesparse.kernels.cells import top_absent_pairs_in_cells
from truesparse.topology import Pattern
def search(n):
    rng = np.random.default_rng(0)
    rows, columns, pattern = grouped(n, 100, rng), grouped(n, 100, rng), Pattern.sample((n, n), 5 * n, rng)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    keys, _ = top_absent_pairs_in_cells(rows, columns, pattern.indices, pattern.indptr, n, rng)
    return keys.size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
search(1_000)
found, peak = search(30_000)
print(found, peak / 1024)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="resource is not available")
def test_peak_memory():
    path = os.pathsep.join([os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))])
    path = os.pathsep.join([path, os.environ.get("PYTHONPATH", "")])
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path},
    ).stdout  # fmt: skip
    found, megabytes = (float(number) for number in output.split())
    if sys.platform == "darwin":
        megabytes /= 1024
    assert found == 30_000
    assert megabytes < 64
