"""Forward passes over many samples, in batches."""

from collections.abc import Callable

import numpy as np

from truesparse._typing import FloatArray
from truesparse.data.source import Source
from truesparse.network.protocol import Network

_LARGE = 2**26  # bytes of a workspace that few samples are not worth; narrower kernels have to be compiled first


def forward_all(
    network: Network, source: Source, batch_size: int = 112, of: Callable[[FloatArray], np.ndarray] | None = None
) -> np.ndarray:
    """Compute the last layer's sums for all samples, or a function of them, batch by batch.

    Every batch is filled up to `batch_size`, by repeating its last sample: a sample's result then has the same bytes
    wherever and with whatever others it stands, because vector instructions never meet a remainder. Large networks take
    fewer at a time where there are no more, if our kernels compute all of their layers: these give the same bytes in
    batches of every size, which BLAS does not.

    Parameters
    ----------
    network : Network
    source : Source, of the network's dtype
    batch_size : int
    of : callable, optional
        Returns an array whose last axis is the batch, of the sums of a batch, (n_outputs, batch).

    Returns
    -------
    (n_outputs, n_samples), or (…, n_samples)
    """
    is_large = network.bytes_needed(batch_size, dense_inputs=not source.is_sparse) > _LARGE
    if is_large and network.is_batch_invariant:
        batch_size = min(batch_size, source.n_samples)
    workspace = network.workspace(batch_size, dense_inputs=not source.is_sparse)
    n_samples = source.n_samples
    out = np.empty((0, n_samples))
    for start in range(0, n_samples, batch_size):
        stop = min(start + batch_size, n_samples)
        samples = np.minimum(np.arange(start, start + batch_size), n_samples - 1)
        source.read(samples, workspace)
        part = network.forward(workspace)[:, : stop - start]
        if of is not None:
            part = of(part)
        if start == 0:
            out = np.empty((*part.shape[:-1], n_samples), dtype=part.dtype)
        out[..., start:stop] = part
    return out
