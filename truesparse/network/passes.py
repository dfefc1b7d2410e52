"""The forward and the backward pass of a network, as a list of steps that is made once.

    forward     z_l = W_l a_(l−1) + b_l,   a_l = dropout(f_l(z_l)),   a_0 = x
    backward    δ_L = ∂L/∂z_L,   δ_(l−1) = (W_lᵀ δ_l) · f′_(l−1)(z_(l−1)),
                ∂L/∂W_l = δ_l a_(l−1)ᵀ at the stored pairs,   ∂L/∂b_l = Σ_batch δ_l

The forward pass takes the steps in order, the backward pass in reverse. All arrays of a batch are in a `Workspace`, so
that several threads can use a network at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from truesparse._typing import FloatArray
from truesparse.kernels.backward import backward, backward_sparse_inputs, errors_of_products
from truesparse.kernels.dropout import silence
from truesparse.kernels.forward import activate, forward, forward_sparse_inputs
from truesparse.kernels.jit import current_threads
from truesparse.kernels.table import OUTPUT, PIECEWISE_LINEAR
from truesparse.network.activations import Activation
from truesparse.network.layer_table import LayerTable
from truesparse.network.layers import DenseLinear, Layer
from truesparse.network.workspace import Workspace

_LARGE_TABLE = 2**20  # parameters; a smaller table is not worth the time to make it once more


class Batch(NamedTuple):
    """Arguments of a pass over one batch, as its steps hand them to kernels."""

    workspace: Workspace
    table: LayerTable  # held here, since it keeps alive what its rows point to
    slopes: FloatArray  # (n_layers,)
    arrays: tuple  # activations, masks, and bits of dropout, as vectors
    tiles: tuple  # the width of a tile as kernels take it, and the number of tiles
    n_threads: int
    all_units: bool  # whether even the units that are on no path to an output are computed


@dataclass(frozen=True, eq=False)
class KernelSpan:
    """Layers from `first` up to but not including `last`, computed by one call of a kernel with fused activations."""

    first: int
    last: int
    params: FloatArray  # (n_params,), of the whole network
    gradient: FloatArray  # likewise
    skips: bool  # whether units that are on no path to an output may be left out

    def forward(self, batch: Batch) -> None:
        """Compute the layers' outputs."""
        rows, index, tiles, start = batch.table.rows, batch.table.index, batch.tiles, self.first
        inputs, dropout, stride = batch.workspace.sparse_inputs, batch.workspace.dropout, batch.workspace.shape.stride
        if start == 0 and inputs is not None:
            forward_sparse_inputs(
                rows[0], batch.slopes[0], self.params, *batch.arrays, dropout, stride, inputs.features,
                inputs.values.reshape(-1), index, *tiles, batch.n_threads,
            )  # fmt: skip
            start = 1
        skip = self.skips and not batch.all_units
        forward(
            rows, batch.slopes, start, self.last, self.params, *batch.arrays, dropout, stride, skip, index, *tiles,
            batch.n_threads,
        )  # fmt: skip

    def backward(self, batch: Batch) -> None:
        """Fill the layers' gradients, and turn the activations below them into errors."""
        rows, index, tiles = batch.table.rows, batch.table.index, batch.tiles
        inputs = batch.workspace.sparse_inputs if self.first == 0 else None
        factor, stride = batch.workspace.dropout[2], batch.workspace.shape.stride
        backward(
            rows, batch.slopes, 1 if inputs is not None else self.first, self.last, self.params, self.gradient,
            *batch.arrays, factor, stride, not batch.all_units, index, *tiles, batch.n_threads,
        )  # fmt: skip
        if inputs is not None:
            backward_sparse_inputs(
                rows[0], self.gradient, batch.arrays[0], stride, inputs.features, inputs.values.reshape(-1), index,
                *tiles, batch.n_threads,
            )  # fmt: skip


@dataclass(frozen=True, eq=False)
class OwnLayer:
    """A layer with products of its own, on BLAS; kernels do what is left between it and the layer below."""

    index: int
    layer: DenseLinear
    gradient: FloatArray  # (n_params,), of the whole network

    def forward(self, batch: Batch) -> None:
        """Compute the layer's outputs."""
        x, features = batch.workspace.inputs_of(self.index)
        self.layer.sums(x, batch.workspace.lanes_of(self.index), features)
        activate(
            batch.table.rows[self.index], batch.slopes[self.index], *batch.arrays, batch.workspace.dropout,
            batch.workspace.shape.stride, batch.table.index, *batch.tiles,
        )  # fmt: skip

    def backward(self, batch: Batch) -> None:
        """Fill the layer's gradient, and turn the activations below it into errors."""
        workspace, below = batch.workspace, self.index - 1
        x, features = workspace.inputs_of(self.index)
        delta = workspace.lanes_of(self.index)
        self.layer.gradient(x, delta, features)
        if below >= 0:
            products = workspace.scratch(self.layer.shape[1])  # (fan_in, lanes)
            self.layer.input_products(delta, products)
            errors_of_products(
                batch.table.rows[below], products.reshape(-1), batch.slopes[below], self.gradient, *batch.arrays,
                workspace.dropout[2], workspace.shape.stride, *batch.tiles,
            )  # fmt: skip


@dataclass(frozen=True, eq=False)
class OwnActivation:
    """An activation that is not part of the kernels, and dropout after it."""

    index: int  # of the layer
    activation: Activation
    params: FloatArray  # (n_params, n_units), which the activation learns
    gradient: FloatArray  # likewise
    bias_gradient: FloatArray  # (n_units,), of the layer

    def forward(self, batch: Batch) -> None:
        """Apply the activation to the layer's sums."""
        workspace = batch.workspace
        self.activation.forward(workspace, self.index, self.params)
        a, _, kept = batch.arrays
        if kept.size:
            layer = batch.table.rows[self.index]
            silence(layer, a, kept, workspace.dropout, workspace.shape.stride, *batch.tiles)

    def backward(self, batch: Batch) -> None:
        """Multiply the layer's errors by the derivative, where the kernels have not done it."""
        if self.activation.has_own_derivative:
            self.activation.backward(batch.workspace, self.index, self.params, self.gradient, self.bias_gradient)


class Passes:
    """The two passes of a network whose layers are bound.

    `learnt` holds what the activation of every hidden layer learns, and its gradient, both (n_params, n_units).
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        activations: Sequence[Activation],
        params: FloatArray,
        gradient: FloatArray,
        learnt: Sequence[tuple[FloatArray, FloatArray]],
    ):
        self._layers = layers
        self._kinds = [*(activation.kind for activation in activations), OUTPUT]
        slopes = [activation.slope if activation.kind == PIECEWISE_LINEAR else 1 for activation in activations]
        self.slopes = np.array([*slopes, 1], dtype=params.dtype)
        self._is_fused = np.array(self._kinds) == PIECEWISE_LINEAR
        self._steps = list(_steps(layers, activations, params, gradient, learnt))
        self._gradient = gradient
        self._table: LayerTable | None = None
        self._cleared_for: list[int] | None = None  # versions of the layers

    def forward(self, workspace: Workspace, *, all_units: bool) -> FloatArray:
        """Return the last layer's sums, (n_outputs, batch), for the inputs in a workspace."""
        workspace.check_inputs(self._layers[0].shape[1])
        batch = self._batch(workspace, self.slopes, all_units, for_backward=False)
        for step in self._steps:
            step.forward(batch)
        return workspace.z

    def backward(self, workspace: Workspace, *, all_units: bool) -> None:
        """Fill the gradient from the errors in ``workspace.z``; errors replace the activations in the workspace."""
        workspace.clear_padding()
        batch = self.batch_for_backward(workspace, all_units=all_units)
        for step in reversed(self._steps):
            step.backward(batch)

    def batch_for_backward(self, workspace: Workspace, *, all_units: bool = False) -> Batch:
        """Return arguments of the backward pass; set the gradient to zero if the topology has changed."""
        # Kernels want the share that dropout keeps where activations are not fused.
        slopes = np.where(self._is_fused, self.slopes, self.slopes.dtype.type(workspace.share_kept))
        batch = self._batch(workspace, slopes, all_units, for_backward=True)
        if batch.table.versions != self._cleared_for:  # nothing writes the gradients of units on no path
            self._gradient[:] = 0
            self._cleared_for = batch.table.versions
        return batch

    def free_table(self) -> None:
        """Free a large layer table, with its transposed index and old patterns; the next pass makes a new one."""
        if self._gradient.size > _LARGE_TABLE:
            self._table = None

    @property
    def are_in_kernels(self) -> bool:
        """Whether one call of a kernel makes each pass for dense inputs."""
        return len(self._steps) == 1 and isinstance(self._steps[0], KernelSpan)

    def _batch(self, workspace, slopes, all_units, *, for_backward) -> Batch:
        sparse_inputs = workspace.sparse_inputs is not None
        first_transposed = 0 if sparse_inputs else 1 if for_backward else len(self._layers)
        table = self._table  # another thread may put a newer one there at any time
        if table is None or not table.serves(self._layers, first_transposed):
            table = self._table = None  # frees the old one before
            table = self._table = LayerTable.of(self._layers, self._kinds, first_transposed)
        tiles = (workspace.width, workspace.shape.n_tiles)
        return Batch(workspace, table, slopes, workspace.flat(), tiles, current_threads(), all_units)


def _steps(
    layers, activations, params, gradient, learnt: Sequence[tuple[FloatArray, FloatArray]]
) -> Iterator[KernelSpan | OwnLayer | OwnActivation]:
    """Generate the steps of the forward pass in order."""
    first, last = 0, len(layers) - 1
    for index, layer in enumerate(layers):
        own = activations[index] if index < last and activations[index].kind != PIECEWISE_LINEAR else None
        if not layer.in_kernels:
            yield OwnLayer(index, layer, gradient)
            first = index + 1
        elif index == last or own is not None or not layers[index + 1].in_kernels:
            # A function of the user's own never meets what an earlier batch has left in rows that are left out.
            skips = own is None or not own.has_own_derivative
            yield KernelSpan(first, index + 1, params, gradient, skips)
            first = index + 1
        if own is not None:
            yield OwnActivation(index, own, *learnt[index], layer.bias_gradient)
