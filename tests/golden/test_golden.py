"""Golden fits: trainings end with the recorded bytes.

On a machine with the fingerprint of the recording, everything is equal to the last byte, with one thread and with two.
Elsewhere, rounding may tip a choice of connections. Predictions must then be close if the topologies are those
recorded; if they are not, there is nothing to compare, and the case is skipped.

After a change that is meant to alter results, record the cases that it alters: ``python tests/golden/record.py``.
"""

import json
import platform
from functools import cache
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np
import pytest
import scipy
import sklearn
from golden.cases import CASES
from numpy.testing import assert_allclose
from threadpoolctl import threadpool_info

ARCHIVE = Path(__file__).with_name("golden.npz")
MACHINE = ARCHIVE.with_suffix(".json")


def fingerprint():
    """What the bytes may depend on besides this package: the CPU, as compilers see it, and versions."""
    blas = {
        " ".join(str(library[key]) for key in ("internal_api", "version", "architecture") if library.get(key))
        for library in threadpool_info()
        if library["user_api"] == "blas"
    }
    return {
        "cpu": numba.config.CPU_NAME or llvmlite.binding.get_host_cpu_name(),
        "platform": f"{platform.system()} {platform.machine()}",
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "numba": numba.__version__,
        "llvm": ".".join(map(str, llvmlite.binding.llvm_version_info)),
        "scikit-learn": sklearn.__version__,
        "blas": sorted(blas),
    }


@cache
def recorded():
    """The arrays by "case/array"."""
    with np.load(ARCHIVE, allow_pickle=False) as archive:
        return dict(archive)


@cache
def on_the_recording_machine():
    return fingerprint() == json.loads(MACHINE.read_text())


def test_every_case_is_recorded():
    assert {key.rsplit("/", 1)[0] for key in recorded()} == CASES.keys()


@pytest.mark.usefixtures("share_all_work")
@pytest.mark.parametrize("name", CASES)
def test_ends_as_recorded(name):
    one, two = CASES[name](n_jobs=1), CASES[name](n_jobs=2)
    expected = {array: recorded()[f"{name}/{array}"] for array in one}
    for array, numbers in one.items():
        assert numbers.shape == expected[array].shape
        assert numbers.dtype == expected[array].dtype
        assert numbers.tobytes() == two[array].tobytes(), f"{array}: two threads differ from one"
    if on_the_recording_machine():
        for array, numbers in one.items():
            assert numbers.tobytes() == expected[array].tobytes(), f"{array}: not as recorded"
        return
    if not np.array_equal(one["topology"], expected["topology"]):
        pytest.skip("this machine rounds otherwise than the recording one, and that tipped a choice of connections")
    assert_allclose(one["predictions"], expected["predictions"], rtol=1e-5, atol=1e-5)
