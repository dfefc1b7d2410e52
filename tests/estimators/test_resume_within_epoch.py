"""A fit to chunks that stopped within an epoch goes on from its checkpoint with the same bytes."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import assert_same_run
from scipy.sparse import csr_array
from sklearn.datasets import make_classification

import truesparse
from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.callbacks import Checkpoint, EarlyStopping
from truesparse.data import Chunks
from truesparse.evolution import Constant, Cosine, Evolution, ImportancePruning, preset

X, y = make_classification(230, 12, n_informative=6, n_classes=3, random_state=0)
X = X.astype(np.float32)
X_val, y_val, X, y = X[:30], y[:30], X[30:], y[30:]
SIZES = [30, 7, 25, 40, 18, 22, 3, 55]
SMALL = {
    "hidden_layer_sizes": (30, 20),
    "epsilon": 3,
    "max_iter": 4,
    "batch_size": 8,
    "dropout": 0.2,
    "random_state": 0,
    "n_iter_no_change": np.inf,
    "evolution": Evolution(grow=Cosine(n_samples=40), schedule=Constant(0.3, update_every=3)),
}
REMOVES_UNITS = replace(preset("cte"), unit_pruning=ImportancePruning())


class PowerCut(BaseException):
    """No error that somebody might handle."""


class Cut:
    """Ends a training when so many chunks of an epoch have been used."""

    def __init__(self, epoch, n_chunks):
        self.epoch, self.n_chunks = epoch, n_chunks

    def on_epoch_begin(self, network, epoch):
        self.now = epoch

    def on_chunks(self, network, n_chunks):
        if (self.now, n_chunks) == (self.epoch, self.n_chunks):
            raise PowerCut


class Steps:
    """Keeps the steps out of compiled loops."""

    def on_step(self, network, step):
        pass


def chunks(X=X, y=y, window=2, calls=None, prefetch=True):
    ends = np.cumsum(SIZES)

    def maker(number):
        def make():
            if calls is not None:
                calls.append(number)
            part = slice(ends[number] - SIZES[number], ends[number])
            return X[part], y[part]

        return make

    return Chunks([maker(number) for number in range(8)], window=window, prefetch=prefetch)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.npz"


def check(make, path, data=chunks, extra=(), **arguments):
    """Cut twice in the second epoch, once in the third, always right after a checkpoint."""
    whole = make().set_params(callbacks=[*extra] or None).fit(data(), **arguments)
    resume = {}
    for cut in (Cut(2, 2), Cut(2, 6), Cut(3, 4)):
        with pytest.raises(PowerCut):
            make().set_params(callbacks=[*extra, Checkpoint(path, every_chunks=1), cut]).fit(
                data(), **arguments, **resume
            )
        resume = {"resume_from": path}
    state = truesparse.load(path)._run.state
    assert state.progress.epoch == 2
    assert 0 < state.progress.epoch_step == state.sums.n_seen / make().batch_size
    resumed = make().set_params(callbacks=[*extra] or None).fit(data(), **arguments, **resume)
    assert_same_run(resumed, whole)
    assert resumed._run.state.sums is None
    return whole


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"solver": "sgd", "learning_rate": "step", "dtype": "float32"},
        {"shuffle": False},
        {"batch_size": 1},
        {"activation": "srelu", "dropout": None},
        {"n_jobs": 2},
        {"evolution": "rigl", "update_every": "epoch"},
        {"evolution": REMOVES_UNITS, "max_iter": 8},
        {"early_stopping": True, "validation_fraction": 0.2},
        {"max_iter": None},
        {"class_weight": "balanced"},
    ],
    ids=lambda options: "-".join(options),
)
def test_a_fit_goes_on_within_an_epoch(options, path):
    make_options = SMALL | options
    if options == {"max_iter": None}:
        make_options |= {"n_iter_no_change": 2, "tol": 1.0, "evolution": "static"}
    whole = check(lambda: SparseMLPClassifier(**make_options), path)
    if "evolution" not in make_options or isinstance(make_options["evolution"], Evolution):
        assert sum(map(sum, whole.history_["edges_replaced"])) > 0


def test_steps_that_are_not_compiled_go_on(path):
    check(lambda: SparseMLPClassifier(**SMALL), path, extra=[Steps()])


def test_without_a_thread(path):
    check(lambda: SparseMLPClassifier(**SMALL), path, lambda: chunks(prefetch=False))


def test_regression_of_csr_with_validation_data(path):
    sparse, targets = csr_array(X * (X > 0)), np.eye(3)[y]
    aside = Chunks([(csr_array(X_val), np.eye(3)[y_val])])
    make = SparseMLPRegressor(**SMALL, early_stopping=True)
    check(lambda: make, path, lambda: chunks(sparse, targets), X_val=aside)


def test_a_transform_of_batches_goes_on(path):
    def noise(X_batch, rng):
        X_batch += rng.normal(0, 0.1, X_batch.shape).astype(X_batch.dtype)
        return X_batch

    with pytest.warns(UserWarning, match="batch_transform"):
        check(lambda: SparseMLPClassifier(**SMALL, batch_transform=noise), path)


def test_a_warm_start_goes_on_within_an_epoch(path, tmp_path):
    before = tmp_path / "before.npz"
    truesparse.save(SparseMLPClassifier(**SMALL, warm_start=True).fit(X, y), before)
    whole = truesparse.load(before).fit(chunks())
    with pytest.raises(PowerCut):
        truesparse.load(before).set_params(callbacks=[Checkpoint(path, every_chunks=1), Cut(5, 4)]).fit(chunks())
    assert_same_run(SparseMLPClassifier(**SMALL, warm_start=True).fit(chunks(), resume_from=path), whole)


def test_chunks_that_are_done_are_not_loaded(path, monkeypatch):
    monkeypatch.setattr("truesparse.estimators.diagnosis.failure", lambda *arguments: None)
    settings = SMALL | {"max_iter": 1}
    with pytest.raises(PowerCut):
        SparseMLPClassifier(**settings, callbacks=[Checkpoint(path, every_chunks=1), Cut(1, 6)]).fit(chunks())
    calls = []
    source = chunks(calls=calls)
    calls.clear()
    SparseMLPClassifier(**settings).fit(source, resume_from=path)
    fingerprint, epoch = calls[:8], calls[8:]
    assert sorted(fingerprint) == list(range(8))
    assert len(epoch) == 2


def test_a_checkpoint_within_the_first_epoch_is_a_model(path):
    with pytest.raises(PowerCut):
        SparseMLPClassifier(**SMALL, callbacks=[Checkpoint(path, every_chunks=3), Cut(1, 4)]).fit(chunks())
    loaded = truesparse.load(path)
    assert loaded.n_iter_ == 0
    assert loaded.predict(X).shape == y.shape
    assert loaded.partial_fit(X, y).n_iter_ == 1
    assert truesparse.load(path).set_params(warm_start=True).fit(X, y).n_iter_ == 4


class Written:
    """Notes after how many chunks of an epoch a checkpoint is written."""

    def __init__(self, path, **options):
        self.checkpoint, self.at, self.chunks = Checkpoint(path, **options), [], None

    def on_fit_begin(self, write_checkpoint):
        def noting(path):
            self.at.append(self.chunks)
            write_checkpoint(path)

        self.checkpoint.on_fit_begin(noting)

    def on_epoch_begin(self, network, epoch):
        self.checkpoint.on_epoch_begin(network, epoch)

    def on_chunks(self, network, n_chunks):
        self.chunks = n_chunks
        self.checkpoint.on_chunks(network, n_chunks)

    def on_epoch_end(self, network, record):
        self.chunks = "end"
        self.checkpoint.on_epoch_end(network, record)


@pytest.mark.parametrize(
    ("window", "every_chunks", "at"),
    [
        (2, 1, [2, 4, 6]),
        (2, 2, [2, 4, 6]),
        (2, 3, [4, 6]),
        (2, 4, [4]),
        (3, 4, [6]),
        (1, 3, [3, 6]),
        (1, 8, []),
        (8, 1, []),
        (2, None, []),
    ],
)
def test_checkpoints_are_written_at_the_end_of_windows(window, every_chunks, at, path):
    written = Written(path, every=2, every_chunks=every_chunks)
    SparseMLPClassifier(**SMALL | {"batch_size": 3}, callbacks=[written]).fit(chunks(window=window))
    assert written.at == [*at, *at, "end"] * 2


def test_small_chunks_in_large_batches(path):
    """A batch may be larger than a window: then fewer checkpoints are possible."""
    written = Written(path, every=4, every_chunks=1)
    SparseMLPClassifier(**SMALL | {"batch_size": 64}, callbacks=[written]).fit(chunks(window=1))
    assert len(written.at) < 4 * 7
    check_of = SMALL | {"batch_size": 64}
    whole = SparseMLPClassifier(**check_of).fit(chunks(window=1))
    last = max(n for n in written.at[:-1] if n != "end")
    with pytest.raises(PowerCut):
        SparseMLPClassifier(**check_of, callbacks=[Checkpoint(path, every_chunks=1), Cut(4, written.at[-2])]).fit(
            chunks(window=1)
        )
    assert last <= 7
    assert_same_run(SparseMLPClassifier(**check_of).fit(chunks(window=1), resume_from=path), whole)


def test_arrays_have_no_chunks(path):
    written = Written(path, every_chunks=1)
    SparseMLPClassifier(**SMALL, callbacks=[written]).fit(X, y)
    assert written.at == ["end"] * 4


def test_early_stopping_of_a_callback_counts_on(path):
    def fit(callbacks, **options):
        stop = EarlyStopping("train_loss", patience=1, min_delta=0.5)
        return SparseMLPClassifier(**SMALL | {"max_iter": 20}, callbacks=[stop, *callbacks]).fit(chunks(), **options)

    whole = fit([])
    assert whole.n_iter_ < 20
    with pytest.raises(PowerCut):
        fit([Checkpoint(path, every_chunks=1), Cut(2, 4)])
    assert_same_run(fit([], resume_from=path), whole)


@pytest.mark.parametrize("value", [0, True, 1.5])
def test_every_chunks_is_checked(value):
    with pytest.raises(ValueError, match="every_chunks="):
        Checkpoint("a", every_chunks=value)
