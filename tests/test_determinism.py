"""Same seed, same bytes: in another process, with other threads, another hash seed, freshly compiled kernels."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from truesparse import SparseMLPClassifier
from truesparse.evolution import PRESETS

PROGRAM = """
import sys
from sklearn.datasets import load_digits
from test_determinism import fingerprint
X, y = load_digits(return_X_y=True)
for evolution in ("cte", "ctre_sim", "set"):
    print(fingerprint(X / 16, y, evolution=evolution, n_jobs=int(sys.argv[1])))
print(fingerprint(X / 16, y, epsilon=30, n_jobs=int(sys.argv[1])))  # the last two layers are full
"""


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


@pytest.mark.parametrize("evolution", sorted(PRESETS))
def test_one_and_two_threads_for_every_preset(evolution, digits):
    X, _, y, _ = digits
    assert fingerprint(X, y, evolution=evolution, n_jobs=1) == fingerprint(X, y, evolution=evolution, n_jobs=2)


def test_another_seed_gives_another_network(digits):
    X, _, y, _ = digits
    assert fingerprint(X, y, random_state=1) != fingerprint(X, y, random_state=2)


def test_a_random_state_instance_is_taken_as_its_next_number(digits):
    X, _, y, _ = digits
    assert fingerprint(X, y, random_state=np.random.RandomState(3)) == fingerprint(
        X, y, random_state=np.random.RandomState(3)
    )


def test_dense_and_csr_input_give_the_same_bytes(digits):
    X, _, y, _ = digits
    assert fingerprint(X, y) == fingerprint(csr_matrix(X), y)
