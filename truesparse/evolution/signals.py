"""Signals for prune and grow rules: activations, errors, gradients, progress. Computed on demand.

| signal | is |
|---|---|
| ``activations`` | ``activations(n_samples)``: an `ActivationStream` over so many training samples |
| ``errors`` | ``errors(n_samples)``: an `ErrorStream` over the same samples |
| ``gradient`` | ``gradient(n_samples)``: of the mean loss over these samples, (nnz,) for every layer |
| ``progress`` | steps, epochs and stalls so far, see `truesparse.training.state.Progress` |

Samples are drawn anew for each update of the topology, the same ones for all its signals. None means all samples.

When several processes train together, each stream runs over the drawn samples that this process holds. Whoever adds
something up over the samples of a stream passes the sums through ``stream.reduce``, which adds them up over the
processes. A sum with an entry for each drawn sample is filled at ``stream.places`` only, so that it adds up too.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truesparse._typing import FloatArray, IndexArray
from truesparse.data.source import Source, in_batches
from truesparse.network.losses import Loss
from truesparse.network.mlp import MLP
from truesparse.network.workspace import SparseInputs, Workspace
from truesparse.runtime.random_streams import RandomStreams

Reduce = Callable[[NDArray], NDArray]
"""``reduce(array)``: returns the sum of the arrays of this shape over all processes that train together."""


def alone(array: NDArray) -> NDArray:
    """Return the array itself: the `Reduce` of one process."""
    return array


class Signals:
    """Signals of one training.

    Parameters
    ----------
    network : Network
    loss : Loss
    source : Source
    batch_size : int
    streams : RandomStreams
    progress : Progress
    reduce : Reduce
    check_loss : callable, optional
        Called with each mean loss that is computed; may raise if it is not finite.
    """

    def __init__(
        self,
        network: MLP,
        loss: Loss,
        source: Source,
        *,
        batch_size: int,
        streams: RandomStreams,
        progress: Any = None,
        reduce: Reduce = alone,
        check_loss: Callable[[float], None] = lambda loss: None,
    ):
        self._network, self._loss, self._source, self._batch_size = network, loss, source, batch_size
        self._streams, self._progress, self._reduce, self._check_loss = streams, progress, reduce, check_loss

    def at(self, step: int, workspace: Workspace) -> Mapping[str, Any]:
        """Return the signals of the update before a step, by name.

        Parameters
        ----------
        step : int
            Names the random stream by which samples are drawn.
        workspace : Workspace
            Overwritten whenever a stream is iterated.
        """

        def drawn(n_samples):
            samples = self._source.draw(n_samples, self._streams("signal samples", step))
            return self._network, self._loss, self._source, workspace, samples, self._batch_size, self._reduce

        def errors(n_samples):
            return ErrorStream(*drawn(n_samples), check_loss=self._check_loss)

        return {
            "activations": lambda n_samples: ActivationStream(*drawn(n_samples)),
            "errors": errors,
            "gradient": lambda n_samples: errors(n_samples).gradient(),
            "progress": self._progress,
        }


class ActivationStream:
    """The activations of all units over some samples, batch by batch, as often as it is iterated.

    Each batch is a list of arrays (n_units, batch), with contiguous rows: the features, every hidden layer's outputs
    without dropout, and the predictions. The inputs of layer l are number l, its outputs number l + 1. They are valid
    until the next batch.

    Parameters
    ----------
    network : Network
    loss : Loss
        Turns the last layer's sums into predictions.
    source : Source
    workspace : Workspace
    drawn : (n,) integers
        Numbers of the samples, among those of all processes.
    batch_size : int
    reduce : Reduce

    Attributes
    ----------
    layer_sizes : list of int
        Units of each array of a batch.
    n_samples : int
        How many samples were drawn, over all processes.
    places : (n_own,) integers
        Which of the drawn samples this stream runs over, in order; all of them in one process.
    """

    def __init__(
        self,
        network: MLP,
        loss: Loss,
        source: Source,
        workspace: Workspace,
        drawn: IndexArray,
        batch_size: int,
        reduce: Reduce = alone,
    ):
        self.layer_sizes, self.dtype = network.layer_sizes, network.dtype
        self.n_samples, self.reduce = drawn.size, reduce
        self.places, self._samples = source.locate(drawn)
        self._network, self._loss, self._source, self._workspace = network, loss, source, workspace
        self._drawn, self._batch_size = drawn, batch_size

    def __iter__(self):
        for samples in in_batches(self._samples, self._batch_size):
            yield self._activations(samples)[0]

    def _activations(self, samples):
        """A batch as it is handed out, and the sums that predictions are made of."""
        network, workspace = self._network, self._workspace
        self._source.read(samples, workspace)
        z = network.forward(workspace, all_units=True)
        inputs = workspace.sparse_inputs
        features = workspace.x if inputs is None else self._all_features(inputs)
        hidden = [workspace.outputs_of(layer) for layer in range(len(network.layers) - 1)]
        return [features, *hidden, self._loss.predictions(z)], z

    def _all_features(self, inputs: SparseInputs) -> np.ndarray:
        """Sparse inputs with a row for every feature, (n_features, batch)."""
        dense = np.zeros((self._source.n_features, self._workspace.batch), dtype=self.dtype)
        dense[inputs.features] = inputs.values[:, : self._workspace.batch]
        return dense


class ErrorStream(ActivationStream):
    """Activations and errors of the same samples, batch by batch, as often as it is iterated.

    Each batch is a pair of lists of arrays (n_units, batch): the activations, as in `ActivationStream`, and for every
    layer l the errors of its outputs,

        errors[l] = ∂L / ∂(W_l a_l + b_l),   a_l = activations[l]

    of the mean loss L over all samples drawn, so that errors[l] · activations[l]ᵀ, added up over the batches, is the
    gradient of L at all pairs of the layer. Units that nothing reads have no error, and there is no dropout.

    Each pass runs the network forward and backward, and overwrites ``network.gradient``. The backward pass puts errors
    in the place of activations, so these are copied before.

    Parameters
    ----------
    network, loss, source, workspace, drawn, batch_size, reduce
        As for `ActivationStream`.
    check_loss : callable
        Called with the mean loss of each batch; may raise if it is not finite.
    """

    def __init__(self, *drawn: Any, check_loss: Callable[[float], None] = lambda loss: None):
        super().__init__(*drawn)
        self._check_loss = check_loss

    def __iter__(self):
        sizes, workspace = self.layer_sizes, self._workspace
        last = len(sizes) - 2
        ends = np.cumsum(sizes[1:])
        kept = np.empty(ends[-1] * min(self._batch_size, self._samples.size), dtype=self.dtype)
        for samples in in_batches(self._samples, self._batch_size):
            activations, z = self._activations(samples)
            rows = kept[: ends[-1] * samples.size].reshape(ends[-1], samples.size)
            for layer, end in enumerate(ends):
                copy = rows[end - sizes[layer + 1] : end]
                copy[:] = activations[layer + 1]
                activations[layer + 1] = copy
            self._backward(z, samples)
            yield activations, [workspace.outputs_of(layer) for layer in range(last + 1)]

    def halves(self) -> tuple["ErrorStream", "ErrorStream"]:
        """Return two streams, of every other sample each; each has the mean loss over its own samples."""
        parts = self._network, self._loss, self._source, self._workspace
        first, second = (
            ErrorStream(*parts, drawn, self._batch_size, self.reduce, check_loss=self._check_loss)
            for drawn in (self._drawn[::2], self._drawn[1::2])
        )
        return first, second

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

    def _backward(self, z, samples):
        self._check_loss(self._loss(z, self._source.target[samples], z))  # the gradient takes the place of z
        z *= samples.size / self.n_samples
        self._network.backward(self._workspace)
