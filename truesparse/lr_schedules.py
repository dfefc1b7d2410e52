"""How the learning rate changes over training: a factor for each share of the planned steps."""

from dataclasses import dataclass
from numbers import Real

import numpy as np


@dataclass(frozen=True)
class Constant:
    """The initial learning rate, always."""

    def factor(self, step: int, total_steps: int) -> float:
        """What the initial learning rate is multiplied by in step `step`, counted from 0."""
        return 1.0


@dataclass(frozen=True)
class Step:
    """Multiplied by ``gamma`` at each of the milestones, which are shares of the planned training.

    Examples
    --------
    >>> from truesparse.lr_schedules import Step
    >>> [round(Step(milestones=(0.5, 0.75), gamma=0.1).factor(step, 8), 4) for step in range(8)]
    [1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    """

    milestones: tuple[float, ...] = (0.5, 0.75)
    gamma: float = 0.1

    def __post_init__(self):
        if not (isinstance(self.gamma, Real) and 0 <= self.gamma < np.inf):
            raise ValueError(f"gamma={self.gamma!r} must be a finite number, not below 0.")
        milestones = self.milestones
        if not (isinstance(milestones, tuple) and all(isinstance(m, Real) and 0 <= m <= 1 for m in milestones)):
            raise ValueError(f"milestones={milestones!r} must be a tuple of shares in [0, 1].")

    def factor(self, step: int, total_steps: int) -> float:
        """As `Constant.factor`."""
        return self.gamma ** sum(step >= milestone * total_steps for milestone in self.milestones)


@dataclass(frozen=True)
class Cosine:
    """Falls from 1 to 0 along half a cosine, ½ (1 + cos(π · step / total_steps)) (Loshchilov & Hutter, 2017)."""

    def factor(self, step: int, total_steps: int) -> float:
        """As `Constant.factor`."""
        return 0.5 * (1 + float(np.cos(np.pi * min(step / total_steps, 1))))


LearningRate = Constant | Step | Cosine

LEARNING_RATES = {"constant": Constant(), "step": Step(), "cosine": Cosine()}
