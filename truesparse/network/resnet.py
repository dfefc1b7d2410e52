"""A residual network of sparse convolutions for small images (He et al., 2016, section 4.2).

    h_0 = f(N(W_0 * x)),   h_k = f(N(W * f(N(W * h_(k−1)))) + S(h_(k−1)))
    outputs = V · mean over places(h_K) + b

f is the rectifier and N batch norm. The K = (depth − 2) / 2 blocks form three stages. Each stage but the first begins
with a block of stride 2, which halves rows and columns and doubles the channels; there S is a convolution of 1 × 1
with a stride of 2 and batch norm, and elsewhere the identity.

The vector of parameters holds the weights of all layers, then the shifts β of the batch norms and the biases of the
last layer, then the scales γ, then the running means and variances. The gradient of these is zero, so that no optimiser
moves them.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from truesparse._typing import FloatArray
from truesparse.kernels.lanes import width_of
from truesparse.kernels.planes import means_of_places, split_phases
from truesparse.network.architecture import Architecture, Block
from truesparse.network.batch_norm import BatchNorm
from truesparse.network.convolution import SparseConv2d
from truesparse.network.image_workspace import SAMPLES, ImageWorkspace, n_tiles
from truesparse.network.protocol import Network, consecutive_slices
from truesparse.network.resnet_errors import Errors, Watch
from truesparse.network.workspace import BatchShape, Workspace
from truesparse.runtime.random_streams import Draws
from truesparse.topology import Pattern

_MADE_BY_BIND = {"gradient", "norms", "_below", "_added", "_idle_workspaces"}


class ResNet(Network):
    """A residual network, whose weights are zero at first, and whose batch norms keep what they are given.

    Parameters
    ----------
    architecture : Architecture
    patterns : sequence of Pattern
        Of its layers, in order.
    dtype : float32 or float64

    Attributes
    ----------
    layers, blocks, norms : of SparseConv2d, Block and BatchNorm
        The last layer has no batch norm but biases. `Network` has the other attributes.
    """

    shares_weights = True
    normalises_batches = True
    tile = SAMPLES
    _most_idle, _largest_idle = 1, 2**28
    dropout = 0.0

    def __init__(self, architecture: Architecture, patterns: Sequence[Pattern], *, dtype=np.float32):
        convolutions, self.blocks = architecture.layers(patterns[-1].shape[0])
        if [pattern.shape for pattern in patterns] != (shapes := [convolution.shape for convolution in convolutions]):
            raise ValueError(f"The patterns must have the shapes {shapes}.")
        self.architecture = architecture
        self.layers: list = [
            SparseConv2d(pattern, convolution.image_shape, window=convolution.window, stride=convolution.stride)
            for pattern, convolution in zip(patterns, convolutions, strict=True)
        ]
        self.n_weights = sum(layer.nnz for layer in self.layers)
        self.params = np.zeros(self._norm_slices()[-1].stop, dtype=dtype)
        scales, _, variances = self._norm_slices()
        self.params[scales], self.params[variances] = 1, 1
        self._bind()

    @property
    def layer_sizes(self) -> list[int]:
        """Numbers of features and of outputs."""
        return [int(np.prod(self.architecture.image_shape)), self.layers[-1].shape[0]]

    @property
    def is_in_kernels(self) -> bool:
        """Whether `truesparse.kernels.steps` can train it: never."""
        return False

    @property
    def work(self) -> int:
        """Products of one pass over one sample."""
        return sum(layer.nnz * layer.places for layer in self.layers)

    @property
    def _n_normalised(self) -> int:
        return sum(layer.shape[0] for layer in self.layers[:-1])

    def bias_slices(self) -> list[slice]:
        """Return the slots of each layer's shifts, and of the last layer's biases."""
        return consecutive_slices(self.n_weights, [layer.shape[0] for layer in self.layers])

    def _norm_slices(self) -> list[slice]:
        """Return the slots of all scales, running means and variances."""
        return consecutive_slices(self.bias_slices()[-1].stop, 3 * [self._n_normalised])

    def bytes_beside_weights(self) -> list[int]:
        """See `Network`: scale, running mean and variance of each channel."""
        return [3 * norm.scale.nbytes for norm in self.norms] + [0]

    def workspace(
        self, batch_size: int, *, dense_inputs: bool = True, shape: BatchShape | None = None
    ) -> ImageWorkspace:
        """Return the arrays for batches of at most so many samples."""
        if not dense_inputs:
            raise ValueError("Images must be dense arrays: a convolutional network takes no sparse matrix.")
        return ImageWorkspace(self.architecture.image_shape, self.layer_sizes[-1], batch_size, self.dtype, shape=shape)

    def bytes_needed(self, batch_size: int, *, dense_inputs: bool = True) -> int:
        """Return the bytes of the arrays that training with such batches needs: planes, and products of gradients."""
        per_tile = sum(int(np.prod(shape)) for _, shape in self._planes_of_training())
        per_tile += 16 * max(layer.nnz for layer in self.layers)
        rows = Workspace.bytes_needed(self.layer_sizes, batch_size, self.dtype)
        return rows + per_tile * n_tiles(batch_size) * self.dtype.itemsize

    def _planes_of_training(self) -> set[tuple[object, tuple[int, ...]]]:
        """Return names and shapes of the planes of training and of signals, (channels, rows, columns, samples) each."""
        first, last = self.layers[0], self.layers[-1]
        out: set[tuple[object, tuple[int, ...]]] = {("inputs", first.inputs(SAMPLES).shape)}
        out |= {("z", last.outputs(SAMPLES).shape), ("pooled", last.inputs(SAMPLES).shape)}
        out |= {("dz", last.outputs(SAMPLES).shape), ("d pooled", last.inputs(SAMPLES).shape)}
        for index, layer in enumerate(self.layers[:-1]):
            planes = layer.outputs(SAMPLES)
            out |= {(("z", index), planes.shape), (("a", index), planes.shape)}
            out |= {("d", planes.shape), ("dz", planes.shape), ("rolling", planes.rolling)}
        for block in self.blocks:
            out.add(("d inner", self.layers[block.first].outputs(SAMPLES).shape))
            if block.projection is not None:
                shape = self.layers[block.first].inputs(SAMPLES).phases.shape
                out |= {(("phases", block.first), shape), ("d phases", shape)}
        return out

    # Forward

    def forward(self, workspace, draws: Draws | None = None, *, all_units: bool = False) -> FloatArray:
        """Return the sums of the outputs, (n_outputs, batch), for the inputs in a workspace.

        With `draws`, as in training, batch norms take the statistics of the batch, and keep averages of them. Without,
        they take these averages. A backward pass can follow with `draws` or with `all_units`.
        """
        if draws is None and not all_units:
            return self._predict(workspace)
        keeps = draws is not None
        self._sums(workspace, 0, keeps, workspace.image_planes())
        for block in self.blocks:
            if block.projection is None:
                self._sums(workspace, block.first, keeps)
            else:
                x = self._phases_of(workspace, block, self._made(workspace, self._below[block.first]))
                self._sums(workspace, block.first, keeps, x)
                self._sums(workspace, block.projection, keeps, x)
            self._sums(workspace, block.second, keeps)
        return self._outputs(workspace, self._made(workspace, self.blocks[-1].second))

    @property
    def share_of_place(self):
        """Share of one place in the mean over all places of the last block, a number of the network's dtype."""
        return self.dtype.type(1 / self.layers[self.blocks[-1].second].places)

    def _is_stored(self, index) -> bool:
        """Whether the outputs of a layer are stored: those that a block or the pooling reads."""
        return index in self._added

    def _sums(self, workspace, index, keeps, x=None) -> None:
        """Compute the sums of a layer, and the statistics of its batch norm.

        Without x, its inputs are made of the sums of the layer below, row by row; between the layers of a block, where
        nothing else reads them, they are not stored.
        """
        layer, norm = self.layers[index], self.norms[index]
        planes, of_sums, rolls = layer.outputs(SAMPLES), None, False
        if x is None:
            below = self._below[index]
            if not workspace.fills_tiles:
                x = self._made(workspace, below)
            else:
                of_sums, rolls = self._of_sums(workspace, below), not self._is_stored(below)
                rolling = layer.inputs(SAMPLES).rolling
                x = workspace.planes("rolling", rolling) if rolls else self.planes_of(workspace, below)
        z = workspace.planes(("z", index), planes.shape)
        totals = layer.sums(x, z, bias=self._no_bias[: planes.channels], before=of_sums, rolls=rolls)
        n = workspace.batch * planes.height * planes.width
        workspace.statistics[index] = norm.observe(totals, n) if keeps else norm.constants()

    def _of_sums(self, workspace, index) -> tuple:
        """Return how kernels make a layer's outputs, after batch norm, residual and rectifier, of its sums."""
        z, statistics = self.sums_of(workspace, index), workspace.statistics[index]
        planes, added = self.layers[index].outputs(SAMPLES), self._added.get(index)
        if added is None:
            activates = all(index != block.projection for block in self.blocks)
            return self.norms[index].of_sums(z, statistics, planes, activates=activates)
        if self._is_stored(added):
            return self.norms[index].of_sums(z, statistics, planes, residual=self.planes_of(workspace, added))
        projected, affine = self.sums_of(workspace, added), self.norms[added].affine(workspace.statistics[added])
        return self.norms[index].of_sums(z, statistics, planes, residual=projected, affine=affine)

    def _made(self, workspace, index) -> FloatArray:
        """Make the outputs of a layer of its sums."""
        out = self.planes_of(workspace, index)
        self.norms[index].forward(self._of_sums(workspace, index), out, self.layers[index].outputs(SAMPLES))
        workspace.clear(out)
        return out

    def _predict(self, workspace) -> FloatArray:
        """Return the sums of the outputs, with batch norms folded into the weights."""
        folded = partial(self._folded, workspace)
        h = folded(0, workspace.image_planes(), "even")
        for number, block in enumerate(self.blocks):
            x = residual = h
            if block.projection is not None:
                x = self._phases_of(workspace, block, h)
                residual = folded(block.projection, x, "residual", activates=False)
            h = folded(block.second, folded(block.first, x, "inner"), ("odd", "even")[number % 2], residual=residual)
        return self._outputs(workspace, h)

    def _folded(self, workspace, index, x, name, *, activates=True, residual=None):
        layer = self.layers[index]
        data, bias = layer.folded(self.norms[index])
        out = workspace.planes(name, layer.outputs(SAMPLES).shape)
        layer.sums(x, out, data=data, bias=bias, added=residual, activates=activates)
        return out

    def _phases_of(self, workspace, block: Block, h: FloatArray) -> FloatArray:
        """Return the phases of a block's inputs, for a stride of 2."""
        planes = self.layers[block.first].inputs(SAMPLES)
        phases = workspace.planes(("phases", block.first), planes.phases.shape)
        shapes = planes.shape[1:3], planes.phases.shape[1:3]
        split_phases(h.reshape(-1), phases.reshape(-1), len(h) * planes.channels, *shapes, width_of(SAMPLES))
        return phases

    def _outputs(self, workspace, h: FloatArray) -> FloatArray:
        last = self.layers[-1]
        pooled = workspace.planes("pooled", last.inputs(SAMPLES).shape)
        n_planes, shape = len(h) * h.shape[1], h.shape[2:4]
        means_of_places(h.reshape(-1), pooled.reshape(-1), n_planes, shape, self.share_of_place, width_of(SAMPLES))
        z = workspace.planes("z", last.outputs(SAMPLES).shape)
        last.sums(pooled, z, bias=last.bias)
        return workspace.set_outputs(z)

    # Backward

    def backward(self, workspace, *, all_units: bool = False, watch: Watch | None = None) -> None:
        """Fill ``gradient`` after a forward pass, from ∂L/∂z in ``workspace.z``.

        ``watch(index, errors)`` is called with the errors of each layer's sums, planes that the next layer overwrites.
        """
        products = workspace.room(16 * workspace.tiles * max(layer.nnz for layer in self.layers))
        errors = Errors(self, workspace, products, watch)
        d, totals = errors.of_last_block()
        for number in reversed(range(len(self.blocks))):
            d, totals = errors.of_block(number, d, totals)
        errors.of_first_layer(d, totals)

    def inputs_of(self, workspace, index: int) -> FloatArray:
        """Return the planes that a layer has read, not divided into phases; those inside of blocks are made again.

        The network's parameters must be those of the forward pass.
        """
        if index in self._below:
            return self.outputs_of(workspace, self._below[index])
        return workspace.planes("pooled" if index else "inputs", self.layers[index].inputs(SAMPLES).shape)

    def outputs_of(self, workspace, index: int) -> FloatArray:
        """Return a layer's outputs, after batch norm, residual and rectifier, as `inputs_of`; not of the last layer."""
        return self.planes_of(workspace, index) if self._is_stored(index) else self._made(workspace, index)

    def sums_of(self, workspace, index: int) -> FloatArray:
        """Return the planes of a layer's sums; not of the last layer."""
        return workspace.planes(("z", index), self.layers[index].outputs(SAMPLES).shape)

    def planes_of(self, workspace, index: int) -> FloatArray:
        """Return the planes for a layer's outputs, as they are."""
        return workspace.planes(("a", index), self.layers[index].outputs(SAMPLES).shape)

    # Parameters

    def free_index(self) -> None:
        """Keep the index arrays: they are small, and no pass is without them."""

    def keep_units(self, kept, *vectors):
        """Refuse: channels cannot be removed."""
        raise ValueError("unit_pruning cannot remove channels of a convolutional network.")

    def _bind(self) -> None:
        self._idle_workspaces = {}
        self.gradient = np.zeros_like(self.params)
        for layer, weights, biases in zip(self.layers, self.weight_slices(), self.bias_slices(), strict=True):
            layer.bind(self.params[weights], self.params[biases], self.gradient[weights], self.gradient[biases])
        scales, means, variances = self._norm_slices()
        parts = consecutive_slices(0, [layer.shape[0] for layer in self.layers[:-1]])
        self.norms = [BatchNorm() for _ in parts]
        for norm, layer, part in zip(self.norms, self.layers[:-1], parts, strict=True):
            norm.bind(
                self.params[scales][part], layer.bias, self.params[means][part], self.params[variances][part],
                self.gradient[scales][part], layer.bias_gradient,
            )  # fmt: skip
        # The layer that each one reads, but the first and the last; and the layer that is added to those whose outputs
        # are stored.
        self._below: dict[int, int] = {}
        self._added: dict[int, int | None] = {0: None}
        below = 0
        for block in self.blocks:
            self._below |= {block.first: below, block.second: block.first}
            self._added[block.second] = below if block.projection is None else block.projection
            if block.projection is not None:
                self._below[block.projection] = below
            below = block.second
        self._no_bias = np.zeros(max(layer.shape[0] for layer in self.layers), dtype=self.params.dtype)

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name not in _MADE_BY_BIND}

    def __setstate__(self, state):
        vars(self).update(state)
        self._bind()
