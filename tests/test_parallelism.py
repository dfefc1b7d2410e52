from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from truesparse import SparseMLPClassifier
from truesparse.parallelism import threads


def blas_threads():
    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_both_settings_hold_inside_and_are_restored():
    before = numba.get_num_threads(), blas_threads()
    with threads(1):
        assert numba.get_num_threads() == 1
        assert set(blas_threads().values()) == {1}
    assert (numba.get_num_threads(), blas_threads()) == before
    with pytest.raises(ZeroDivisionError), threads(1):
        raise ZeroDivisionError
    assert (numba.get_num_threads(), blas_threads()) == before


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
