"""Signals for prune and grow rules: activations, errors, gradients, progress. Computed on demand.

| signal | is |
|---|---|
| ``activations`` | ``activations(n_samples)``: an `ActivationStream` over so many training samples |
| ``errors`` | ``errors(n_samples)``: an `ErrorStream` over the same samples |
| ``gradient`` | ``gradient(n_samples)``: of the mean loss over these samples, (nnz,) for every layer |
| ``paths`` | weights of paths, of networks whose layers form no chain, see `truesparse.evolution.paths` |
| ``progress`` | steps, epochs and stalls so far, see `truesparse.training.state.Progress` |

Samples are drawn anew for each update of the topology, the same ones for all its signals; None means all.

If several processes train together, each stream holds the drawn samples of its own process. Sums over the samples of a
stream must pass through ``stream.reduce``, which adds them up over all processes. A vector with one entry per drawn
sample is filled at ``stream.places`` only, so that it adds up as well.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from truesparse._typing import FloatArray, IndexArray
from truesparse.data.source import Source, alone, in_batches
from truesparse.evolution.patches import PLACES, PatchErrors, PatchStream, residual_path_weights
from truesparse.network.losses import Loss
from truesparse.network.mlp import MLP
from truesparse.network.workspace import BatchShape, Workspace
from truesparse.runtime.random_streams import RandomStreams

_BATCH = 128  # samples at a time, of which rules read activations
_LARGE = 2**24  # bytes of a workspace that are too many for this


@dataclass(frozen=True, eq=False)
class Signals:
    """Signals of one training; `check_loss` is called with each mean loss and may raise if it is not finite."""

    network: MLP
    loss: Loss
    source: Source
    _: KW_ONLY
    batch_size: int
    streams: RandomStreams
    progress: Any = None
    check_loss: Callable[[float], None] = lambda loss: None

    def at(self, step: int, workspace: Workspace) -> Mapping[str, Any]:
        """Return the signals, by name, of the update before a step; iterating a stream overwrites the workspace."""

        if self.network.shares_weights:
            return self._of_patches(step, workspace)

        def drawn(n_samples, workspace=workspace, batch_size=self.batch_size):
            samples = self.source.draw(n_samples, self.streams("signal samples", step))
            return self.network, self.loss, self.source, workspace, samples, batch_size

        def errors(n_samples):
            return ErrorStream(*drawn(n_samples), check_loss=self.check_loss)

        return {
            "activations": lambda n_samples: ActivationStream(*drawn(n_samples, *self._for_activations(workspace))),
            "errors": errors,
            "gradient": lambda n_samples: errors(n_samples).gradient(),
            "progress": self.progress,
        }

    def _of_patches(self, step, workspace):
        """Return the signals of convolutions."""
        network: Any = self.network
        kinds: dict[str, Any] = {
            "activations": PatchStream,
            "errors": partial(PatchErrors, check_loss=self.check_loss),
        }

        def stream(kind, n_samples, per_image=PLACES):
            n_images = None if n_samples is None else -(-n_samples // per_image)
            images = self.source.draw(n_images, self.streams("signal samples", step))
            places = self.streams("signal places", step)
            return kinds[kind](network, self.loss, self.source, workspace, images, self.batch_size, places)

        return {
            **{kind: partial(stream, kind) for kind in kinds},
            "gradient": lambda n_samples: stream("errors", n_samples, per_image=1).gradient(),
            "paths": lambda: residual_path_weights(network),
            "progress": self.progress,
        }

    def _for_activations(self, workspace):
        """Return a workspace and its batch size: training's, or one with more tiles, which takes fewer calls."""
        shape, dense_inputs = workspace.shape, not self.source.is_sparse
        times = _BATCH // (shape.n_tiles * shape.n_lanes)
        larger = BatchShape(max(times, 1) * shape.n_tiles, shape.n_lanes)  # of the lanes that are compiled
        batch_size = larger.n_tiles * larger.n_lanes
        if times < 2 or self.network.bytes_needed(batch_size, dense_inputs=dense_inputs) > _LARGE:
            return workspace, self.batch_size
        return self.network.workspace(batch_size, dense_inputs=dense_inputs, shape=larger), batch_size


class ActivationStream:
    """Activations of all units over some samples, batch by batch, as often as it is iterated.

    A batch is a list of arrays (n_units, batch), with contiguous rows: the features, every hidden layer's outputs
    without dropout, and the predictions. Number l are the inputs of layer l, number l + 1 its outputs. They are valid
    until the next batch.

    ``layer_sizes`` are the units of each array, and ``first_output`` is the number of the first layer's outputs.
    `n_samples` samples were drawn over all processes, of which this one holds those at ``places``, (n_own,) integers,
    in order.
    """

    first_output = 1

    def __init__(
        self,
        network: MLP,
        loss: Loss,
        source: Source,
        workspace: Workspace,
        drawn: IndexArray,
        batch_size: int,
    ):
        self.layer_sizes, self.dtype = network.layer_sizes, network.dtype
        self.n_samples, self.reduce = drawn.size, source.reduce
        self.places, self._samples = source.locate(drawn)
        self._network, self._loss, self._source, self._workspace = network, loss, source, workspace
        self._drawn, self._batch_size = drawn, batch_size
        self._features: IndexArray | None = None  # those in the batches; None for all
        self._place_of: IndexArray | None = None  # of all features in `_features`, −1 for others
        self._present: NDArray[np.bool_] | None = None

    def __iter__(self):
        for samples in in_batches(self._samples, self._batch_size):
            yield self._activations(samples)[0]

    def of_features(self, features: IndexArray) -> Self:
        """Return a stream of the same samples whose batches hold only some of the features, (n,) rising integers."""
        part = copy.copy(self)
        part._features = features if self._features is None else self._features[features]
        place_of = np.full(self._source.n_features, -1, dtype=np.int32)
        place_of[part._features] = np.arange(features.size)
        part._place_of = place_of
        part.layer_sizes = [features.size, *self.layer_sizes[1:]]
        return part

    def present(self) -> NDArray[np.bool_] | None:
        """Return which features some sample of any process stores, (n_features,); None for dense data."""
        if not self._source.is_sparse:
            return None
        if self._present is None:
            found = self._source.stored_features(self._samples)
            self._present = found if self.reduce is alone else self.reduce(found.astype(self.dtype)) > 0
        present: Any = self._present
        return present if self._features is None else present[self._features]

    def _activations(self, samples):
        """Return the activations of a batch, and the last layer's sums."""
        network, workspace = self._network, self._workspace
        self._source.read(samples, workspace)
        z = network.forward(workspace, all_units=True)
        inputs, features = workspace.sparse_inputs, workspace.x
        if inputs is not None:
            features = np.zeros((self.layer_sizes[0], workspace.batch), dtype=self.dtype)
            values = inputs.values[:, : workspace.batch]
            if self._place_of is None:
                features[inputs.features] = values
            else:
                places = self._place_of[inputs.features]
                features[places[places >= 0]] = values[places >= 0]
        elif self._features is not None:
            features = features[self._features]
        hidden = [workspace.outputs_of(layer) for layer in range(len(network.layers) - 1)]
        return [features, *hidden, self._loss.predictions(z)], z


class ErrorStream(ActivationStream):
    """Activations and errors of some samples, batch by batch, as often as it is iterated.

    A batch is a pair: the activations, as in `ActivationStream`, and for every layer l the errors of its outputs,

        errors[l] = ∂L / ∂(W_l a_l + b_l),   a_l = activations[l]

    L is the mean loss over all drawn samples, without dropout: errors[l] · activations[l]ᵀ, added up over the batches,
    is the gradient of L at all pairs of the layer. Units that nothing reads have no error. Each pass overwrites
    ``network.gradient``.
    """

    def __init__(self, *drawn: Any, check_loss: Callable[[float], None] = lambda loss: None):
        super().__init__(*drawn)
        self._check_loss = check_loss

    def __iter__(self):
        sizes = self.layer_sizes
        ends = np.cumsum(sizes[1:])
        kept = np.empty(ends[-1] * min(self._batch_size, self._samples.size), dtype=self.dtype)
        for samples in in_batches(self._samples, self._batch_size):
            activations, z = self._activations(samples)
            copies = kept[: ends[-1] * samples.size].reshape(ends[-1], samples.size)
            for layer, end in enumerate(ends, start=1):  # the backward pass writes errors in place of activations
                copy = copies[end - sizes[layer] : end]
                copy[:] = activations[layer]
                activations[layer] = copy
            self._backward(z, samples, all_units=True)
            yield activations, [self._workspace.outputs_of(layer) for layer in range(len(ends))]
        self._network.free_index()  # its transposed index is needed for errors only

    def halves(self) -> tuple["ErrorStream", "ErrorStream"]:
        """Return two streams of every other sample each, with the mean loss over their own samples."""
        parts = self._network, self._loss, self._source, self._workspace
        first, second = (
            ErrorStream(*parts, drawn, self._batch_size, check_loss=self._check_loss)
            for drawn in (self._drawn[::2], self._drawn[1::2])
        )
        if self._features is None:
            return first, second
        return first.of_features(self._features), second.of_features(self._features)

    def gradient(self) -> list[FloatArray]:
        """Return the gradient of the mean loss at the stored weights of every layer, (nnz,) each."""
        network = self._network
        total = np.zeros(network.n_weights, dtype=self.dtype)
        for samples in in_batches(self._samples, self._batch_size):
            self._source.read(samples, self._workspace)
            self._backward(network.forward(self._workspace), samples)
            total += network.gradient[: network.n_weights]
        total = self.reduce(total)
        return [total[slots] for slots in network.weight_slices()]

    def _backward(self, z, samples, all_units=False):
        target: Any = self._source.target
        self._check_loss(self._loss(z, target[samples], z))  # the gradient takes the place of z
        z *= samples.size / self.n_samples
        self._network.backward(self._workspace, all_units=all_units)
