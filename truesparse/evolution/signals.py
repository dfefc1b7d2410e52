"""What the rules of evolution can look at while a network trains, computed only when a rule asks for it."""

from collections.abc import Callable

import numpy as np

from truesparse._typing import FloatArray, IndexArray
from truesparse.data.batches import BatchReader, in_batches
from truesparse.network.losses import Loss
from truesparse.network.mlp import MLP
from truesparse.network.workspace import SparseInputs, Workspace


class ActivationStream:
    """The activations of all units over some samples, batch by batch, as often as it is iterated.

    Each batch is a list of arrays (n_units, batch), with contiguous rows: the features, every hidden layer's outputs
    without dropout, and the predictions. They are valid until the next batch.

    Parameters
    ----------
    network : MLP
    loss : Loss
        Turns the last layer's sums into predictions.
    reader : BatchReader
    workspace : Workspace
    samples : (n,) integers
    batch_size : int
    """

    def __init__(
        self, network: MLP, loss: Loss, reader: BatchReader, workspace: Workspace, samples: IndexArray, batch_size: int
    ):
        self.layer_sizes = network.layer_sizes
        self.dtype = network.dtype
        self.n_samples = samples.size
        self._network, self._loss, self._reader, self._workspace = network, loss, reader, workspace
        self._samples, self._batch_size = samples, batch_size

    def __iter__(self):
        for samples in in_batches(self._samples, self._batch_size):
            yield self._activations(samples)[0]

    def _activations(self, samples):
        """A batch as it is handed out, and the sums that predictions are made of."""
        network, workspace = self._network, self._workspace
        workspace.read(self._reader, samples)
        z = network.forward(workspace, all_units=True)
        layers = [workspace.outputs_of(layer) for layer in range(len(network.layers) - 1)]
        inputs = workspace.sparse_inputs
        layers.insert(0, workspace.x if inputs is None else self._all_features(inputs))
        return [*layers, self._loss.predictions(z)], z

    def _all_features(self, inputs: SparseInputs) -> np.ndarray:
        """Sparse inputs with a row for every feature, (n_features, batch)."""
        dense = np.zeros((self._reader.n_features, self._workspace.batch), dtype=self.dtype)
        dense[inputs.features] = inputs.values[:, : self._workspace.batch]
        return dense


class ErrorStream(ActivationStream):
    """Activations, and errors of the same samples, batch by batch, as often as it is iterated.

    Each batch is a pair of lists of arrays (n_units, batch): the activations, as in `ActivationStream`, and for every
    layer l the errors of its outputs,

        errors[l] = ∂L / ∂(W_l a_l + b_l),   a_l = activations[l]

    of the mean loss L over all samples of the stream, so that errors[l] · activations[l]ᵀ, added up over the batches,
    is the gradient of L at all pairs of the layer. Units that nothing reads have no error, and there is no dropout.

    Each pass runs the network forward and backward, and overwrites ``network.gradient``. The backward pass puts errors
    in the place of activations, so these are copied before.

    Parameters
    ----------
    network, loss, reader, workspace, samples, batch_size
        As for `ActivationStream`.
    target : (n_samples of the reader, …)
        As the loss wants it.
    check : callable
        Called with the mean loss of each batch; may raise if it is not finite.
    """

    def __init__(
        self,
        network: MLP,
        loss: Loss,
        reader: BatchReader,
        workspace: Workspace,
        samples: IndexArray,
        batch_size: int,
        target: np.ndarray,
        check: Callable[[float], None] = lambda loss: None,
    ):
        super().__init__(network, loss, reader, workspace, samples, batch_size)
        self._target, self._check = target, check

    def __iter__(self):
        sizes, workspace = self.layer_sizes, self._workspace
        last = len(sizes) - 2
        ends = np.cumsum(sizes[1:])
        kept = np.empty(ends[-1] * min(self._batch_size, self.n_samples), dtype=self.dtype)
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
        """Two streams, of every other sample each; each has the mean loss over its own samples."""
        halves = []
        for samples in (self._samples[::2], self._samples[1::2]):
            parts = self._network, self._loss, self._reader, self._workspace, samples, self._batch_size
            halves.append(ErrorStream(*parts, self._target, self._check))
        return tuple(halves)

    def gradient(self) -> list[FloatArray]:
        """The gradient of the mean loss over the samples at the stored weights of every layer, (nnz,) each."""
        network = self._network
        total = np.zeros(network.n_weights, dtype=self.dtype)
        for samples in in_batches(self._samples, self._batch_size):
            self._workspace.read(self._reader, samples)
            self._backward(network.forward(self._workspace), samples)
            total += network.gradient[: network.n_weights]
        return [total[slots] for slots in network.weight_slices()]

    def _backward(self, z, samples):
        self._check(self._loss(z, self._target[samples], z))  # the gradient takes the place of z
        z *= samples.size / self.n_samples
        self._network.backward(self._workspace)


def draw_samples(n_samples: int, n_wanted: int | None, rng: np.random.Generator) -> IndexArray:
    """Distinct samples in increasing order; all of them for None or more than there are."""
    if n_wanted is None or n_wanted >= n_samples:
        return np.arange(n_samples)
    return np.sort(rng.choice(n_samples, n_wanted, replace=False))
