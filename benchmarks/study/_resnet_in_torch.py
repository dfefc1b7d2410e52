"""A dense residual network, trained by PyTorch with the settings of `resnet.py`."""

import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from _epochs import printed, rows_after

sys.path.insert(0, str(Path(__file__).parents[1] / "speed"))
from _resnets_in_torch import dense_epochs, images_of

N_CLASSES = 10


def train_dense(run, model, data, *, csv_path):
    """Train a network with the parameters of an estimator; a row per epoch."""
    X, y, X_test, y_test = data
    started = time.perf_counter()
    with rows_after(csv_path, run, model.random_state, 0) as (_, write):
        add_row = printed(write, run, model.random_state, model.n_jobs)
        epochs = enumerate(dense_epochs(model, X, y, N_CLASSES), start=1)
        for epoch, (network, n_weights, learning_rate, loss, seconds) in epochs:
            row = {
                "epoch": epoch,
                "test_accuracy": f"{_accuracy(network, X_test, y_test, model.image_shape):.4f}",
                "train_loss": f"{loss:.6f}",
                "learning_rate": f"{learning_rate:.8g}",
                "weights": n_weights,
                "edges_replaced": 0,
                "seconds_of_training": f"{seconds:.3f}",
                "seconds_total": f"{time.perf_counter() - started:.1f}",
            }
            add_row(row)


@torch.no_grad()
def _accuracy(network, X, y, image_shape):
    network.eval()
    parts = np.array_split(np.arange(len(X)), math.ceil(len(X) / 1000))
    return np.mean(np.concatenate([network(images_of(X[part], image_shape)).argmax(1).numpy() for part in parts]) == y)
