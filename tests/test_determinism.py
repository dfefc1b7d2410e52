"""Same seed, same bytes: in another process, with other threads, another hash seed, freshly compiled kernels."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from helpers import METHODS
from numpy.testing import assert_allclose
from scipy.sparse import csr_matrix

from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.evolution import ImportancePruning, preset

PROGRAM = """
import sys
from sklearn.datasets import load_digits
from test_determinism import fingerprint
from truesparse.training import sharing, trainer
trainer.useful_threads = lambda n_params, batch_size, most, **_: most
sharing._TRIALS = 10**9
X, y = load_digits(return_X_y=True)
for evolution in ("cte", "ctre_sim", "set"):
    print(fingerprint(X / 16, y, evolution=evolution, n_jobs=int(sys.argv[1])))
print(fingerprint(X / 16, y, epsilon=30, n_jobs=int(sys.argv[1])))  # the last two layers are full
"""


pytestmark = pytest.mark.usefixtures("share_all_work")


def fingerprint(X, y, **parameters):
    """A hash of everything that training made."""
    settings = {"max_iter": 6, "update_every": 10, "epsilon": 4, "dropout": 0.1, "random_state": 5, **parameters}
    model = SparseMLPClassifier((150, 120), **settings).fit(X, y)
    digest = hashlib.sha256()
    for coef, intercept in zip(model.coefs_, model.intercepts_, strict=True):
        for array in (coef.data, coef.indices, coef.indptr, intercept):
            digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(model.predict_proba(X).tobytes())
    return digest.hexdigest()


def in_another_process(n_jobs, **environment):
    path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(n_jobs)],
        env={**os.environ, "PYTHONPATH": path, **environment}, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip


def test_across_processes_threads_and_hash_seeds():
    one = in_another_process(1, PYTHONHASHSEED="0")
    two = in_another_process(2, PYTHONHASHSEED="123", OPENBLAS_NUM_THREADS="2")
    assert len(set(one)) == 4
    assert one == two


def test_kernels_compiled_now_and_kernels_read_from_the_cache(tmp_path):
    """The two are different machine code: numba optimises what it reads from the cache as a whole."""
    compiled = in_another_process(1, NUMBA_CACHE_DIR=str(tmp_path))
    assert any(tmp_path.rglob("*.nbc"))
    assert in_another_process(1, NUMBA_CACHE_DIR=str(tmp_path)) == compiled


@pytest.mark.parametrize("method", sorted(METHODS))
def test_one_and_two_threads_for_every_method(method, digits):
    X, _, y, _ = digits
    assert fingerprint(X, y, **METHODS[method], n_jobs=1) == fingerprint(X, y, **METHODS[method], n_jobs=2)


def test_another_seed_gives_another_network(digits):
    X, _, y, _ = digits
    assert fingerprint(X, y, random_state=1) != fingerprint(X, y, random_state=2)


def test_a_random_state_instance_is_taken_as_its_next_number(digits):
    X, _, y, _ = digits
    assert fingerprint(X, y, random_state=np.random.RandomState(3)) == fingerprint(
        X, y, random_state=np.random.RandomState(3)
    )


OTHERS = {
    "sgd, srelu": {"solver": "sgd", "activation": "srelu"},
    "tanh": {"activation": "tanh"},
    "validation": {"early_stopping": True},
    "units": {"evolution": replace(preset("cte"), unit_pruning=ImportancePruning(every=1, begin=0.2))},
    "transform": {"batch_transform": lambda batch, rng: batch * rng.uniform(0.5, 1.5)},
    "full layers": {"epsilon": 30},
}


@pytest.mark.parametrize("name", OTHERS)
def test_one_and_two_threads_for_other_settings(name, digits):
    X, _, y, _ = digits
    settings = {"max_iter": 3, "update_every": 3, **OTHERS[name]}
    one, two = (fingerprint(csr_matrix(X[:200]), y[:200], **settings, n_jobs=n_jobs) for n_jobs in (1, 2))
    assert one == two


def test_numbers_and_labels(digits):
    X, _, y, _ = digits
    X, y = X[:200], y[:200]
    settings = {"max_iter": 2, "update_every": 3, "epsilon": 4, "random_state": 5}
    for make, target, use in (
        (SparseMLPRegressor, np.column_stack([y, -y]) / 4.5, "predict"),
        (SparseMLPClassifier, (np.arange(10) <= y[:, None]).astype(int), "predict_proba"),
    ):
        first, again = (make((150, 120), **settings).fit(kind(X), target) for kind in (np.asarray, csr_matrix))
        assert getattr(first, use)(X).tobytes() == getattr(again, use)(csr_matrix(X)).tobytes()
        other = make((150, 120), **settings, n_jobs=2).fit(X, target)
        assert getattr(first, use)(X).tobytes() == getattr(other, use)(X).tobytes()


@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"dense"}))
def test_dense_and_csr_input_give_the_same_bytes(method, digits):
    X, _, y, _ = digits
    X, y = X[:300], y[:300]
    settings = METHODS[method] | {"max_iter": 4, "update_every": 5}
    assert fingerprint(X, y, **settings) == fingerprint(csr_matrix(X), y, **settings)


def test_dense_and_csr_input_agree_within_rounding_where_the_first_layer_is_full(digits):
    """BLAS then adds up the features that occur in a batch only, in an order of its own."""
    X, _, y, _ = digits
    proba = [
        SparseMLPClassifier((100,), **METHODS["dense"], max_iter=2, random_state=0)
        .fit(kind(X), y)
        .predict_proba(kind(X))
        for kind in (np.asarray, csr_matrix)
    ]
    assert_allclose(*proba, atol=1e-3)
