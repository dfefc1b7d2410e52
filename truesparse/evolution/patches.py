"""Activations and errors of convolutions, which rules see as ordinary layers over patches.

A unit of the inputs of a convolution is a column of W: a channel at one place of the window, (i, dy, dx). A unit of its
outputs is a channel. A "sample" of theirs is one place of one image: `PLACES` random places of each drawn image, the
same relative ones in all layers, have a column each. So a rule that asks for n samples gets `PLACES` columns of each of
n / `PLACES` images. Batches hold the inputs of every layer, number l, and then their outputs, number
``first_output + l``.

Of layers that form no chain, weights of paths are computed here too. A path enters a convolution at any place of its
window; |W| is multiplied by the factors of the batch norms that follow. Where a block's input is added to its output,
paths part and meet.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from truesparse._typing import FloatArray, IndexArray
from truesparse.data.source import Source, in_batches
from truesparse.evolution.paths import scaled
from truesparse.network.convolution import SparseConv2d
from truesparse.network.image_workspace import SAMPLES, ImageWorkspace
from truesparse.network.losses import Loss
from truesparse.network.planes import BORDER
from truesparse.network.resnet import ResNet

PLACES = 4  # of an image


class PatchStream:
    """Activations of all layers at some places of some images, batch by batch, as often as it is iterated.

    A batch is a list of arrays (n_units, places · images): inputs of every layer, then outputs of every layer after
    batch norm and rectifier, of the last layer predictions. The attributes are those of
    `truesparse.evolution.signals.ActivationStream`.
    """

    def __init__(
        self, network: ResNet, loss: Loss, source: Source, workspace: ImageWorkspace, drawn: IndexArray,
        batch_size: int, rng: np.random.Generator,
    ):  # fmt: skip
        self._network, self._loss, self._source, self._workspace = network, loss, source, workspace
        self._drawn, self._batch_size, self._rng = drawn, batch_size, rng
        shapes = [layer.shape for layer in network.layers]
        self.layer_sizes = [*(fan_in for _, fan_in in shapes), *(fan_out for fan_out, _ in shapes)]
        self.first_output = len(shapes)
        self.dtype, self.reduce, self.n_samples = network.dtype, source.reduce, drawn.size * PLACES
        own, self._samples = source.locate(drawn)
        self.places = (own[:, None] * PLACES + np.arange(PLACES)).reshape(-1)
        self._where = rng.random((drawn.size, PLACES, 2))[own]  # as shares of the height and the width

    def __iter__(self):
        for part in in_batches(np.arange(self._samples.size), self._batch_size):
            yield self._activations(part)[0]

    def _activations(self, part):
        """Return the activations of a batch, and the sums of the outputs."""
        network, workspace, where = self._network, self._workspace, self._where[part]
        self._source.read(self._samples[part], workspace)
        z = network.forward(workspace, all_units=True)
        inputs = [
            patches(network.inputs_of(workspace, index), layer, where) for index, layer in enumerate(network.layers)
        ]
        outputs = [
            at_places(network.outputs_of(workspace, index), layer, where)
            for index, layer in enumerate(network.layers[:-1])
        ]
        return [*inputs, *outputs, np.repeat(self._loss.predictions(z), PLACES, axis=1)], z


class PatchErrors(PatchStream):
    """Activations and errors at some places of some images, batch by batch.

    A batch is a pair: the activations, and for every layer l the errors of its sums at the same places. L is the mean
    loss over the drawn images, with batch norms as in prediction. Each pass overwrites ``network.gradient``.
    """

    def __init__(self, *drawn: Any, check_loss: Callable[[float], None] = lambda loss: None):
        super().__init__(*drawn)
        self._check_loss = check_loss

    def __iter__(self):
        for part in in_batches(np.arange(self._samples.size), self._batch_size):
            activations, z = self._activations(part)
            errors: list[Any] = [None] * len(self._network.layers)

            def keep(index, delta, errors=errors, part=part):
                errors[index] = at_places(delta, self._network.layers[index], self._where[part])

            self._backward(z, part, keep)
            yield activations, errors

    def halves(self) -> tuple["PatchErrors", "PatchErrors"]:
        """Return two streams of every other image each, with the mean loss over their own images."""
        parts = self._network, self._loss, self._source, self._workspace
        first, second = (
            PatchErrors(*parts, drawn, self._batch_size, self._rng, check_loss=self._check_loss)
            for drawn in (self._drawn[::2], self._drawn[1::2])
        )
        return first, second

    def gradient(self) -> list[FloatArray]:
        """Return the gradient of the mean loss at the stored weights of every layer, (nnz,) each, from all places."""
        network = self._network
        total = np.zeros(network.n_weights, dtype=self.dtype)
        for part in in_batches(np.arange(self._samples.size), self._batch_size):
            self._source.read(self._samples[part], self._workspace)
            self._backward(network.forward(self._workspace, all_units=True), part)
            total += network.gradient[: network.n_weights]
        total = self.reduce(total)
        return [total[slots] for slots in network.weight_slices()]

    def _backward(self, z, part, watch=None):
        target: Any = self._source.target
        self._check_loss(self._loss(z, target[self._samples[part]], z))  # the gradient takes the place of z
        z *= part.size * PLACES / self.n_samples
        self._network.backward(self._workspace, watch=watch)


def patches(planes: FloatArray, layer: SparseConv2d, where: FloatArray) -> FloatArray:
    """Return the inputs of a layer at some places of its outputs, (fan_in, images · places).

    `planes` are (n_tiles, channels, rows, columns, samples), `where` is (images, places, 2).
    """
    return _windows(planes, layer, where, layer.window, layer.stride)


def at_places(planes: FloatArray, layer: SparseConv2d, where: FloatArray) -> FloatArray:
    """Return outputs of a layer at some places, (fan_out, images · places)."""
    return _windows(planes, layer, where, 1, 1)


def _windows(planes, layer, where, window, stride):
    outputs = layer.outputs(SAMPLES)
    image = np.arange(len(where))[:, None, None, None]
    place = (where * (outputs.height, outputs.width)).astype(np.int64) * stride + BORDER - window // 2
    rows = place[:, :, 0, None, None] + np.arange(window)[:, None]
    columns = place[:, :, 1, None, None] + np.arange(window)
    found = planes[image // SAMPLES, :, rows, columns, image % SAMPLES]  # (images, places, window, window, channels)
    n_columns = len(where) * where.shape[1]
    return np.ascontiguousarray(found.reshape(n_columns, window**2, -1).transpose(2, 1, 0)).reshape(-1, n_columns)


def residual_path_weights(network: ResNet) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return weights of paths into the inputs, (fan_in,), and out of the outputs, (fan_out,), of every layer."""
    layers = network.layers
    factors = [np.abs(norm.folded()[0].astype(np.float64)) for norm in network.norms] + [np.ones(layers[-1].shape[0])]
    into, out_of = [np.empty(0)] * len(layers), [np.empty(0)] * len(layers)

    def forth(index, channels):
        into[index] = np.repeat(channels, layers[index].window ** 2)
        return factors[index] * (abs(layers[index].weight) @ into[index])

    def back(index, channels):
        out_of[index] = factors[index] * channels
        sums = abs(layers[index].weight).T @ out_of[index]
        return sums.reshape(-1, layers[index].window ** 2).sum(axis=1)

    h = scaled(forth(0, np.ones(network.architecture.image_shape[2])))
    for block in network.blocks:
        residual = h if block.projection is None else forth(block.projection, h)
        h = scaled(forth(block.second, forth(block.first, h)) + residual)
    forth(len(layers) - 1, h)
    h = scaled(back(len(layers) - 1, np.ones(layers[-1].shape[0])))
    for block in reversed(network.blocks):
        residual = h if block.projection is None else back(block.projection, h)
        h = scaled(back(block.first, back(block.second, h)) + residual)
    back(0, h)
    return into, out_of
