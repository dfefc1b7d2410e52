"""Scores by paths of length three against their definition on small graphs, and draws in proportion to them."""

import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from truesparse.kernels import length_three, reference
from truesparse.kernels.length_three import PATHS, PATHS_WITHIN, UNITS, top_pairs_on_paths
from truesparse.topology import Pattern

SHAPES = [
    ((7, 9), 25), ((12, 5), 30), ((1, 8), 5), ((8, 1), 5), ((20, 30), 90), ((6, 6), 0), ((5, 4), 20), ((40, 40), 60),
]  # fmt: skip


def oracle(pattern, kind):
    """The scores of all pairs by the definition."""
    return reference.path_scores(pattern.indptr, pattern.indices, pattern.shape[1], kind)


def found(pattern, k, kind, key=3, soft=False, within=None):
    within = None if within is None else (within.indptr, within.indices)
    arrays = [np.array(array) for array in (pattern.indptr, pattern.indices)]
    for array in arrays:
        array.flags.writeable = False
    return top_pairs_on_paths(*arrays, pattern.shape[1], k, kind, np.uint64(key), soft=soft, within=within)


@pytest.mark.parametrize("kind", [PATHS, PATHS_WITHIN, UNITS])
@pytest.mark.parametrize(("shape", "nnz"), SHAPES)
@pytest.mark.parametrize("balanced", [False, True])
def test_the_best_are_those_of_the_definition(kind, shape, nnz, balanced, rng):
    pattern = Pattern.sample(shape, nnz, rng, balanced=balanced)
    scores = oracle(pattern, kind).reshape(-1)
    n_scored = np.count_nonzero(scores)
    for k in {0, 1, 3, n_scored // 2, n_scored, n_scored + 5}:
        keys = found(pattern, k, kind)
        assert keys.size == min(k, n_scored)
        assert np.unique(keys).size == keys.size
        assert not np.isin(keys, pattern.keys).any()
        best = scores[reference.top_pairs_on_paths(pattern.indptr, pattern.indices, shape[1], k, kind)]
        np.testing.assert_allclose(np.sort(scores[keys])[::-1], best, rtol=1e-5)


def test_a_hand_worked_pair():
    """Row 0 – column 0 – row 1 – column 1: column 0 also leads to row 2, row 1 also to column 2."""
    pattern = Pattern.from_edges([0, 1, 1, 1, 2], [0, 0, 1, 2, 0], (3, 3))
    assert oracle(pattern, PATHS)[0, 1] == pytest.approx(1 / math.sqrt(2 * 2))
    assert oracle(pattern, PATHS_WITHIN)[0, 1] == pytest.approx(math.sqrt(2 * 2) / math.sqrt(2 * 2))
    assert oracle(pattern, UNITS)[0, 1] == pytest.approx(2 / 2 + 2 / 2)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("kind", [PATHS, PATHS_WITHIN, UNITS])
def test_only_pairs_within_a_pattern_are_found(kind, soft, rng):
    pattern, within = Pattern.sample((20, 30), 90, rng), Pattern.sample((20, 30), 200, rng)
    scores = oracle(pattern, kind).reshape(-1)
    allowed = np.setdiff1d(within.keys, pattern.keys)
    allowed = allowed[scores[allowed] > 0]
    assert_array_equal(np.sort(found(pattern, 600, kind, soft=soft, within=within)), allowed)
    keys = found(pattern, 10, kind, soft=soft, within=within)
    assert np.isin(keys, allowed).all()
    if not soft:
        np.testing.assert_allclose(np.sort(scores[keys]), np.sort(scores[allowed])[-10:], rtol=1e-5)


@pytest.mark.parametrize("kind", [PATHS, PATHS_WITHIN, UNITS])
@pytest.mark.parametrize(("shape", "nnz"), [((3, 4), 6), ((30, 40), 70)])
def test_single_draws_are_in_proportion_to_the_scores(kind, shape, nnz, rng):
    pattern = Pattern.sample(shape, nnz, rng)
    scores = oracle(pattern, kind).reshape(-1)
    n = 20_000
    counts = np.zeros(scores.size)
    for key in rng.integers(2**64, size=n, dtype=np.uint64):
        counts[found(pattern, 1, kind, key=key, soft=True)] += 1
    expected = n * scores / scores.sum()
    assert not counts[scores == 0].any()
    drawn = scores > 0
    chi2 = ((counts - expected)[drawn] ** 2 / expected[drawn]).sum()
    n_free = np.count_nonzero(drawn) - 1
    assert chi2 < n_free + 5 * math.sqrt(2 * n_free)


def test_a_draw_without_replacement_has_the_probabilities_of_successive_draws(rng):
    pattern = Pattern.sample((3, 4), 6, rng)
    scores = oracle(pattern, PATHS).reshape(-1)
    p = scores[scores > 0] / scores.sum()
    pairs = np.flatnonzero(scores)
    n, counts = 20_000, np.zeros(pairs.size)
    for key in rng.integers(2**64, size=n, dtype=np.uint64):
        counts[np.searchsorted(pairs, np.sort(found(pattern, 2, PATHS, key=key, soft=True)))] += 1
    included = p + np.array([sum(p[j] * p[i] / (1 - p[j]) for j in range(p.size) if j != i) for i in range(p.size)])
    np.testing.assert_allclose(counts / n, included, atol=5 * np.sqrt(0.25 / n))


def test_ties_are_broken_at_random():
    pattern = Pattern.from_edges(np.repeat(np.arange(6), 2), np.array([0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 0]), (6, 6))
    scores = oracle(pattern, PATHS).reshape(-1)  # a ring: equal but for the direction
    equal = np.flatnonzero(np.isclose(scores, scores.max()))
    counts = np.zeros(36)
    for key in range(3000):
        counts[found(pattern, 1, PATHS, key=key * 7919)] += 1
    assert counts[equal].sum() == 3000
    np.testing.assert_allclose(counts[equal] / 3000, 1 / equal.size, atol=0.05)


@pytest.mark.parametrize("soft", [False, True])
def test_little_room_changes_nothing(soft, rng, monkeypatch):
    pattern = Pattern.sample((40, 30), 200, rng)
    expected = np.sort(found(pattern, 50, UNITS, soft=soft))
    monkeypatch.setattr(length_three, "_ROOM", 0)
    assert_array_equal(np.sort(found(pattern, 50, UNITS, soft=soft)), expected)


def test_wide_and_narrow_rows_have_the_same_scores(rng):
    """In a wide layer few columns are reached and are looked for; the same graph in fewer columns is walked whole."""
    small = Pattern.sample((12, 15), 60, rng)
    large = Pattern.from_edges(small.rows, small.indices * 100, (12, 1500))
    for kind in (PATHS, PATHS_WITHIN, UNITS):
        scores = oracle(small, kind).reshape(-1)
        rows, columns = np.divmod(found(large, 20, kind), 1500)
        assert not (columns % 100).any()
        np.testing.assert_allclose(np.sort(scores[rows * 15 + columns // 100]), np.sort(scores)[-20:], rtol=1e-5)


def test_the_same_key_gives_the_same_pairs(rng):
    pattern = Pattern.sample((40, 30), 200, rng)
    assert_array_equal(found(pattern, 30, UNITS, soft=True), found(pattern, 30, UNITS, soft=True))
    assert not np.array_equal(found(pattern, 30, UNITS, soft=True), found(pattern, 30, UNITS, key=4, soft=True))
