"""The training loop.

Before each step, the topology may evolve; then forward, loss, backward, step. An update at the end of an epoch is made
at the start of the next one, so that an epoch's scores are those of the trained network, and no training ends with
untrained connections.
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from truesparse._typing import IndexArray
from truesparse.data.source import Source, alone, released, without_small_end
from truesparse.data.transformed import Transformed
from truesparse.evolution.evolve import Due, Evolution, due_update, evolve, initialise_grown
from truesparse.evolution.signals import Signals
from truesparse.kernels.draws import LANES_PER_NUMBER
from truesparse.kernels.jit import current_threads, threads
from truesparse.kernels.update import all_finite
from truesparse.network.mlp import MLP
from truesparse.network.workspace import BatchShape
from truesparse.runtime.random_streams import Draws, RandomStreams
from truesparse.topology import Rewiring
from truesparse.training.agreement import add_up_step, any_of, check_same_network
from truesparse.training.checks import check_finite, check_memory, checked_factor
from truesparse.training.compiled import CompiledSteps
from truesparse.training.events import Callback, asks_to_stop, notify
from truesparse.training.recipe import Recipe, weight_counts
from truesparse.training.sharing import STEPS_OF_TRIAL, Pace, shares_rows, useful_threads
from truesparse.training.state import BestEpoch, EpochRecord, EpochSums, Start, TrainingState
from truesparse.training.temperature import calibrate
from truesparse.training.validation import Validation


class Trainer:
    """Training of a network.

    Parameters
    ----------
    network, recipe, source, seed : MLP, Recipe, Source, int
        The source has the network's dtype and encoded targets; the seed is that of all random streams.
    state : TrainingState, optional
        State of an earlier training of this network. Moments of another kind of optimiser start anew.
    validation : Validation, optional
        If it decides, the network of the best epoch since units were last removed is restored in the end.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.data import ArraySource
    >>> from truesparse.evolution import preset
    >>> from truesparse.network.losses import SoftmaxCrossEntropy
    >>> from truesparse.training import Recipe, Trainer, new_network
    >>> X = np.random.default_rng(0).normal(size=(200, 10)).astype(np.float32)
    >>> source = ArraySource(X, (X[:, 0] > 0).astype(int))
    >>> recipe = Recipe(SoftmaxCrossEntropy(), (50,), epsilon=3, evolution=preset("cte"), n_epochs=30)
    >>> trainer = Trainer(new_network(recipe, source, n_outputs=2, seed=0), recipe, source, seed=0)
    >>> trainer.train()
    >>> trainer.state.history[-1].train_loss < 0.2
    True
    """

    def __init__(
        self,
        network: MLP,
        recipe: Recipe,
        source: Source,
        *,
        seed: int,
        state: TrainingState | None = None,
        validation: Validation | None = None,
        callbacks: Sequence[Callback] = (),
    ):
        if network.normalises_batches and source.reduce is not alone:
            raise ValueError(f"source={source!r}: several processes cannot share the batches of a batch norm.")
        self.network, self.recipe, self.source, self.validation = network, recipe, source, validation
        self.callbacks, self.streams = callbacks, RandomStreams(seed)
        self.stop_requested = False
        self.is_resumable = False  # True during events in which a checkpoint can be written
        self.state = state or TrainingState(recipe.optimizer.init(network.params))
        if self.state.optimizer_state.keys() != recipe.optimizer.init(network.params[:0]).keys():
            self.state.optimizer_state, self.state.optimizer_steps = recipe.optimizer.init(network.params), 0
        network.dropout = recipe.dropout
        self.counts = weight_counts(recipe, [layer.shape for layer in network.layers])  # None if they stay
        self._batch_size = min(recipe.batch_size, source.n_samples)
        multiple = LANES_PER_NUMBER if recipe.dropout else 1
        self._largest_part = max(1, source.most_of(self._batch_size, multiple))  # of a batch, in this process
        self._reduce = source.reduce
        self._stop_agreed = False  # with several processes: by all of them, in the step after somebody asked
        self._inputs = source
        # Functions that are kept do not refer to the trainer, which would keep the samples until garbage is collected.
        streams, progress = self.streams, self.state.progress
        check = self._check_finite = partial(check_finite, progress, recipe.learning_rate)
        if recipe.batch_transform is not None:
            self._inputs = Transformed(
                source, recipe.batch_transform, lambda: streams("batch transform", progress.step, source.first),
                n_outputs=network.layer_sizes[-1],
            )  # fmt: skip
        self._dropout_key = self.streams.key("dropout")
        self._signals = Signals(
            network, recipe.loss, source, batch_size=self._largest_part, streams=streams, progress=progress,
            check_loss=lambda loss: check("training loss", math.isfinite(loss)),
        )  # fmt: skip

    def stop(self) -> None:
        """End the training after the current batch, or the first one; a signal handler or a thread may call it.

        The network is always in a consistent state. If an epoch is cut short, its steps count, but it has no record.
        """
        self.stop_requested = True

    def train(self, start: Start = Start.NEW) -> None:
        """Run the epochs that are due.

        Raises ValueError if the arrays of a batch do not fit into memory, before anything is changed; or if the loss or
        a parameter becomes infinite or NaN.
        """
        needed = self.network.bytes_needed(self._largest_part, dense_inputs=not self.source.is_sparse)
        check_memory(self._batch_size, needed)
        sources = [self.source] if self.validation is None else [self.source, self.validation.source]
        useful = useful_threads(self.network.work, self._largest_part, current_threads(), tile=self.network.tile)
        with threads(useful), released(*sources):
            self._train(start)

    def _train(self, start: Start) -> None:
        progress, recipe = self.state.progress, self.recipe
        in_parts, resumed = start is Start.PART, start is Start.RESUMED
        if not resumed and not (in_parts and progress.in_parts):
            progress.begin_plan(in_parts=in_parts, temperature=recipe.temperature)
            self.state.best = None
        self.state.sums = self.state.sums if resumed else None
        steps_per_epoch, within_epoch = self.source.n_batches(self._batch_size), self.state.sums is not None
        progress.plan(recipe.n_epochs, steps_per_epoch, within_epoch=within_epoch)
        n_left = 1 if in_parts else recipe.n_epochs - (progress.epoch - progress.plan_epoch)
        self._make_workspace()
        self._notify("on_train_begin")
        if resumed:
            asked = asks_to_stop("on_resume", self._notify("on_resume", self.state.history[progress.plan_epoch :]))
            n_left = 0 if any_of(self._reduce, asked) else n_left
        for left in reversed(range(n_left)):
            if resumed and self._is_stalled():
                break
            self._notify("on_epoch_begin", progress.epoch + 1)
            if self.state.sums is None:
                self._prune_units()
            if left:
                self.source.announce(self._shuffle(progress.epoch + 1))
            if (record := self._epoch()) is None:
                break
            self._keep_if_best(record)
            asked = asks_to_stop("on_epoch_end", self._let_write_checkpoint("on_epoch_end", record))
            if any_of(self._reduce, asked) or self._stops or self._is_stalled():
                break
        best, self.state.best = self.state.best, None
        if best is not None:
            self.network.restore((best.patterns, best.vectors), *self.state.optimizer_state.values())
            self.state.optimizer_steps = best.optimizer_steps
        self.stop_requested = self._stops
        if not self.stop_requested:
            calibrate(self.network, self.recipe.loss, self.validation, progress.temperature)
        self._notify("on_train_end")

    def _epoch(self) -> EpochRecord | None:
        """Make the steps of an epoch, or those that are left; return its record, or None if it was cut short."""
        progress, network = self.state.progress, self.network
        if self.state.sums is None:
            progress.epoch_step = 0
            self.state.sums = EpochSums(np.zeros(len(network.layers), dtype=np.int64), self.recipe.n_epochs)
        sums = self.state.sums
        with sums.timed():
            self._pass(sums)
        self._check_finite("weights", all_finite(network.params))
        # Where the square of a gradient has overflowed, Adam makes no more steps, and the loss stays finite.
        self._check_finite("solver's moments", all(map(all_finite, self.state.optimizer_state.values())))
        self.state.sums = None
        if sums.n_seen < self.source.n_samples:
            return None
        check_same_network(self._reduce, network)
        progress.epoch += 1
        progress.settled = 0 if sums.replaced.any() else progress.settled + 1
        with sums.timed():
            judged = math.nan, math.nan
            if self.validation is not None:
                judged = self.validation.judge(network, self.recipe.loss)
                self._check_finite("validation loss", math.isfinite(judged[0]))
        return sums.record(progress.epoch, judged, [layer.nnz for layer in network.layers])

    def _shuffle(self, epoch: int) -> np.random.Generator | None:
        return self.streams("shuffle", epoch) if self.recipe.shuffle else None

    def _pass(self, sums: EpochSums) -> None:
        """Make the steps that are left of an epoch, unless asked to stop, and add them to its sums."""
        progress, n_chunks = self.state.progress, None
        for samples in self._parts(self._shuffle(progress.epoch), sums.n_seen):
            if self._stops and progress.epoch_step:
                break
            if n_chunks is not None and self.source.chunks_passed > n_chunks:
                self._let_write_checkpoint("on_chunks", self.source.chunks_passed)
            n_chunks = self.source.chunks_passed
            sums.replaced += self._evolve()
            with self._pace.timed(max(1, -(-samples.size // self._batch_size))):
                if self._compiled is None:
                    n = samples.size  # of the batch, over all processes
                    if not self.network.normalises_batches:
                        n = min(self._batch_size, self.source.n_samples - sums.n_seen)
                    sums.add(n * self._forward_backward(samples, n), n, self._step())
                    self._check_finite("training loss", math.isfinite(sums.summed_loss))
                else:
                    self._compiled_steps(samples, sums)
            if self._watches_steps:
                self._notify("on_step", progress.step)

    def _parts(self, rng: np.random.Generator | None, n_seen: int) -> Iterator[IndexArray]:
        """Yield the samples of an epoch after the first `n_seen`.

        They are those of a step, or of all compiled steps up to an update of the topology.
        """
        if self._compiled is None:
            size = self._batch_size
            batches = self.source.runs(size, 1, rng, n_seen) if n_seen else self.source.batches(size, rng)
            if self.network.normalises_batches:
                batches = without_small_end(batches, size, self.source.n_samples - n_seen)
            yield from batches
            return
        for samples in self.source.runs(self._batch_size, self._compiled.most, rng, n_seen):
            while samples.size:
                most = 1 if self.stop_requested else STEPS_OF_TRIAL if self._pace.is_trial else self._compiled.most
                n = self._batch_size * self._steps_to_update(min(most, -(-samples.size // self._batch_size)))
                yield samples[:n]
                samples = samples[n:]

    def _steps_to_update(self, most: int) -> int:
        """Return after how many steps from now the topology is updated next, or `most`."""
        return next((n for n in range(1, most) if self._due(after=n)), most)

    def _compiled_steps(self, samples: IndexArray, sums: EpochSums) -> None:
        """Make the steps of some samples."""
        progress, n_steps = self.state.progress, -(-samples.size // self._batch_size)
        learning_rates = [self._learning_rate(after=n) for n in range(n_steps)]
        draws = Draws(self._dropout_key, progress.step)
        of_steps = self._compiled.run(self.state, samples, learning_rates, draws)
        for (loss, n), learning_rate in zip(of_steps, learning_rates, strict=True):
            progress.advance(1, self.network.n_weights)
            self.state.optimizer_steps += 1
            sums.add(loss * n, n, learning_rate)
            self._check_finite("training loss", math.isfinite(sums.summed_loss))

    def _forward_backward(self, samples, n: int) -> float:
        """Set the gradient of a batch of `n` samples over all processes; return its mean loss."""
        network, workspace = self.network, self._workspace
        loss = 0.0
        if samples.size:
            # Draws of dropout begin at every fourth sample of a batch; those before ours stand for others' samples.
            before = self.source.column % LANES_PER_NUMBER if network.dropout else 0
            padded = np.pad(samples, (before, 0), mode="edge") if before else samples
            target: Any = self._inputs.read_batch(padded, workspace)
            draws = Draws(self._dropout_key, self.state.progress.step, self.source.column - before)
            z = network.forward(workspace, draws)
            z[:, :before], z = 0, z[:, before:]
            loss = self.recipe.loss(z, target[before:] if before else target, z)  # the gradient replaces z
            if samples.size < n:
                z *= samples.size / n
            network.backward(workspace)
        else:
            network.gradient[:] = 0
        if self._reduce is alone:
            return loss
        share = loss * samples.size / n
        loss, self._stop_agreed = add_up_step(self._reduce, network.gradient, share, self.stop_requested)
        return loss

    @property
    def _stops(self) -> bool:
        """Whether the training is to end, in all processes alike."""
        return self.stop_requested if self._reduce is alone else self._stop_agreed

    def _step(self) -> float:
        """Make one step of the optimiser along the gradient; return its learning rate."""
        network, progress, state, recipe = self.network, self.state.progress, self.state, self.recipe
        learning_rate = self._learning_rate()
        progress.advance(1, network.n_weights)
        state.optimizer_steps += 1
        recipe.optimizer.step(
            network.params, network.gradient, state.optimizer_state, learning_rate=learning_rate, alpha=recipe.alpha,
            n_weights=network.n_weights, n_steps=state.optimizer_steps,
        )  # fmt: skip
        return learning_rate

    def _learning_rate(self, after: int = 0) -> float:
        """Return the learning rate of the step that comes after so many others."""
        progress, schedule = self.state.progress, self.recipe.lr_schedule
        factor = schedule.factor(progress.steps_of_plan + after, progress.planned_steps)
        return self.recipe.learning_rate * checked_factor(schedule, factor)

    def _due(self, after: int = 0) -> Due | None:
        """Return the update of the topology before the step that comes after so many others, None if none is due."""
        progress = self.state.progress
        place = progress.steps_of_plan + after, progress.epoch_step + after, progress.planned_steps
        return due_update(self.recipe.evolution, self.counts, self.network.layers, *place)

    def _evolve(self) -> np.ndarray:
        """Update the topology if that is due; return how many connections of each layer were replaced."""
        progress, network, evolution = self.state.progress, self.network, self.recipe.evolution
        due = self._due()
        if evolution is None or due is None:
            return np.zeros(len(network.layers), dtype=np.int64)
        self._check_finite("weights", all_finite(network.params))  # rules select by comparing, which NaN defeats
        rewirings = self._choose(evolution, due)
        for name, moments in self.state.optimizer_state.items():  # one by one, so that each old vector is freed
            self.state.optimizer_state[name] = network.carried(rewirings, moments)
        network.rewire(rewirings)
        rng = self.streams("grown weights", progress.step)
        initialise_grown(network.layers, rewirings, evolution.grow_init, self.recipe.initializer, rng)
        self._notify("on_topology_change", progress.step, rewirings)
        return np.array([0 if rewiring is None else rewiring.n_replaced for rewiring in rewirings])

    def _choose(self, evolution: Evolution, due: Due) -> list[Rewiring | None]:
        """Return the next topology."""
        step = self.state.progress.step
        signals, rng = self._signals.at(step, self._workspace), self.streams("evolve", step)
        self.network.free_index()  # rules need the memory; a pass that needs the transposed index makes it anew
        # Activations that overflow here make the loss infinite as well, which raises an error.
        with np.errstate(over="ignore", invalid="ignore"):
            return evolve(self.network.layers, evolution, due.drop_fraction, rng, signals, due.counts)

    def _prune_units(self) -> None:
        """Remove hidden units if that is due."""
        progress, state = self.state.progress, self.state.optimizer_state
        rule = None if self.recipe.evolution is None else self.recipe.evolution.unit_pruning
        if rule is None or not rule.is_due(progress.epoch - progress.plan_epoch, self.recipe.n_epochs):
            return
        kept = rule(self.network.layers)
        if all(mask.all() for mask in kept):
            return
        moments = self.network.keep_units(kept, *state.values())
        state.update(zip(state, moments, strict=True))
        self._make_workspace()
        self._notify("on_units_removed")
        self.state.best, progress.best = None, -math.inf  # the network of an earlier epoch still has these units

    @property
    def _is_falling(self) -> bool:
        """Whether the network still has more weights than it is to have in the end."""
        return self.counts is not None and self.counts.is_falling(self.network.layers)

    def _is_stalled(self) -> bool:
        """Return whether patience has run out; without validation, only epochs without replaced connections count."""
        progress, decides = self.state.progress, self.validation is not None and self.validation.decides
        if self._is_falling:
            return False
        return (progress.stall if decides else min(progress.stall, progress.settled)) >= self.recipe.patience

    def _keep_if_best(self, record: EpochRecord) -> None:
        """Record an epoch, and keep its network if it has the best validation score so far."""
        state, progress = self.state, self.state.progress
        state.history.append(record)
        if self._is_falling:  # a network of more weights is no candidate
            return
        if self.validation is None or not self.validation.decides:
            progress.observe(-record.train_loss, self.recipe.tol)
            return
        value = self.validation.value(record)
        if value > progress.best:
            state.best = BestEpoch(*self.network.snapshot(*state.optimizer_state.values()), state.optimizer_steps)
        progress.observe(value, self.recipe.tol)

    def _make_workspace(self) -> None:
        n_threads, is_dense, network = current_threads(), not self.source.is_sparse, self.network
        by_rows = shares_rows(network.params.size, self._largest_part, n_threads)
        self._pace = Pace(n_threads)
        shape = BatchShape.of(self._largest_part, n_threads=1 if by_rows else n_threads)
        self._workspace = network.workspace(self._largest_part, dense_inputs=is_dense, shape=shape)
        self._compiled: Any = None
        if not (by_rows or self._watches_steps or self._reduce is not alone):
            self._compiled = CompiledSteps.of(
                network, self.recipe, self._inputs, self._workspace, self._batch_size, n_threads
            )

    @property
    def _watches_steps(self) -> bool:
        return any(hasattr(callback, "on_step") for callback in self.callbacks)

    def _notify(self, event: str, *args) -> list:
        return notify(self.callbacks, event, self.network, *args)

    def _let_write_checkpoint(self, event: str, *args) -> list:
        """Notify of an event after which the training can go on from a checkpoint."""
        self.is_resumable = True
        answers = self._notify(event, *args)
        self.is_resumable = False
        return answers
