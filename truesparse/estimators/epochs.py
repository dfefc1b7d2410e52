"""How many epochs a fit has if `max_iter` is None, and how sure its probabilities are.

The samples are divided into halves. A network is trained on each, for 25, 50, 100 and 200 epochs, and judged by the
other half, until more epochs no longer help. The network of the fit is then trained on all samples for the number of
epochs that was best.

The measure is the loss. That of classes depends on two things: how well a network tells them apart, which often still
improves when its probabilities have long become too sure. So the sums z of the last layer are divided by a temperature
T before they are judged, that with the lowest loss (Guo et al., "On calibration of modern neural networks", 2017):

    T = argmin_T mean loss(z / T, t)    over both halves, ½ ≤ T ≤ 50.

The trained network's last layer is divided by the same T, which changes none of the classes that it predicts. Because
T also corrects probabilities that are not sure enough, these networks can be trained with label smoothing, which makes
more of their predictions right. benchmarks/study/README.md has the trials.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from truesparse._typing import FloatArray
from truesparse.network.losses import Loss, Target
from truesparse.training.trainer import Trainer

CANDIDATES = (25, 50, 100, 200)
_FEWEST_SAMPLES, _MOST_SAMPLES = 50, 10_000  # for which the number of epochs is found
_TEMPERATURES = 0.5, 50.0  # the lowest and the highest

Judged = Sequence[tuple[FloatArray, Target]]
"""Sums of the last layer (n_outputs, n_samples) and targets of each half, from the network of the other half."""


def can_be_found(n_samples: int, classes: np.ndarray | None) -> bool:
    """Return whether halves can tell how many epochs suit so many samples; more samples hardly overfit."""
    if not _FEWEST_SAMPLES <= n_samples <= _MOST_SAMPLES:
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
        value, temperature = _lowest_loss(judged(n_epochs), loss)
        if value >= best[0]:
            break
        best = value, n_epochs, temperature
    return best[1:]


def _lowest_loss(judged, loss):
    """Return the mean loss of the halves at the best temperature, and this temperature."""

    def mean_loss(log_temperature):
        scaled = [(z / z.dtype.type(math.exp(log_temperature)), target) for z, target in judged]
        return float(np.mean([loss(z, target, z) for z, target in scaled]))

    if not loss.of_classes:
        return mean_loss(0.0), 1.0
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(mean_loss, bounds=np.log(_TEMPERATURES), method="bounded")
    return found.fun, math.exp(found.x)


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
