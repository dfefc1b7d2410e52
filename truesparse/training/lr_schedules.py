"""Learning-rate schedules: a factor of the initial learning rate for each step."""

from dataclasses import dataclass

import numpy as np

from truesparse.runtime.checks import LARGEST, check_number, is_number
from truesparse.runtime.plugins import plugin


@plugin("learning_rate", constant={})
@dataclass(frozen=True)
class Constant:
    """Always the initial learning rate."""

    def factor(self, step: int, total_steps: int) -> float:
        """Return the factor in step `step`, counted from 0."""
        return 1.0


@plugin("learning_rate", step={})
@dataclass(frozen=True)
class Step:
    """Multiplies by ``gamma`` at each of the milestones, which are shares of the planned training.

    Examples
    --------
    >>> from truesparse.training.lr_schedules import Step
    >>> [round(Step(milestones=(0.5, 0.75), gamma=0.1).factor(step, 8), 4) for step in range(8)]
    [1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    """

    milestones: tuple[float, ...] = (0.5, 0.75)
    gamma: float = 0.1

    def __post_init__(self):
        if not (isinstance(self.milestones, tuple) and all(is_number(share, 0, 1) for share in self.milestones)):
            raise ValueError(f"milestones={self.milestones!r} must be a tuple of shares in [0, 1].")
        # The last factor must be finite too: the power of a large number raises OverflowError.
        check_number("gamma", self.gamma, 0, LARGEST ** (1 / max(1, len(self.milestones))))

    def factor(self, step: int, total_steps: int) -> float:
        """As `Constant.factor`."""
        return float(self.gamma) ** sum(step >= milestone * total_steps for milestone in self.milestones)


@plugin("learning_rate", cosine={})
@dataclass(frozen=True)
class Cosine:
    """Falls from 1 to 0 along half a cosine, ½ (1 + cos(π · step / total_steps)) (Loshchilov & Hutter, 2017)."""

    def factor(self, step: int, total_steps: int) -> float:
        """As `Constant.factor`."""
        return 0.5 * (1 + float(np.cos(np.pi * min(step / total_steps, 1))))


LearningRate = Constant | Step | Cosine
