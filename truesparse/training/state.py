"""What a training run knows of itself: where it stands, what its epochs were like, and the moments of its optimiser.

Together with the network and the seed, a `TrainingState` says all that the next step depends on: a run that goes on
with it ends with the same bytes as one that never stopped.
"""

import math
from dataclasses import dataclass, field, fields, replace

from truesparse._typing import FloatArray
from truesparse.topology import Pattern


@dataclass
class Progress:
    """Where a training run stands.

    Parameters
    ----------
    step, epoch : int
        Steps and epochs done, over all calls of `Trainer.train`.
    epoch_step : int
        Steps done in this epoch.
    plan_step, plan_epoch : int
        Steps and epochs done when the plan began that the schedules follow.
    planned_steps : int
        Steps from then on to the end of the plan.
    in_parts : bool
        Whether the plan goes on over several calls of `Trainer.train`.
    best : float
        Best value of what is monitored: the validation score, else minus the training loss.
    stall, longest_stall : int
        Epochs since ``best`` improved, now and at most.
    settled : int
        Epochs since a connection was last replaced.
    """

    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    plan_step: int = 0
    plan_epoch: int = 0
    planned_steps: int = 1
    in_parts: bool = False
    best: float = -math.inf
    stall: int = 0
    longest_stall: int = 0
    settled: int = 0

    @property
    def steps_of_plan(self) -> int:
        """Steps done since the plan began."""
        return self.step - self.plan_step

    def begin_plan(self, *, in_parts: bool) -> None:
        """Let the schedules begin anew, and forget what was best so far."""
        self.plan_step, self.plan_epoch, self.in_parts = self.step, self.epoch, in_parts
        self.best, self.stall, self.longest_stall = -math.inf, 0, 0

    def plan(self, n_epochs: int, steps_per_epoch: int) -> None:
        """Expect `n_epochs` epochs in the whole plan, and all that are left to have so many steps."""
        left = max(0, n_epochs - (self.epoch - self.plan_epoch))
        self.planned_steps = self.steps_of_plan + left * steps_per_epoch

    def observe(self, value: float, tol: float) -> None:
        """Take note of an epoch's value."""
        self.stall = 0 if value > self.best + tol else self.stall + 1
        self.longest_stall = max(self.longest_stall, self.stall)
        self.best = max(self.best, value)

    def epochs_stalled(self, *, by_validation: bool) -> int:
        """Epochs without improvement; without validation data only those in which no connection was replaced."""
        return self.stall if by_validation else min(self.stall, self.settled)


@dataclass(frozen=True)
class EpochRecord:
    """What is known of an epoch at its end; losses are means over samples, lists have one entry per layer.

    Without validation data the validation loss and score are NaN.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    validation_score: float
    learning_rate: float
    nnz: list[int]
    edges_replaced: list[int]
    seconds: float


class History(list):
    """The records of all epochs, oldest first."""

    def as_dict(self) -> dict[str, list]:
        """One list per field, e.g. for ``pandas.DataFrame``."""
        return {field.name: [getattr(record, field.name) for record in self] for field in fields(EpochRecord)}


@dataclass(frozen=True, eq=False)
class BestEpoch:
    """The network and the moments at the end of the epoch with the best validation score so far.

    Parameters
    ----------
    patterns : list of Pattern, None for layers on BLAS
    vectors : list of (n_params,)
        The network's parameters, then the moments in the order of `TrainingState.optimizer_state`.
    optimizer_steps : int
    """

    patterns: list[Pattern | None]
    vectors: list[FloatArray]
    optimizer_steps: int


@dataclass
class TrainingState:
    """What a training run holds besides the network's parameters; with both, it can go on.

    Parameters
    ----------
    optimizer_state : dict of (n_params,)
        Moments.
    optimizer_steps : int
        Steps that the moments have seen.
    progress : Progress
    history : History
    best : BestEpoch, optional
        While a run with validation data lasts.
    """

    optimizer_state: dict[str, FloatArray]
    optimizer_steps: int = 0
    progress: Progress = field(default_factory=Progress)
    history: History = field(default_factory=History)
    best: BestEpoch | None = None

    def copy(self) -> "TrainingState":
        """A copy that shares nothing that changes."""
        moments = {name: vector.copy() for name, vector in self.optimizer_state.items()}
        return TrainingState(moments, self.optimizer_steps, replace(self.progress), History(self.history), self.best)
