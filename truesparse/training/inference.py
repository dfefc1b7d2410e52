"""Forward passes over many samples, in batches."""

from collections.abc import Callable
from functools import partial

import numpy as np

from truesparse._typing import FloatArray
from truesparse.data.source import Source, alone
from truesparse.kernels.jit import current_threads
from truesparse.network.protocol import Network

BATCH = 112  # samples of a batch, if there are many
_MANY = 2**12  # samples from which on it is worth the compilation of kernels for larger batches
_TILES, _MOST_TILES = 4, 16  # of a batch of a network whose kernels are the same for any number of tiles
_LARGE = 2**24  # bytes of a workspace above which few samples get a smaller one, whose kernels may need compilation


Of = Callable[[FloatArray], np.ndarray]


def forward_all(network: Network, source: Source, of: Of | None = None) -> np.ndarray:
    """Compute the last layer's sums for all samples, (n_outputs, n_samples), batch by batch.

    With `of`, a function from a batch's sums to an array (…, batch), the result is (…, n_samples). The source must have
    the network's dtype.

    A sample's result has the same bytes in every batch, because our kernels give the same for every batch size. So the
    batches are as large as those of most trainings, for which the kernels are compiled already, or if there are many
    samples as large as is fastest. Those of a network with tiles have as many of them for each thread. BLAS may give
    other bytes for another size: a network with BLAS layers always gets batches of one size, and the last one is filled
    up with its last sample.
    """
    return source.compute(partial(_forward_all, network, of))


def _batch_size(network, n_samples, dense_inputs):
    invariant = network.is_batch_invariant
    if network.tile > 1:  # always the same, so that all predictions share a workspace, of which few use all
        n_threads = min(_MOST_TILES, current_threads())
        return network.tile * n_threads * -(-_TILES // n_threads)  # as many tiles for each thread
    size = 32 if invariant and n_samples < _MANY else BATCH
    is_large = invariant and n_samples < size and network.bytes_needed(size, dense_inputs=dense_inputs) > _LARGE
    return n_samples if is_large else size


def _forward_all(network: Network, of: Of | None, source: Source) -> np.ndarray:
    n_samples, dense_inputs, invariant = source.n_samples, not source.is_sparse, network.is_batch_invariant
    batch_size, out = _batch_size(network, n_samples, dense_inputs), None
    with network.lent_workspace(batch_size, dense_inputs=dense_inputs) as workspace:
        for samples in filter(len, source.in_order(batch_size)):
            filled = samples if invariant else np.pad(samples, (0, batch_size - samples.size), mode="edge")
            source.read(filled, workspace)
            sums = network.forward(workspace)[:, : samples.size]
            part = sums if of is None else of(sums)
            if out is None:
                out = np.zeros((*part.shape[:-1], n_samples), dtype=part.dtype)
            out[..., samples] = part
    if source.reduce is alone:
        return np.empty((0, n_samples)) if out is None else out
    if out is None:  # all samples are elsewhere
        sums = np.empty((network.layer_sizes[-1], 0), dtype=source.dtype)
        part = sums if of is None else of(sums)
        out = np.zeros((*part.shape[:-1], n_samples), dtype=part.dtype)
    return source.reduce(out)
