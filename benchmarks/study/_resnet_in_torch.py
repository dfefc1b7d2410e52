"""A dense residual network, trained by PyTorch with the settings of `resnet.py`.

First weights and the order of the images are drawn by other generators than in our estimator.
"""

import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from _epochs import printed, rows_after

from truesparse.network.architecture import Architecture

sys.path.insert(0, str(Path(__file__).parents[1] / "speed"))
from _resnets import resnet_of
from _resnets_in_torch import TorchResNet

N_CLASSES = 10


def train_dense(run, model, data, *, csv_path):
    """Train a network with the parameters of an estimator; a row per epoch."""
    X, y, X_test, y_test = data
    torch.set_num_threads(model.n_jobs)
    torch.manual_seed(model.random_state)
    rng = np.random.default_rng(model.random_state)
    architecture = Architecture(model.image_shape, model.depth, model.width)
    network = TorchResNet(resnet_of(architecture, N_CLASSES, 1.0, seed=model.random_state))
    network = network.to(memory_format=torch.channels_last)
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim == 1]  # of batch norms, and biases
    groups = [{"params": weights, "weight_decay": model.alpha}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=model.learning_rate_init, momentum=0.9, nesterov=True)
    size = model.batch_size
    n_steps = model.max_iter * math.ceil(len(X) / size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / n_steps)) / 2)
    y, started = torch.from_numpy(y.astype(np.int64)), time.perf_counter()
    with rows_after(csv_path, run, model.random_state, 0) as (_, write):
        add_row = printed(write, run, model.random_state, model.n_jobs)
        for epoch in range(1, model.max_iter + 1):
            losses, begun = [], time.perf_counter()
            network.train()
            for batch in np.array_split(rng.permutation(len(X)), np.arange(size, len(X), size)):
                z = network(_images(model.batch_transform(X[batch], rng), model.image_shape))
                loss = torch.nn.functional.cross_entropy(z, y[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(loss.item() * len(batch))
            seconds = time.perf_counter() - begun
            row = {
                "epoch": epoch,
                "test_accuracy": f"{_accuracy(network, X_test, y_test, model.image_shape):.4f}",
                "train_loss": f"{sum(losses) / len(X):.6f}",
                "learning_rate": f"{schedule.get_last_lr()[0]:.8g}",
                "weights": sum(p.numel() for p in weights),
                "edges_replaced": 0,
                "seconds_of_training": f"{seconds:.3f}",
                "seconds_total": f"{time.perf_counter() - started:.1f}",
            }
            add_row(row)


@torch.no_grad()
def _accuracy(network, X, y, image_shape):
    network.eval()
    parts = np.array_split(np.arange(len(X)), math.ceil(len(X) / 1000))
    return np.mean(np.concatenate([network(_images(X[part], image_shape)).argmax(1).numpy() for part in parts]) == y)


def _images(x, image_shape):
    """Rows of pixels as images (n, channels, height, width) in PyTorch's faster format."""
    return torch.from_numpy(x.reshape(-1, *image_shape)).permute(0, 3, 1, 2)
