"""State of a training run: counters, optimiser moments, history.

With the network and the seed it is enough to resume: the run ends with the same bytes as one that never stopped.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from enum import Enum

from truesparse._typing import FloatArray, IndexArray
from truesparse.topology import Pattern

_MOST_STEPS = 2**63 - 1  # that a file can hold


class Start(Enum):
    """Begin and extent of a training.

    NEW: a new network, all epochs of the recipe. WARM: the same for a trained network, with new schedules. PART: one
    epoch of a plan that goes on from call to call, as in ``partial_fit``. RESUMED: the rest of a plan, from the state
    at the end of one of its epochs.
    """

    NEW = "new"
    WARM = "warm"
    PART = "part"
    RESUMED = "resumed"


@dataclass
class Progress:
    """Counters of a training run.

    - ``step``, ``epoch``, ``epoch_step``: steps and epochs done over all calls of `Trainer.train`; steps in this epoch.
    - ``weight_steps``: the number of weights, added up over all steps.
    - ``plan_step``, ``plan_epoch``, ``planned_steps``: steps and epochs done when the plan of the schedules began, and
      steps of that plan, which goes on over several calls of `Trainer.train` if ``in_parts``.
    - ``temperature``: number by which the last layer is divided at the end of the plan.
    - ``best``: best validation score, or minus the best training loss.
    - ``stall``, ``longest_stall``: epochs since ``best`` improved, now and at most.
    - ``settled``: epochs since a connection was last replaced.
    """

    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    plan_step: int = 0
    plan_epoch: int = 0
    planned_steps: int = 1
    in_parts: bool = False
    temperature: float = 1.0
    best: float = -math.inf
    stall: int = 0
    longest_stall: int = 0
    settled: int = 0
    weight_steps: int = 0

    @property
    def steps_of_plan(self) -> int:
        """Steps done since the plan began."""
        return self.step - self.plan_step

    @property
    def planned_epochs(self) -> int:
        """Epochs of the plan, at the end of one of them."""
        done = self.epoch - self.plan_epoch
        return round(self.planned_steps * done / self.steps_of_plan)

    def advance(self, n_steps: int, n_weights: int) -> None:
        """Count steps of an epoch, with so many weights."""
        self.step += n_steps
        self.epoch_step += n_steps
        self.weight_steps += n_steps * n_weights

    def begin_plan(self, *, in_parts: bool, temperature: float = 1.0) -> None:
        """Let the schedules begin anew, and reset the best value."""
        self.temperature = temperature
        self.plan_step, self.plan_epoch, self.in_parts = self.step, self.epoch, in_parts
        self.best, self.stall, self.longest_stall = -math.inf, 0, 0

    def plan(self, n_epochs: int, steps_per_epoch: int, *, within_epoch: bool = False) -> None:
        """Plan for `n_epochs` epochs in all, those that are left with `steps_per_epoch` steps each.

        `within_epoch` says that the first of these is not over, and its ``epoch_step`` steps are done.
        """
        left = max(0, n_epochs - (self.epoch - self.plan_epoch))
        done = self.steps_of_plan - (self.epoch_step if within_epoch else 0)
        self.planned_steps = min(done + left * steps_per_epoch, _MOST_STEPS)

    def observe(self, value: float, tol: float) -> None:
        """Update best value and stall by an epoch's value."""
        self.stall = 0 if value > self.best + tol else self.stall + 1
        self.longest_stall = max(self.longest_stall, self.stall)
        self.best = max(self.best, value)


@dataclass(frozen=True)
class EpochRecord:
    """Record of an epoch: mean losses, lists with one entry per layer, NaN for validation if there is none."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_score: float
    learning_rate: float
    nnz: list[int]
    edges_replaced: list[int]
    seconds: float


@dataclass
class EpochSums:
    """Sums over the steps of an epoch so far; with the rest of the state enough to go on within the epoch."""

    replaced: IndexArray  # (n_layers,) connections
    n_epochs: int  # of the plan
    summed_loss: float = 0.0
    n_seen: int = 0  # samples
    learning_rate: float = 0.0  # of the last step
    seconds: float = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the time of a ``with`` block."""
        began, before = time.perf_counter(), self.seconds
        yield
        self.seconds = before + time.perf_counter() - began

    def add(self, summed_loss: float, n: int, learning_rate: float) -> None:
        """Take in the steps of `n` samples."""
        self.summed_loss, self.learning_rate = self.summed_loss + summed_loss, learning_rate
        self.n_seen += n

    def record(self, epoch: int, validation: tuple[float, float], nnz: list[int]) -> EpochRecord:
        """Return the record of the epoch, which is over, with the loss and the score of the validation data."""
        loss = self.summed_loss / self.n_seen
        return EpochRecord(epoch, loss, *validation, self.learning_rate, nnz, self.replaced.tolist(), self.seconds)


class History(list):
    """The records of all epochs, oldest first."""

    def of_last_size(self, first: int = 0) -> list[EpochRecord]:
        """Return the records from number `first` on, at least one, of epochs with as many weights as the last one.

        Only such epochs count as best where the number of weights changes.
        """
        return [record for record in self[first:] if record.nnz == self[-1].nnz]

    def as_dict(self) -> dict[str, list]:
        """Return one list per field, as for ``pandas.DataFrame``."""
        return {field.name: [getattr(record, field.name) for record in self] for field in fields(EpochRecord)}


@dataclass(frozen=True, eq=False)
class BestEpoch:
    """Network and moments at the end of the epoch with the best validation score so far."""

    patterns: list[Pattern | None]  # None for layers on BLAS
    vectors: list[FloatArray]  # parameters, then moments in the order of `TrainingState.optimizer_state`, (n_params,)
    optimizer_steps: int


@dataclass
class TrainingState:
    """State of a training run besides the network's parameters."""

    optimizer_state: dict[str, FloatArray]  # moments, (n_params,)
    optimizer_steps: int = 0  # that the moments have seen
    progress: Progress = field(default_factory=Progress)
    history: History = field(default_factory=History)
    best: BestEpoch | None = None  # during a run with validation data
    sums: EpochSums | None = None  # within an epoch

    def copy(self) -> "TrainingState":
        """Return a copy that shares nothing that changes."""
        moments = {name: vector.copy() for name, vector in self.optimizer_state.items()}
        sums = None if self.sums is None else replace(self.sums, replaced=self.sums.replaced.copy())
        progress, history = replace(self.progress), History(self.history)
        return TrainingState(moments, self.optimizer_steps, progress, history, self.best, sums)

    @property
    def planned_epochs(self) -> int:
        """Epochs of the plan, of which at least one step has been made."""
        return self.progress.planned_epochs if self.sums is None else self.sums.n_epochs
