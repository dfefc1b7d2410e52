"""Settings that must be made before numba is imported, and what several tests share.

Numba's on-disk cache does not notice an edit of a kernel in another file, nor of shared flags: the cache directory is
named after a hash of all kernel sources and of numba's own settings.
"""

import hashlib
import os
import tempfile
from pathlib import Path

_KERNELS = Path(__file__).parents[1] / "truesparse" / "kernels"
_state = hashlib.sha256()
for _path in sorted(_KERNELS.glob("*.py")):
    _state.update(_path.read_bytes())
for _name in sorted(name for name in os.environ if name.startswith("NUMBA_") and name != "NUMBA_CACHE_DIR"):
    _state.update(f"{_name}={os.environ[_name]}".encode())
os.environ.setdefault(
    "NUMBA_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"truesparse-kernels-{_state.hexdigest()[:16]}")
)

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile("truesparse", deadline=None, max_examples=50)
settings.register_profile("nightly", deadline=None, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "truesparse"))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's digits in [0, 1]: X_train, X_test, y_train, y_test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    return train_test_split(X / 16, y, random_state=0, stratify=y)
