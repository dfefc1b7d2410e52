"""Validation data of a training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from truesparse._typing import FloatArray
from truesparse.data.source import Source
from truesparse.network.losses import Loss, Target
from truesparse.network.protocol import Network
from truesparse.training.inference import forward_all
from truesparse.training.state import EpochRecord


@dataclass(frozen=True, eq=False)
class Validation:
    """Validation data and their score, which decides when training stops and which epoch's network is kept.

    ``score(predictions, target)`` takes arrays (n_outputs, n_samples) and (n_samples, …); higher is better. None means
    minus the loss. Without `decides`, it is only recorded.
    """

    source: Source
    score: Callable[[FloatArray, Target], float] | None = None
    decides: bool = True
    by_loss: bool = False  # the loss decides, whatever the score is
    calibrates: bool = False  # it gives the trained network its temperature

    def judge(self, network: Network, loss: Loss) -> tuple[float, float]:
        """Return the mean loss and the score of a network."""
        z, target = forward_all(network, self.source), cast(Any, self.source.target)
        mean_loss = loss(z, target, np.empty_like(z))
        return mean_loss, -mean_loss if self.score is None else float(self.score(loss.predictions(z), target))

    def value(self, record: EpochRecord) -> float:
        """Return what is better the higher it is."""
        return -record.validation_loss if self.by_loss else record.validation_score
