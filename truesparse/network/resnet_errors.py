"""The backward pass of a residual network, from the errors of the outputs down to the first layer.

In blocks without a projection, each step is one call of a kernel for a layer: the errors d of its batch norm's outputs
become those of its sums, these the errors of its inputs and the gradient of its weights, and of the errors of the
inputs the batch norm below needs two totals. A stride of 2 divides these steps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from truesparse._typing import FloatArray
from truesparse.kernels.lanes import width_of
from truesparse.kernels.planes import errors_of_means, merge_phases
from truesparse.network.image_workspace import SAMPLES, ImageWorkspace
from truesparse.network.planes import BORDER

Watch = Callable[[int, FloatArray], None]


@dataclass(frozen=True, eq=False)
class Errors:
    """One backward pass of a `ResNet`, after a forward pass in the workspace.

    `products` is room for partial sums of gradients. ``watch(index, errors)`` is called with the errors of each layer's
    sums, planes that the next layer overwrites.
    """

    network: Any
    workspace: ImageWorkspace
    products: FloatArray
    watch: Watch | None = None

    def of_last_block(self) -> tuple[FloatArray, FloatArray]:
        """Return the errors of the last block's outputs, before the rectifier, and the totals of its batch norm."""
        network, workspace = self.network, self.workspace
        last, second = network.layers[-1], network.blocks[-1].second
        dz = workspace.output_errors(workspace.planes("dz", last.outputs(SAMPLES).shape))
        last.bias_gradient[:] = dz[:, :, BORDER, BORDER].sum(axis=(0, 2), dtype=np.float64)
        pooled = network.inputs_of(workspace, len(network.layers) - 1)
        d_pooled = workspace.planes("d pooled", pooled.shape[1:])
        last.backward(dz, pooled, d_pooled, self.products)
        if self.watch is not None:
            self.watch(len(network.layers) - 1, dz)
        h = network.outputs_of(workspace, second)
        d = workspace.planes("d", h.shape[1:])
        errors_of_means(
            d_pooled.reshape(-1), h.reshape(-1), d.reshape(-1), len(h) * h.shape[1], h.shape[2:4],
            network.share_of_place, width_of(SAMPLES),
        )  # fmt: skip
        return d, self._totals(second, d)

    def of_block(self, number: int, d: FloatArray, totals: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the errors of a block's inputs, before the rectifier, and the totals of the batch norm below."""
        network, workspace = self.network, self.workspace
        block, below = network.blocks[number], network.blocks[number - 1].second if number else 0
        d_inner = workspace.planes("d inner", network.layers[block.first].outputs(SAMPLES).shape)
        h = network.inputs_of(workspace, block.first)
        if block.projection is None:
            totals = self._second_layer(block, d, totals, d_inner)
            totals = self._layer(block.first, d_inner, totals, h, d, below=below, adds=True, masks=True)
            return d, totals  # the errors of the identity were there already
        planes = network.layers[block.first].inputs(SAMPLES)
        phases = workspace.planes(("phases", block.first), planes.phases.shape)
        d_phases = workspace.planes("d phases", planes.phases.shape)
        self._layer(block.projection, d, self._totals(block.projection, d), phases, d_phases)
        totals = self._second_layer(block, d, totals, d_inner)
        self._layer(block.first, d_inner, totals, phases, d_phases, adds=True)
        d = workspace.planes("d", planes.shape)
        merge_phases(
            d_phases.reshape(-1), h.reshape(-1), d.reshape(-1), len(h) * planes.channels, planes.shape[1:3],
            planes.phases.shape[1:3], width_of(SAMPLES),
        )  # fmt: skip
        return d, self._totals(below, d)

    def of_first_layer(self, d: FloatArray, totals: FloatArray) -> None:
        """Fill the gradient of the first layer."""
        x = self.network.inputs_of(self.workspace, 0)
        self._layer(0, d, totals, x, None)

    def _second_layer(self, block, d, totals, out):
        """Compute the errors of the first layer's outputs, `out`; return the totals of its batch norm."""
        network, workspace, first = self.network, self.workspace, block.first
        x, affine = network.planes_of(workspace, first), None
        if workspace.fills_tiles:  # the outputs were not stored, and are made again
            x, affine = network.sums_of(workspace, first), network.norms[first].affine(workspace.statistics[first])
        return self._layer(block.second, d, totals, x, out, affine=affine, below=first, masks=True)

    def _layer(self, index, d, totals, x, out, *, affine=None, below=None, adds=False, masks=False):
        """Compute the errors of a layer's inputs; return the totals of the batch norm `below`."""
        layer, norm, workspace = self.network.layers[index], self.network.norms[index], self.workspace
        planes = layer.outputs(SAMPLES)
        z = self.network.sums_of(workspace, index)
        rolls = self.watch is None
        delta = workspace.planes("rolling", planes.rolling) if rolls else workspace.planes("dz", planes.shape)
        room = None if below is None else self._room_for_totals(below)
        layer.backward(
            delta, x, out, self.products, affine=affine, adds=adds, masks=masks, rolls=rolls, after=room,
            before=norm.backward(d, totals, z, workspace.statistics[index], planes),
        )  # fmt: skip
        if self.watch is not None:
            self.watch(index, delta)
        return None if room is None else room[0]

    def _totals(self, index, d):
        """Return the totals of a layer's batch norm for the errors of its outputs."""
        planes = self.network.layers[index].outputs(SAMPLES)
        return self.network.norms[index].error_totals(d, self._room_for_totals(index), planes)

    def _room_for_totals(self, index):
        planes = self.network.layers[index].outputs(SAMPLES)
        z = self.network.sums_of(self.workspace, index)
        return self.network.norms[index].room_for_totals(z, self.workspace.statistics[index], planes)
