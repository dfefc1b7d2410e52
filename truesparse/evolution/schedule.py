"""Schedules: when the topology changes, and by what share of the weights.

Nothing changes before the first step or after the last.

| schedule | share at step t, between begin and end |
|---|---|
| `Constant` | drop_fraction |
| `CosineAnnealing` | ½ · drop_fraction · (1 + cos(π · (t − begin) / (end − begin))) (Dettmers & Zettlemoyer, 2019) |
| `Linear` | drop_fraction · (1 − (t − begin) / (end − begin)) |
"""

import math
from dataclasses import dataclass
from numbers import Integral

from truesparse.runtime.checks import check_number, is_count, is_number
from truesparse.runtime.plugins import plugin

_UPDATES, _LEAST_STEPS = 80, 25  # of a plan; benchmarks/study/README.md has the trials


@plugin("schedule", constant={})
@dataclass(frozen=True)
class Constant:
    """The same share at every update.

    Parameters
    ----------
    drop_fraction : float, in [0, 1]
        The share of a layer's weights that an update replaces (ζ in SET, α in RigL).
    update_every : int, "epoch" or "auto"
        Steps between updates. "auto" divides the plan by 80, but takes no fewer than 25 steps.
    begin_step, end_step : int or float
        Updates begin at `begin_step` and end before `end_step`. An int counts steps, a float is a share of the plan.

    Examples
    --------
    >>> from truesparse.evolution import Constant
    >>> schedule = Constant(drop_fraction=0.2, update_every=10, end_step=0.5)
    >>> [schedule(step, epoch_step=step % 25, total_steps=100) for step in (0, 5, 10, 40, 50)]
    [0.0, 0.0, 0.2, 0.2, 0.0]
    """

    drop_fraction: float = 0.3
    update_every: int | str = "auto"
    begin_step: int | float = 0
    end_step: int | float = 1.0

    def __post_init__(self):
        check_number("drop_fraction", self.drop_fraction, 0, 1)
        if self.update_every not in ("epoch", "auto") and not is_count(self.update_every):
            raise ValueError(
                f"update_every={self.update_every!r} must be a number of steps, at least 1, or 'epoch' or 'auto'."
            )
        check_steps(begin_step=self.begin_step, end_step=self.end_step)

    def __call__(self, step: int, epoch_step: int, total_steps: int) -> float:
        """Return the share of weights to replace now, see `truesparse.evolution.rules.Schedule`."""
        begin, end = in_steps(self.begin_step, total_steps), in_steps(self.end_step, total_steps)
        is_due = is_on_grid(self.update_every, step, epoch_step, total_steps)
        if step == 0 or not is_due or not begin <= step < end:
            return 0.0
        return self.drop_fraction * self.annealing((step - begin) / (end - begin))

    def annealing(self, progress: float) -> float:
        """Return the factor of ``drop_fraction`` between begin (`progress` 0) and end (1)."""
        return 1.0


@plugin("schedule", cosine={})
@dataclass(frozen=True)
class CosineAnnealing(Constant):
    """A share that falls from ``drop_fraction`` to 0 along half a cosine; parameters as for `Constant`."""

    end_step: int | float = 0.75

    def annealing(self, progress: float) -> float:
        """Return the factor of ``drop_fraction``."""
        return 0.5 * (1 + math.cos(math.pi * progress))


@plugin("schedule", linear={})
@dataclass(frozen=True)
class Linear(Constant):
    """A share that falls from ``drop_fraction`` to 0 along a line; parameters as for `Constant`."""

    end_step: int | float = 0.75

    def annealing(self, progress: float) -> float:
        """Return the factor of ``drop_fraction``."""
        return 1 - progress


def check_steps(**given: int | float) -> None:
    """Raise a ValueError for what is neither a number of steps nor a share of the plan, and for ends of one step."""
    for name, step in given.items():
        if name.startswith("end") and is_count(step) and step == 1:
            raise ValueError(f"{name}=1 means after one step; {name}=1.0 is the end of the training.")
        if not (is_count(step, least=0) or is_number(step, 0, 1)):
            raise ValueError(f"{name}={step!r} must be a number of steps (int) or a share in [0, 1] (float).")


def in_steps(step: int | float, total_steps: int) -> int | float:
    """Return a number of steps (int) or a share of the plan (float) in steps."""
    return int(step) if isinstance(step, Integral) else float(step) * total_steps


def is_on_grid(update_every: int | str, step: int, epoch_step: int, total_steps: int) -> bool:
    """Return whether a step is one of those with `update_every` steps between them, see `Constant`."""
    if update_every == "epoch":
        return epoch_step == 0
    interval = max(_LEAST_STEPS, round(total_steps / _UPDATES)) if update_every == "auto" else int(update_every)
    return step % interval == 0
