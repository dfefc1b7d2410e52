"""The `Network` protocol: the members that training, signals, storage and estimators rely on."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from truesparse._typing import FloatArray
from truesparse.network.layers import Layer
from truesparse.network.workspace import BatchShape, Workspace
from truesparse.runtime.random_streams import Draws
from truesparse.topology import Rewiring


class Network(Protocol):
    """Parameters in one flat vector, layers with patterns, a forward and a backward pass."""

    params: FloatArray  # (n_params,); the first `n_weights` are the weights, layer by layer
    gradient: FloatArray  # (n_params,)
    n_weights: int
    layers: list[Layer]
    shares_weights: ClassVar[bool] = False  # between places, as convolutions do
    normalises_batches: ClassVar[bool] = False  # with mean and variance of each batch, as batch norms do
    tile: ClassVar[int] = 1  # samples that one thread works on; kernels are the same for any number of tiles
    dropout: float  # the probability with which a hidden unit is silenced during training

    _most_idle: ClassVar[int] = 4  # workspaces of a size that are kept, one for each thread that predicts
    _largest_idle: ClassVar[int] = 2**24  # bytes of each
    _idle_workspaces: dict[tuple[int, bool], deque[Any]]

    @property
    def layer_sizes(self) -> list[int]:
        """Numbers of units from the inputs to the outputs."""

    def workspace(self, batch_size: int, *, dense_inputs: bool = True, shape: BatchShape | None = None) -> Workspace:
        """Return the arrays for batches of at most so many samples, by default of the smallest shape."""

    @contextmanager
    def lent_workspace(self, batch_size: int, *, dense_inputs: bool = True) -> Iterator[Any]:
        """Lend a `workspace` to a ``with`` block; afterwards it is kept for the next one, unless it is large.

        Several threads can predict at a time, each with a workspace of its own.
        """
        idle = self._idle_workspaces.setdefault((batch_size, dense_inputs), deque(maxlen=self._most_idle))
        try:
            workspace = idle.pop()
        except IndexError:
            workspace = self.workspace(batch_size, dense_inputs=dense_inputs)
        yield workspace  # one that an error leaves behind with infinite numbers is not kept
        if workspace.nbytes <= self._largest_idle:
            workspace.sparse_inputs = None
            idle.append(workspace)

    def bytes_needed(self, batch_size: int, *, dense_inputs: bool = True) -> int:
        """Return the bytes of the arrays that training with such batches needs."""

    def forward(self, workspace: Workspace, draws: Draws | None = None, *, all_units: bool = False) -> FloatArray:
        """Return the last layer's sums for the inputs in the workspace, (n_outputs, batch)."""

    def backward(self, workspace: Workspace, *, all_units: bool = False) -> None:
        """Fill ``gradient`` from the errors of the outputs in ``workspace.z``."""

    def free_index(self) -> None:
        """Free index arrays that the next pass can make anew, where these are large."""

    def keep_units(self, kept: Sequence[NDArray[np.bool_]], *vectors: FloatArray) -> list[FloatArray]:
        """Remove hidden units; return other vectors of the same layout without what belonged to them."""

    @property
    def dtype(self) -> np.dtype:
        """Data type of the parameters and of everything computed from them."""
        return self.params.dtype

    @property
    def density(self) -> float:
        """Stored weights as a share of all pairs, over all layers."""
        return self.n_weights / sum(fan_out * fan_in for fan_out, fan_in in (layer.shape for layer in self.layers))

    def bytes_beside_weights(self) -> list[int]:
        """Return the bytes of what each layer has besides weights and biases, such as learnt slopes."""

    @property
    def work(self) -> int:
        """Products of one pass over one sample, about."""
        return self.params.size

    @property
    def is_batch_invariant(self) -> bool:
        """Whether a sample's outputs have the same bytes in batches of every size: on our kernels, but not on BLAS."""
        return all(layer.in_kernels for layer in self.layers)

    def weight_slices(self) -> list[slice]:
        """Return the slots of each layer's weights in the vector of parameters."""
        return consecutive_slices(0, [layer.nnz for layer in self.layers])

    def carried(self, rewirings: Sequence[Rewiring | None], vector: FloatArray) -> FloatArray:
        """Return a vector (n_params,) in the order of the next topology, with zeros for grown connections.

        It is changed in place if all layers keep their number of weights; otherwise the result is a new one. There is a
        rewiring for each layer; None leaves a layer as it is.
        """
        old_sizes = [layer.nnz for layer in self.layers]
        sizes = [size if new is None else new.pattern.nnz for size, new in zip(old_sizes, rewirings, strict=True)]
        starts, out = [0, *np.cumsum(sizes).tolist()], vector
        if sizes != old_sizes:
            out = np.empty(starts[-1] + vector.size - self.n_weights, dtype=vector.dtype)
            out[starts[-1] :] = vector[self.n_weights :]
        for slots, start, size, rewiring in zip(self.weight_slices(), starts[:-1], sizes, rewirings, strict=True):
            if rewiring is not None:
                out[start : start + size] = rewiring.carry(vector[slots])
            elif out is not vector:
                out[start : start + size] = vector[slots]
        return out

    def rewire(self, rewirings: Sequence[Rewiring | None]) -> None:
        """Replace patterns, one per layer; the parameters follow as in `carried`, which comes before for others.

        Index arrays of the old patterns are freed before.
        """
        self.free_index()
        before, self.params = self.params, self.carried(rewirings, self.params)
        for layer, rewiring in zip(self.layers, rewirings, strict=True):
            if rewiring is not None:
                layer.pattern = rewiring.pattern
        if self.params is not before:
            self.n_weights = sum(layer.nnz for layer in self.layers)
            self._bind()

    def _bind(self) -> None:
        """Give the layers their views of the parameters and of a new gradient."""

    def snapshot(self, *vectors: FloatArray) -> tuple[list, list[FloatArray]]:
        """Return the patterns, and copies of the parameters and of other vectors of the same layout."""
        patterns = [layer.stored_pattern for layer in self.layers]  # immutable
        return patterns, [vector.copy() for vector in (self.params, *vectors)]

    def restore(self, snapshot: tuple[list, list[FloatArray]], *vectors: FloatArray) -> None:
        """Go back to what `snapshot` returned, in place; `vectors` as there."""
        patterns, copies = snapshot
        for layer, pattern in zip(self.layers, patterns, strict=True):
            if pattern is not None:
                layer.pattern = pattern
        for vector, kept in zip((self.params, *vectors), copies, strict=True):
            vector[:] = kept


def consecutive_slices(start: int, sizes: Sequence[int]) -> list[slice]:
    """Return slices of these sizes, one after another."""
    ends = start + np.cumsum(sizes)
    return [slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)]
