"""What a network makes of any number of samples."""

from collections.abc import Callable

import numpy as np

from truesparse._typing import FloatArray
from truesparse.data.batches import BatchReader
from truesparse.network.protocol import Network

_LARGE = 2**26  # bytes of a workspace that few samples are not worth; narrower kernels have to be compiled first


def forward_all(
    network: Network, X, batch_size: int = 112, of: Callable[[FloatArray], np.ndarray] | None = None
) -> np.ndarray:
    """The last layer's sums for all samples, or what is made of them, in batches, so that memory is bounded by these.

    Every batch is filled up to `batch_size`, by repeating its last sample: a sample's result then has the same bytes
    wherever and with whatever others it stands, because vector instructions never meet a remainder. Large networks take
    fewer at a time where there are no more, if our kernels compute all of their layers: these give the same bytes in
    batches of every size, which BLAS does not.

    Parameters
    ----------
    network : Network
    X : (n_samples, n_features), C-contiguous array or CSR, of the network's dtype
    batch_size : int
    of : callable, optional
        What to make of the sums of a batch, (n_outputs, batch): an array whose last axis is the batch.

    Returns
    -------
    (n_outputs, n_samples), or (…, n_samples)
    """
    reader = BatchReader(X)
    is_large = network.bytes_needed(batch_size, dense_inputs=not reader.is_sparse) > _LARGE
    if is_large and network.is_batch_invariant:
        batch_size = min(batch_size, X.shape[0])
    workspace = network.workspace(batch_size, dense_inputs=not reader.is_sparse)
    n_samples = X.shape[0]
    out = np.empty((0, n_samples))
    for start in range(0, n_samples, batch_size):
        stop = min(start + batch_size, n_samples)
        samples = np.minimum(np.arange(start, start + batch_size), n_samples - 1)
        workspace.read(reader, samples)
        part = network.forward(workspace)[:, : stop - start]
        if of is not None:
            part = of(part)
        if start == 0:
            out = np.empty((*part.shape[:-1], n_samples), dtype=part.dtype)
        out[..., start:stop] = part
    return out
