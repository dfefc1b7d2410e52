"""Parts of the samples, numbered as all processes number them."""

import re

import numpy as np
import pytest
from helpers import random_csr
from numpy.testing import assert_array_equal
from scipy.sparse import issparse

from truesparse.data import ArraySource, Shard, Transformed, array_source
from truesparse.network.workspace import Workspace

N = 50


@pytest.fixture(params=[np.asarray, lambda X: X], ids=["dense", "csr"])
def data(request, rng):
    X = random_csr((N, 4), 0.4, rng)
    return (X.toarray() if request.param is np.asarray else X), rng.integers(3, size=N)


def shards_of(data, owner):
    """One shard for each owner, (N,)."""
    X, y = data
    for process in range(3):
        numbers = np.flatnonzero(owner == process)
        yield Shard(array_source(X[numbers], y[numbers]), numbers, N)


@pytest.fixture(params=["random", "blocks", "uneven", "nothing"])
def owner(request, rng):
    """Which of three processes holds each sample; perhaps one has none."""
    return {
        "random": rng.integers(3, size=N),
        "blocks": np.arange(N) // 17,
        "uneven": np.where(np.arange(N) < 47, 0, np.arange(N) % 2 + 1),
        "nothing": rng.integers(2, size=N),
    }[request.param]


@pytest.mark.parametrize("batch_size", [1, 7, 16, 50])
@pytest.mark.parametrize("seed", [None, 3])
def test_the_parts_of_a_batch_are_together_the_batch_of_the_whole(batch_size, seed, data, owner):
    X, y = data
    whole = array_source(X, y)
    shards = list(shards_of(data, owner))
    rngs = [None if seed is None else np.random.default_rng(seed) for _ in range(4)]
    batches = list(whole.batches(batch_size, rngs[0]))
    parts = [list(shard.batches(batch_size, rng)) for shard, rng in zip(shards, rngs[1:], strict=True)]
    assert {len(part) for part in parts} == {len(batches)}
    for batch, *of_shards in zip(batches, *parts, strict=True):
        numbers = [np.flatnonzero(owner == k)[part] for k, part in enumerate(of_shards)]
        assert_array_equal(np.sort(np.concatenate(numbers)), np.sort(batch))
        for k, own in enumerate(numbers):
            assert_array_equal(own, batch[owner[batch] == k])  # in the order of the batch
            assert_array_equal(shards[k].target[of_shards[k]], y[own])
            rows = shards[k].rows(of_shards[k])
            expected = X[own]
            assert issparse(rows) == issparse(expected)
            if issparse(rows):
                rows, expected = rows.toarray(), expected.toarray()
            assert_array_equal(rows, expected)


def test_all_draw_the_same_samples_and_each_knows_its_own(data, owner):
    X, y = data
    expected = array_source(X, y).draw(20, np.random.default_rng(2))
    places, numbers = [], []
    for k, shard in enumerate(shards_of(data, owner)):
        drawn = shard.draw(20, np.random.default_rng(2))
        assert_array_equal(drawn, expected)
        assert_array_equal(shard.draw(None, np.random.default_rng(2)), np.arange(N))
        at, own = shard.locate(drawn)
        assert_array_equal(np.flatnonzero(owner == k)[own], drawn[at])
        places.append(at)
        numbers.append(np.flatnonzero(owner == k)[own])
    assert_array_equal(np.sort(np.concatenate(places)), np.arange(20))
    assert_array_equal(np.sort(np.concatenate(numbers)), expected)


def test_sizes_and_reading(data):
    X, y = data
    numbers = np.array([3, 8, 40])
    shard = Shard(array_source(X[numbers], y[numbers]), numbers, N)
    assert (shard.n_samples, shard.n_total, shard.n_features, shard.dtype) == (3, N, 4, np.float64)
    assert shard.is_sparse == issparse(X)
    workspace, other = (Workspace([4, 2], 16, np.float64, dense_inputs=not shard.is_sparse) for _ in range(2))
    shard.read(np.array([2, 0]), workspace)
    array_source(X, y).read(np.array([40, 3]), other)
    if shard.is_sparse:
        assert_array_equal(workspace.sparse_inputs.features, other.sparse_inputs.features)
        assert_array_equal(workspace.sparse_inputs.values[:, :2], other.sparse_inputs.values[:, :2])
    else:
        assert_array_equal(workspace.x, other.x)


def test_a_transformed_shard_yields_its_parts_of_the_batches(data):
    X, y = data
    numbers = np.arange(1, N, 2)
    shard = Shard(array_source(X[numbers], y[numbers]), numbers, N)
    transformed = Transformed(shard, lambda batch, rng: batch, lambda: None)
    assert transformed.n_total == N
    plain, through = (list(s.batches(16, np.random.default_rng(0))) for s in (shard, transformed))
    assert [part.tolist() for part in plain] == [part.tolist() for part in through]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([0, 1], "must be 3 increasing integers, one per sample"),
        ([0, 1, 2, 3], "must be 3 increasing integers"),
        ([[0, 1, 2]], "must be 3 increasing integers"),
        ([0, 2, 1], "must be 3 increasing integers"),
        ([0, 1, 1], "must be 3 increasing integers"),
        (np.array([2, 1, 0], dtype=np.uint64), "must be 3 increasing integers"),
        ([0.0, 0.5, 1.0], "must be 3 increasing integers"),
        ([0, float("nan"), 2], "must be 3 increasing integers"),
        ([False, True, True], "must be 3 increasing integers"),
        (["0", "1", "2"], "must be 3 increasing integers"),
        ([-1, 0, 1], "numbers must lie in [0, n_total=5), got -1 to 1"),
        ([0, 1, 5], "numbers must lie in [0, n_total=5), got 0 to 5"),
    ],
)
def test_numbers_are_checked(numbers, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Shard(ArraySource(np.ones((3, 2))), numbers, 5)


def test_a_shard_may_be_empty():
    empty = Shard(ArraySource(np.ones((0, 2))), np.empty(0, dtype=int), 5)
    assert [part.size for part in empty.batches(2)] == [0, 0, 0]
    assert [array.size for array in empty.locate(np.arange(5))] == [0, 0]
