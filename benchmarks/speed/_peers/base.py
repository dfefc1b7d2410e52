"""A `Task` says what is trained, and a `Peer` trains it. No file of this folder but ``ours.py`` imports truesparse."""

import time
from dataclasses import dataclass
from itertools import starmap

import numpy as np


@dataclass(eq=False)
class Task:
    """A network, its data and the settings of its training.

    Parameters
    ----------
    spread : dict
        What decided the number of weights: ``{"epsilon": 1}`` or ``{"density": 0.01}``.
    weights : list of csr_array (fan_out, fan_in)
        The patterns and the first weights of the layers.
    X, y : (n_samples, n_features) of float32, (n_samples,) of int64
        The training data; classes count from 0.
    """

    spread: dict
    weights: list
    batch: int
    threads: int
    X: np.ndarray
    y: np.ndarray
    dropout: float = 0.1
    learning_rate: float = 1e-3
    alpha: float = 1e-4
    seed: int = 0

    @property
    def sizes(self):
        """Features, hidden units of each layer, classes."""
        return [self.weights[0].shape[1], *(weight.shape[0] for weight in self.weights)]

    @property
    def n_weights(self):
        """Connections of all layers."""
        return sum(weight.nnz for weight in self.weights)

    @property
    def n_pairs(self):
        """Weights of a dense network of this shape."""
        return sum(starmap(int.__mul__, (weight.shape for weight in self.weights)))


class Peer:
    """Base of the peers that are trained batch by batch."""

    topology, sparse, dropout = "static", True, True

    def __init__(self, task):
        self.task, self.rng = task, np.random.default_rng(task.seed)

    def prepare(self):
        """Compile what the first epoch needs; most libraries have nothing to compile."""

    def train(self, n_epochs):
        """Train for some epochs; return the seconds of each."""
        seconds = []
        for _ in range(n_epochs):
            started = time.perf_counter()
            self.epoch()
            seconds.append(time.perf_counter() - started)
        return np.array(seconds)

    def train_until(self, accuracy, X, y, cap):
        """Train to a test accuracy, or for `cap` seconds; return seconds, epochs and the best accuracy.

        The seconds leave out the test after each epoch.
        """
        seconds, n_epochs, best = 0.0, 0, 0.0
        while best < accuracy and seconds < cap:
            seconds += self.train(1).sum()
            n_epochs += 1
            best = max(best, np.mean(self.predict_proba(X).argmax(axis=1) == y))
        return seconds, n_epochs, best

    def epoch(self):
        """Make a step with each batch of the samples in random order."""
        order = self.rng.permutation(len(self.task.X))
        for start in range(0, len(order), self.task.batch):
            self.step(order[start : start + self.task.batch])

    def step(self, samples):
        """Make a training step with samples of these numbers."""
        raise NotImplementedError

    def predict_proba(self, X):
        """Return probabilities of the classes, (n_samples, n_classes)."""
        raise NotImplementedError
