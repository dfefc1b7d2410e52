"""Parts of the samples, numbered as all processes number them."""

import copy
import re
import threading

import numpy as np
import pytest
from helpers import random_csr
from numpy.testing import assert_array_equal
from scipy.sparse import issparse

from truesparse.data import ArraySource, Chunks, Shard, Transformed, array_source
from truesparse.network.workspace import Workspace

N = 50
SIZES = {"even": (25, 25), "uneven": (47, 1, 2), "nothing": (20, 0, 30), "odd": (17, 16, 17), "alone": (50,)}


@pytest.fixture(params=["dense", "csr"])
def data(request, rng):
    X = random_csr((N, 4), 0.4, rng)
    return (X.toarray() if request.param == "dense" else X), rng.integers(3, size=N)


@pytest.fixture(params=SIZES)
def sizes(request):
    """How many samples each process holds."""
    return SIZES[request.param]


class Together:
    """One function for each of several threads, which adds up the arrays of all."""

    def __init__(self, n):
        self.parts, self.barrier = [None] * n, threading.Barrier(n, timeout=60)

    def reduce(self, place):
        def add_up(array):
            self.parts[place] = array
            self.barrier.wait()
            total = sum(self.parts[1:], start=self.parts[0])
            self.barrier.wait()
            return total

        return add_up


def shards_of(data, sizes, make=array_source):
    X, y = data
    together, first = Together(len(sizes)), 0
    for place, size in enumerate(sizes):
        held = make(X[first : first + size])
        yield Shard(held, first=first, n_samples=N, target=y, reduce=together.reduce(place))
        first += size


def in_threads(function, shards):
    """What a function returns for each shard; all at the same time."""
    results = [None] * len(shards)

    def work(place):
        results[place] = function(shards[place])

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(shards))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def in_chunks(X):
    """Chunks of seven rows, of which two are in memory."""
    ends = range(0, X.shape[0], 7)
    return Chunks([(X[end : end + 7], np.zeros(min(7, X.shape[0] - end))) for end in ends], window=2, dtype="float64")


def dense(rows):
    return rows.toarray() if issparse(rows) else rows


@pytest.mark.parametrize("batch_size", [1, 7, 16, 50, 80])
@pytest.mark.parametrize("seed", [None, 3])
def test_batches_do_not_depend_on_who_holds_what(batch_size, seed, data, sizes):
    (whole,), shards = shards_of(data, [N]), list(shards_of(data, sizes))
    batches, *parts = (
        list(source.batches(batch_size, None if seed is None else np.random.default_rng(seed)))
        for source in (whole, *shards)
    )
    rng = None if seed is None else np.random.default_rng(seed)
    columns = [[s.column for _ in s.batches(batch_size, copy.deepcopy(rng))] for s in shards]
    assert {len(part) for part in parts} == {len(batches)} == {-(-N // batch_size)}
    assert_array_equal(np.sort(np.concatenate(batches)), np.arange(N))
    ends = np.cumsum(sizes)
    for number, (batch, *of_shards) in enumerate(zip(batches, *parts, strict=True)):
        assert batch.size == min(batch_size, N - number * batch_size)
        assert_array_equal(np.concatenate(of_shards), batch)
        for k, (shard, own, end, size) in enumerate(zip(shards, of_shards, ends, sizes, strict=True)):
            assert columns[k][number] == (np.flatnonzero(batch == own[0])[0] if own.size else 0)
            assert ((own >= end - size) & (own < end)).all()
            assert_array_equal(dense(shard.rows(own)), dense(data[0][own]))
            assert own.size <= shard.most_of(batch_size)
            before = own.size and int(np.flatnonzero(batch == own[0])[0]) % 4
            assert own.size + before <= shard.most_of(batch_size, 4) <= shard.most_of(batch_size) + 3
            assert abs(own.size - batch.size * size / N) <= 2  # none waits for another
    if seed is not None and batch_size < N:
        again = next(whole.batches(batch_size, np.random.default_rng(4)))
        assert not np.array_equal(again, batches[0])


def test_a_batch_has_one_sample_of_each_stratum(rng):
    """So that every sample comes once, and samples of all numbers together."""
    (whole,) = shards_of((np.zeros((N, 1)), np.zeros(N)), [N])
    for batch in list(whole.batches(10, rng)):
        assert_array_equal(batch // 5, np.arange(10))


@pytest.mark.parametrize("seed", [None, 3])
def test_samples_of_chunks_come_window_by_window(seed, data):
    shards = list(shards_of(data, (30, 20), in_chunks))
    rng = np.random.default_rng
    parts = [list(shard.batches(10, None if seed is None else rng(seed))) for shard in shards]
    assert [[part.size for part in of_shard] for of_shard in parts] == [[6] * 5, [4] * 5]
    of_first = np.concatenate(parts[0])
    assert_array_equal(np.sort(of_first), np.arange(30))
    assert_array_equal(np.sort(np.concatenate(parts[1])), np.arange(30, 50))
    assert len(np.unique(of_first[:9] // 7)) <= 2  # the smallest window has nine
    drawn = in_threads(lambda shard: shard.draw(10, rng(1)), shards)
    assert_array_equal(drawn[0], drawn[1])
    assert len(np.unique(drawn[0])) == 10
    assert np.sum(drawn[0] < 30) == 6
    assert len(np.unique(drawn[0][drawn[0] < 30] // 7)) <= 2  # of one window


def test_all_draw_the_same_samples_and_each_knows_its_own(data, sizes):
    expected = array_source(*data).draw(20, np.random.default_rng(2))
    places, numbers = [], []
    for shard in shards_of(data, sizes):
        assert_array_equal(shard.draw(20, np.random.default_rng(2)), expected)
        assert_array_equal(shard.draw(None, np.random.default_rng(2)), np.arange(N))
        at, own = shard.locate(expected)
        assert_array_equal(own, expected[at])
        places.append(at)
        numbers.append(own)
    assert_array_equal(np.concatenate(places), np.arange(20))
    assert_array_equal(np.concatenate(numbers), expected)


def test_rows_are_gathered_from_all(data, sizes, rng):
    samples = rng.permutation(N)[:23]
    for rows in in_threads(lambda shard: shard.gathered_rows(samples), list(shards_of(data, sizes))):
        assert issparse(rows) == issparse(data[0])
        assert_array_equal(dense(rows), dense(data[0][samples]))


def test_a_part_of_the_samples_is_held_where_it_was(data, sizes, rng):
    chosen = rng.permutation(N)[:31]
    again = rng.permutation(31)[:20]
    for samples, parts in (
        (chosen, [shard.subset(chosen) for shard in shards_of(data, sizes)]),
        (chosen[again], [shard.subset(chosen).subset(again) for shard in shards_of(data, sizes)]),
        (chosen[again], [shard.subset(chosen).with_target(None).subset(again) for shard in shards_of(data, sizes)]),
    ):
        n, order = samples.size, np.argsort(samples)
        for rows in in_threads(lambda part, n=n: part.gathered_rows(np.arange(n)), parts):
            assert_array_equal(dense(rows), dense(data[0][samples]))
        assert [part.first for part in parts] == [np.sum(samples < end) for end in np.cumsum([0, *sizes[:-1]])]
        batches = [
            np.concatenate(b) for b in zip(*(p.batches(8, np.random.default_rng(0)) for p in parts), strict=True)
        ]
        assert_array_equal(np.sort(np.concatenate(batches)), np.arange(n))
        held = np.concatenate([np.concatenate([*part.in_order(6), []]) for part in parts])
        assert_array_equal(held, order)
        if parts[0].target is not None:
            assert_array_equal(parts[0].target, data[1][samples])


def test_sizes_and_reading(data):
    X, y = data
    shard = list(shards_of(data, (20, 30)))[1]
    assert (shard.n_samples, shard.n_features, shard.dtype, shard.first) == (N, 4, np.float64, 20)
    assert shard.is_sparse == issparse(X)
    workspace, other = (Workspace([4, 2], 16, np.float64, dense_inputs=not shard.is_sparse) for _ in range(2))
    shard.read(np.array([40, 23]), workspace)
    array_source(X, y).read(np.array([40, 23]), other)
    if shard.is_sparse:
        assert_array_equal(workspace.sparse_inputs.features, other.sparse_inputs.features)
        assert_array_equal(workspace.sparse_inputs.values[:, :2], other.sparse_inputs.values[:, :2])
        expected = np.zeros(4, dtype=bool)
        expected[X[[40, 23]].indices] = True
        assert_array_equal(shard.stored_features(np.array([40, 23])), expected)
    else:
        assert_array_equal(workspace.x, other.x)


def test_a_transformed_shard_yields_its_parts_of_the_batches(data):
    shard = list(shards_of(data, (20, 30)))[1]
    transformed = Transformed(shard, lambda batch, rng: 2 * batch, lambda: None)
    plain, through = (list(s.batches(16, np.random.default_rng(0))) for s in (shard, transformed))
    assert [part.tolist() for part in plain] == [part.tolist() for part in through]
    assert_array_equal(dense(transformed.rows(plain[0])), 2 * dense(data[0][plain[0]]))


@pytest.mark.parametrize(
    ("first", "n_samples"), [(-1, 5), (3, 5), (0, 2), (1.0, 5), (True, 5), (0, 3.0), ("0", 5), (0, None)]
)
def test_places_are_checked(first, n_samples):
    message = f"first={first!r} and n_samples={n_samples!r} must be integers, not below 0, that leave room for the 3 s"
    with pytest.raises(ValueError, match=re.escape(message)):
        Shard(ArraySource(np.ones((3, 2))), first=first, n_samples=n_samples)


def test_a_shard_may_be_empty():
    empty = Shard(ArraySource(np.ones((0, 2))), first=2, n_samples=5)
    assert [part.size for part in empty.batches(2, np.random.default_rng(0))] == [0, 0, 0]
    assert [array.size for array in empty.locate(np.arange(5))] == [0, 0]
    assert empty.most_of(2) == 0
