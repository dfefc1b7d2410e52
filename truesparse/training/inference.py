"""Forward passes over many samples, in batches."""

from collections.abc import Callable

import numpy as np

from truesparse._typing import FloatArray
from truesparse.data.source import Source
from truesparse.network.protocol import Network

_LARGE = 2**26  # bytes of a workspace above which few samples get a smaller one, whose kernels may need compilation


def forward_all(
    network: Network, source: Source, batch_size: int = 112, of: Callable[[FloatArray], np.ndarray] | None = None
) -> np.ndarray:
    """Compute the last layer's sums for all samples, (n_outputs, n_samples), batch by batch.

    With `of`, a function from a batch's sums to an array (…, batch), the result is (…, n_samples). The source must have
    the network's dtype.

    Every batch is filled up to `batch_size` with its last sample, so that a sample's result has the same bytes in every
    batch: vector instructions never meet a remainder. A large network without BLAS layers takes few samples in a small
    batch, because our kernels give the same bytes for every size.
    """
    n_samples, dense_inputs = source.n_samples, not source.is_sparse
    if network.is_batch_invariant and network.bytes_needed(batch_size, dense_inputs=dense_inputs) > _LARGE:
        batch_size = min(batch_size, n_samples)
    workspace = network.workspace(batch_size, dense_inputs=dense_inputs)
    out = None
    for samples in filter(len, source.batches(batch_size)):  # in the source's order, which loads chunks once
        source.read(np.pad(samples, (0, batch_size - samples.size), mode="edge"), workspace)
        sums = network.forward(workspace)[:, : samples.size]
        part = sums if of is None else of(sums)
        if out is None:
            out = np.empty((*part.shape[:-1], n_samples), dtype=part.dtype)
        out[..., samples] = part
    return np.empty((0, n_samples)) if out is None else out
