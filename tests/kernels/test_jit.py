import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.kernels.jit import current_threads, max_threads, threads
from truesparse.kernels.similarity import add_to_sketch
from truesparse.kernels.srelu import srelu_errors


def test_the_number_of_threads_is_restored():
    before = numba.get_num_threads(), current_threads()
    with threads(2):
        assert numba.get_num_threads() == current_threads() == min(2, max_threads())
        with threads(1):
            assert current_threads() == 1
        assert current_threads() == min(2, max_threads())
    assert (numba.get_num_threads(), current_threads()) == before
    with pytest.raises(ZeroDivisionError), threads(2):
        raise ZeroDivisionError
    assert (numba.get_num_threads(), current_threads()) == before


def test_a_number_that_was_set_before_is_restored():
    numba.set_num_threads(1)
    try:
        with threads(max_threads()):
            pass
        assert numba.get_num_threads() == 1
    finally:
        numba.set_num_threads(max_threads())


def test_no_more_threads_than_there_are():
    with threads(10_000):
        assert numba.get_num_threads() == current_threads() == max_threads()


@pytest.mark.parametrize("batch", [1, 16, 31, 112])
def test_sums_of_one_and_of_several_threads_have_the_same_bytes(batch, dtype, rng):
    """They are compiled apart, and the compiler may reorder them: it must do so in the same way."""
    stride = -(-batch // 16) * 16
    a, sums = (rng.standard_normal(100 * stride).astype(dtype) for _ in range(2))
    params, sign = rng.standard_normal((4, 100)).astype(dtype), rng.choice([-1, 1], batch).astype(dtype)
    bucket, values = rng.integers(0, 8, batch), rng.standard_normal((100, batch)).astype(dtype)
    results = []
    for n_threads in (1, max_threads()):
        sketch, total, units, shift = np.zeros((100, 8), dtype), np.zeros(100), np.arange(100), np.zeros(100, dtype)
        errors, gradient, of_bias = a.copy(), np.empty((4, 100), dtype), np.empty(100, dtype)
        with threads(n_threads):
            add_to_sketch([values], units, shift, bucket, sign, sketch, total)
            srelu_errors(errors, sums, params, gradient, of_bias, 0, stride, stride)
        results.append((sketch, total, errors, gradient, of_bias))
    for of_one, of_several in zip(*results, strict=True):
        assert_array_equal(of_one, of_several)


FIT = """
import numpy as np
from scipy.sparse import csr_array
from truesparse import SparseMLPClassifier
rng = np.random.default_rng(0)
X, y = rng.standard_normal((40, 6)) * rng.integers(2, size=(40, 6)), np.arange(40) % 3
parameters = []
for data, solver, activation, n_jobs in (
    (X, "adam", "all_relu", 1), (csr_array(X), "sgd", "srelu", 1), (X, "sgd", "tanh", 2)
):
    model = SparseMLPClassifier(
        (8,), epsilon=2, dropout=0.1, max_iter=2, batch_size=20, evolution="cte", update_every=1, solver=solver,
        activation=activation, random_state=0, n_jobs=n_jobs,
    ).fit(data, y)
    parameters += [*(coef.data for coef in model.coefs_), *model.intercepts_, model.predict_proba(data).ravel()]
print(*np.concatenate(parameters))
"""


def test_kernels_run_as_python_code_without_compilation():
    compiled, python = (
        np.array(
            subprocess.run(
                [sys.executable, "-c", FIT], env={**os.environ, "NUMBA_DISABLE_JIT": disabled},
                capture_output=True, text=True, check=True,
            ).stdout.split(),
            dtype=float,
        )
        for disabled in ("0", "1")
    )  # fmt: skip
    assert_allclose(python, compiled, rtol=1e-5, atol=1e-5)
