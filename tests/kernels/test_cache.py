import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from truesparse import kernels
from truesparse.kernels.cache import private_directory

# A small kernel that calls a private one of its file, in which the functions of `lanes` are: −2 becomes slope · −2.
PROGRAM = """
import os, sys, tempfile, warnings
import numpy as np
if "TEMPFILES" in os.environ:
    tempfile.tempdir = os.environ["TEMPFILES"]
from truesparse.kernels import forward
from truesparse.kernels.lanes import width_of
from truesparse.kernels.table import FAN_OUT, empty_table
layer, dtype = empty_table(1)[0], os.environ.get("DTYPE", "float64")
layer[FAN_OUT] = 1
a, bits, index = np.full(16, -2, dtype), np.empty(0, np.uint16), np.empty(0, np.int32)
dropout = np.uint64(0), np.uint16(0), a.dtype.type(1)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    forward.activate(
        layer, a.dtype.type(0.5), a, np.zeros(1, np.uint16), bits, dropout, 16, index, width_of(16), 1
    )
n_found = sum(forward.activate.stats.cache_hits.values())
print(a[0], n_found, *(str(warning.message) for warning in caught))
"""

# Root may write everywhere. Without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, it must obey modes like other users.
OBEY_MODES = """
import ctypes, os, sys
if os.geteuid() == 0:
    for capability in (1, 2):
        if ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) != 0:
            sys.exit("no right to drop capabilities")
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the kernels in a directory of its own; without the rest of the package they are imported faster."""
    copy, ignore = tmp_path / "site" / "truesparse", shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(kernels.__file__).parent, copy / "kernels", ignore=ignore)
    (copy / "__init__.py").touch()
    return copy


def run(package, *, obeys_modes=False, **environment):
    """What the program prints in a new process: the result, cache hits, warnings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "TRUESPARSE_"))}
    # Python's own cache compares times in seconds, too coarse for files that a test edits.
    inherited |= {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    arguments = ["-c", OBEY_MODES, PROGRAM] if obeys_modes else ["-c", PROGRAM]
    result = subprocess.run(
        [sys.executable, *arguments], env=inherited | environment, cwd=package.parent, capture_output=True, text=True
    )
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


@pytest.mark.parametrize("setting", ["TRUESPARSE_PLAIN_KERNELS", "NUMBA_BOUNDSCHECK"])
def test_another_setting_is_another_entry(package, tmp_path, setting):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert run(package, **cache) == "-1.0 0"
    assert [run(package, **cache, **{setting: "1"}) for _ in range(2)] == ["-1.0 0", "-1.0 1"]
    assert run(package, **cache) == "-1.0 1"  # the first entry is still there


def test_the_number_of_threads_is_no_such_setting(package, tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert run(package, **cache, NUMBA_NUM_THREADS="1") == "-1.0 0"
    assert run(package, **cache, NUMBA_NUM_THREADS="2", NUMBA_THREADING_LAYER="workqueue") == "-1.0 1"


def make_read_only(directory):
    for path in (directory, *directory.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    return str(directory)


@pytest.fixture
def read_only(package, tmp_path):
    """Settings under which neither the package nor the home nor temporary files can be written."""
    if sys.platform != "linux":
        pytest.skip("modes and capabilities of Linux")
    make_read_only(package)
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir(mode=0o555)
    return {"obeys_modes": True, "HOME": str(tmp_path / "home"), "TEMPFILES": str(tmp_path / "temporary")}


def test_without_any_directory_kernels_are_compiled_and_a_warning_says_so(package, read_only):
    for _ in range(2):
        result, n_found, warning = run(package, **read_only).split(maxsplit=2)
        assert (result, n_found) == ("-1.0", "0")
        assert warning.count("truesparse finds no directory") == 1  # though two kernels are compiled
        assert "NUMBA_CACHE_DIR" in warning


def test_temporary_files_are_the_last_resort(package, read_only, tmp_path):
    Path(read_only["TEMPFILES"]).chmod(0o700)
    assert [run(package, **read_only) for _ in range(2)] == ["-1.0 0", "-1.0 1"]
    (directory,) = Path(read_only["TEMPFILES"]).iterdir()
    assert directory.stat().st_mode & 0o777 == 0o700


def test_a_user_without_a_home_leaves_nothing_in_the_working_directory(package, read_only):
    assert run(package, **read_only | {"HOME": "~"}).startswith("-1.0 0 truesparse finds no directory")
    assert [path.name for path in package.parent.iterdir()] == ["truesparse"]


@pytest.mark.parametrize("place", ["named", "beside the kernels"])
def test_a_filled_cache_is_read_where_it_cannot_be_written(package, tmp_path, place):
    cache = tmp_path / "cache" if place == "named" else package / "kernels" / "__pycache__"
    named = {"NUMBA_CACHE_DIR": str(cache)} if place == "named" else {}
    assert run(package, **named) == "-1.0 0"
    for directory in (package, cache):
        make_read_only(directory)
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    for directory in (home, temporary):
        directory.mkdir()
    settings = {"obeys_modes": True, "HOME": str(home), "TEMPFILES": str(temporary), **named}
    assert run(package, **settings) == "-1.0 1"  # before an empty one that can be written
    make_read_only(home)
    assert [run(package, DTYPE="float32", **settings) for _ in range(2)] == ["-1.0 0", "-1.0 1"]
    shutil.rmtree(temporary)
    temporary.mkdir(mode=0o555)
    assert run(package, DTYPE="float32", **settings).startswith("-1.0 0 truesparse finds no directory")


def test_a_filled_cache_of_another_user_is_not_read(package, read_only, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert run(package, **cache) == "-1.0 0"
    make_read_only(tmp_path / "cache")
    assert run(package, **read_only, **cache) == "-1.0 1"
    for path in (tmp_path / "cache").rglob("*"):
        os.chown(path, 65534, -1)
    assert run(package, **read_only, **cache).startswith("-1.0 0")


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    if os.name == "nt":
        pytest.skip("Windows gives each user a directory of temporary files")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_private_directory_is_found_again(temporary):
    first = private_directory()
    assert private_directory() == first
    assert Path(first).parent == temporary.resolve()


@pytest.mark.parametrize("mode", [0o755, 0o720, 0o702, 0o500])
def test_a_private_directory_with_another_mode_is_refused(temporary, mode):
    Path(private_directory()).chmod(mode)
    with pytest.raises(PermissionError, match="mode 0700"):
        private_directory()


def test_a_link_or_a_file_in_place_of_the_private_directory_is_refused(temporary):
    path = Path(private_directory())
    path.rename(temporary / "elsewhere")
    path.symlink_to(temporary / "elsewhere")
    with pytest.raises(PermissionError, match="mode 0700"):
        private_directory()
    path.unlink()
    path.touch(mode=0o700)
    with pytest.raises(PermissionError, match="mode 0700"):
        private_directory()


def test_a_private_directory_of_another_user_is_refused(temporary):
    path = private_directory()
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    os.chown(path, 65534, -1)
    with pytest.raises(PermissionError, match="belongs to user"):
        private_directory()


def test_a_directory_whose_entries_others_can_replace_is_refused(temporary):
    temporary.chmod(0o777)
    with pytest.raises(PermissionError, match="lets others replace"):
        private_directory()
    temporary.chmod(0o1777)
    assert Path(private_directory()).is_dir()
