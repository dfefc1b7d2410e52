"""What several tests share."""

import os
import signal

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("truesparse", deadline=None, max_examples=50)
settings.register_profile("nightly", deadline=None, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "truesparse"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def share_all_work(monkeypatch):
    """Trainings use all of `n_jobs` threads, for however little work."""
    from truesparse.training import sharing, trainer

    monkeypatch.setattr(trainer, "useful_threads", lambda n_params, batch_size, most, **_: most)
    monkeypatch.setattr(sharing, "_TRIALS", 10**9)


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
