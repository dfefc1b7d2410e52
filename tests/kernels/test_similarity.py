import numpy as np
import pytest
from helpers import random_csr, tolerance
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.kernels import reference, similarity
from truesparse.kernels.lanes import width_of
from truesparse.kernels.similarity import add_to_sketch, pair_products, top_absent_pairs


@pytest.mark.parametrize("shape", [(1, 1), (7, 30), (40, 100)])
def test_sketch_sum_and_squares_are_the_reference(shape, dtype, rng):
    a = rng.standard_normal(shape).astype(dtype)
    bucket = rng.integers(8, size=shape[1])
    sign = rng.choice(np.array([-1, 1], dtype=dtype), size=shape[1])
    sketch = np.zeros((shape[0], 8), dtype=dtype)
    total, squares = np.zeros(shape[0]), np.zeros(shape[0])
    for _ in range(2):  # two batches add up
        add_to_sketch(a, bucket, sign, sketch, total, squares)
    expected = reference.add_to_sketch(a, bucket, sign, 8)
    for actual, wanted in zip((sketch, total, squares), expected, strict=True):
        assert_allclose(actual, 2 * wanted, **tolerance(dtype))


def test_sketched_products_are_unbiased(rng):
    """The mean over many random sketches of ⟨s_i, s_j⟩ is ⟨a_i, a_j⟩, within five standard errors."""
    a = rng.standard_normal((2, 50))
    estimates = []
    for _ in range(4000):
        sketch = np.zeros((2, 16))
        add_to_sketch(a, rng.integers(16, size=50), rng.choice([-1.0, 1.0], size=50), sketch, np.zeros(2), np.zeros(2))
        estimates.append(sketch[0] @ sketch[1])
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - a[0] @ a[1]) < 5 * error


@pytest.mark.parametrize("n_pairs", [0, 5, 2000])
def test_pair_products_are_the_reference(n_pairs, dtype, rng):
    """Runs of equal rows longer and shorter than eight, and across blocks."""
    z, a = (rng.standard_normal((n, 48)).astype(dtype) for n in (60, 90))
    rows, columns = np.sort(rng.integers(60, size=n_pairs)), rng.integers(90, size=n_pairs)
    out = np.ones(n_pairs)
    pair_products(rows, columns, z.reshape(-1), a.reshape(-1), 48, out, width_of(32))
    expected = reference.pair_products(rows, columns, z[:, :32], a[:, :32])
    assert_allclose(out, 1 + expected, **tolerance(dtype))


@pytest.mark.parametrize("k", [1, 5, 60, 10_000])
@pytest.mark.parametrize("density", [0.0, 0.1, 0.9, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (13, 40), (70, 25)])
def test_top_absent_pairs_across_tiles(shape, density, k, rng, monkeypatch):
    """Tiles and room far smaller than the layer; integers, so that there are many ties and no rounding."""
    monkeypatch.setattr(similarity, "_TILE_ROWS", 8)
    monkeypatch.setattr(similarity, "_TILE_COLUMNS", 16)
    monkeypatch.setattr(similarity, "_ROOM", 3)
    w = random_csr(shape, density, rng)
    rows = rng.integers(-2, 3, size=(shape[0], 4)).astype(np.float32)
    columns = rng.integers(-2, 3, size=(shape[1], 4)).astype(np.float32)
    keys, scores = top_absent_pairs(rows, columns, w.indices, w.indptr, k)
    expected_keys, expected_scores = reference.top_absent_pairs(rows, columns, w.indices, w.indptr, k)
    assert_array_equal(keys, expected_keys)
    assert_array_equal(scores, expected_scores)
    keys, scores = top_absent_pairs(rows, columns, w.indices, w.indptr, k, by_key=True)
    order = np.argsort(expected_keys)
    assert_array_equal(keys, expected_keys[order])
    assert_array_equal(scores, expected_scores[order])


def test_top_absent_pairs_of_a_layer_of_several_real_tiles(dtype, rng):
    w = random_csr((300, 2100), 0.01, rng)
    rows, columns = rng.standard_normal((300, 32)).astype(dtype), rng.standard_normal((2100, 32)).astype(dtype)
    keys, scores = top_absent_pairs(rows, columns, w.indices, w.indptr, 500)
    expected_keys, expected_scores = reference.top_absent_pairs(rows, columns, w.indices, w.indptr, 500)
    assert_allclose(scores, expected_scores, **tolerance(dtype))
    assert np.intersect1d(keys, expected_keys).size >= 498  # two scores may swap by rounding
