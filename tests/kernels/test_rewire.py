import numpy as np
import pytest
from helpers import random_csr, read_only
from numpy.testing import assert_array_equal

from truesparse.kernels import reference
from truesparse.kernels.rewire import carry, clash, keys_of, replace, split_keys, without


@pytest.fixture(params=[(1, 1, 1.0), (5, 7, 0.0), (20, 13, 0.3), (6, 30, 1.0)], ids=str)
def pattern(request, rng):
    """``indptr, indices``, and the width of the layer."""
    n_rows, fan_in, density = request.param
    w = random_csr((n_rows, fan_in), density, rng)
    return *read_only(w.indptr, w.indices), fan_in


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_split_keys_are_the_reference(pattern, dtype):
    indptr, indices, fan_in = pattern
    keys = (reference.rows_of(indptr) * fan_in + indices).astype(dtype)
    new_indptr, new_indices = np.full_like(indptr, -1), np.full_like(indices, -1)
    split_keys(keys, fan_in, new_indptr, new_indices)
    for actual, expected in zip(
        (new_indptr, new_indices), reference.split_keys(keys, fan_in, indptr.size - 1), strict=True
    ):
        assert_array_equal(actual, expected)
    assert_array_equal(new_indices, indices)


@pytest.mark.parametrize("share", [0, 0.4, 1])
def test_without_and_keys_are_the_reference(pattern, share, rng):
    indptr, indices, fan_in = pattern
    dropped = rng.random(indices.size) < share
    new_indptr, new_indices = np.full_like(indptr, -1), np.full(np.sum(~dropped) + 1, -1, indices.dtype)
    without(indptr, indices, dropped, new_indptr, new_indices)
    keys = np.full(np.sum(dropped), -1)
    keys_of(indptr, indices, dropped, fan_in, keys)
    expected = reference.without(indptr, indices, dropped)
    assert_array_equal(new_indptr, expected[0])
    assert_array_equal(new_indices[:-1], expected[1])
    assert_array_equal(keys, reference.keys_of(indptr, indices, dropped, fan_in))


@pytest.mark.parametrize("n_keys", [0, 1, 3, 30])
def test_clash_is_the_reference(pattern, n_keys, rng):
    indptr, indices, fan_in = pattern
    found = set()
    for _ in range(30):
        keys = np.sort(rng.integers((indptr.size - 1) * fan_in, size=n_keys))
        found.add(clash(indptr, indices, fan_in, keys))
        assert clash(indptr, indices, fan_in, keys) == reference.clash(indptr, indices, fan_in, keys)
    assert len(found) > 1 or n_keys in (0, 1, 30) or indices.size in (0, 1, 180)


@pytest.mark.parametrize("share", [0, 0.4, 1])
def test_replace_and_carry_are_the_reference(pattern, share, dtype, rng):
    indptr, indices, fan_in = pattern
    dropped = rng.random(indices.size) < share
    kept = reference.keys_of(indptr, indices, ~dropped, fan_in)
    absent = np.setdiff1d(np.arange((indptr.size - 1) * fan_in), kept)  # those that were dropped may return
    grown = np.sort(rng.choice(absent, min(absent.size, 9), replace=False))
    size = kept.size + grown.size
    new = np.full_like(indptr, -1), np.full(size, -1, indices.dtype), np.full(size, -2, indices.dtype)
    replace(indptr, indices, dropped, fan_in, grown, *new)
    for actual, expected in zip(new, reference.replace(indptr, indices, dropped, fan_in, grown), strict=True):
        assert_array_equal(actual, expected)
    values, out = rng.standard_normal(max(indices.size, 1)).astype(dtype), np.full(size, np.nan, dtype)
    carry(values, new[2], out)
    assert_array_equal(out, reference.carry(values, new[2]))
