"""Training in rounds: each part of the samples makes some steps of its own, then the networks are averaged.

    θ ← Σ_k n_k / n · θ_k          the same for the moments of the optimiser

θ_k are the parameters after the steps of part k, which has n_k of the n samples; all parts begin with the same θ. This
is local SGD, or federated averaging (McMahan et al., "Communication-efficient learning of deep networks from
decentralized data", 2017).

In a step, each of K parts takes batch_size / K samples, so that all parts together take a batch, and schedules count
the same steps as in one process. A round ends after `local_steps` steps, or before if the topology is updated or the
epoch ends. Parts with fewer samples make proportionally fewer steps, so that all end their epochs together. The client,
where the loop runs, adds up in the order of the parts: the result depends on how samples are divided into parts, not on
who works on them.
"""

import copy
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from truesparse._typing import FloatArray, IndexArray
from truesparse.data.source import in_batches
from truesparse.distributed.dask_replay import evolve_by_sums
from truesparse.distributed.dask_source import DaskSource, DrawnRows, Share, TooManyRowsError
from truesparse.kernels.jit import current_threads
from truesparse.network.mlp import MLP
from truesparse.runtime.random_streams import RandomStreams
from truesparse.runtime.threads import threads
from truesparse.training.state import EpochSums, Progress, TrainingState
from truesparse.training.trainer import Trainer

_MOST_FETCHED = 2**26  # bytes of rows that the client fetches for an update of the topology
_SPREAD_EVERY = 5.0  # seconds between looks at which worker holds what


@dataclass(frozen=True, eq=False)
class RoundState:
    """What all parts begin a round with. Tasks must not change it."""

    network: MLP
    optimizer_state: dict[str, FloatArray]
    optimizer_steps: int
    progress: Progress


class RoundTrainer(Trainer):
    """Trainer in the client, whose source is a `DaskSource`."""

    source: DaskSource

    def __init__(self, network: MLP, recipe: Any, source: DaskSource, *, seed: int, local_steps: int, **options: Any):
        super().__init__(network, recipe, source, seed=seed, **options)
        self._local_steps, self._workers = local_steps, source.parts.workers
        self._shares = source.shares(recipe, seed)
        self._sizes = source.part_sizes
        self._steps_of_parts = [-(-size // source.of_part(self._batch_size)) for size in self._sizes]
        self._signals = replace(self._signals, source=DrawnRows(source, _MOST_FETCHED))
        self._spread_at = time.monotonic()

    def _pass(self, sums):
        """Make the rounds of an epoch; see `Trainer`."""
        progress, n_steps = self.state.progress, max(self._steps_of_parts)
        while progress.epoch_step < n_steps:
            if self._stops and progress.epoch_step:
                break
            sums.replaced += self._evolve()
            n = self._steps_to_update(min(self._local_steps, n_steps - progress.epoch_step))
            learning_rate = self._learning_rate(after=n - 1)
            sums.add(*self._round(n), learning_rate)
            if self._watches_steps:
                self._notify("on_step", progress.step)

    def _round(self, n):
        """Let all parts make the next `n` steps, and average; return the sum of the losses, and their number."""
        progress, state = self.state.progress, self.state
        if time.monotonic() > self._spread_at + _SPREAD_EVERY:
            self._workers.spread(self._shares)
            self._spread_at = time.monotonic()
        calls, n_steps = [], max(self._steps_of_parts)
        for part, own in enumerate(self._steps_of_parts):
            begin, end = (step * own // n_steps for step in (progress.epoch_step, progress.epoch_step + n))
            if begin < end:
                calls.append((part, begin, end, current_threads()))
        results = self._on_shares(train_part, calls, self._round_state())
        vectors = [self.network.params, *state.optimizer_state.values()]
        made = {call[0]: of_part for call, (of_part, _, _) in zip(calls, results, strict=True)}
        averages = [np.zeros(vector.size) for vector in vectors]
        for part, size in enumerate(self._sizes):
            for average, vector in zip(averages, made.get(part, vectors), strict=True):
                average += size / self.source.n_samples * vector.astype(np.float64)
        for average, vector in zip(averages, vectors, strict=True):
            vector[:] = average
        progress.advance(n, self.network.n_weights)
        state.optimizer_steps += n
        return sum(loss for _, loss, _ in results), sum(n_samples for _, _, n_samples in results)

    def _choose(self, evolution, due):
        """Return the next topology; see `Trainer`."""
        try:
            return super()._choose(evolution, due)
        except TooManyRowsError:
            begun, n_samples = self._workers.hold(self._round_state()), self.source.n_samples
            parts, hold = len(self._sizes), self._workers.hold
            return evolve_by_sums(self._on_shares, parts, n_samples, begun, due, hold)

    def _on_shares(self, function, calls, *shared):
        """Return what a function makes of the shares, each on a worker that holds it."""
        return self._workers.run(function, calls, *shared, held=[self.source.parts.held, self._shares])

    def _round_state(self):
        state = self.state
        return RoundState(self.network, state.optimizer_state, state.optimizer_steps, state.progress)


class _PartTrainer(Trainer):
    """Trainer of some steps of an epoch, on a worker."""

    def __init__(self, share: Share, begun: RoundState, begin: int, end: int):
        moments = {name: vector.copy() for name, vector in begun.optimizer_state.items()}
        state = TrainingState(moments, begun.optimizer_steps, replace(begun.progress, epoch_step=begin))
        super().__init__(copy.deepcopy(begun.network), share.recipe, share.source(), seed=share.seed, state=state)
        self._begin, self._end, self._first = begin, end, share.first
        if share.first:  # the first part draws what one process would
            self._dropout_key = int(self.streams("dropout", 0, share.first).integers(2**63))

    def steps(self):
        """Make the steps; return the sum of their losses, and their samples."""
        self._make_workspace()
        n_before = self._begin * self._batch_size
        sums = EpochSums(self._evolve(), self.recipe.n_epochs, n_seen=n_before)
        self._pass(sums)
        return sums.summed_loss, sums.n_seen - n_before

    def _parts(self, rng, n_seen):
        own, n, size = self._first, self.source.n_samples, self._batch_size
        order = _order(self.streams.seed, self.state.progress.epoch, own, n) if self.recipe.shuffle else np.arange(n)
        most = 1 if self._compiled is None else self._compiled.most
        yield from in_batches(order[self._begin * size : self._end * size], size * most)

    def _evolve(self):
        return np.zeros(len(self.network.layers), dtype=np.int64)


def train_part(share: Share, begin: int, end: int, n_threads: int, begun: RoundState) -> tuple[list, float, int]:
    """Return parameters and moments after some steps of an epoch, the sum of their losses, and their samples."""
    with threads(n_threads):
        trainer = _PartTrainer(share, begun, begin, end)
        summed_loss, n_seen = trainer.steps()
    return [trainer.network.params, *trainer.state.optimizer_state.values()], summed_loss, n_seen


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, place: int, n: int) -> IndexArray:
    """Return the samples of a part in the order of an epoch, which all rounds of the epoch share."""
    samples = np.arange(n)
    RandomStreams(seed)("shuffle", epoch, place).shuffle(samples)
    return samples
