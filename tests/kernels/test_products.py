import numpy as np
import pytest
from helpers import random_csr
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.kernels import products, reference
from truesparse.kernels.products import top_absent_products


def factors(n, rng, kind, dtype=np.float64):
    """Continuous ones; or many equal ones, some of them zero."""
    return (rng.random(n) if kind == "distinct" else rng.integers(4, size=n) / 2).astype(dtype)


@pytest.mark.parametrize("kind", ["distinct", "ties"])
@pytest.mark.parametrize("shape", [(30, 40), (1, 50), (50, 1), (2, 200), (7, 7)])
@pytest.mark.parametrize("density", [0.0, 0.2, 0.9, 1.0])
@pytest.mark.parametrize("room", [1, 65536])
def test_against_all_products(kind, shape, density, room, dtype, rng, monkeypatch):
    monkeypatch.setattr(products, "_ROOM", room)
    w = random_csr(shape, density, rng)
    rows, columns = factors(shape[0], rng, kind, dtype), factors(shape[1], rng, kind, dtype)
    rows[0] = columns[0] = 2  # the twin needs one that is not zero
    for k in (1, 5, 100, shape[0] * shape[1]):
        keys, scores = top_absent_products(rows, columns, w.indices, w.indptr, k)
        expected = reference.top_absent_products(
            rows.astype(np.float64), columns.astype(np.float64), w.indices, w.indptr, k
        )
        assert_array_equal(keys, expected[0])
        assert_allclose(scores, expected[1], rtol=1e-12)


def test_present_pairs_at_the_top_are_passed_over(rng):
    """The best 60 pairs are all present: the hyperbola must reach behind them."""
    rows, columns = np.sort(rng.random(20))[::-1] + 1, np.sort(rng.random(30))[::-1] + 1
    keys = np.sort(np.argsort(-np.outer(rows, columns), axis=None)[:60])
    indptr = np.searchsorted(keys, np.arange(21) * 30)
    found, _ = top_absent_products(rows, columns, keys % 30, indptr, 10)
    assert_array_equal(found, np.argsort(-np.outer(rows, columns), axis=None)[60:70])


def test_nothing_to_find():
    nothing, indptr = np.empty(0, dtype=np.int32), np.zeros(4, dtype=np.int32)
    for rows, columns in ((np.zeros(3), np.ones(5)), (np.ones(3), np.zeros(5)), (np.zeros(3), np.zeros(5))):
        keys, scores = top_absent_products(rows, columns, nothing, indptr, 4)
        assert keys.size == scores.size == 0


def test_ties_in_random_order(rng):
    """All pairs are equally good; a generator spreads the picks over them, row by row in a random order."""
    nothing, indptr = np.empty(0, dtype=np.int32), np.zeros(11, dtype=np.int32)
    seen = np.zeros((10, 8), dtype=int)
    for _ in range(400):
        keys, _ = top_absent_products(np.ones(10), np.ones(8), nothing, indptr, 4, rng)
        assert np.unique(keys).size == 4
        np.add.at(seen.reshape(-1), keys, 1)
    assert seen.min() > 5  # 20 expected
    best, _ = top_absent_products(np.arange(10.0), np.arange(8.0), nothing, indptr, 4, rng)
    assert_array_equal(best, [79, 71, 78, 63])  # no ties, so no chance


def test_factors_so_small_that_products_vanish():
    nothing, indptr = np.empty(0, dtype=np.int32), np.zeros(3, dtype=np.int32)
    keys, _ = top_absent_products(np.array([1e-200, 2e-200]), np.array([1e-300, 3e-300]), nothing, indptr, 2)
    assert_array_equal(keys, [3, 1])
