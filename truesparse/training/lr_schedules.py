"""Learning-rate schedules: a factor of the initial learning rate for each step."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from truesparse.runtime.checks import LARGEST, check_number, is_number
from truesparse.runtime.plugins import plugin, resolve


class LearningRate(Protocol):
    """A learning-rate schedule."""

    def factor(self, step: int, total_steps: int) -> float:
        """Return the factor in step `step`, counted from 0, of `total_steps` planned ones."""


@plugin("learning_rate", constant={})
@dataclass(frozen=True)
class Constant:
    """Always the initial learning rate."""

    def factor(self, step: int, total_steps: int) -> float:
        """As `LearningRate.factor`."""
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
        """As `LearningRate.factor`."""
        return float(self.gamma) ** sum(step >= milestone * total_steps for milestone in self.milestones)


@plugin("learning_rate", cosine={})
@dataclass(frozen=True)
class Cosine:
    """Falls from 1 to 0 along half a cosine, ½ (1 + cos(π · step / total_steps)) (Loshchilov & Hutter, 2017)."""

    def factor(self, step: int, total_steps: int) -> float:
        """As `LearningRate.factor`."""
        return 0.5 * (1 + float(np.cos(np.pi * min(step / total_steps, 1))))


@plugin("learning_rate", linear={})
@dataclass(frozen=True)
class Linear:
    """Falls from 1 to `end` along a line, 1 − (1 − end) · step / total_steps.

    Parameters
    ----------
    end : float, default=0.0
        The last factor, not below 0.

    Examples
    --------
    >>> from truesparse.training.lr_schedules import Linear
    >>> [Linear(end=0.5).factor(step, 4) for step in (0, 1, 2, 3, 4, 5)]
    [1.0, 0.875, 0.75, 0.625, 0.5, 0.5]
    """

    end: float = 0.0

    def __post_init__(self):
        check_number("end", self.end, 0)

    def factor(self, step: int, total_steps: int) -> float:
        """As `LearningRate.factor`."""
        return 1 - (1 - float(self.end)) * min(step / total_steps, 1)


@plugin("learning_rate", warm_up={})
@dataclass(frozen=True)
class WarmUp:
    """Rises along a line over the first `share` of the plan, and then follows another schedule for the rest of it.

    Large first steps of Adam harm: its estimates of the squared gradients are poor then.

    Parameters
    ----------
    then : LearningRate or str, default="cosine"
        The schedule of the steps after the rise, as if they were a whole plan.
    share : float in (0, 1), default=0.05
        Length of the rise as a share of the plan, at least one step.

    Examples
    --------
    >>> from truesparse.training.lr_schedules import WarmUp
    >>> schedule = WarmUp(then="linear", share=0.5)
    >>> [schedule.factor(step, 8) for step in range(8)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25]
    """

    then: Any = "cosine"
    share: float = 0.05

    def __post_init__(self):
        if not is_number(self.share, 0, 1) or self.share in (0, 1):
            raise ValueError(f"share={self.share!r} must be a number in (0, 1).")
        try:
            object.__setattr__(self, "then", resolve("learning_rate", self.then))
        except ValueError as error:
            raise ValueError(f"then: {error}") from None
        if isinstance(self.then, type) or not callable(getattr(self.then, "factor", None)):
            raise ValueError(f"then={self.then!r} must be a learning-rate schedule, which has a method 'factor'.")

    def factor(self, step: int, total_steps: int) -> float:
        """As `LearningRate.factor`."""
        n_steps = max(1, round(float(self.share) * total_steps))
        if step < n_steps:
            return (step + 1) / n_steps
        return self.then.factor(step - n_steps, max(1, total_steps - n_steps))
