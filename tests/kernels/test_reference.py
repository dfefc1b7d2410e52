import ast
from pathlib import Path

import pytest

from truesparse.kernels import reference, reference_images

WITHOUT_TWINS = (
    "__init__", "cache", "draws", "jit", "lanes", "parts", "plane_lanes", "table", "reference", "reference_images",
)  # fmt: skip
FILES = [path for path in sorted(Path(reference.__file__).parent.glob("*.py")) if path.stem not in WITHOUT_TWINS]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_public_kernel_has_a_twin(path):
    functions = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    missing = {
        name
        for name in functions
        if not name.startswith("_") and not (hasattr(reference, name) or hasattr(reference_images, name))
    }
    # A constant of NumPy; the whole step, which tests compare to the trainer's; and parts of kernels that have a twin.
    others = {"smallest_normal", "train_steps"}
    assert {name for name in missing if not name.endswith(("_part", "_block", "_chunk"))} <= others
