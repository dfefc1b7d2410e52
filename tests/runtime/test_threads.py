import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import joblib
import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from truesparse import SparseMLPClassifier
from truesparse.kernels.jit import current_threads, max_threads
from truesparse.runtime.threads import threads


def blas_threads():
    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_both_settings_hold_inside_and_are_restored():
    before = numba.get_num_threads(), current_threads(), blas_threads()
    with threads(1):
        assert current_threads() == 1
        assert set(blas_threads().values()) == {1}
    assert (numba.get_num_threads(), current_threads(), blas_threads()) == before
    with threads(1, uses_blas=False):
        assert current_threads() == 1
        assert blas_threads() == before[2]
    with pytest.raises(ZeroDivisionError), threads(1):
        raise ZeroDivisionError
    assert (numba.get_num_threads(), current_threads(), blas_threads()) == before


def test_users_that_overlap_restore_what_was_before_all_of_them():
    """The first one leaves first: restoring each its own would leave BLAS with one thread for good."""
    before = blas_threads()
    first, second = threads(1), threads(1)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        one.submit(first.__enter__).result()
        two.submit(second.__enter__).result()
        one.submit(first.__exit__, None, None, None).result()
        assert set(blas_threads().values()) == {1}
        two.submit(second.__exit__, None, None, None).result()
    assert blas_threads() == before


def test_predictions_of_several_threads_at_a_time_agree_and_leave_blas_as_it_was(digits):
    X, _, y, _ = digits
    model = SparseMLPClassifier((100,), epsilon=30, max_iter=3, random_state=0).fit(X, y)  # the last layer is full
    before, expected = blas_threads(), model.predict_proba(X)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: model.predict_proba(X), range(40)))
    assert all(np.array_equal(result, expected) for result in results)
    assert blas_threads() == before


@pytest.mark.usefixtures("share_all_work")
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_a_fit_that_fails_in_the_middle_restores_both(error, n_jobs, digits):
    class Failing:
        def on_epoch_end(self, *_):
            assert current_threads() == min(n_jobs, max_threads())
            raise error

    X, _, y, _ = digits
    before = numba.get_num_threads(), current_threads(), blas_threads()
    with pytest.raises(error):
        SparseMLPClassifier((50,), n_jobs=n_jobs, callbacks=[Failing()]).fit(X[:100], y[:100])
    assert (numba.get_num_threads(), current_threads(), blas_threads()) == before


@pytest.mark.parametrize(("n_jobs", "inner"), [(1, 2), (2, 1)])
def test_a_prediction_in_the_middle_of_a_fit_changes_neither_its_bytes_nor_its_threads(n_jobs, inner, digits):
    X, _, y, _ = digits
    settings = {"max_iter": 3, "random_state": 0, "n_jobs": n_jobs}
    other = SparseMLPClassifier((50,), max_iter=1, random_state=1, n_jobs=inner).fit(X[:200], y[:200])

    class Predicting:
        def on_epoch_end(self, *_):
            before = current_threads(), numba.get_num_threads()
            other.predict(X)
            assert (current_threads(), numba.get_num_threads()) == before
            assert set(blas_threads().values()) <= {1}

    plain = SparseMLPClassifier((50,), **settings).fit(X[:200], y[:200])
    watched = SparseMLPClassifier((50,), **settings, callbacks=[Predicting()]).fit(X[:200], y[:200])
    assert watched.predict_proba(X).tobytes() == plain.predict_proba(X).tobytes()


def test_more_jobs_than_threads_and_negative_ones(digits):
    X, _, y, _ = digits
    X, y = X[:200], y[:200]
    results = {
        SparseMLPClassifier((50,), max_iter=2, random_state=0, n_jobs=n_jobs).fit(X, y).predict_proba(X).tobytes()
        for n_jobs in (None, 1, 2, -1, -100, 1000)
    }
    assert len(results) == 1


# What could hang or end the process runs in another one.

BEGIN = """
import os, sys
import numba, numpy as np
from concurrent.futures import ThreadPoolExecutor
from sklearn.datasets import load_digits
from truesparse import SparseMLPClassifier

X, y = load_digits(return_X_y=True)
X, y = X[:200] / 16, y[:200]

def fitted(n_jobs):
    model = SparseMLPClassifier((150, 60), max_iter=2, update_every=3, epsilon=4, random_state=0, n_jobs=n_jobs)
    return model.fit(X, y).predict_proba(X).tobytes()
"""

FORKS = """
def in_child(function):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            print("same" if function() == expected else "other", flush=True)
        except RuntimeError as error:
            print(error, flush=True)
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

expected = fitted(1)
try:
    print(numba.threading_layer())
except ValueError:
    print("not started")
in_child(lambda: fitted(2))
fitted(2)
print(numba.threading_layer())
in_child(lambda: fitted(1))
in_child(lambda: fitted(2))
in_child(lambda: in_child(lambda: fitted(2)) or expected)
for n_jobs in (1, 2):
    with ThreadPoolExecutor(4) as pool:
        print(*set(pool.map(lambda _: "same" if fitted(n_jobs) == expected else "other", range(8))))
with ThreadPoolExecutor(1) as pool:  # forks while another thread trains
    training = pool.submit(lambda: [fitted(1) for _ in range(5)])
    for _ in range(3):
        in_child(lambda: fitted(1))
    training.result()
"""

SEARCHES = """
import joblib
from sklearn.model_selection import GridSearchCV, cross_val_score

def scores(n_jobs, of_search):
    model = SparseMLPClassifier((60,), max_iter=3, random_state=0, n_jobs=n_jobs)
    search = GridSearchCV(model, {"alpha": [0, 0.1]}, cv=2, n_jobs=of_search, error_score="raise", refit=False)
    of_folds = cross_val_score(model, X, y, cv=2, n_jobs=of_search, error_score="raise")
    return [*search.fit(X, y).cv_results_["mean_test_score"], *of_folds]

expected = scores(1, 1)
for started in (False, True):
    if started:
        fitted(2)
    for backend in ("threading", "multiprocessing"):
        for n_jobs in (None, 1) if started else (None,):
            with joblib.parallel_config(backend):
                print(backend, scores(n_jobs, 2) == expected)
for n_jobs in (None, 2, -1):
    print("loky", scores(n_jobs, 2) == expected)
with joblib.parallel_config("threading"):
    print("threading", scores(2, 2) == expected)
with joblib.parallel_config("multiprocessing"):
    try:
        print("multiprocessing", scores(2, 2) == expected)
    except RuntimeError as error:
        print("multiprocessing", error)
"""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def lines_of(program, **environment):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BEGIN + program],
        env={**os.environ, "NUMBA_NUM_THREADS": "2", **environment},
        capture_output=True, text=True, check=True, timeout=300,
    ).stdout.splitlines()  # fmt: skip


@needs_fork
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_forks_and_python_threads(layer):
    if layer == "omp":
        pytest.importorskip("numba.np.ufunc.omppool")
    first, before, started, of_one, of_two, of_grandchild, of_child, *others = lines_of(
        FORKS, NUMBA_THREADING_LAYER=layer
    )
    assert (first, before, started, of_one, of_child) == ("not started", "same", layer, "same", "same")
    for line in (of_two, of_grandchild):
        assert line.startswith("n_jobs > 1 is not possible in this process") if layer == "omp" else line == "same"
    assert others == ["same"] * 5


@needs_fork
def test_searches_with_every_backend_of_joblib():
    pytest.importorskip("numba.np.ufunc.omppool")
    *lines, last = lines_of(SEARCHES, NUMBA_THREADING_LAYER="omp")
    assert [line.split()[1] for line in lines] == ["True"] * 10
    assert last.startswith("multiprocessing n_jobs > 1 is not possible")


def test_workers_of_loky_share_the_threads_of_the_machine(monkeypatch):
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)  # what a user sets is not divided
    shares = joblib.Parallel(n_jobs=2)(joblib.delayed(max_threads)() for _ in range(4))
    assert set(shares) == {max(1, joblib.cpu_count() // 2)}


INTERRUPTS = """
import signal, threading, time
from threadpoolctl import threadpool_info

def blas():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

fitted(1)
before, left_lowered = blas(), 0
for k in range(15):
    try:
        threading.Timer(k * 7e-4, os.kill, (os.getpid(), signal.SIGINT)).start()
        for _ in range(100):
            fitted(1)
    except KeyboardInterrupt:
        pass
    time.sleep(0.01)
    left_lowered += blas() != before
print(left_lowered)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent otherwise there")
def test_ctrl_c_at_any_moment_leaves_blas_as_it_was():
    assert lines_of(INTERRUPTS, OPENBLAS_NUM_THREADS="2") == ["0"]
