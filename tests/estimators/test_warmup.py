import importlib
import os
import subprocess
import sys
import time

import pytest

warming = importlib.import_module("truesparse.estimators.warmup")  # the package's attribute is the function

# Kernels keep the method that compiles them when they are made, so it is replaced before.
WATCHED = """
import numba
compiled = []
numba.core.dispatcher.Dispatcher.compile, compile = (
    lambda self, signature: (compiled.append(self.py_func.__name__), compile(self, signature))[1],
    numba.core.dispatcher.Dispatcher.compile,
)
import truesparse
"""
PROGRAM = """
from scipy.sparse import csr_array
from sklearn.datasets import load_digits
truesparse.warmup(batch_sizes=[20])
compiled.clear()
X, y = load_digits(return_X_y=True)
for data, evolution in ((X / 16, "cte"), (csr_array(X), "set")):
    for solver, n_jobs in (("adam", 1), ("adam", 2), ("sgd", 1), ("sgd", 2)):
        # Two threads are used from 2²² products of a parameter and a sample on.
        model = truesparse.SparseMLPClassifier(
            (800, 800), batch_size=20, density=0.01 if n_jobs == 1 else 0.4, max_iter=1, update_every=5,
            evolution=evolution, solver=solver, n_jobs=n_jobs, learning_rate_init=1e-4,
        )
        model.fit(data, y).predict(data)
print(compiled)
"""


def test_nothing_is_left_to_compile_after_the_warmup():
    output = subprocess.run(
        [sys.executable, "-c", WATCHED + PROGRAM], env=dict(os.environ), capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"


RESIDUAL_PROGRAM = """
import numpy as np
truesparse.warmup(batch_sizes=[], residual=True)
compiled.clear()
X, y = np.random.default_rng(0).standard_normal((300, 8, 8, 3)), np.arange(300) % 3
for n_jobs in (1, 2):
    for evolution, solver, early_stopping in (("rigl", "sgd", False), ("set", "adam", True)):
        model = truesparse.SparseResNetClassifier(
            depth=8, width=16, max_iter=1, update_every=1, n_jobs=n_jobs, evolution=evolution, solver=solver,
            early_stopping=early_stopping,
        )
        model.fit(X, y).predict(X)
print(compiled)
"""


def test_nothing_of_a_residual_network_is_left_to_compile_after_its_warmup():
    output = subprocess.run(
        [sys.executable, "-c", WATCHED + RESIDUAL_PROGRAM],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert output.strip() == "[]"
    with pytest.raises(ValueError, match="residual=1 must be True or False"):
        warming.warmup(residual=1)


def test_another_process_compiles():
    processes, problems = [], []
    warming._start([[("float32", 20, "dense")]], processes, problems)
    assert [process.wait() for process in processes] == [0]
    assert problems == []


@pytest.fixture
def compiled(monkeypatch):
    """The jobs that this process has compiled; others are started at once, for two cores."""
    jobs = []
    monkeypatch.setattr(warming, "_PATIENCE", 0)
    monkeypatch.setattr(warming, "cpu_count", lambda: 2)
    monkeypatch.setattr(warming, "_compile", lambda share: time.sleep(0.1) or jobs.extend(share))
    return jobs


@pytest.mark.parametrize("executable", ["", None, "/bin/server", "/no/such/python"])
def test_this_process_compiles_all_and_says_so_if_no_other_can_be_started(executable, compiled, monkeypatch):
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.warns(RuntimeWarning, match="not Python|could be started"):
        warming.warmup()
    assert compiled == [("float32", 32, "dense"), ("float32", 32, "sparse")]


def test_this_process_compiles_what_another_one_failed_to(compiled):
    with pytest.warns(RuntimeWarning, match="ended with status 1"):
        warming.warmup(dtypes=["float33"])
    assert compiled == [("float33", 32, "dense"), ("float33", 32, "sparse")]


def test_other_processes_end_if_this_one_fails(compiled, monkeypatch):
    started, popen = [], subprocess.Popen

    def fail(share):
        while not started:
            time.sleep(0.01)
        raise ZeroDivisionError

    monkeypatch.setattr(warming, "_compile", fail)
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **kw: started.append(popen(*args, **kw)) or started[-1])
    with pytest.raises(ZeroDivisionError):
        warming.warmup()
    assert [process.poll() for process in started] == [-9]
