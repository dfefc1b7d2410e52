"""Training on several MPI processes, which mpiexec starts: the same network as on one."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install 'truesparse[mpi]' and an MPI")
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
pytestmark = pytest.mark.skipif(MPIEXEC is None, reason="there is no mpiexec: install an MPI, such as pip's mpich")
PROGRAM = Path(__file__).with_name("mpi_program.py")
METHODS = ("cte", "omp", "rigl", "set", "falling", "ctre_seq")


def start(n_ranks, folder, *names):
    """Run functions of the program on some ranks; return what the process of mpiexec said."""
    folder.mkdir(exist_ok=True)
    command = [MPIEXEC, "-n", str(n_ranks), sys.executable, PROGRAM, folder, *names]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def results(n_ranks, folder, *names):
    """What each function returned in each rank: one list of dicts for each name."""
    done = start(n_ranks, folder, *names)
    assert done.returncode == 0, done.stderr + done.stdout
    return arrays_of(n_ranks, folder, *names)


def arrays_of(n_ranks, folder, *names):
    found = []
    for name in names:
        found.append([])
        for rank in range(n_ranks):
            with np.load(folder / f"{name}.{rank}.npz") as arrays:
                found[-1].append(dict(arrays))
    return found


RUNS = {"one": 1, "two": 2, "two_again": 2, "three": 3, "three_again": 3}
NAMES = ("methods_float64", "methods_float32", "others", "noisy", "chunks")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The results on one, two and three ranks: for each run, for each name, for each rank, a dict."""
    shared = "PYTEST_XDIST_WORKER" in os.environ  # with the other processes of pytest
    folder = tmp_path_factory.getbasetemp().parent / "mpi" if shared else tmp_path_factory.mktemp("mpi") / "mpi"
    for name, n_ranks in RUNS.items():
        once(folder.with_name(f"mpi_{name}"), lambda part, n_ranks=n_ranks: start(n_ranks, part, *NAMES))
    return {name: arrays_of(n_ranks, folder.with_name(f"mpi_{name}"), *NAMES) for name, n_ranks in RUNS.items()}


def once(folder, make):
    """Let one process fill a folder, while others wait for it."""
    done = folder.with_suffix(".done")
    try:
        folder.mkdir()
    except FileExistsError:
        deadline = time.monotonic() + 300
        while not done.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
    else:
        done.write_text(make(folder).stderr)
    if any(folder.glob("*.npz")):
        return
    raise AssertionError(done.read_text())


def test_all_ranks_end_with_the_same_bytes_each_time(runs):
    for ranks_of_names in runs.values():
        for ranks in ranks_of_names:
            for rank in ranks[1:]:
                assert rank.keys() == {key for key in ranks[0] if "_update_" not in key}  # which a callback saw
                for key, found in rank.items():
                    assert_array_equal(found, ranks[0][key], err_msg=key)
    for name in ("two", "three"):
        for (first, *_), (again, *_) in zip(runs[name], runs[f"{name}_again"], strict=True):
            assert first.keys() == again.keys()
            for key, found in first.items():
                assert_array_equal(found, again[key], err_msg=key)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_number_of_ranks_changes_no_topology(dtype, method, runs):
    """After each of 20 updates, in float64; in float32, at most one connection in a hundred is another."""
    (one,), *others = (run[dtype == "float32"] for run in runs.values())
    updates = [key for key in one if key.startswith(f"{method}_update_")]
    assert len(updates) == 20
    assert not np.array_equal(one[updates[0]], one[updates[-1]])
    for other, *_ in others:
        for key in updates:
            shared = np.isin(other[key], one[key]).mean()
            assert shared == 1 if dtype == "float64" else shared >= 0.99, key
        if dtype == "float64":
            assert_allclose(other[f"{method}_params"], one[f"{method}_params"], rtol=0, atol=1e-9)
            assert_allclose(other[f"{method}_losses"], one[f"{method}_losses"], rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_equal_parts_give_the_bytes_of_one_process(dtype, method, runs):
    """Each rank sums up the part of a batch that kernels sum up by itself, and all parts are added in order."""
    one, two = (runs[name][dtype == "float32"][0] for name in ("one", "two"))
    assert_array_equal(two[f"{method}_params"], one[f"{method}_params"])


@pytest.mark.parametrize(
    "case",
    [
        "uneven", "sorted_by_class", "sparse", "snip", "weighted", "early_stopping", "validation", "labels",
        "regression", "robust_regression",
    ],
)  # fmt: skip
def test_every_fit_is_that_of_one_process(case, runs):
    (one,), *others = (run[2] for run in runs.values())
    for other, *_ in others:
        assert_array_equal(other[f"{case}_keys"], one[f"{case}_keys"])
        assert_allclose(other[f"{case}_params"], one[f"{case}_params"], rtol=0, atol=1e-8)
        assert_allclose(other[f"{case}_losses"], one[f"{case}_losses"], rtol=1e-8)


def test_chunks_of_each_rank_are_learnt(runs):
    for run in runs.values():
        assert run[4][0]["score"] > 0.5


def test_callbacks_and_random_numbers_are_those_of_rank_0(tmp_path):
    ranks, named = results(2, tmp_path, "of_rank_0", "names")
    assert ranks[0]["heard"].tolist() == [1, 2, 3]
    assert ranks[1]["heard"].size == 0
    assert all(rank["untouched"] for rank in ranks)
    assert_array_equal(ranks[0]["params"], ranks[1]["params"])
    assert ranks[1]["losses"].shape[1] == 3
    assert named[1]["names"].tolist() == [f"f{k}" for k in range(20)]


REFUSALS = {
    "features": "The ranks disagree: the number of features of X of rank 0: 20; of rank 1: 19.",
    "nan": "Input X contains NaN.",
    "lengths": "inconsistent numbers of samples",
    "kinds": "the kind of X of rank 0: dense; of rank 1: sparse.",
    "targets": "the kind of y of rank 0: numbers; of rank 1: texts or objects.",
    "columns": "the shape of a target y of rank 0: (); of rank 1: (2,).",
    "class": "y holds the classes [5], which are not among [0, 1, 2].",
    "validation": "X_val of rank 0: given; of rank 1: None.",
    "parameters": "the parameters of rank 0:",
    "empty": "Found array with 0 sample(s)",
    "dtype": "The source X has dtype float64",
    "no_model": "must be a SparseMLPClassifier or a SparseMLPRegressor.",
    "batch_norm": "has batch norms, whose mean and variance would be those of one process",
    "diverges": "became infinite or NaN in epoch 1",
    "callback": "the disk is full",
    "last_callback": "the disk is full",
    "chunk": "X of chunk 1 has shape",
    "no_checkpoint": "/does/not/exist",
}


def test_every_rank_raises_what_one_has_found(tmp_path):
    ((first, second),) = results(2, tmp_path, "refusals")
    assert first.keys() == REFUSALS.keys()
    for name, message in REFUSALS.items():
        for rank, said in enumerate((first, second)):
            assert message in str(said[name]), (rank, name, str(said[name]))
    assert str(first["callback"]) == "OSError: the disk is full"
    assert str(second["callback"]) == "OtherRankError: Rank 0 failed: OSError: the disk is full"
    assert str(first["chunk"]).startswith("OtherRankError: Rank 1 failed: ValueError: X of chunk 1")
    assert str(first["nan"]).startswith("ValueError: Rank 1: ")


def test_networks_that_differ_are_found(tmp_path):
    ((first, second),) = results(2, tmp_path, "disagreement")
    assert "have different networks" in str(first["said"])
    assert "have different networks" in str(second["said"])


def test_a_killed_rank_ends_all_and_the_fit_goes_on_from_its_checkpoint(tmp_path):
    """Also with another number of ranks."""
    ((expected, _),) = results(2, tmp_path, "unbroken")
    (tmp_path / "checkpoint.npz").unlink()
    began = time.monotonic()
    assert start(2, tmp_path, "killed").returncode != 0
    assert time.monotonic() - began < 60  # no hang: it is killed after three epochs of milliseconds
    checkpoint = (tmp_path / "checkpoint.npz").read_bytes()
    for n_ranks in (2, 1, 3):
        (tmp_path / "checkpoint.npz").write_bytes(checkpoint)
        ((found, *_),) = results(n_ranks, tmp_path, "resumed")
        assert_array_equal(found["keys"], expected["keys"])
        assert_allclose(found["losses"], expected["losses"], rtol=1e-8)
        if n_ranks == 2:
            assert_array_equal(found["params"], expected["params"])
        assert_allclose(found["params"], expected["params"], rtol=0, atol=1e-8)


def test_examples_in_docstrings(tmp_path):
    (((found,),),) = (results(1, tmp_path, "docstrings"),)
    assert found["failed"] == 0
    assert found["tried"] > 0


def test_importing_truesparse_imports_no_mpi():
    program = "import sys, truesparse, truesparse.distributed; assert not {'mpi4py', 'dask'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", program], check=True)
