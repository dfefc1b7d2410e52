import ast
from pathlib import Path

import pytest

from truesparse.kernels import reference

FILES = [
    path
    for path in sorted(Path(reference.__file__).parent.glob("*.py"))
    if path.stem not in ("__init__", "cache", "jit", "lanes", "table", "reference")
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_public_kernel_has_a_twin(path):
    functions = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    missing = {name for name in functions if not name.startswith("_") and not hasattr(reference, name)}
    assert missing <= {"smallest_normal"}  # a constant of NumPy
