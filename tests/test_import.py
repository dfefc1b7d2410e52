"""What importing the package imports, each time in a new process."""

import subprocess
import sys
from pathlib import Path

import pytest

import truesparse

ROOMS = sorted(path.parent.name for path in Path(truesparse.__file__).parent.glob("*/__init__.py"))

# Of these, a fit or a prediction with default parameters needs none.
HEAVY = [
    "IPython", "dask", "distributed", "matplotlib", "mpi4py", "ray", "sklearn.datasets", "sklearn.ensemble",
    "sklearn.feature_selection", "sklearn.linear_model", "sklearn.metrics", "sklearn.model_selection",
    "sklearn.neighbors", "sklearn.pipeline", "sklearn.preprocessing", "tensorboard", "torch",
    "truesparse.storage.torch_export",
]  # fmt: skip


def modules_after(program):
    program += "\nimport sys\nprint(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_the_package_alone_imports_next_to_nothing():
    modules = modules_after("import truesparse\nassert truesparse.__version__ and dir(truesparse)")
    assert not {"numba", "numpy", "pandas", "scipy", "sklearn"} & modules
    assert [name for name in modules if name.startswith("truesparse.")] == ["truesparse._version"]


def test_estimators_import_no_more_of_scikit_learn_than_its_base():
    assert not modules_after("from truesparse import SparseMLPClassifier, SparseMLPRegressor").intersection(HEAVY)


def test_every_public_name_is_there():
    program = "import truesparse\n" + "".join(f"truesparse.{name}\n" for name in [*truesparse.__all__, *ROOMS])
    modules_after(program + f"from truesparse import *\nassert {set(truesparse.__all__)} <= vars().keys()")
    assert {*truesparse.__all__, *ROOMS} <= set(dir(truesparse))
    with pytest.raises(AttributeError, match="module 'truesparse' has no attribute 'SparseMLP'"):
        truesparse.SparseMLP  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'SparseMLP'"):
        from truesparse import SparseMLP  # noqa: F401


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_can_be_imported_first(room):
    assert f"truesparse.{room}" in modules_after(f"from truesparse.{room} import *")


def test_a_plug_in_meets_the_names_that_there_are():
    program = """
import truesparse
from dataclasses import dataclass
try:
    @truesparse.plugin("optimizer", adam={})
    @dataclass(frozen=True)
    class Mine:
        pass
except ValueError as error:
    assert "the optimizer 'adam' is truesparse.training.optimizers.Adam already" in str(error)
else:
    raise AssertionError
"""
    modules_after(program)
