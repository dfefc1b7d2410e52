"""The documentation names everything that is public, and the code of its guide runs."""

import doctest
import importlib
import re
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest

import truesparse
import truesparse.evolution

DOCS = Path(__file__).parents[1] / "docs"
REFERENCE = (DOCS / "api.rst").read_text()
BLOCKS = {
    ".md": re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL),
    ".rst": re.compile(r"^\.\. (?:code-block:: python|plot::)\n((?:   .*\n|\n)+)", re.MULTILINE),
}
PAGES = [path for folder in (DOCS, DOCS / "guide") for path in sorted(folder.iterdir()) if path.suffix in BLOCKS]
GUIDE = [path for path in PAGES if BLOCKS[path.suffix].search(path.read_text())]

# A block that imports one of these is run where it is installed.
OPTIONAL = ("dask", "distributed", "pyarrow", "torch", "zarr", "sklearn.callback")

# Rooms below the estimators that have no page of their own. A new room is either here, or in the reference.
INTERNAL = {"kernels", "runtime", "storage", "estimators"}


def listed(module):
    """Names in the reference's tables of this module."""
    current, names = None, []
    for line in REFERENCE.splitlines():
        if found := re.fullmatch(r"\.\. currentmodule:: (\S+)", line):
            current = found[1]
        elif current == module and (found := re.fullmatch(r"   ([A-Za-z_.]+)", line)):
            names.append(found[1])
    return names


def test_every_module_is_in_the_reference():
    package = Path(truesparse.__file__).parent
    modules = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    modules = {name for name in modules if not name.startswith("_")} - INTERNAL - {"evolution"}
    assert modules <= set(listed("truesparse"))


def test_every_public_name_of_the_library_is_in_the_reference():
    assert set(truesparse.__all__) - {"__version__"} <= set(listed("truesparse"))


def test_every_public_name_of_the_rules_is_in_the_reference():
    names = {*listed("truesparse.evolution"), *listed("truesparse")}
    assert set(truesparse.evolution.__all__) <= {name.rpartition(".")[2] for name in names}


@pytest.mark.parametrize("name", listed("truesparse"))
def test_what_the_reference_names_is_there(name):
    parent, _, last = name.rpartition(".")
    module = importlib.import_module(f"truesparse.{parent}".rstrip("."))
    assert hasattr(module, last) or importlib.import_module(f"truesparse.{name}")


def blocks(path):
    """Line numbers and code of the blocks of a page that can run here, in order."""
    text = path.read_text()
    for found in BLOCKS[path.suffix].finditer(text):
        code = textwrap.dedent(re.sub(r"^   :.*\n", "", found[1], flags=re.MULTILINE))
        if all(find_spec(name) for name in OPTIONAL if re.search(rf"^(?:from|import) {name}\b", code, re.MULTILINE)):
            yield text[: found.start(1)].count("\n"), code.lstrip("\n")


@pytest.mark.parametrize("path", GUIDE, ids=lambda path: path.stem)
def test_the_code_of_a_page_runs(path, tmp_path, monkeypatch):
    """Block after block, as a reader would; where a block shows what comes of it, that is compared."""
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as for a program that starts there
    names = {"__name__": "__main__"}
    for line, code in blocks(path):
        if code.startswith(">>>"):
            found = doctest.DocTestParser().get_doctest(code, names, path.name, str(path), line)
            runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
            assert runner.run(found, clear_globs=False).failed == 0
        else:
            exec(compile("\n" * line + code, str(path), "exec"), names)
