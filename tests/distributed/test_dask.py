"""One training on two Dask workers, which are processes of their own."""

import hashlib
import os
import pickle
import re
import signal
import time
import warnings
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import make_regression

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'truesparse[dask]'")
import dask
import dask.array as da
from dask.distributed import Client, LocalCluster

import truesparse
from truesparse import Evolution, SparseMLPClassifier, SparseMLPRegressor, preset
from truesparse.callbacks import Checkpoint
from truesparse.distributed import DaskSparseMLPClassifier, DaskSparseMLPRegressor, dask_replay, dask_rounds
from truesparse.distributed import dask as module
from truesparse.distributed.dask_collections import Parts
from truesparse.distributed.dask_source import DaskSource
from truesparse.distributed.dask_workers import Workers
from truesparse.estimators import diagnosis
from truesparse.evolution import Cosine, Cubic

N, FEATURES = 600, 20
SETTINGS = {"hidden_layer_sizes": (40, 30), "epsilon": 3, "max_iter": 3, "update_every": 3, "random_state": 7}
ROUNDS = {"local_steps": 4, "n_parts": 2, "batch_size": 64}


@pytest.fixture(scope="module")
def client():
    with two_workers(set_as_default=True) as client:
        yield client


@pytest.fixture(autouse=True)
def quick_diagnosis(monkeypatch):
    """Most networks here learn little, and many samples would be looked at to say why."""
    monkeypatch.setattr(diagnosis, "_N_SAMPLES", 32)


@pytest.fixture
def mortal():
    """A client of two workers that may die."""
    with two_workers() as client:
        yield client


@contextmanager
def two_workers(set_as_default=False):
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(**options) as cluster, Client(cluster, set_as_default=set_as_default) as client:
        yield client


def data(n=N):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, FEATURES)).astype(np.float32)
    return X, np.array(["a", "bb", "ccc"])[(X[:, 0] > 0).astype(int) + (X[:, 1] * X[:, 2] > 0)]


def chunked(X, y, sizes=(150,) * 4):
    return da.from_array(X, chunks=(sizes, -1)), da.from_array(y, chunks=(sizes,))


def in_blocks(X):
    """A Dask array of CSR chunks."""
    return da.from_array(X, chunks=(150, -1)).map_blocks(csr_array, dtype=X.dtype, meta=np.empty((0, 0), dtype=X.dtype))


def classifier(**changes):
    return DaskSparseMLPClassifier(**{**SETTINGS, **ROUNDS, **changes})


def bytes_of(model):
    network = model._run.network
    patterns = [layer.pattern.keys.tobytes() for layer in network.layers]
    moments = [moment.tobytes() for moment in model._run.state.optimizer_state.values()]
    return hashlib.sha256(b"".join([network.params.tobytes(), *patterns, *moments])).hexdigest()


class Topologies:
    def __init__(self):
        self.keys = []

    def on_topology_change(self, network, step, rewirings):
        self.keys.append(np.concatenate([layer.pattern.keys for layer in network.layers]))


@pytest.mark.parametrize("method", ["cte", "set"])
def test_one_part_is_trained_as_without_dask(client, method):
    """The same bytes: the rounds change nothing but where the steps are made."""
    X, y = data()
    settings = {**SETTINGS, "evolution": method}
    expected = SparseMLPClassifier(**settings).fit(X, y)
    found = DaskSparseMLPClassifier(**settings, local_steps=4, n_parts=1).fit(*chunked(X, y))
    assert sum(map(sum, expected.history_["edges_replaced"])) > 0
    assert bytes_of(found) == bytes_of(expected)
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize("changes", [
    {"solver": "sgd", "learning_rate_init": 0.05},
    {"topology_init": "snip", "evolution": "static"},
    {"batch_transform": np.multiply, "dropout": 0.3},
    {"activation": "srelu", "dtype": "float64", "shuffle": False},
    {"early_stopping": True, "n_iter_no_change": 2, "max_iter": 8},
    {"class_weight": "balanced", "batch_size": 1000},
    {"evolution": replace(preset("cte"), density=Cubic(2))},
])  # fmt: skip
def test_one_part_with_other_settings(client, changes):
    if "batch_transform" in changes:
        changes = {**changes, "batch_transform": add_noise}
    X, y = data()
    settings = {**SETTINGS, **changes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = SparseMLPClassifier(**settings).fit(X, y)
        found = DaskSparseMLPClassifier(**settings, local_steps=4, n_parts=1).fit(*chunked(X, y))
    assert bytes_of(found) == bytes_of(expected)
    assert found.n_iter_ == expected.n_iter_


def add_noise(X, rng):
    return X + rng.normal(0, 0.1, X.shape).astype(X.dtype)


@pytest.mark.parametrize("method", ["cte", "omp"])
def test_two_parts_give_the_same_bytes_again(client, method):
    watches = [Topologies(), Topologies()]
    models = [classifier(evolution=method, callbacks=[watch]).fit(*chunked(*data())) for watch in watches]
    assert len(watches[0].keys) == 7  # up to three quarters of 3 · 10 steps
    assert bytes_of(models[0]) == bytes_of(models[1])


def test_dense_and_sparse_chunks_give_the_same_bytes(client):
    X, y = data()
    X[X < 0.3] = 0
    dense, sparse = (classifier().fit(rows, da.from_array(y, chunks=150)) for rows in (chunked(X, y)[0], in_blocks(X)))
    assert bytes_of(dense) == bytes_of(sparse)


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("cte", "sparse"),
        ("omp", "dense"),
        ("rigl", "dense"),
        ("sensitivity", "sparse"),
        ("all_samples", "dense"),
        ("falling", "dense"),
    ],
)
def test_sums_on_the_workers_choose_the_same_topology_as_fetched_rows(client, monkeypatch, method, kind):
    """In float64, where the order of a sum changes no choice; also of samples that were shuffled and divided."""
    X, y = data()
    X[X < 0] = 0
    X, y = chunked(X.astype(float), y)
    X = in_blocks(X.compute()) if kind == "sparse" else X
    others = {"all_samples": Evolution(grow=Cosine(n_samples=None, width=64))}
    others["falling"] = replace(others["all_samples"], density=Cubic(2))
    evolution = others.get(method, method)
    topologies = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for most in (dask_rounds._MOST_FETCHED, 0):
            monkeypatch.setattr(dask_rounds, "_MOST_FETCHED", most)
            watch = Topologies()
            settings = {"evolution": evolution, "dtype": "float64", "early_stopping": True, "max_iter": 2}
            classifier(**settings, callbacks=[watch]).fit(X, y)
            topologies.append(watch.keys)
    assert len(topologies[0]) >= 2
    for fetched, summed in zip(*topologies, strict=True):
        assert_array_equal(fetched, summed)


def test_parts_that_do_not_agree_on_a_topology_are_refused(client, monkeypatch):
    monkeypatch.setattr(dask_rounds, "_MOST_FETCHED", 0)
    with pytest.raises(RuntimeError, match="The parts of the data chose different topologies"):
        classifier(evolution=Evolution(grow=OfThisProcess())).fit(*chunked(*data()))


class OfThisProcess:
    """A rule that depends on the process."""

    needs = ("activations",)

    def __call__(self, vacancies, *, rng, activations):
        activations(300)
        rng = np.random.default_rng(os.getpid())
        return [vacancy.pattern.sample_absent(vacancy.n_grow, rng) for vacancy in vacancies]


class DiesOnce:
    """The function of a task that kills its worker, where it is called for a step the first time."""

    def __init__(self, function, step, marker):
        self.function, self.step, self.marker = function, step, str(marker)

    def __call__(self, share, *args):
        begun = args[-1]
        if begun.progress.step == self.step and share.first == 0 and not os.path.exists(self.marker):
            with open(self.marker, "w"):
                os.kill(os.getpid(), signal.SIGKILL)
        return self.function(share, *args)


def test_a_worker_that_dies_changes_no_byte(client, mortal, monkeypatch, tmp_path):
    expected = bytes_of(classifier().fit(*chunked(*data())))
    monkeypatch.setattr(dask_rounds, "train_part", DiesOnce(dask_rounds.train_part, 15, tmp_path / "died"))
    assert bytes_of(classifier(client=mortal).fit(*chunked(*data()))) == expected
    assert (tmp_path / "died").exists()


def test_a_worker_that_dies_while_sums_are_added_up(client, mortal, monkeypatch, tmp_path):
    monkeypatch.setattr(dask_rounds, "_MOST_FETCHED", 0)
    expected = bytes_of(classifier(max_iter=2).fit(*chunked(*data())))
    monkeypatch.setattr(dask_replay, "replay", DiesInReplay(dask_replay.replay, tmp_path / "died"))
    assert bytes_of(classifier(max_iter=2, client=mortal).fit(*chunked(*data()))) == expected
    assert (tmp_path / "died").exists()


class DiesInReplay(DiesOnce):
    """The same where three sums are known."""

    def __init__(self, function, marker):
        super().__init__(function, None, marker)

    def __call__(self, share, n_samples, drop_fraction, begun, *known):
        if len(known) == 3 and share.first and not os.path.exists(self.marker):
            with open(self.marker, "w"):
                os.kill(os.getpid(), signal.SIGKILL)
        return self.function(share, n_samples, drop_fraction, begun, *known)


def test_a_restart_of_all_workers_changes_no_byte(client, mortal):
    """Nothing is left in the scheduler; the client begins again with what it has."""
    expected = bytes_of(classifier().fit(*chunked(*data())))

    class Restart:
        done = False

        def on_step(self, network, step):
            if step == 9:
                mortal.restart()
                self.done = True

    restart = Restart()
    assert bytes_of(classifier(callbacks=[restart], client=mortal).fit(*chunked(*data()))) == expected
    assert restart.done


def test_nothing_stays_on_the_workers_after_a_fit(client):
    model = classifier().fit(*chunked(*data()))
    with pytest.raises(ValueError, match="NaN"):
        classifier().fit(chunked(*data())[0] * np.nan, chunked(*data())[1])
    for _ in range(100):
        held = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
        if not held:
            break
        time.sleep(0.05)
    assert held == []
    assert model.n_iter_ == 3


def test_a_task_that_kills_every_worker_is_given_up(monkeypatch):
    monkeypatch.setattr("truesparse.distributed.dask_workers._ATTEMPTS", 2)
    monkeypatch.setattr(dask_rounds, "train_part", always_dies)
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
        pytest.raises(RuntimeError, match="The Dask workers were lost 2 times in the same tasks"),
    ):
        classifier(client=client).fit(*chunked(*data()))


def always_dies(*args):
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_error_in_a_task_is_raised_in_the_client(client):
    X, y = data()
    with pytest.raises(ValueError, match=r"The training loss became infinite or NaN in epoch 1, step \d+"):
        classifier(learning_rate_init=1e30, solver="sgd").fit(*chunked(X, y))


def joined(*blocks):
    parts = [da.from_array(block, chunks=block.shape) for block in blocks]
    return [part.to_delayed().ravel()[0] for part in parts]


def unsuitable():
    """X, y and the error."""
    X, y = data()
    first, second = X[:300], X[300:]
    labels, halves = da.from_array(y, chunks=300), joined(first, second)
    with_nan = second.copy()
    with_nan[100, 3] = np.nan
    texts = np.full(second.shape, "x", dtype=object)
    sparse = [*joined(first), dask.delayed(csr_array(second))]
    disagree = "The partitions of X disagree: partition 0 has "
    return {
        "features": (
            joined(first, second[:, 1:]),
            labels,
            disagree + "features 20, partition 1 has features 19",
        ),
        "dtype": (
            joined(first, second.astype(float)),
            labels,
            disagree + "the dtype 'float32', partition 1 has",
        ),
        "format": (sparse, labels, disagree + "the format 'dense', partition 1 has the format 'CSR'"),
        "nan": (joined(first, with_nan), labels, "Partition 1 of X: Input X contains NaN"),
        "text": (joined(first, texts), labels, "Partition 1 of X: could not convert"),
        "targets": (halves, da.from_array(y[:-1], chunks=300), "y has the shape (599,), but X has 600 rows"),
        "partitions": (
            halves,
            joined(y[:200], y[200:]),
            "Partition 0 of y has 200 rows, but partition 0 of X has",
        ),
        "kinds": (
            halves,
            joined(y[:300], np.arange(300)),
            "partitions of y disagree: they hold numbers and text",
        ),
        "one class": (halves, np.full(600, "a"), "at least two classes, got only one class"),
        "no rows": (joined(X[:0], X[:0]), labels, "X has no rows: all of its 2 partitions are empty"),
        "no targets": (halves, None, "y=None: DaskSparseMLPClassifier needs targets"),
        "local": (X, y, "X=ndarray must be a Dask array or DataFrame, or a list of delayed partitions"),
        "axes": (da.zeros((4, 4, 4)), y, "X=Array must be a Dask array or DataFrame of one or two dimensions"),
    }


@pytest.mark.parametrize("case", unsuitable())
def test_unsuitable_data_raise_one_error(client, case):
    X, y, message = unsuitable()[case]
    model = classifier()
    with pytest.raises(ValueError, match=re.escape(message)):
        model.fit(X, y)
    assert not hasattr(model, "classes_")


def test_unknown_classes_of_validation_data(client):
    X, y = chunked(*data())
    with pytest.raises(ValueError, match=r"y holds the classes \['d'\], which are not among \['a', 'bb', 'ccc'\]"):
        classifier().fit(X, y, X_val=X, y_val=da.where(y == "a", "d", y))


def test_without_a_client_or_workers(client, monkeypatch):
    import distributed

    def none():
        raise ValueError("No clients found")

    X, y = chunked(*data())
    with pytest.raises(ValueError, match=r"client='here' must be a dask\.distributed\.Client"):
        classifier(client="here").fit(X, y)
    monkeypatch.setattr(distributed, "default_client", none)
    with pytest.raises(ValueError, match="client=None, but there is no Dask client"):
        classifier().fit(X, y)
    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        Client(empty, set_as_default=False) as client,
        pytest.raises(ValueError, match="The Dask cluster has no workers"),
    ):
        classifier(client=client, n_parts=None).fit(X, y)


def test_dataframes_with_unknown_lengths_and_an_empty_partition(client):
    """The same bytes as arrays; names are learnt, checked, and needed for predictions."""
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    X, y = data()
    table = pd.DataFrame(X, columns=[f"f{i}" for i in range(FEATURES)])
    table["y"] = y
    frame = dd.concat([dd.from_pandas(table[i : i + 150], npartitions=1) for i in range(0, N, 150)])
    empty = dd.from_pandas(table[:10], npartitions=1)
    frame = dd.concat([frame, empty[empty.f0 > 1e9]])
    features = frame.drop(columns="y")
    model = classifier().fit(features, frame.y)
    assert bytes_of(model) == bytes_of(classifier().fit(*chunked(X, y)))
    assert model.feature_names_in_.tolist() == list(features.columns)
    predictions = model.predict(features)
    assert isinstance(predictions, da.Array)
    assert_array_equal(predictions.compute(), model.to_local().predict(table.drop(columns="y")))
    for X_val in (features, table.drop(columns="y")):
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "X .*feature names")
            classifier().fit(features, frame.y, X_val=X_val, y_val=y)
        with pytest.raises(ValueError, match=r"X_val has the features .*'g'"):
            classifier().fit(features, frame.y, X_val=X_val.rename(columns={"f0": "g"}), y_val=y)
    model.set_params(warm_start=True)
    with pytest.raises(ValueError, match=r"X has the features .*'g'.*, but the network is made for"):
        model.fit(features.rename(columns={"f0": "g"}), frame.y)


def test_chunks_along_columns_unknown_sizes_and_delayed_partitions(client):
    X, y = data()
    expected = bytes_of(classifier().fit(*chunked(X, y)))
    rows, labels = da.from_array(X, chunks=(150, 7)), da.from_array(y, chunks=150)
    unknown = chunked(X, y)[0].map_blocks(lambda block: block[:], chunks=((np.nan,) * 4, (FEATURES,)), dtype=X.dtype)
    for given, targets in [(rows, labels), (unknown, labels), (joined(*np.split(X, 4)), joined(*np.split(y, 4)))]:
        assert bytes_of(classifier().fit(given, targets)) == expected
    assert bytes_of(classifier().fit(chunked(X, y)[0], y)) == expected  # local targets


def test_weights_are_those_of_all_samples(client):
    """Samples of weight 0 are left out on either worker; an even part of the others is trained on."""
    X, y = data()
    weights = np.random.default_rng(1).uniform(0.5, 2, N)
    weights[::3] = 0
    kept = weights > 0
    rows, labels = chunked(X, y)
    with_zeros = classifier(class_weight="balanced").fit(rows, labels, da.from_array(weights, chunks=150))
    without = classifier(class_weight="balanced").fit(
        *chunked(X[kept], y[kept], (100,) * 4), sample_weight=weights[kept]
    )
    assert bytes_of(with_zeros) == bytes_of(without)
    assert bytes_of(with_zeros) != bytes_of(classifier().fit(rows, labels))
    with pytest.raises(ValueError, match=r"sample_weight must hold numbers that are not below 0, got -1"):
        classifier().fit(rows, labels, da.full(N, -1.0))


def test_rows_come_in_the_order_that_is_asked_for(client):
    X, y = data()
    X = np.maximum(np.round(3 * X), 0)  # whose sums are exact
    chosen = np.random.default_rng(1).permutation(N)[:100]
    for collection in (chunked(X, y)[0], in_blocks(X)):
        with Workers(client) as workers:
            source = DaskSource(Parts.of(workers, "X", collection, "float32", 2), None, "float32")
            for part, expected in ((source, X), (source.subset(chosen), X[chosen])):
                asked = np.array([93, 2, 2, 57])
                rows = part.gathered_rows(asked)
                assert_array_equal(rows.toarray() if source.is_sparse else rows, expected[asked])
                assert part.gathered_rows(asked[:0]).shape == (0, FEATURES)
                assert_array_equal(part.compute(row_sums), expected.sum(axis=1, dtype=float))


def row_sums(source):
    return np.asarray(source.rows(np.arange(source.n_samples)).sum(axis=1, dtype=float))


def test_parts_on_one_worker_are_spread(client):
    first, second = client.ncores()
    with Workers(client) as workers:
        held = workers.keep(lambda: [client.submit(np.full, 3, k, workers=[first], pure=False) for k in range(2)])
        client.gather(held.futures)
        workers.spread(held)
        assert [array.tolist() for array in client.gather(held.futures)] == [[0, 0, 0], [1, 1, 1]]
        found = client.who_has(held.futures)
        assert {second} in [set(found[future.key]) for future in held.futures]


def test_too_few_partitions_are_said(client):
    X, y = data()
    with pytest.warns(UserWarning, match=r"X has partitions of \[600\] rows, so that only 1 part can be worked on"):
        classifier(max_iter=1).fit(*chunked(X, y, (N,)))


def test_parts_of_different_sizes_end_their_epochs_together(client):
    X, y = data()
    rows, labels = chunked(X, y, (400, 40, 160))
    steps = []

    class Steps:
        def on_step(self, network, step):
            steps.append(step)

    model = classifier(callbacks=[Steps()]).fit(rows, labels)
    assert model._run.state.progress.step == 3 * 13  # of 400 samples, in batches of 32
    assert {3 * k for k in range(1, 10)} <= set(steps)  # rounds end where the topology changes
    assert max(np.diff([0, *steps])) <= ROUNDS["local_steps"]
    assert_array_equal(bytes_of(model), bytes_of(classifier().fit(rows, labels)))


def test_validation_data_are_scored_on_the_workers(client):
    X, y = data()
    X_val, y_val = data(900)
    X_val, y_val = X_val[N:], y_val[N:]
    rows, labels = chunked(X, y)
    settings = {"early_stopping": True, "max_iter": 5, "n_iter_no_change": 3}
    of_dask = classifier(**settings).fit(rows, labels, X_val=da.from_array(X_val, chunks=(100, -1)), y_val=y_val)
    of_local = classifier(**settings).fit(rows, labels, X_val=X_val, y_val=y_val)
    assert bytes_of(of_dask) == bytes_of(of_local)
    assert of_dask.history_["validation_loss"] == of_local.history_["validation_loss"]
    scored = classifier(**settings, scoring="balanced_accuracy").fit(rows, labels)
    assert 0.3 < max(scored.history_["validation_score"]) <= 1


def test_a_network_that_learns_nothing_is_diagnosed(client):
    X, y = data()
    with pytest.warns(UserWarning, match=r"Features of the data are not scaled: \d+ \(mean"):
        classifier(max_iter=1).fit(*chunked(X * 1e4, y))


def test_regression_with_targets_of_another_scale(client):
    X, y = make_regression(600, 10, n_targets=2, noise=1, random_state=0)
    y = 1000 + 50 * y
    settings = {"hidden_layer_sizes": (60,), "epsilon": 5, "max_iter": 40, "random_state": 0}
    model = DaskSparseMLPRegressor(**settings, **ROUNDS)
    rows, targets = da.from_array(X, chunks=(150, -1)), da.from_array(y, chunks=(150, -1))
    model.fit(rows, targets)
    np.testing.assert_allclose(model.target_mean_, y.mean(axis=0))
    assert model.score(rows, targets) > 0.9
    assert isinstance(model.to_local(), SparseMLPRegressor)
    assert model.predict(rows).shape == (600, 2)
    assert_array_equal(model.predict(rows).compute(), model.predict(X))


def test_predictions_are_lazy_for_collections_and_ordinary_for_arrays(client):
    X, y = data()
    rows, labels = chunked(X, y)
    model = classifier().fit(rows, labels)
    local = model.to_local()
    assert type(local) is SparseMLPClassifier
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        lazy = getattr(model, method)(rows)
        expected = getattr(local, method)(X)
        assert isinstance(lazy, da.Array)
        assert (lazy.shape, lazy.dtype, lazy.chunks[0]) == (expected.shape, expected.dtype, rows.chunks[0])
        assert_array_equal(lazy.compute(), expected)
        assert_array_equal(getattr(model, method)(X), expected)
        assert_array_equal(getattr(model, method)(in_blocks(X)).compute(), expected)
    assert model.score(rows, labels) == local.score(X, y)
    with pytest.raises(ValueError, match="expecting 20 features"):
        model.predict(rows[:, :5].rechunk({1: 5})).compute()
    with pytest.raises(Exception, match="not fitted"):
        classifier().predict(rows)


def test_training_goes_on_in_parts_and_warm(client):
    X, y = data()
    rows, labels = chunked(X, y)
    model = classifier(max_iter=3)
    for _ in range(3):
        model.partial_fit(rows, labels, classes=["a", "bb", "ccc"])
    assert model.n_iter_ == 3
    warm = classifier(max_iter=2, warm_start=True).fit(rows, labels)
    first = bytes_of(warm)
    warm.fit(rows, labels)
    assert warm.n_iter_ == 4
    assert bytes_of(warm) != first
    local = warm.to_local().fit(X, y)  # the ordinary estimator goes on
    assert local.n_iter_ == 6


def test_a_checkpoint_is_that_of_the_ordinary_estimator(client, tmp_path):
    rows, labels = chunked(*data())
    expected = classifier().fit(rows, labels)
    path = tmp_path / "checkpoint.npz"
    stopped = classifier(callbacks=[Checkpoint(path), StopAfter(2)]).fit(rows, labels)
    assert stopped.n_iter_ == 2
    assert type(truesparse.load(path)) is SparseMLPClassifier
    resumed = classifier().fit(rows, labels, resume_from=path)
    assert bytes_of(resumed) == bytes_of(expected)
    truesparse.save(resumed.to_local(), tmp_path / "model.npz")
    with pytest.raises(ValueError, match="checkpoint of a fit with epsilon=3, not 4"):
        classifier(epsilon=4).fit(rows, labels, resume_from=path)


class StopAfter:
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, network, record):
        return record.epoch == self.epoch


def test_parameters_are_those_of_the_ordinary_estimator_and_three_more(client):
    names = SparseMLPClassifier().get_params().keys()
    model = classifier(client=client)
    assert model.fit(*chunked(*data())).score(*chunked(*data())) == model.score(*data())
    assert model.get_params().keys() == {*names, "local_steps", "n_parts", "client"}
    copied = clone(model)
    assert copied.get_params() == model.get_params()
    assert copied.client is client
    assert pickle.loads(pickle.dumps(model)).get_params() == model.get_params() | {"client": None}
    assert "local_steps=4" in repr(model)
    with pytest.raises(TypeError, match="DaskSparseMLPClassifier"):
        DaskSparseMLPClassifier(local_stops=1)
    with pytest.raises(ValueError, match="local_steps"):
        classifier(local_steps=0).fit(*chunked(*data()))
    assert DaskSparseMLPClassifier((5,)).hidden_layer_sizes == (5,)


def test_the_examples_of_the_docstrings(client):
    import doctest

    found = doctest.testmod(module)
    assert found.attempted > 10
    assert found.failed == 0
