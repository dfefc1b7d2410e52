import gc

import numba
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from truesparse.kernels.jit import _without_collection
from truesparse.kernels.parts import KernelCompiler, inner

compiles = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="kernels run as Python code")


@inner
def _add(x, out, factor):
    for i in range(x.size):
        out[i] += factor * x[i]


@inner
def _add_twice(x, out):
    _add(x, out, 1)
    _add(x, out, 2)


def _kernel(x, out):
    _add_twice(x, out)
    _add(x, out, 3)


@compiles
def test_a_part_is_compiled_once_for_all_callers_and_constants():
    for options in ({}, {"nogil": True}):
        out = np.zeros(5)
        numba.njit(_kernel, pipeline_class=KernelCompiler, **options)(np.arange(5.0), out)
        assert_array_equal(out, 6 * np.arange(5.0))
    assert len(_add.signatures) == len(_add_twice.signatures) == 1


@compiles
def test_a_part_has_no_machine_code():
    numba.njit(_kernel, pipeline_class=KernelCompiler)(np.ones(1), np.zeros(1))
    (result,) = _add.overloads.values()
    with pytest.raises(RuntimeError, match="no compiled object"):
        result.library._get_compiled_object()


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_as_before_a_compilation(enabled):
    def fail(signature):
        assert not gc.isenabled()
        raise ZeroDivisionError

    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(ZeroDivisionError):
            _without_collection(fail)(None)
        assert gc.isenabled() == enabled
    finally:
        gc.enable()
