"""What the rules of evolution can look at while a network trains, computed only when a rule asks for it."""

import numpy as np

from truesparse._typing import IndexArray
from truesparse.batches import BatchReader, SparseInputs, in_batches
from truesparse.losses import Loss
from truesparse.network import MLP
from truesparse.workspace import Workspace


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
        network, workspace = self._network, self._workspace
        for samples in in_batches(self._samples, self._batch_size):
            x = workspace.read(self._reader, samples)
            z = network.forward(x, workspace, all_units=True)
            layers = [workspace.outputs_of(layer) for layer in range(len(network.layers) - 1)]
            layers.insert(0, self._all_features(x) if self._reader.is_sparse else x)
            yield [*layers, self._loss.predictions(z)]

    def _all_features(self, inputs: SparseInputs) -> np.ndarray:
        """Sparse inputs with a row for every feature, (n_features, batch)."""
        dense = np.zeros((self._reader.n_features, self._workspace.batch), dtype=self.dtype)
        dense[inputs.features] = inputs.values[:, : self._workspace.batch]
        return dense


def draw_samples(n_samples: int, n_wanted: int | None, rng: np.random.Generator) -> IndexArray:
    """Distinct samples in increasing order; all of them for None or more than there are."""
    if n_wanted is None or n_wanted >= n_samples:
        return np.arange(n_samples)
    return np.sort(rng.choice(n_samples, n_wanted, replace=False))
