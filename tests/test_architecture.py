"""The rules of the house, read off the source: who may import whom, and who may make what."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "truesparse"

# Lowest first; a module imports only from modules of lines above its own, or from its own line.
ORDER = [
    [
        "truesparse._version",
        "truesparse._typing",
        "truesparse.randomness",
        "truesparse.caching",
        "truesparse.memory",
        "truesparse.validation",
    ],
    ["truesparse.kernels.jit", "truesparse.kernels.lanes", "truesparse.kernels.table", "truesparse.kernels.reference"],
    ["truesparse.kernels"],
    ["truesparse.parallelism", "truesparse.interrupts"],
    ["truesparse.topology.density", "truesparse.topology.pattern"],
    ["truesparse.topology.rewiring"],
    ["truesparse.topology"],
    ["truesparse.activations", "truesparse.losses", "truesparse.initializers", "truesparse.batches"],
    ["truesparse.layers", "truesparse.workspace"],
    ["truesparse.network"],
    ["truesparse.signals", "truesparse.inference", "truesparse.inspection"],
    ["truesparse.topology.snip"],
    ["truesparse.evolution.search", "truesparse.evolution.paths", "truesparse.evolution.checks"],
    [
        "truesparse.evolution.prune",
        "truesparse.evolution.grow",
        "truesparse.evolution.schedule",
        "truesparse.evolution.units",
    ],
    ["truesparse.evolution.combine"],
    ["truesparse.evolution.evolve"],
    ["truesparse.evolution.neurons"],
    ["truesparse.evolution.presets"],
    ["truesparse.evolution.settings"],
    ["truesparse.evolution"],
    ["truesparse.optimizers", "truesparse.lr_schedules", "truesparse.callbacks"],
    ["truesparse.training_state"],
    ["truesparse.training"],
    ["truesparse.datasets"],
    ["truesparse.plotting.display"],
    ["truesparse.plotting.connectivity", "truesparse.plotting.learning_curve", "truesparse.plotting.topology_change"],
    ["truesparse.plotting.degrees", "truesparse.plotting.layer_spy", "truesparse.plotting.film"],
    ["truesparse.plotting"],
    ["truesparse.storage.archive"],
    ["truesparse.storage.sections", "truesparse.storage.parameters"],
    ["truesparse.storage.runs"],
    ["truesparse.storage"],
    ["truesparse.export.head", "truesparse.export.predictor"],
    ["truesparse.export"],
    [
        "truesparse.estimators.display",
        "truesparse.estimators.parameters",
        "truesparse.estimators.sklearn_callbacks",
        "truesparse.estimators.storing",
    ],
    ["truesparse.estimators.samples"],
    ["truesparse.estimators.checkpoints", "truesparse.estimators.building", "truesparse.estimators.fitted"],
    ["truesparse.estimators.base"],
    ["truesparse.estimators"],
    ["truesparse.feature_selection.autoencoder"],
    ["truesparse.feature_selection"],
    ["truesparse.persistence"],
    ["truesparse.compilation"],
    ["truesparse"],
]


def module_name(path):
    parts = ["truesparse", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def rank(name):
    """The line of the longest entry that is the module or one of its packages."""
    matches = [
        (len(entry), line)
        for line, entries in enumerate(ORDER)
        for entry in entries
        if name == entry or (entry != "truesparse" and name.startswith(f"{entry}."))
    ]
    assert matches, f"{name} has no place in the plan"
    return max(matches)[1]


def imports(path):
    """Modules that a file imports when it runs, not those that only a type checker sees."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("name", MODULES)
def test_dependencies_point_one_way(name):
    for imported in imports(MODULES[name]):
        if imported.split(".")[0] == "truesparse":
            assert rank(imported) <= rank(name), f"{name} imports {imported}"


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
    if name != "truesparse.datasets":
        assert not {imported.split(".")[0] for imported in imports(MODULES[name])} & NETWORK
        assert not {
            found for found in mentioned(MODULES[name]) if found.startswith(("fetch_", "urlopen", "import_module"))
        }


def test_datasets_fetches_in_one_place_only():
    """`_fetch`, which `_get` calls once it has found no archive."""
    source = MODULES["truesparse.datasets"]
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


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("truesparse.kernels.")])
def test_no_kernel_calls_a_kernel_of_another_file(name):
    """Numba's cache would not notice a change of the other file.

    What all kernels are made of is excepted, and so are files that compile nothing.
    """
    shared = {f"truesparse.kernels.{module}" for module in ("jit", "lanes", "table")}
    imported = set(imports(MODULES[name]))
    if "numba" in imported or "truesparse.kernels.jit" in imported:
        assert not {module for module in imported if module.startswith("truesparse.")} - shared


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
