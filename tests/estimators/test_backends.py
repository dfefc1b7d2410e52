"""Many fits by joblib's backends: the same bytes, one thread each, data that travel once, errors and Ctrl-C."""

import gc
import os
import signal
import threading
import time
import warnings
import weakref

import joblib
import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.utils.parallel import Parallel, delayed

from truesparse import (
    SparseFeatureSelector,
    SparseMLPClassifier,
    SparseMLPEnsembleClassifier,
    SparseMLPEnsembleRegressor,
    SparseMLPRegressor,
)
from truesparse.estimators.ensemble_members import Data
from truesparse.runtime.threads import asked_threads

rng = np.random.default_rng(0)
X = rng.standard_normal((400, 700), dtype=np.float32)  # 1.1 MB, which loky maps
y = np.where(X[:, 0] + X[:, 1] > 0, "yes", "no")
SMALL = {"hidden_layer_sizes": (20,), "max_iter": 3, "update_every": 5, "random_state": 0}
NETWORK = SparseMLPClassifier(**SMALL)


@pytest.fixture(scope="module")
def dask():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster):
        yield {"backend": "dask"}


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    from joblib.pool import PicklingPool
    from ray.util.joblib import register_ray

    register_ray()
    bases = PicklingPool.__bases__  # which Ray changes, also for "multiprocessing"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield {"backend": "ray", "n_jobs": 2}
    ray.shutdown()
    PicklingPool.__bases__ = bases


@pytest.fixture(params=["loky", "threading", "dask"])
def backend(request):
    """The name of a backend that runs fits in two processes or threads."""
    options = {"backend": request.param, "n_jobs": 2}
    with joblib.parallel_config(**(request.getfixturevalue("dask") if request.param == "dask" else options)):
        yield request.param


def make(kind=SparseMLPEnsembleClassifier, **options):
    estimator = SparseMLPRegressor(**SMALL) if kind is SparseMLPEnsembleRegressor else NETWORK
    return kind(clone(estimator), **{"evolution": ("cte", "set"), "n_folds": 2, "random_state": 0, **options})


def fits():
    """Return what several kinds of many fits give; members and folds run by the active backend."""
    classifier, regressor = make(), make(SparseMLPEnsembleRegressor)
    selector = SparseFeatureSelector(5, estimator=make(evolution=("set",)), random_state=0)
    search = GridSearchCV(NETWORK, {"epsilon": [1, 3]}, cv=2)
    return {
        "classifier": classifier.fit(X, y).predict_proba(X),
        "out of fold": classifier.oof_predictions_,
        "CSR": make().fit(csr_array(np.maximum(X, 0)), y).predict_proba(X),
        "regressor, X_val": regressor.fit(X, X[:, 0], X_val=X[:100], y_val=X[:100, 0]).predict(X),
        "partial_fit": make().partial_fit(X, y, classes=["no", "yes"]).predict_proba(X),
        "selector": selector.fit(X, y).scores_,
        "search": search.fit(X, y).predict_proba(X),
        "cross_val_score": cross_val_score(NETWORK, X, y, cv=2),
    }


@pytest.fixture(scope="module")
def expected():
    with joblib.parallel_config(n_jobs=1):
        return fits()


def test_the_same_bytes_by_any_backend(expected, backend):
    found = fits()
    assert [name for name in expected if found[name].tobytes() != expected[name].tobytes()] == []


def notes_threads():
    """Return a callback that notes the threads of our kernels and of BLAS, and the process."""

    class Notes:
        def on_epoch_end(self, network, record):
            from threadpoolctl import threadpool_info

            from truesparse.kernels.jit import current_threads

            blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
            self.threads, self.process = {current_threads(), *blas}, os.getpid()

    return Notes()


def fails():
    """Return a callback that ends a fit by an error."""

    class Fails:
        def on_epoch_end(self, network, record):
            raise LookupError("no more of this")

    return Fails()


def test_each_fit_runs_on_one_thread(backend):
    large = {"hidden_layer_sizes": (100,), "density": 0.5, "batch_size": 200}  # large enough for several threads
    model = SparseMLPClassifier(**(SMALL | large), callbacks=[notes_threads()])
    members = cross_validate(model, X, y, cv=2, return_estimator=True)["estimator"]
    members += make(callbacks=[notes_threads()], combine="mean").fit(X, y).estimators_
    notes = [member.callbacks[-1] for member in members]
    assert [note.threads for note in notes] == [{1}] * 6
    assert Parallel()(delayed(asked_threads)(None) for _ in range(2)) == [1, 1]
    assert (os.getpid() in {note.process for note in notes}) == (backend == "threading")


def assert_fails_as_on_one_machine():
    ensemble = make().fit(X, y)
    before = vars(ensemble).copy()
    ensemble.callbacks = before["callbacks"] = [fails()]
    with pytest.raises(LookupError) as raised:
        ensemble.fit(X, y)
    assert raised.value.args == ("no more of this",)
    assert vars(ensemble) == before


def test_a_member_that_fails(backend):
    assert_fails_as_on_one_machine()


def test_ray(expected, ray):
    """The most important of the above, because Ray starts its processes anew for every call."""
    with joblib.parallel_config(**ray):
        ensemble = make(callbacks=[notes_threads()]).fit(X, y)
        scores = cross_val_score(NETWORK, X, y, cv=2)
        assert_fails_as_on_one_machine()
    assert ensemble.predict_proba(X).tobytes() == expected["classifier"].tobytes()
    assert scores.tobytes() == expected["cross_val_score"].tobytes()
    assert {frozenset(member.callbacks[-1].threads) for member in ensemble.estimators_} == {frozenset({1})}
    assert os.getpid() not in {member.callbacks[-1].process for member in ensemble.estimators_}


@pytest.mark.parametrize("backend", ["loky", "dask"], indirect=True)
def test_warnings_are_said_once(backend):
    short = SparseMLPClassifier((20,), max_iter=1, random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make().set_params(estimator=short).fit(X, y)
    said = [warning for warning in caught if str(warning.message).startswith("The topology never changed")]
    assert [warning.filename for warning in said] == [__file__]


def test_a_relative_folder_of_checkpoints(backend, tmp_path, monkeypatch):
    """The directory is changed after the backend's processes were started."""
    reference = make().fit(X, y).predict_proba(X)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert make().fit(X, y, checkpoint="members").predict_proba(X).tobytes() == reference.tobytes()
    assert len(os.listdir(tmp_path / "members")) == 5


def test_ctrl_c(backend, tmp_path):
    class Waits:
        def on_epoch_end(self, network, record):
            (tmp_path / "started").touch()
            for _ in range(2000):
                if (tmp_path / "go on").exists():
                    return
                time.sleep(0.01)

    def interrupt():
        while not (tmp_path / "started").exists():
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    ensemble = make().fit(X, y)
    predicted, before = ensemble.predict_proba(X), vars(ensemble).copy()
    ensemble.callbacks = before["callbacks"] = [Waits()]
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            ensemble.fit(X, y)
    finally:
        (tmp_path / "go on").touch()  # Dask and threads cannot end what has begun
        thread.join()
    assert vars(ensemble) == before
    assert make().fit(X, y).predict_proba(X).tobytes() == predicted.tobytes()


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_dask_sends_the_data_once(form, dask, monkeypatch):
    n_sent = []

    def reduce(self, protocol):
        n_sent.append(1)
        return object.__reduce_ex__(self, protocol)

    monkeypatch.setattr(Data, "__reduce_ex__", reduce)
    with joblib.parallel_config(**dask):
        make(n_folds=4).set_params(estimator__max_iter=1).fit(form(X), y)
    assert len(n_sent) == 1  # for 8 members


def test_loky_maps_the_data_once(tmp_path):
    class Notes:
        def on_train_begin(self, network):
            self.n_bytes = sum(path.stat().st_size for path in tmp_path.rglob("*.pkl"))

    get_reusable_executor().shutdown()  # which may map into another folder
    with joblib.parallel_config("loky", n_jobs=2, temp_folder=tmp_path):
        ensemble = make(n_folds=4, callbacks=[Notes()], combine="mean").fit(X, y)
    get_reusable_executor().shutdown()
    sizes = [member.callbacks[-1].n_bytes for member in ensemble.estimators_]
    assert X.nbytes <= min(sizes) <= max(sizes) < 1.1 * X.nbytes


@pytest.mark.parametrize(
    "options", [{}, {"early_stopping": True, "scoring": "roc_auc"}, {"batch_transform": lambda batch, rng: batch}]
)
def test_samples_are_freed_when_a_fit_ends(options):
    """Not only when Python collects garbage: until then, loky would keep a copy of its own on disk."""
    model = clone(NETWORK).set_params(**options).fit(X, y)
    samples = X.copy()
    alive = weakref.ref(samples)
    gc.disable()
    try:
        model.fit(samples, y)
        del samples
        assert alive() is None
    finally:
        gc.enable()
