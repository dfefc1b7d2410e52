"""The rules of the house, read off the source: who may import whom, and who may make what."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "truesparse"

# Lowest first: a file imports from its own room and from rooms above it in this list.
ROOMS = [
    "kernels",
    "runtime",
    "topology",
    "network",
    "data",
    "transforms",
    "evolution",
    "training",
    "inspection",
    "callbacks",
    "storage",
    "estimators",
    "distributed",
]
LOOSE = {"__init__", "_typing", "_version"}


def module_name(path):
    parts = ["truesparse", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room(name):
    """The number of a module's room; loose modules are below all rooms, the package itself is above them."""
    parts = name.split(".")
    if len(parts) == 1:
        return len(ROOMS)
    return -1 if parts[1] in LOOSE else ROOMS.index(parts[1])


def imports(path):
    """Modules that a file imports, also those that only a type checker sees."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys() or {node.module}


def own(path):
    """Modules of the package that a file imports."""
    return [name for name in imports(path) if name.split(".")[0] == "truesparse"]


def test_the_package_has_these_rooms_and_hardly_a_loose_module():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ROOMS)
    assert len(ROOMS) <= 13
    assert {path.stem for path in PACKAGE.glob("*.py")} == LOOSE


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name):
    for imported in own(MODULES[name]):
        assert room(imported) <= room(name), f"{name} imports {imported}"


def test_only_the_package_itself_and_what_trains_them_together_import_from_the_estimators():
    users = {
        name for name in MODULES if any(imported.startswith("truesparse.estimators") for imported in own(MODULES[name]))
    }
    others = {name for name in users if not name.startswith("truesparse.estimators")}
    assert {name for name in others if not name.startswith("truesparse.distributed")} == {"truesparse"}


# The classes of the estimators themselves, and the selector, which is an estimator too.
OF_ESTIMATORS = {"base", "classifier", "feature_selector", "fitted", "parameters", "regressor"}
ESTIMATOR = re.compile(r"(self\._)?(estimator|model|fitted|saved|cls)")


def read_of_an_estimator(function):
    """Attributes that a function reads of a name that stands for an estimator, also by ``getattr`` and ``hasattr``."""
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            if ESTIMATOR.fullmatch(ast.unparse(node.value)):
                yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr"):
            value, attribute, *_ = node.args
            if ESTIMATOR.fullmatch(ast.unparse(value)) and isinstance(attribute, ast.Constant):
                yield attribute.value


@pytest.mark.parametrize(
    "name",
    [name for name in MODULES if name.startswith("truesparse.estimators.") and name.split(".")[2] not in OF_ESTIMATORS],
)
def test_no_file_reads_an_estimator_in_many_places(name):
    """It is given what it needs, not an estimator to take it from. What stores all of it has functions that do."""
    tree = ast.parse(MODULES[name].read_text())
    is_storing = name == "truesparse.estimators.storing"
    for part in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)] if is_storing else [tree]:
        assert len(set(read_of_an_estimator(part))) <= 5


def test_functions_that_read_an_estimator_are_found():
    code = "def f(estimator): return estimator.a, getattr(estimator, 'b'), self._estimator.c, other.d, estimator.e.f"
    assert {*read_of_an_estimator(ast.parse(code))} == {"a", "b", "c", "e"}


def test_no_imports_form_a_circle():
    finished, path = set(), []

    def visit(name):
        assert name not in path, f"circle: {' → '.join([*path[path.index(name) :], name])}"
        if name not in finished:
            path.append(name)
            for imported in own(MODULES[name]):
                visit(imported)
            finished.add(path.pop())

    for name in MODULES:
        visit(name)


@pytest.mark.parametrize("name", MODULES)
def test_no_file_is_longer_than_a_reader_can_hold(name):
    assert len(MODULES[name].read_text().splitlines()) <= 400


@pytest.mark.parametrize("name", MODULES)
def test_only_kernels_import_numba(name):
    packages = {imported.split(".")[0] for imported in imports(MODULES[name])}
    assert "numba" not in packages or name.startswith("truesparse.kernels.")


NETWORK = {
    "aiohttp", "fsspec", "ftplib", "http", "httpx", "pooch", "requests", "smtplib", "socket", "ssl", "urllib",
    "urllib3", "webbrowser", "xmlrpc",
}  # fmt: skip


def mentioned(path):
    """All names in a file, and what it imports, however it is spelt."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


@pytest.mark.parametrize("name", MODULES)
def test_only_datasets_may_use_the_network(name):
    """Neither by modules that can, nor by what fetches data in scikit-learn."""
    if name != "truesparse.data.datasets":
        assert not {imported.split(".")[0] for imported in imports(MODULES[name])} & NETWORK
        assert not {
            found for found in mentioned(MODULES[name]) if found.startswith(("fetch_", "urlopen", "import_module"))
        }


def test_datasets_fetches_in_one_place_only():
    """`_fetch`, which `_get` calls once it has found no archive."""
    source = MODULES["truesparse.data.datasets"]
    assert not {imported.split(".")[0] for imported in imports(source)} & NETWORK
    calls = {
        (function.name, node.func.id)
        for function in ast.walk(ast.parse(source.read_text()))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert {caller for caller, called in calls if called == "fetch_openml"} == {"_fetch"}
    assert {caller for caller, called in calls if called == "_fetch"} == {"_get"}


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith(".reference")])
def test_nothing_sparse_is_made_dense(name):
    calls = {
        node.func.attr
        for node in ast.walk(ast.parse(MODULES[name].read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not calls & {"toarray", "todense"}


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_has_a_docstring(name):
    tree = ast.parse(MODULES[name].read_text())
    containers = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]
    members = [child for node in containers for child in node.body]
    missing = [
        node.name
        for node in members
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
        and not (isinstance(node, ast.ClassDef) and ast.unparse(node.body[0]).startswith("__doc__ ="))
    ]
    assert ast.get_docstring(tree)
    assert not missing
