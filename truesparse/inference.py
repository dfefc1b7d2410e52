"""What a network makes of any number of samples."""

import numpy as np

from truesparse._typing import FloatArray
from truesparse.batches import BatchReader
from truesparse.network import MLP


def forward_all(network: MLP, X, batch_size: int = 112) -> FloatArray:
    """The last layer's sums for all samples, in batches, so that memory is bounded by the batch.

    Every batch is filled up to `batch_size`, by repeating its last sample: a sample's result then has the same bytes
    wherever and with whatever others it stands, because vector instructions never meet a remainder.

    Parameters
    ----------
    network : MLP
    X : (n_samples, n_features), C-contiguous array or CSR, of the network's dtype
    batch_size : int

    Returns
    -------
    (n_outputs, n_samples)
    """
    reader = BatchReader(X)
    workspace = network.workspace(batch_size, dense_inputs=not reader.is_sparse)
    n_samples = X.shape[0]
    z = np.empty((network.layer_sizes[-1], n_samples), dtype=network.dtype)
    for start in range(0, n_samples, batch_size):
        stop = min(start + batch_size, n_samples)
        samples = np.minimum(np.arange(start, start + batch_size), n_samples - 1)
        z[:, start:stop] = network.forward(workspace.read(reader, samples), workspace)[:, : stop - start]
    return z
