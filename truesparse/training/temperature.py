"""The temperature by which the sums of a network are divided, so that its probabilities are as sure as they should be.

    T = argmin_T mean loss(z / T, t),   ½ ≤ T ≤ 50,

over samples that the network was not trained on (Guo et al., "On calibration of modern neural networks", 2017). It
changes no predicted class. Division of the last layer by T has the same effect, and needs no other code to predict.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from truesparse._typing import FloatArray
from truesparse.network.losses import Loss, Target
from truesparse.network.protocol import Network
from truesparse.training.inference import forward_all
from truesparse.training.validation import Validation

FEWEST_SAMPLES = 50  # from which a temperature can be told
_LOWEST, _HIGHEST = 0.5, 50.0

Judged = Sequence[tuple[FloatArray, Target]]
"""Sums of the last layer, (n_outputs, n_samples), and targets of unseen samples, of one or several networks."""


def lowest_loss(judged: Judged, loss: Loss) -> tuple[float, float]:
    """Return the lowest mean loss, and its temperature, which is 1 but for classes and labels.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.network.losses import SoftmaxCrossEntropy
    >>> from truesparse.training.temperature import lowest_loss
    >>> z = np.array([[6.0] * 4, [0.0] * 4])  # sure of class 0, but a quarter are of class 1: the log-odds are log 3
    >>> round(lowest_loss([(z, np.array([0, 0, 0, 1]))], SoftmaxCrossEntropy())[1], 2)  # 6 / log 3
    5.46
    """

    def mean_loss(log_temperature):
        scaled = [(z / z.dtype.type(math.exp(log_temperature)), target) for z, target in judged]
        return float(np.mean([loss(z, target, z) for z, target in scaled]))

    if not loss.of_classes:
        return mean_loss(0.0), 1.0
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(mean_loss, bounds=np.log([_LOWEST, _HIGHEST]), method="bounded")
    return found.fun, math.exp(found.x)


def calibrate(network: Network, loss: Loss, validation: Validation | None, temperature: float) -> None:
    """Divide the last layer by the temperature, or by that which the validation data tell if they are meant to."""
    if validation is not None and validation.calibrates:
        target: Any = validation.source.target
        _, temperature = lowest_loss([(forward_all(network, validation.source), target)], loss)
    if temperature != 1:
        last = network.layers[-1]
        last.data /= temperature
        last.bias /= temperature
