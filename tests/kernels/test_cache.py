import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from truesparse import kernels

# A small kernel that calls a private one of its file, in which the functions of `lanes` are: −2 becomes slope · −2.
PROGRAM = """
import numpy as np
from truesparse.kernels import forward
from truesparse.kernels.lanes import width_of
from truesparse.kernels.table import FAN_OUT, empty_table
layer, a = empty_table(1)[0], np.full(16, -2.0)
layer[FAN_OUT] = 1
forward.activate(layer, 0.5, a, np.zeros(1, np.uint16), np.empty(0), 16, width_of(16), 1)
print(a[0], sum(forward.activate.stats.cache_hits.values()))
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the kernels in a directory of its own; without the rest of the package they are imported faster."""
    copy, ignore = tmp_path / "site" / "truesparse", shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(kernels.__file__).parent, copy / "kernels", ignore=ignore)
    (copy / "__init__.py").touch()
    return copy


def run(package, program=PROGRAM, **environment):
    """What a program prints in a new process."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "TRUESPARSE_"))}
    # Python's own cache compares times in seconds, too coarse for files that a test edits.
    inherited |= {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        [sys.executable, "-c", program], env=inherited | environment, cwd=package.parent,
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def edit(path, before, after):
    source = path.read_text()
    assert before in source
    path.write_text(source.replace(before, after))


def test_an_edit_of_the_lanes_reaches_the_kernels(package, tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert [run(package, **cache) for _ in range(2)] == ["-1.0 0", "-1.0 1"]
    edit(package / "kernels" / "lanes.py", "b.fmul(factor, chunk)", "b.fadd(factor, chunk)")
    assert [run(package, **cache) for _ in range(2)] == ["-1.5 0", "-1.5 1"]


@pytest.mark.parametrize("setting", ["TRUESPARSE_PLAIN_KERNELS", "NUMBA_BOUNDSCHECK", "NUMBA_SLP_VECTORIZE"])
def test_another_setting_is_another_entry(package, tmp_path, setting):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert run(package, **cache) == "-1.0 0"
    assert [run(package, **cache, **{setting: "1"}) for _ in range(2)] == ["-1.0 0", "-1.0 1"]
    assert run(package, **cache) == "-1.0 1"  # the first entry is still there


def test_the_number_of_threads_is_no_such_setting(package, tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert run(package, **cache, NUMBA_NUM_THREADS="1") == "-1.0 0"
    assert run(package, **cache, NUMBA_NUM_THREADS="2", NUMBA_THREADING_LAYER="workqueue") == "-1.0 1"
