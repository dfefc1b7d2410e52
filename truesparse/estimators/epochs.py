"""How many epochs a fit has if `max_iter` is None.

The samples are divided into halves. A network is trained on each, for 25, 50, 100 and 200 epochs, and judged by the
other half, until more epochs no longer help. The network of the fit is then trained on all samples for the number of
epochs that was best.

The measure is the loss at the best temperature (see `truesparse.training.temperature`), by which the last layer of the
network of the fit is divided as well. How well a network tells classes apart often still improves when its
probabilities have long become too sure. benchmarks/study/README.md has the trials.
"""

import math
from collections.abc import Callable

import numpy as np

from truesparse.network.losses import Loss
from truesparse.training.temperature import FEWEST_SAMPLES, Judged, lowest_loss
from truesparse.training.trainer import Trainer

CANDIDATES = (25, 50, 100, 200)
_MOST_SAMPLES = 10_000  # for which the number of epochs is found


def can_be_found(n_samples: int, classes: np.ndarray | None) -> bool:
    """Return whether halves can tell how many epochs suit so many samples; more samples hardly overfit."""
    if not FEWEST_SAMPLES <= n_samples <= _MOST_SAMPLES:
        return False
    return classes is None or np.unique(classes, return_counts=True)[1].min() >= 2


def find(judged: Callable[[int], Judged], loss: Loss) -> tuple[int, float]:
    """Return the number of epochs with the lowest loss of the halves, and the temperature of its network.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.estimators.epochs import find
    >>> from truesparse.network.losses import SquaredError
    >>> errors = {25: 3.0, 50: 2.0, 100: 2.5, 200: 1.0}
    >>> find(lambda n: [(np.full((1, 4), errors[n]), np.zeros((4, 1)))], SquaredError())  # 100 are worse than 50
    (50, 1.0)
    """
    best = math.inf, CANDIDATES[0], 1.0
    for n_epochs in CANDIDATES:
        value, temperature = lowest_loss(judged(n_epochs), loss)
        if value >= best[0]:
            break
        best = value, n_epochs, temperature
    return best[1:]


class Trainings:
    """The trainings of a fit, one after the other. Once they are asked to stop, each ends after its first batch."""

    def __init__(self) -> None:
        self._is_asked = False
        self._current: Trainer | None = None

    def begin(self, trainer: Trainer) -> Trainer:
        """Return a trainer that `stop` will stop from now on."""
        self._current = trainer
        if self._is_asked:
            trainer.stop()
        return trainer

    def stop(self) -> None:
        """Ask the present training, and those that follow, to stop."""
        self._is_asked = True
        if self._current is not None:
            self._current.stop()
