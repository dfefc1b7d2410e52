"""The training loop.

Before each step, the topology may evolve; then forward, loss, backward, step. An update that falls on the end of an
epoch is made at the start of the next one, so that every epoch's scores are those of the network that was trained,
and no training ends with connections that nothing has trained.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from truesparse._typing import FloatArray
from truesparse.data.batches import BatchReader, BatchTransform, in_batches
from truesparse.evolution import Evolution, ImportancePruning, due_fraction, evolve
from truesparse.evolution.signals import ActivationStream, ErrorStream, draw_samples
from truesparse.kernels.update import all_finite
from truesparse.network.initial_weights import Initializer, draw
from truesparse.network.losses import Loss, Target
from truesparse.network.mlp import MLP
from truesparse.runtime.memory import available_bytes
from truesparse.runtime.random_streams import RandomStreams
from truesparse.training.events import Callback, notify
from truesparse.training.inference import forward_all
from truesparse.training.lr_schedules import LearningRate
from truesparse.training.optimizers import Optimizer
from truesparse.training.state import BestEpoch, EpochRecord, TrainingState


@dataclass(frozen=True, eq=False)
class Validation:
    """Data to watch the training by, and the score to judge it.

    Parameters
    ----------
    X : (n_samples, n_features), as for training
    target : (n_samples, …)
    score : callable or None
        ``score(predictions, target)`` of arrays (n_outputs, n_samples) and (n_samples, …); higher is better. None is
        minus the loss.
    decides : bool
        Whether the score says when training stops and which epoch's network is kept; else it is only noted.
    """

    X: object
    target: Target
    score: Callable[[FloatArray, Target], float] | None
    decides: bool = True


class Trainer:
    """Trains a network.

    Parameters
    ----------
    network : MLP
    loss : Loss
    optimizer : Optimizer
    learning_rate : float
    lr_schedule : LearningRate
    evolution : Evolution or None
        None leaves the topology as it is.
    initializer : Initializer
        Scale of fresh weights, of which the evolution's ``grow_init`` may be a share.
    batch_size : int
    shuffle : bool
        Whether every epoch takes the samples in a new order.
    unit_pruning : ImportancePruning, optional
        Which hidden units are removed, and after which epochs.
    batch_transform : callable, optional
        ``batch_transform(X_batch, rng)`` returns what takes the place of a training batch (n, n_features), such as
        shifted images. It is given a copy that it may change. Neither validation data nor what rules of evolution
        look at go through it.
    streams : RandomStreams
    state : TrainingState, optional
        Where an earlier training of the same network ended. Moments of another kind of optimiser start anew.
    """

    def __init__(
        self,
        network: MLP,
        loss: Loss,
        *,
        optimizer: Optimizer,
        learning_rate: float,
        lr_schedule: LearningRate,
        evolution: Evolution | None,
        initializer: Initializer,
        batch_size: int,
        shuffle: bool,
        streams: RandomStreams,
        unit_pruning: ImportancePruning | None = None,
        batch_transform: BatchTransform | None = None,
        state: TrainingState | None = None,
    ):
        self.network = network
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.lr_schedule = lr_schedule
        self.evolution = evolution
        self.initializer = initializer
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.streams = streams
        self.unit_pruning = unit_pruning
        self.batch_transform = batch_transform
        self.stop_requested = False
        self.between_epochs = False  # True while callbacks look at the end of an epoch: what there is, is a whole state
        self.state = state or TrainingState(optimizer.init(network.params))
        if self.state.optimizer_state.keys() != optimizer.init(network.params[:0]).keys():
            self.state.optimizer_state, self.state.optimizer_steps = optimizer.init(network.params), 0

    def stop(self) -> None:
        """End the training after the batch, or the first one; a signal handler or another thread may call it.

        What there is then is whole: an epoch that is cut short counts as steps, but has no record.
        """
        self.stop_requested = True

    def train(
        self,
        X,
        target: Target,
        *,
        n_epochs: int,
        planned_epochs: int | None = None,
        validation: Validation | None = None,
        patience: float = math.inf,
        tol: float = 0.0,
        callbacks: Sequence[Callback] = (),
        resumed: bool = False,
    ) -> None:
        """Run some epochs.

        Parameters
        ----------
        X : (n_samples, n_features), C-contiguous array or CSR, of the network's dtype
        target : (n_samples, …), as the loss wants it
        n_epochs : int
            Epochs to run, unless training stops before.
        planned_epochs : int, optional
            This call is a part of a training that is planned to have so many epochs in several calls of this kind, one
            after another; the schedules go on from call to call. By default, they begin anew.
        validation : Validation, optional
            If given, and it decides, the network of the epoch with the best score is restored in the end; of the epochs
            since units were last removed.
        patience : float
            Epochs without improvement by more than `tol` after which training stops. Without validation data that
            decide, the training loss is watched, and only epochs count in which no connection was replaced.
        tol : float
        callbacks : sequence of Callback
        resumed : bool
            The state is that of a call with the same arguments, taken at the end of one of its epochs: do what was left
            of it.

        Raises
        ------
        ValueError
            If the arrays of a batch would not fit into memory, before anything is changed; or if the loss or
            a parameter becomes infinite or NaN.
        """
        batch_size = min(self.batch_size, X.shape[0])
        reader = BatchReader(X)
        self._check_memory(batch_size, reader)
        steps_per_epoch = -(-X.shape[0] // batch_size)
        progress = self.state.progress
        in_parts = planned_epochs is not None
        if not resumed and not (in_parts and progress.in_parts):
            progress.begin_plan(in_parts=in_parts)
            self.state.best = None
        total_epochs = planned_epochs if in_parts else n_epochs
        by_validation = validation is not None and validation.decides
        progress.plan(total_epochs, steps_per_epoch)
        workspace = self.network.workspace(batch_size, dense_inputs=not reader.is_sparse)
        notify(callbacks, "on_train_begin", self.network)
        if resumed:
            n_epochs -= progress.epoch - progress.plan_epoch
            answers = notify(callbacks, "on_resume", self.state.history[progress.plan_epoch :])
            if any(_is_yes(answer, "on_resume") for answer in answers):
                n_epochs = 0
        for _ in range(n_epochs):
            if resumed and progress.epochs_stalled(by_validation=by_validation) >= patience:
                break
            notify(callbacks, "on_epoch_begin", progress.epoch + 1)
            if self._prune_units(total_epochs):
                workspace = self.network.workspace(batch_size, dense_inputs=not reader.is_sparse)
                notify(callbacks, "on_units_removed", self.network)
                # The network of an earlier epoch would have these units again.
                self.state.best, progress.best = None, -math.inf
            record = self._epoch(reader, workspace, target, batch_size, validation, callbacks)
            if record is None:
                break
            self.state.history.append(record)
            value = record.validation_score if by_validation else -record.train_loss
            if by_validation and value > progress.best:
                snapshot = self.network.snapshot(*self.state.optimizer_state.values())
                self.state.best = BestEpoch(*snapshot, self.state.optimizer_steps)
            progress.observe(value, tol)
            self.between_epochs = True
            asked_to_stop = notify(callbacks, "on_epoch_end", record)
            self.between_epochs = False
            stalled = progress.epochs_stalled(by_validation=by_validation) >= patience
            if stalled or self.stop_requested or any(map(_is_yes, asked_to_stop)):
                break
        best, self.state.best = self.state.best, None
        if best is not None:
            self.network.restore((best.patterns, best.vectors), *self.state.optimizer_state.values())
            self.state.optimizer_steps = best.optimizer_steps
        notify(callbacks, "on_train_end", self.network)

    def _epoch(self, reader, workspace, target, batch_size, validation, callbacks) -> EpochRecord | None:
        """Make the steps of an epoch; returns its record, or None if it was cut short."""
        started = time.perf_counter()
        progress, network = self.state.progress, self.network
        samples = np.arange(reader.n_samples)
        if self.shuffle:
            self.streams("shuffle", progress.epoch).shuffle(samples)
        replaced = np.zeros(len(network.layers), dtype=np.int64)
        summed_loss = 0.0
        progress.epoch_step = 0
        for batch in in_batches(samples, batch_size):
            if self.stop_requested and progress.epoch_step:
                break
            if self.evolution is not None:
                replaced += self._evolve(reader, workspace, target, batch_size, callbacks)
            self._read(reader, workspace, batch)
            z = network.forward(workspace, self._dropout_rng())
            loss = self.loss(z, target[batch], z)  # the gradient takes the place of z
            network.backward(workspace)
            learning_rate = self._step()
            summed_loss += loss * batch.size
            self._check_finite("training loss", math.isfinite(loss))
        self._check_finite("weights", all_finite(network.params))
        # Adam takes no step any more where the square of a gradient has overflowed, and the loss stays finite.
        self._check_finite("solver's moments", all(map(all_finite, self.state.optimizer_state.values())))
        if progress.epoch_step * batch_size < reader.n_samples:
            return None
        progress.epoch += 1
        progress.settled = 0 if replaced.any() else progress.settled + 1
        validation_loss, validation_score = self._validate(validation)
        return EpochRecord(
            epoch=progress.epoch,
            train_loss=summed_loss / reader.n_samples,
            validation_loss=validation_loss,
            validation_score=validation_score,
            learning_rate=learning_rate,
            nnz=[layer.nnz for layer in network.layers],
            edges_replaced=replaced.tolist(),
            seconds=time.perf_counter() - started,
        )

    def _read(self, reader, workspace, batch):
        """Put a training batch into the workspace."""
        if self.batch_transform is None:
            workspace.read(reader, batch)
        else:
            rng = self.streams("batch transform", self.state.progress.step)
            workspace.read(reader.transformed(batch, self.batch_transform, rng), np.arange(batch.size))

    def _step(self) -> float:
        """One step of the optimiser along the gradient; returns the learning rate it had."""
        progress = self.state.progress
        factor = self.lr_schedule.factor(progress.steps_of_plan, progress.planned_steps)
        if not (isinstance(factor, Real) and 0 <= factor < math.inf):
            raise ValueError(
                f"{self.lr_schedule!r} returned the factor {factor!r}; it must be a finite number, not below 0."
            )
        learning_rate = self.learning_rate * factor
        progress.step += 1
        progress.epoch_step += 1
        self.state.optimizer_steps += 1
        self.optimizer.step(
            self.network.params,
            self.network.gradient,
            self.state.optimizer_state,
            learning_rate=learning_rate,
            n_weights=self.network.n_weights,
            n_steps=self.state.optimizer_steps,
        )
        return learning_rate

    def _evolve(self, reader, workspace, target, batch_size, callbacks) -> np.ndarray:
        """Change the topology if an update is due; returns how many connections of each layer were replaced."""
        progress, network = self.state.progress, self.network
        drop_fraction = due_fraction(
            self.evolution.schedule, progress.steps_of_plan, progress.epoch_step, progress.planned_steps
        )
        if not drop_fraction:
            return np.zeros(len(network.layers), dtype=np.int64)
        self._check_finite("weights", all_finite(network.params))  # rules select by comparing, which NaN defeats

        def seen(n_samples):  # the same samples for all signals of an update
            samples = draw_samples(reader.n_samples, n_samples, self.streams("signal samples", progress.step))
            return network, self.loss, reader, workspace, samples, batch_size

        def activations(n_samples):
            return ActivationStream(*seen(n_samples))

        def errors(n_samples):
            return ErrorStream(
                *seen(n_samples), target, lambda loss: self._check_finite("training loss", math.isfinite(loss))
            )

        def gradient(n_samples):
            return errors(n_samples).gradient()

        # Activations that overflow here make the loss infinite as well, which is reported in words.
        with np.errstate(over="ignore", invalid="ignore"):
            rewirings = evolve(
                network.layers,
                self.evolution,
                drop_fraction,
                self.streams("evolve", progress.step),
                {"activations": activations, "errors": errors, "gradient": gradient, "progress": progress},
            )
        network.rewire(rewirings, *self.state.optimizer_state.values())
        self._initialise_grown(rewirings)
        notify(callbacks, "on_topology_change", progress.step, rewirings)
        return np.array([0 if rewiring is None else rewiring.n_replaced for rewiring in rewirings])

    def _prune_units(self, n_epochs: int) -> bool:
        """Remove hidden units if that is due; returns whether any went."""
        progress, state = self.state.progress, self.state.optimizer_state
        if self.unit_pruning is None or not self.unit_pruning.is_due(progress.epoch - progress.plan_epoch, n_epochs):
            return False
        kept = self.unit_pruning(self.network.layers)
        if all(mask.all() for mask in kept):
            return False
        moments = self.network.keep_units(kept, *state.values())
        state.update(zip(state, moments, strict=True))
        return True

    def _initialise_grown(self, rewirings) -> None:
        """Give grown weights, which are zero so far, their first values."""
        grow_init = self.evolution.grow_init
        if grow_init == "zeros":
            return
        initializer, factor = (self.initializer, grow_init) if isinstance(grow_init, Real) else (grow_init, 1.0)
        rng = self.streams("grown weights", self.state.progress.step)
        for layer, rewiring in zip(self.network.layers, rewirings, strict=True):
            if rewiring is not None:
                layer.data[rewiring.grown] = factor * draw(initializer, layer.pattern, rewiring.grown, rng)

    def _dropout_rng(self):
        return self.streams("dropout", self.state.progress.step) if self.network.dropout > 0 else None

    def _validate(self, validation) -> tuple[float, float]:
        if validation is None:
            return math.nan, math.nan
        z = forward_all(self.network, validation.X)
        loss = self.loss(z, validation.target, np.empty_like(z))
        self._check_finite("validation loss", math.isfinite(loss))
        score = -loss if validation.score is None else validation.score(self.loss.predictions(z), validation.target)
        return loss, float(score)

    def _check_memory(self, batch_size, reader) -> None:
        needed = self.network.bytes_needed(batch_size, dense_inputs=not reader.is_sparse)
        available = available_bytes()
        if available is not None and needed > available:
            raise ValueError(
                f"batch_size={batch_size} needs {needed} bytes for the activations of this network, more than the "
                f"{available} bytes of memory that are available; a smaller one is allowed."
            )

    def _check_finite(self, what, is_finite) -> None:
        if not is_finite:
            progress = self.state.progress
            raise ValueError(
                f"The {what} became infinite or NaN in epoch {progress.epoch + 1}, step {progress.step}. Lower "
                f"learning_rate_init={self.learning_rate:g}, or scale the features (and for regression the targets) to "
                "a standard deviation of about 1."
            )


def _is_yes(answer, event="on_epoch_end") -> bool:
    if answer is not None and not isinstance(answer, bool | np.bool_):
        raise ValueError(
            f"{event} of a callback returned {answer!r}; True, which asks to stop, False or None are allowed."
        )
    return bool(answer)
