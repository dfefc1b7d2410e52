"""Many training steps in one call of a kernel, where nothing in a step needs Python (`truesparse.kernels.steps`)."""

from collections.abc import Callable
from typing import Any

import numpy as np

from truesparse._typing import FloatArray, IndexArray
from truesparse.data.source import Source
from truesparse.kernels.jit import current_threads, threads
from truesparse.kernels.losses import SOFTMAX
from truesparse.kernels.steps import train_steps
from truesparse.kernels.update import smallest_normal
from truesparse.network.layer_table import LayerTable
from truesparse.network.losses import values_and_weights
from truesparse.network.mlp import MLP
from truesparse.network.workspace import Workspace
from truesparse.runtime.random_streams import Draws
from truesparse.training.recipe import Recipe
from truesparse.training.state import TrainingState

_NO_CLASSES, _NOTHING = np.empty(0, dtype=np.int64), np.empty((1, 0))
_MOST_WORK = 2**28  # numbers that are read or multiplied in one call, some hundredths of a second


class CompiledSteps:
    """Steps of one training; they give the same bytes as those of `truesparse.training.trainer`.

    Parameters
    ----------
    network, recipe, source, workspace, batch_size
        As a trainer has them.
    n_threads : int
        The most threads that share a step, each with tiles of the batch.
    """

    _optimizer: Any  # a KernelOptimizer
    _target: Any
    _in_memory: Callable[[IndexArray], Any]

    def __init__(
        self, network: MLP, recipe: Recipe, source: Source, workspace: Workspace, batch_size: int, n_threads: int
    ):
        self._network, self._recipe, self._optimizer = network, recipe, recipe.optimizer
        self._n_features, self._target, self._in_memory = source.n_features, source.target, source.in_memory
        self._workspace, self._batch_size = workspace, batch_size
        n_tiles = workspace.shape.n_tiles
        shared = min(n_threads, n_tiles) > 1
        self._gradients = np.zeros((n_tiles, network.params.size), network.dtype) if shared else None
        self._cleared_for: list[int] | None = None  # versions of the layers

    @classmethod
    def of(cls, network: Any, recipe: Recipe, source: Source, *rest: Any) -> "CompiledSteps | None":
        """Return the steps of a training; None if network, loss, optimiser or source need Python in a step."""
        can_read = source.in_memory(np.empty(0, dtype=np.int64)) is not None
        is_known = recipe.loss.kind is not None and hasattr(recipe.optimizer, "numbers")
        return cls(network, recipe, source, *rest) if can_read and is_known and network.is_in_kernels else None

    @property
    def most(self) -> int:
        """Number of steps that a call may make, so that it ends soon after somebody asks the training to stop."""
        return max(1, _MOST_WORK // (self._batch_size * (self._network.params.size + self._n_features)))

    def run(
        self, state: TrainingState, samples: IndexArray, learning_rates: list[float], draws: Draws
    ) -> list[tuple[float, int]]:
        """Make a step for each learning rate; return the mean loss and the number of samples of each.

        `samples` are those of all steps, (at most n_steps · batch_size,); `draws` are those of the first step.
        """
        network, recipe, workspace, n = self._network, self._recipe, self._workspace, self._batch_size
        n_parts = min(current_threads(), workspace.shape.n_tiles)
        X, rows = self._in_memory(samples)
        workspace.begin(n)
        workspace.set_dropout(network.dropout, draws)
        batch = network.passes.batch_for_backward(workspace)
        values, weights = values_and_weights(self._target)
        classes, values = (values[samples], _NOTHING) if recipe.loss.kind == SOFTMAX else (_NO_CLASSES, values[samples])
        numbers = np.zeros((len(learning_rates), 4), dtype=network.dtype)
        for step, learning_rate in enumerate(learning_rates):
            of_step = self._optimizer.numbers(learning_rate, state.optimizer_steps + step + 1)
            numbers[step, : len(of_step)] = of_step
        moments, squares = (*state.optimizer_state.values(), network.params[:0])[:2]
        losses = np.zeros((len(learning_rates), n))
        with threads(n_parts):
            train_steps(
                batch.table.rows, network.passes.slopes, batch.slopes, network.params, self._buffers(batch.table),
                *batch.arrays, (np.uint64(draws.key), *workspace.dropout[1:]), draws.step, workspace.shape.stride,
                batch.table.index, *batch.tiles, X, rows, n, recipe.loss.kind, float(recipe.loss.parameter),
                classes, values, _NOTHING[0] if weights is None else weights[samples], moments, squares, numbers,
                network.dtype.type(recipe.alpha), network.n_weights, smallest_normal(network.dtype), losses,
                n_parts,
            )  # fmt: skip
        sizes = [min(n, samples.size - start) for start in range(0, samples.size, n)]
        return [(float(of_step[:size].mean()), size) for of_step, size in zip(losses, sizes, strict=True)]

    def _buffers(self, table: LayerTable) -> FloatArray:
        """Return a vector of gradients for each tile if several threads work, else one, zero where nothing writes."""
        if self._gradients is None:
            return self._network.gradient[None]
        if table.versions != self._cleared_for:
            if self._gradients.shape[1] != self._network.params.size:
                self._gradients = np.zeros((len(self._gradients), self._network.params.size), self._network.dtype)
            self._gradients[:] = 0
            self._cleared_for = table.versions
        return self._gradients
