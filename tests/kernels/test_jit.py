import numba
import pytest

from truesparse.kernels.jit import max_threads, threads


def test_the_number_of_threads_is_restored():
    before = numba.get_num_threads()
    with threads(1):
        assert numba.get_num_threads() == 1
    assert numba.get_num_threads() == before
    with pytest.raises(ZeroDivisionError), threads(1):
        raise ZeroDivisionError
    assert numba.get_num_threads() == before


def test_no_more_threads_than_there_are():
    with threads(10_000):
        assert numba.get_num_threads() == max_threads()
