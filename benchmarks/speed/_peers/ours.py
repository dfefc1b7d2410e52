"""truesparse, with the settings of the others and with its own."""

import time

import numpy as np

from truesparse import SparseMLPClassifier
from truesparse.evolution import Given

from .base import Peer


class Truesparse(Peer):
    """``SparseMLPClassifier.fit`` with the patterns and the settings of the others."""

    def __init__(self, task):
        super().__init__(task)
        self.model = SparseMLPClassifier(
            task.sizes[1:-1],
            batch_size=task.batch,
            n_jobs=task.threads,
            random_state=task.seed,
            **{"max_iter": 200} | self.settings(task),
        )

    def settings(self, task):
        """Parameters that are not the defaults."""
        return {
            "topology_init": Given(task.weights, values=True),
            "evolution": "static",
            "activation": "relu",
            "dropout": task.dropout,
            "alpha": task.alpha,
            "learning_rate": "constant",
            "learning_rate_init": task.learning_rate,
        }

    def train(self, n_epochs):
        """Fit anew, and return the seconds of each epoch but the first, which the others have had before."""
        stop = StopAfter(n_epochs + 1)
        self.model.set_params(callbacks=[stop]).fit(self.task.X, self.task.y)
        return np.array(self.model.history_["seconds"][1:])

    def train_until(self, accuracy, X, y, cap):
        """As for others, but with the time of the tests, which ``fit`` makes itself."""
        stop = StopAt(accuracy, cap)
        self.model.set_params(callbacks=[stop]).fit(self.task.X, self.task.y, X_val=X, y_val=y)
        return stop.seconds, self.model.n_iter_, max(self.model.history_["validation_score"])

    def predict_proba(self, X):
        """See `Peer`."""
        return self.model.predict_proba(X)


class TruesparseCTE(Truesparse):
    """The estimator's defaults but for size and number of weights, batch, threads and seed."""

    topology = "updated"

    def settings(self, task):
        """Parameters that are not the defaults."""
        return task.spread


class TruesparsePlanned(TruesparseCTE):
    """The same with schedules of the learning rate and the topology planned for 10 epochs instead of 200."""

    def settings(self, task):
        """Parameters that are not the defaults."""
        return task.spread | {"max_iter": 10}


class StopAfter:
    """A callback that ends a fit after some epochs; its schedules are planned for ``max_iter``."""

    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def on_epoch_end(self, network, record):
        """Ask to stop."""
        return record.epoch >= self.n_epochs


class StopAt:
    """A callback that ends a fit at a validation score, or after some seconds."""

    def __init__(self, score, cap):
        self.score, self.cap, self.started = score, cap, time.perf_counter()

    def on_epoch_end(self, network, record):
        """Ask to stop."""
        self.seconds = time.perf_counter() - self.started
        return record.validation_score >= self.score or self.seconds >= self.cap
