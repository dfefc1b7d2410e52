"""scikit-learn's dense network."""

import numpy as np
from sklearn.neural_network import MLPClassifier

from .base import Peer


class ScikitLearn(Peer):
    """``MLPClassifier``, an epoch by ``partial_fit``: all weights, no dropout."""

    sparse, dropout = False, False

    def __init__(self, task):
        super().__init__(task)
        self.model = MLPClassifier(task.sizes[1:-1], batch_size=task.batch, alpha=task.alpha, random_state=task.seed,
                                   learning_rate_init=task.learning_rate)  # fmt: skip

    def epoch(self):
        """See `Peer`."""
        self.model.partial_fit(self.task.X, self.task.y, classes=np.arange(self.task.sizes[-1]))

    def predict_proba(self, X):
        """See `Peer`."""
        return self.model.predict_proba(X)
