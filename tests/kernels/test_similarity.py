import numpy as np
import pytest
from helpers import random_csr, tolerance
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from truesparse.kernels import reference, similarity
from truesparse.kernels.similarity import BestPairs, add_to_sketch, centre, pair_products, top_absent_pairs


@pytest.mark.parametrize("kind", ["random", "in turn", "copied"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 30), (600, 100)])
def test_sketches_and_sums_are_the_reference(shape, kind, dtype, rng):
    """Two arrays, one of them with gaps between its rows, and some of their units; two batches add up."""
    n_units, batch = shape
    arrays = [rng.standard_normal(size).astype(dtype) for size in (shape, (20, batch + 3))]
    arrays[1] = arrays[1][:, :batch]
    for array in arrays:
        array.flags.writeable = False
    units = np.flatnonzero(rng.random(n_units + 20) < 0.7)
    shift = rng.standard_normal(units.size).astype(dtype)
    width = batch if kind == "copied" else 24
    bucket = rng.integers(width, size=batch) if kind == "random" else (np.arange(batch) + 5) % width
    sign = np.ones(batch, dtype) if kind == "copied" else rng.choice(np.array([-1, 1], dtype=dtype), size=batch)
    sketch, sums = np.zeros((units.size, width), dtype=dtype), np.zeros(units.size)
    for _ in range(2):
        add_to_sketch(arrays, units, shift, bucket, sign, sketch, sums)
    expected = reference.add_to_sketch(np.concatenate(arrays), units, shift, bucket, sign, width)
    for actual, wanted in zip((sketch, sums), expected, strict=True):
        assert_allclose(actual, 2 * wanted, **tolerance(dtype))


def test_rows_that_are_not_contiguous(rng):
    a = rng.standard_normal((5, 40))
    sketch, sums = np.zeros((5, 40)), np.zeros(5)
    add_to_sketch([a.T.copy().T], np.arange(5), np.zeros(5), np.arange(40), np.ones(40), sketch, sums)
    assert_array_equal(sketch, a)


def test_sketched_products_are_unbiased(rng):
    """The mean over many random signs of ⟨s_i, s_j⟩ is ⟨a_i, a_j⟩, within five standard errors."""
    a = rng.standard_normal((2, 50))
    estimates = []
    for _ in range(4000):
        sketch = np.zeros((2, 16))
        signs = rng.choice([-1.0, 1.0], size=50)
        add_to_sketch([a], np.arange(2), np.zeros(2), np.arange(50) % 16, signs, sketch, np.zeros(2))
        estimates.append(sketch[0] @ sketch[1])
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - a[0] @ a[1]) < 5 * error


@pytest.mark.parametrize("normalised", [True, False])
def test_centred_signatures_are_the_reference(normalised, dtype, rng):
    signatures, shift = rng.standard_normal((40, 24)).astype(dtype), rng.standard_normal(40).astype(dtype)
    ones = rng.integers(-3, 4, size=24).astype(dtype)
    signatures[3] = shift[3] * ones
    signatures[4], shift[4] = 0, 0
    signatures[5], shift[5] = np.finfo(dtype).tiny / 1000, 0
    lengths = np.full(40, np.nan)
    expected, expected_lengths = reference.centre(signatures, shift, ones, normalised)
    centre(signatures, shift, ones, normalised, lengths)
    assert_allclose(signatures, expected, **tolerance(dtype))
    assert_allclose(lengths, expected_lengths, **tolerance(dtype))
    assert not lengths[3:6].any()


@pytest.mark.parametrize("n_pairs", [0, 5, 2000])
def test_pair_products_are_the_reference(n_pairs, dtype, rng):
    vectors = rng.standard_normal((90, 48)).astype(dtype)
    rows, columns = (rng.integers(90, size=n_pairs).astype(np.int32) for _ in range(2))
    out = np.ones(n_pairs)
    pair_products(rows, columns, vectors, 31, out)
    assert_allclose(out, 1 + reference.pair_products(rows, columns, vectors[:, :31]), **tolerance(dtype))


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
    assert scores is None
    assert_array_equal(keys, np.sort(expected_keys))


def test_top_absent_pairs_of_a_layer_of_several_real_tiles(dtype, rng):
    w = random_csr((300, 2100), 0.01, rng)
    rows, columns = rng.standard_normal((300, 32)).astype(dtype), rng.standard_normal((2100, 32)).astype(dtype)
    keys, scores = top_absent_pairs(rows, columns, w.indices, w.indptr, 500)
    expected_keys, expected_scores = reference.top_absent_pairs(rows, columns, w.indices, w.indptr, 500)
    assert_allclose(scores, expected_scores, **tolerance(dtype))
    assert np.intersect1d(keys, expected_keys).size >= 498  # two scores may swap by rounding


@pytest.mark.parametrize("shape", [(200, 300), (600, 300)])
def test_a_guess_that_is_too_high_costs_no_pairs(shape, rng, monkeypatch):
    """The best products are those of present pairs, or a guess is wrong: the search starts again without one."""
    rows, columns = rng.standard_normal((shape[0], 16)), rng.standard_normal((shape[1], 16))
    columns[::3] = 0  # silent
    _, scores = reference.top_absent_pairs(rows, columns, np.empty(0, np.int32), np.zeros(shape[0] + 1, np.int32), 1000)
    w = csr_array(np.abs(rows @ columns.T) >= scores[-1])
    expected = reference.top_absent_pairs(rows, columns, w.indices, w.indptr, 1500)

    def too_high(best, products):
        best._n_pairs, best._threshold, best.has_guessed = 0, np.abs(products).max(), True

    for guess in (BestPairs._guess, too_high):
        monkeypatch.setattr(BestPairs, "_guess", guess)
        keys, scores = top_absent_pairs(rows, columns, w.indices, w.indptr, 1500)
        assert_array_equal(keys, expected[0])
        assert_allclose(scores, expected[1], rtol=1e-12)
