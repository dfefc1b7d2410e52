import threading

import numba
import pytest
from threadpoolctl import threadpool_info

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


def test_threads_that_overlap_restore_what_was_before_all_of_them():
    """A enters, B enters, A leaves, B leaves: restoring each its own would leave BLAS with one thread for good."""
    before = blas_threads()
    entered, leave = threading.Barrier(3), threading.Event()

    def use():
        with threads(1):
            entered.wait()
            leave.wait()

    users = [threading.Thread(target=use) for _ in range(2)]
    for user in users:
        user.start()
    entered.wait()
    with threads(1):
        leave.set()
        users[0].join()
        users[1].join()
        assert set(blas_threads().values()) == {1}
    assert blas_threads() == before
