"""Samples in chunks: every form of a chunk, how many are held, in which order they come, and what is refused."""

import copy
import gc
import pickle
import re
import signal
import threading
import time
import tracemalloc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from helpers import assert_same_run, random_csr
from joblib import Parallel, delayed
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array, issparse, vstack
from sklearn.base import clone
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, MinMaxScaler, StandardScaler

from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.data import Chunks
from truesparse.evolution import Confirmed, Cosine, Evolution
from truesparse.network.workspace import Workspace
from truesparse.training.compiled import CompiledSteps

SIZES = [30, 7, 25, 40, 18]
SMALL = {"hidden_layer_sizes": (20, 15), "epsilon": 4, "max_iter": 4, "update_every": 5, "random_state": 0}


@pytest.fixture
def data(rng):
    X = random_csr((sum(SIZES), 6), 0.4, rng, np.float32)
    return X, (np.asarray(X.sum(axis=1)) > 0).astype(int)


def parts(data):
    """The data in pieces of the sizes above."""
    X, y = data
    ends = np.cumsum(SIZES)
    return [(X[end - size : end], y[end - size : end]) for end, size in zip(ends, SIZES, strict=True)]


def dense_file(path, X, y, name="X"):
    np.savez(path, **{name: X.toarray(), "y": y})
    return path


def csr_file(path, X, y):
    np.savez(path, data=X.data, indices=X.indices, indptr=X.indptr, shape=X.shape, y=y)
    return path


def two_files(path, X, y):
    files = path.with_suffix(".X.npy"), str(path.with_suffix(".y.npy"))
    np.save(files[0], X.toarray())
    np.save(files[1], y)
    return files


def _function_of(item):
    return lambda: item


FORMS = {
    "npz": dense_file,
    "path_as_text": lambda path, X, y: str(dense_file(path, X, y, "x")),
    "npz_csr": csr_file,
    "npy": two_files,
    "function": lambda path, X, y: lambda: (X.toarray(), y),
    "function_csr": lambda path, X, y: lambda: (X, y),
    "function_file": lambda path, X, y: _function_of(str(dense_file(path, X, y))),
    "arrays": lambda path, X, y: (X.toarray(), y),
    "lists": lambda path, X, y: (X.toarray().tolist(), y.tolist()),
    "csc": lambda path, X, y: (X.tocsc(), y),
    "mixed_index_types": lambda path, X, y: csr_file(path, X, y),
}


def chunks_of(data, form, path, **options):
    return Chunks([FORMS[form](path / f"{k}.npz", *part) for k, part in enumerate(parts(data))], **options)


@pytest.mark.parametrize("window", [1, 2, 10])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_reads_as_the_whole(form, window, data, tmp_path, rng):
    X, y = data
    source = chunks_of(data, form, tmp_path, window=window)
    assert (source.n_samples, source.n_features, source.dtype) == (120, 6, np.float32)
    assert_array_equal(source.target, y)
    workspace = Workspace([6, 3], 64, np.float32, dense_inputs=not source.is_sparse)
    for samples in (np.arange(3), rng.permutation(120)[:50], np.array([119, 0, 0, 37, 36]), np.array([61])):
        rows = source.rows(samples)
        assert issparse(rows) == source.is_sparse == (form in ("npz_csr", "function_csr", "csc", "mixed_index_types"))
        assert_array_equal(rows.toarray() if issparse(rows) else rows, X.toarray()[samples])
        source.read(samples, workspace)
        read = np.zeros((6, samples.size), dtype=np.float32)
        if source.is_sparse:
            inputs = workspace.sparse_inputs
            read[inputs.features] = inputs.values[:, : samples.size]
        else:
            read[:] = workspace.x
        assert_array_equal(read, X.toarray()[samples].T)
    part = source.subset(np.array([100, 3, 50]))
    rows = part.rows(np.array([2, 0]))
    assert_array_equal(rows.toarray() if issparse(rows) else rows, X.toarray()[[50, 100]])
    assert_array_equal(part.target, y[[100, 3, 50]])


def test_the_dtype_is_the_one_asked_for(data, tmp_path):
    source = chunks_of(data, "npz", tmp_path, dtype="float64")
    assert source.dtype == source.rows(np.arange(3)).dtype == np.float64
    model = SparseMLPClassifier(**SMALL, dtype="float64").fit(source)
    assert model._network.dtype == np.float64
    with pytest.raises(ValueError, match="The source X has dtype float64, but the estimator has dtype='float32'"):
        SparseMLPClassifier(**SMALL).fit(source)


class Counted:
    """Chunks made by functions that note when they are called, and how many of the arrays they made are alive."""

    def __init__(self, data):
        self.alive, self.most, self.calls = [], 0, []
        self.chunks = [self._maker(k, X.toarray(), y) for k, (X, y) in enumerate(parts(data))]

    def _maker(self, k, X, y):
        def make():
            array = X.copy()
            self.calls.append(k)
            self.alive.append(weakref.ref(array))
            if self._count() > self.most:
                gc.collect()  # what is only waiting to be collected is not held
                self.most = max(self.most, self._count())
            return array, y

        return make

    def _count(self):
        self.alive = [ref for ref in self.alive if ref() is not None]
        return len(self.alive)


@pytest.mark.parametrize("window", [1, 2, 3])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_one_chunk_is_held_besides_the_windows(early_stopping, window, data):
    counted = Counted(data)
    source = Chunks(counted.chunks, window=window)
    assert counted.calls == [0, 1, 2, 3, 4]
    source.rows(np.arange(0, 120, 2))
    SparseMLPClassifier(**SMALL, early_stopping=early_stopping).fit(source)
    assert counted.most == 1


@pytest.mark.parametrize("form", ["npy", "npz", "csr", "arrays"])
def test_two_windows_and_a_chunk_are_in_memory(form, tmp_path, rng):
    """At most, and training lets go of them; the figures are those of NumPy's arrays, in megabytes."""
    n, rows, n_features = 12, 500, 500  # 1 MB a chunk
    X, y = rng.random((rows, n_features), dtype=np.float32), np.arange(rows) % 2
    sparse = csr_array(X)  # 2 MB
    for k in range(n):
        if form == "csr":
            csr_file(tmp_path / f"{k}.npz", sparse, y)
        elif form == "npz":
            np.savez(tmp_path / f"{k}.npz", X=X, y=y)
        else:
            np.save(tmp_path / f"X{k}.npy", X)
            np.save(tmp_path / f"y{k}.npy", y)
    make = {"arrays": lambda: Chunks([(lambda: (X.copy(), y)) for _ in range(n)], window=3)}
    source = make.get(form, lambda: Chunks(tmp_path, window=3))()

    def memory(*data):
        """What a fit needs at most and what it leaves, in megabytes."""
        SparseMLPClassifier(**SMALL).fit(*data)  # what is imported and compiled is there
        tracemalloc.start()
        try:
            model = SparseMLPClassifier(**SMALL).fit(*data)
            after, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert model.n_iter_ == 4
        return peak / 1e6, after / 1e6

    peak, after = memory(source)
    whole = vstack([sparse] * n) if form == "csr" else np.tile(X, (n, 1))
    peak_of_arrays, after_arrays = memory(whole, np.tile(y, n))
    windows = {"npy": 6, "npz": 6, "arrays": 7, "csr": 15}[form]
    assert windows - 1.2 < peak - peak_of_arrays < windows + 0.5
    assert after - after_arrays < 0.2


@pytest.mark.parametrize("window", [1, 2, 3, 5, 9])
def test_an_epoch_takes_one_window_of_chunks_after_the_other(window, data):
    """Every sample once; those of a window come together, shuffled; each chunk is loaded once."""
    counted = Counted(data)
    source = Chunks(counted.chunks, window=window)
    counted.calls.clear()
    batches = list(source.batches(16, np.random.default_rng(0)))
    assert [batch.size for batch in batches] == [16] * 7 + [8]
    samples = np.concatenate(batches)
    assert_array_equal(np.sort(samples), np.arange(120))
    chunk_of = np.repeat(np.arange(5), SIZES)
    order = np.random.default_rng(0).permutation(5)  # of the chunks
    start = 0
    for first in range(0, 5, window):
        together = order[first : first + window]
        of_window = samples[start : start + sum(SIZES[k] for k in together)]
        assert set(chunk_of[of_window]) == set(together)
        assert np.any(np.diff(of_window) < 0)
        start += of_window.size
    source.release()
    counted.calls.clear()
    for batch in source.batches(16, np.random.default_rng(0)):
        source.rows(batch)
    assert sorted(counted.calls) == list(range(5))
    assert not np.array_equal(samples, np.concatenate(list(source.batches(16, np.random.default_rng(1)))))
    assert_array_equal(np.concatenate(list(source.batches(16))), np.arange(120))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_signals_and_validation_load_each_chunk_once(early_stopping, data, monkeypatch):
    """What rules look at comes from one window of chunks, also of the part that validation leaves."""
    counted = Counted(data)
    source = Chunks(counted.chunks, window=2)
    train = source.subset(np.random.default_rng(0).permutation(120)[:100]) if early_stopping else source
    chunk_of, seen = np.repeat(np.arange(5), SIZES), set()
    numbers = train._samples if early_stopping else np.arange(120)
    for seed in range(20):
        drawn = train.draw(5, np.random.default_rng(seed))
        assert np.all(np.diff(drawn) > 0)
        assert drawn.size == 5
        chunks = set(chunk_of[numbers[drawn]].tolist())
        assert len(chunks) <= 2
        seen |= chunks
    assert seen == set(range(5))
    assert_array_equal(train.draw(None, np.random.default_rng(0)), np.arange(train.n_samples))
    assert_array_equal(train.draw(1000, np.random.default_rng(0)), np.arange(train.n_samples))
    assert 0 < train.draw(99, np.random.default_rng(0)).size < 99  # there are no more in a window

    # A network that is no better than a constant after an epoch would be looked at.
    monkeypatch.setattr("truesparse.estimators.diagnosis.failure", lambda *arguments: None)
    counted.calls.clear()
    settings = SMALL | {"max_iter": 1, "early_stopping": early_stopping, "batch_size": 8, "update_every": 10**6}
    model = SparseMLPClassifier(**settings).fit(source)
    assert model.n_iter_ == 1
    # Once for the epoch, and once for the validation; a window that the epoch holds in the end may be there already.
    assert len(counted.calls) <= (10 if early_stopping else 5)


def test_a_subset_of_no_window_is_drawn_from_all_of_it(data):
    X, y = data
    source = Chunks([(X[:60].toarray(), y[:60]), (X[60:].toarray(), y[60:])], window=1)
    part = source.subset(np.arange(10))  # none in the second chunk
    for seed in range(10):
        assert part.draw(3, np.random.default_rng(seed)).size == 3


@pytest.mark.parametrize("form", ["npz", "npz_csr", "function"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_same_seed_makes_the_same_bytes(early_stopping, form, data, tmp_path):
    evolution = Evolution(grow=Confirmed(n_samples=20))
    settings = SMALL | {"early_stopping": early_stopping, "evolution": evolution}
    models = [SparseMLPClassifier(**settings).fit(chunks_of(data, form, tmp_path, window=2)) for _ in range(2)]
    assert any(map(sum, models[0].history_["edges_replaced"]))
    assert_same_run(*models)
    X, y = data
    with_files = SparseMLPClassifier(**settings).fit(chunks_of(data, "npy", tmp_path, window=2))
    for one, other in zip(models[0].coefs_, with_files.coefs_, strict=True):
        assert_array_equal(one.toarray(), other.toarray())
    assert np.isnan(models[0].history_["validation_loss"]).any() != early_stopping
    assert models[0].score(X, y) > 0.7
    other_window = SparseMLPClassifier(**settings).fit(chunks_of(data, form, tmp_path, window=5))
    assert other_window._network.params.tobytes() != models[0]._network.params.tobytes()


def test_one_chunk_without_shuffling_is_an_array(data):
    X, y = data
    settings = SMALL | {"shuffle": False, "evolution": "static"}
    model = SparseMLPClassifier(**settings).fit(X.toarray(), y)
    assert_same_run(model, SparseMLPClassifier(**settings).fit(Chunks([(X.toarray(), y)])))
    several = Chunks([(part.toarray(), of_part) for part, of_part in parts(data)], window=2)
    assert_same_run(model, SparseMLPClassifier(**settings).fit(several))


def test_validation_data_in_chunks(data, tmp_path):
    X, y = data
    source = chunks_of(data, "npz", tmp_path, window=1)
    model = SparseMLPClassifier(**SMALL).fit(X, y, X_val=source)
    arrays = SparseMLPClassifier(**SMALL).fit(X, y, X_val=X.toarray(), y_val=y)
    assert_array_equal(model.history_["validation_loss"], arrays.history_["validation_loss"])


def test_files_are_read_when_they_are_needed(data, tmp_path):
    """A sequence of one's own may make the items."""

    class Items:
        def __len__(self):
            return len(SIZES)

        def __getitem__(self, k):
            return FORMS["npz"](tmp_path / f"{k}.npz", *parts(data)[k])

    assert_array_equal(Chunks(Items(), window=1).rows(np.array([45])), data[0].toarray()[[45]])


# What is refused.


def with_bad(data, tmp_path, make, place=3):
    """Five files, one of which `make(path, X, y)` writes, or says what takes its place."""
    items = [dense_file(tmp_path / f"{k}.npz", *part) for k, part in enumerate(parts(data))]
    items[place] = make(tmp_path / "bad.npz", *parts(data)[place]) or tmp_path / "bad.npz"
    return items


def truncated(path, X, y):
    dense_file(path, X, y)
    path.write_bytes(path.read_bytes()[:-200])


def truncated_npy(path, X, y):
    files = two_files(path, X, y)
    files[0].write_bytes(files[0].read_bytes()[:-8])
    return files


def with_nan(path, X, y):
    X = X.toarray()
    X[2, 3] = np.nan
    np.savez(path, X=X, y=y)


def damaged_csr(path, X, y):
    np.savez(path, data=X.data, indices=X.indices + 100, indptr=X.indptr, shape=X.shape, y=y)


BAD = {
    "wider": (lambda p, X, y: dense_file(p, csr_array(np.ones((40, 7))), y), r"X of chunk 3 has shape \(40, 7\).* 6 f"),
    "a_vector": (lambda p, X, y: np.savez(p, X=np.ones(40), y=y), r"X of chunk 3 has shape \(40,\)"),
    "nan": (with_nan, "X of chunk 3 holds NaN or infinity"),
    "overflows": (lambda p, X, y: np.savez(p, X=X.toarray() * np.float64(1e300), y=y), "X of chunk 3 holds NaN"),
    "truncated": (truncated, r"chunk 3, .*bad\.npz.*, "),
    "truncated_npy": (truncated_npy, r"chunk 3, .*bad\.X\.npy.*, holds no X and y"),
    "empty_file": (lambda p, X, y: p.write_bytes(b"") and None, r"chunk 3, .*bad\.npz.*, holds no X and y"),
    "no_archive": (lambda p, X, y: p.write_bytes(b"PK is text") and None, r"chunk 3, .*bad\.npz.*"),
    "objects": (lambda p, X, y: np.savez(p, X=X.toarray().astype(object), y=y), r"chunk 3, .*, holds no X and y"),
    "no_y": (lambda p, X, y: np.savez(p, X=X.toarray()), r"chunk 3, .*bad\.npz.*, holds no X and y: .*y"),
    "no_x": (lambda p, X, y: np.savez(p, y=y), r"chunk 3, .*bad\.npz.*, holds no X and y"),
    "short_y": (lambda p, X, y: np.savez(p, X=X.toarray(), y=y[:-1]), r"chunk 3 has 40 samples, but targets of .*39"),
    "csr_among_dense": (csr_file, "X of chunk 3 .* must be dense"),
    "damaged_csr": (damaged_csr, "X of chunk 3 is a damaged sparse matrix"),
    "complex": (lambda p, X, y: np.savez(p, X=X.toarray() * 1j, y=y), "X of chunk 3 must hold real numbers"),
    "text": (lambda p, X, y: np.savez(p, X=X.toarray().astype(str), y=y), "X of chunk 3 must hold real num"),
    "words": (lambda p, X, y: np.savez(p, X=np.full((40, 6), "word"), y=y), "X of chunk 3 must hold real numbers"),
    "masked": (lambda p, X, y: (np.ma.masked_less(X.toarray(), 0), y), "X of chunk 3 has masked entries"),
    "masked_y": (lambda p, X, y: (X.toarray(), np.ma.masked_less(y, 1)), "y of chunk 3 has masked entries"),
    "sparse_y": (lambda p, X, y: (X.toarray(), csr_array(y[:, None])), "y of chunk 3"),
    "ragged": (lambda p, X, y: (lambda: ([[1], [1, 2]], y)), "X of chunk 3 must hold real numbers"),
    "only_x": (lambda p, X, y: (lambda: X.toarray()), "chunk 3, .*, holds no X and y"),
    "none": (lambda p, X, y: (lambda: None), "chunk 3, .*, holds no X and y"),
    "number": (lambda p, X, y: 3.0, r"chunk 3, 3\.0, holds no X and y"),
    "text_file": (lambda p, X, y: ("X.csv", y), r"chunk 3, .*'X\.csv' must be an \.npy file"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_errors_name_the_chunk(bad, data, tmp_path):
    make, message = BAD[bad]
    with pytest.raises((ValueError, OSError), match=f"(?s){message}"):
        Chunks(with_bad(data, tmp_path, make))


def test_a_file_that_is_missing(data, tmp_path):
    with pytest.raises(OSError, match=r"chunk 3, .*missing\.npz.*, cannot be read"):
        Chunks(with_bad(data, tmp_path, lambda path, X, y: path.with_name("missing.npz")))


def test_files_that_change_while_training_goes_on(data, tmp_path):
    source = chunks_of(data, "npz", tmp_path, window=1)
    path = tmp_path / "3.npz"
    X, y = parts(data)[3]
    for write, message in (
        (lambda: dense_file(path, X[:-1], y[:-1]), "chunk 3 has 39 samples, but had 40 at first"),
        (lambda: np.savez(path, X=X.toarray() * np.nan, y=y), "X of chunk 3 holds NaN or infinity"),
        (lambda: dense_file(path, X[:, :5], y), r"X of chunk 3 has shape \(40, 5\)"),
        (path.unlink, r"chunk 3, .*3\.npz.*, cannot be read"),
    ):
        source.rows(np.array([0]))  # chunk 3 is not held
        write()
        with pytest.raises((ValueError, OSError), match=message):
            SparseMLPClassifier(**SMALL).fit(source)


def test_the_error_of_a_function_is_its_own(data):
    def fails():
        raise RuntimeError("the database is gone")

    X, y = data
    with pytest.raises(RuntimeError, match="the database is gone"):
        Chunks([(X.toarray(), y), fails])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"chunks": []}, "chunks must hold at least one chunk"),
        ({"chunks": [(np.empty((0, 3)), np.empty(0))]}, "chunks must hold at least one sample"),
        ({"window": 0}, "window=0 must be a positive integer"),
        ({"window": True}, "window=True"),
        ({"window": 1.5}, "window=1.5"),
        ({"dtype": "float16"}, "dtype='float16' must be 'float32' or 'float64'"),
        (
            {"chunks": [(np.ones((3, 2)), np.zeros(3)), (np.ones((3, 2)), np.zeros((3, 2)))]},
            "The targets of the chunks do not fit together",
        ),
    ],
)
def test_what_is_not_allowed_is_named(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Chunks(**{"chunks": [(np.ones((3, 2)), np.zeros(3))], **arguments})


def test_an_empty_chunk_is_no_harm(data):
    X, y = data
    empty = np.empty((0, 6)), np.empty(0, dtype=int)
    settings = replace(Evolution(), grow=Confirmed(n_samples=20))
    source = Chunks([empty, (X[:60].toarray(), y[:60]), empty, (X[60:].toarray(), y[60:])], window=1)
    assert_array_equal(np.sort(np.concatenate(list(source.batches(16, np.random.default_rng(0))))), np.arange(120))
    SparseMLPClassifier(**SMALL, evolution=settings).fit(source)


# The thread, and what is in memory.


def fitted(data, tmp_path, form="npz", **options):
    source = chunks_of(data, form, tmp_path, window=2, **options)
    settings = SMALL | {"max_iter": 6, "n_iter_no_change": np.inf, "batch_size": 16}
    return SparseMLPClassifier(**settings, evolution=Evolution(grow=Confirmed(n_samples=20))).fit(source)


@pytest.mark.parametrize("form", ["npz", "npz_csr", "function"])
def test_the_thread_changes_no_byte(form, data, tmp_path):
    model = fitted(data, tmp_path, form)
    assert sum(map(sum, model.history_["edges_replaced"])) > 0
    assert_same_run(model, fitted(data, tmp_path, form, prefetch=False))


def test_slow_and_fast_threads_change_no_byte(data, tmp_path):
    """Loads that take longer than training, and such that take no time."""

    def slow(part):
        return lambda: time.sleep(0.01) or (part[0].toarray(), part[1])

    settings = SMALL | {"batch_size": 16}
    models = [
        SparseMLPClassifier(**settings).fit(Chunks([make(part) for part in parts(data)], window=2))
        for make in (slow, lambda part: (part[0].toarray(), part[1]))
    ]
    assert_same_run(*models)


@pytest.mark.parametrize("batch_size", [1, 7, 16, 50, 100, 120])
@pytest.mark.parametrize("window", [1, 2, 5])
def test_compiled_steps_are_those_of_python(window, batch_size, data):
    """Also of batches that span two windows or more; a callback of steps keeps them in Python."""

    class Steps:
        def on_step(self, network, step):
            pass

    settings = SMALL | {"batch_size": batch_size, "max_iter": 2}
    models = [
        SparseMLPClassifier(**settings, callbacks=callbacks).fit(
            Chunks([(part.toarray(), of_part) for part, of_part in parts(data)], window=window)
        )
        for callbacks in (None, [Steps()])
    ]
    assert_same_run(*models)


def test_training_reads_a_window_in_compiled_steps(data, monkeypatch):
    """One call of the kernel for the batches within a window, and one for the batch that two windows share."""
    sizes = []
    run = CompiledSteps.run

    def counted(self, state, samples, *arguments):
        sizes.append(samples.size)
        return run(self, state, samples, *arguments)

    monkeypatch.setattr(CompiledSteps, "run", counted)
    source = Chunks([(part.toarray(), of_part) for part, of_part in parts(data)], window=2)
    settings = SMALL | {"max_iter": 1, "batch_size": 4, "evolution": "static", "update_every": None, "shuffle": False}
    SparseMLPClassifier(**settings).fit(source)
    assert sizes == [36, 4, 60, 4, 16]


def test_each_chunk_is_loaded_once_an_epoch(data, monkeypatch):
    """Also the first window of an epoch, which the one before loads in the end."""
    counted = Counted(data)
    source = Chunks(counted.chunks, window=2)
    counted.calls.clear()
    evolution = Evolution(grow=Cosine(n_samples=20))
    settings = SMALL | {"n_iter_no_change": np.inf, "batch_size": 4, "evolution": evolution}
    monkeypatch.setattr("truesparse.estimators.diagnosis.failure", lambda *arguments: None)
    model = SparseMLPClassifier(**settings).fit(source)
    assert sum(map(sum, model.history_["edges_replaced"])) > 0  # rules look at chunks that are there
    assert max(map(counted.calls.count, range(5))) <= 4  # fewer where two windows are alike


def test_all_chunks_of_one_window_are_loaded_once(data):
    counted = Counted(data)
    source = Chunks(counted.chunks, window=5)
    counted.calls.clear()
    SparseMLPClassifier(**SMALL).fit(source, X_val=Chunks(counted.chunks, window=7))
    assert len(counted.calls) <= 5 + 10 + 5  # training; validation's first pass and epochs; a look at a failure


def test_errors_in_the_thread_are_raised_in_the_training(data, tmp_path):
    source = chunks_of(data, "npz", tmp_path, window=1)

    class Damage:
        def on_train_begin(self, network):
            (tmp_path / "3.npz").write_bytes(b"PK is text")

    model = SparseMLPClassifier(**SMALL, callbacks=[Damage()])
    with pytest.raises(ValueError, match=r"chunk 3, .*3\.npz.*, holds no X and y"):
        model.fit(source)
    assert not hasattr(model, "coefs_")
    assert_no_thread()


def assert_no_thread():
    assert not [thread for thread in threading.enumerate() if thread.name == "truesparse-chunks"]


class Raises:
    """Raises an error at the start of an update, while the next window is being loaded."""

    def __init__(self, error):
        self.error = error

    def on_topology_change(self, network, step, rewirings):
        raise self.error


@pytest.mark.parametrize("error", [None, OSError("full"), KeyboardInterrupt()])
def test_the_thread_ends_with_the_training(error, data):
    def slow(part):
        return lambda: time.sleep(0.02) or (part[0].toarray(), part[1])

    source = Chunks([slow(part) for part in parts(data)], window=1)
    model = SparseMLPClassifier(**SMALL | {"batch_size": 4}, callbacks=None if error is None else [Raises(error)])
    if error is None:
        model.fit(source)
    else:
        with pytest.raises(type(error)):
            model.fit(source)
    assert_no_thread()


def test_an_interrupted_training_ends_its_thread(data, tmp_path, monkeypatch):
    monkeypatch.setattr("truesparse.runtime.interrupts._stopped", None)  # the next test is no fit of a search
    source = chunks_of(data, "npz", tmp_path, window=1)

    class Stop:
        def on_epoch_begin(self, network, epoch):
            if epoch == 2:
                signal.raise_signal(signal.SIGINT)

    with pytest.warns(UserWarning, match="Interrupted with 1 of 4 epochs done"):
        SparseMLPClassifier(**SMALL, callbacks=[Stop()]).fit(source)
    assert_no_thread()


def test_copies_have_their_own_windows(data, tmp_path):
    source = chunks_of(data, "npz", tmp_path, window=2)
    source.rows(np.arange(50))
    samples = np.array([119, 0, 60])
    for other in (copy.copy(source), copy.deepcopy(source), pickle.loads(pickle.dumps(source))):
        assert_array_equal(other.rows(samples), data[0].toarray()[samples])
        assert other._windows is not source._windows
        assert_array_equal(other.target, source.target)
    assert len(pickle.dumps(source)) < 5000 + source.target.nbytes


def test_threads_that_share_chunks_do_not_disturb_each_other(data, tmp_path):
    source = chunks_of(data, "npz", tmp_path, window=2)

    def fit(seed):
        return SparseMLPClassifier(**SMALL | {"random_state": seed, "batch_size": 16}).fit(source)

    together = Parallel(n_jobs=4, backend="threading")(delayed(fit)(seed) for seed in range(4))
    for seed, model in enumerate(together):
        assert_same_run(model, fit(seed))


# Classes.


def test_classes_that_no_chunk_has(data, tmp_path):
    X, y = data
    items = [(part.toarray(), np.array(["ant", "cow"])[of_part]) for part, of_part in parts(data)]
    source = Chunks(items, classes=["ant", "bee", "cow"])
    model = SparseMLPClassifier(**SMALL).fit(source, X_val=Chunks(items[:2]))
    assert_array_equal(model.classes_, ["ant", "bee", "cow"])
    assert model.predict_proba(X).shape == (120, 3)
    assert_array_equal(SparseMLPClassifier(**SMALL).fit(Chunks(items)).classes_, ["ant", "cow"])
    with pytest.raises(ValueError, match=r"y of chunk 1 holds \['cow'\], which are not among classes=\['ant', 'bee'\]"):
        Chunks([(X[:2].toarray(), np.array(["ant", "bee"])), (X[:1].toarray(), ["cow"])], classes=["ant", "bee"])
    with pytest.raises(ValueError, match="classes of a source are for classification"):
        SparseMLPRegressor(**SMALL).fit(Chunks([(X.toarray(), y)], classes=[0, 1]))


# Transformers.


@pytest.mark.parametrize(
    "transformer", [StandardScaler(), MinMaxScaler(), IncrementalPCA(3), StandardScaler(copy=False)]
)
def test_map_transforms_as_the_transformer_of_all_samples(transformer, data, tmp_path):
    X = data[0].toarray()
    source = chunks_of(data, "npz", tmp_path, window=2)
    mapped = source.map(transformer)
    expected = clone(transformer)
    for k, _ in enumerate(SIZES):
        expected.partial_fit(X[source._starts[k] : source._starts[k + 1]].copy())
    transformed = expected.transform(X.copy())
    assert_allclose(mapped.rows(np.arange(120)), transformed, rtol=1e-5, atol=1e-6)
    assert_array_equal(transformer.transform(X.copy()), transformed)  # it is fitted, for predictions
    assert mapped.n_features == transformed.shape[1]
    assert_array_equal(source.rows(np.arange(120)), X)
    assert_array_equal(mapped.target, source.target)
    model = SparseMLPClassifier(**SMALL).fit(mapped, X_val=source.map(transformer))
    assert make_pipeline(transformer, model).predict(X).shape == (120,)


def test_map_leaves_arrays_and_the_transformer_alone(data):
    X, y = data[0].toarray(), data[1]
    before = X.copy()
    scaler = StandardScaler(copy=False)
    mapped = Chunks([(X[:60], y[:60]), (X[60:], y[60:])]).map(scaler)
    rows = mapped.rows(np.arange(120))
    assert_array_equal(X, before)
    scaler.mean_ += 5
    assert_array_equal(mapped.with_target(y).rows(np.arange(120)), rows)
    fitted = StandardScaler().fit(X[:10])
    mean = fitted.mean_.copy()
    Chunks([(X, y)]).map(fitted)
    assert_array_equal(fitted.mean_, mean)


def test_map_of_csr_and_twice(data, tmp_path):
    X = data[0].toarray()
    source = chunks_of(data, "npz_csr", tmp_path, window=2)
    mapped = source.map(MaxAbsScaler()).map(FunctionTransformer(lambda X: X * 2))
    assert mapped.is_sparse
    assert_allclose(mapped.rows(np.arange(120)).toarray(), 2 * X / np.abs(X).max(axis=0), rtol=1e-6)
    dense = source.map(FunctionTransformer(lambda X: X.toarray()[:, :2]))
    assert not dense.is_sparse
    assert_array_equal(dense.rows(np.arange(120)), X[:, :2])


def test_map_of_an_empty_chunk(data):
    X, y = data[0].toarray(), data[1]
    empty = np.empty((0, 6)), np.empty(0, dtype=int)
    mapped = Chunks([empty, (X, y), empty], window=3).map(IncrementalPCA(2))
    assert mapped.rows(np.arange(120)).shape == (120, 2)


@pytest.mark.parametrize(
    ("transformer", "message"),
    [
        (PCA(2), r"transformer=PCA\(n_components=2\) has no partial_fit.* fit it to some of the data first"),
        (IncrementalPCA(10), r"transformer=IncrementalPCA.* cannot be fitted to chunk 0: "),
        (IncrementalPCA(6, batch_size=7), None),
        (FunctionTransformer(lambda X: X / 0), r"X of chunk 0, transformed by FunctionTransformer.*NaN or infinity"),
        (FunctionTransformer(lambda X: X[1:]), r"X of chunk 0, transformed by .* must have 30 rows"),
        (FunctionTransformer(lambda X: 1 / 0), "X of chunk 0, transformed by .* fails: division by zero"),
        (StandardScaler, "must be a transformer of scikit-learn"),
        ("scale", "must be a transformer of scikit-learn"),
    ],
)
def test_transformers_that_do_not_fit_are_named(transformer, message, data, tmp_path):
    source = chunks_of(data, "npz", tmp_path)
    if message is None:
        assert source.map(transformer).n_features == 6
        return
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=f"(?s){message}"):
        source.map(transformer)
    assert not vars(transformer).get("mean_") if not isinstance(transformer, str | type) else True
