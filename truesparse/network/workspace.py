"""The arrays of one batch: a row for every unit, a column for every sample.

Rows of the layers' units come first, in order, then those of the features; with sparse data there are none of these.
A batch may be smaller than the workspace: nothing reads the columns behind it, except that their errors are zero, so
that they add nothing to the gradient.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from truesparse._typing import FloatArray, IndexArray
from truesparse.kernels.dropout import key_of_step
from truesparse.kernels.lanes import CHUNK, PART, width_of
from truesparse.runtime.random_streams import Draws

_ALIGNMENT = 64  # bytes of a cache line: a vector of 16 float32 then lies in one
_N_LANES = (16, 32, 64, 112, 128)  # 112 for batches of 100, which are common


@dataclass(frozen=True)
class BatchShape:
    """Layout of the samples of a batch in a row.

    A row has room for ``n_tiles`` times ``n_lanes`` samples; kernels work on `n_lanes` of them at a time, and are
    compiled for each number of lanes that is used, so there are few. Rows are an odd number of cache lines apart, since
    distances that are powers of two would crowd into a part of the cache.
    """

    n_tiles: int
    n_lanes: int

    @classmethod
    def of(cls, batch_size: int, n_threads: int = 1) -> "BatchShape":
        """Return the smallest one for so many samples, with two tiles for two threads or more where sums allow it."""
        n_tiles = -(-batch_size // _N_LANES[-1])
        if n_tiles == 1 and batch_size > PART and n_threads > 1:
            return cls(2, PART)
        return cls(n_tiles, next(n for n in _N_LANES if n * n_tiles >= batch_size))

    @property
    def stride(self) -> int:
        """Entries from one row to the next."""
        n_chunks = self.n_tiles * self.n_lanes // CHUNK
        return CHUNK * (n_chunks + 1 - n_chunks % 2)


@dataclass(frozen=True)
class SparseInputs:
    """The features that are not zero in a batch, sorted, and their values, (≥ n, stride)."""

    features: IndexArray
    values: FloatArray


class Workspace:
    """Activations of all units for one batch, and what the backward pass needs besides.

    There are rows for the features only with `dense_inputs`, and an array `saved` only with `saves`; `layer_sizes` are
    the numbers of units from the features to the outputs; `shape` is the smallest one unless it is given.

    | attribute | shape | content |
    |---|---|---|
    | ``a`` | (n_rows, stride) | activations, and errors after the backward pass |
    | ``masks`` | (n_tiles, n_units, lanes / 16) uint16 | one bit for every activation: whether its sum was positive |
    | ``kept`` | as ``masks`` | another bit: whether dropout keeps it; of size 0 without dropout |
    | ``dropout`` | | key of the step, threshold and factor, as `truesparse.kernels.dropout` explains them |
    | ``saved`` | (n_hidden_rows, stride) | sums or outputs from which derivatives are computed; or of shape (0, 0) |
    | ``batch`` | | number of samples |
    | ``z`` | (n_outputs, batch) | rows of the outputs: the sums; a loss puts the errors in their place |
    | ``sparse_inputs`` | | `SparseInputs` or None |
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        batch_size: int,
        dtype,
        *,
        dense_inputs: bool = True,
        saves: bool = False,
        shape: BatchShape | None = None,
    ):
        self.shape = shape or BatchShape.of(batch_size)
        self.width = width_of(self.shape.n_lanes)
        self._batch_size = batch_size
        ends = np.cumsum([0, *layer_sizes[1:]]).tolist()
        self._rows = [slice(start, stop) for start, stop in pairwise(ends)]
        n_rows = ends[-1] + (layer_sizes[0] if dense_inputs else 0)
        self._features = slice(ends[-1], n_rows)
        self._lanes = slice(0, self.shape.n_tiles * self.shape.n_lanes)
        self.a = _aligned_zeros((n_rows, self.shape.stride), dtype)
        self.masks = np.zeros((self.shape.n_tiles, ends[-1], self.shape.n_lanes // CHUNK), dtype=np.uint16)
        self._flat_a, self._flat_masks = self.a.reshape(-1), self.masks.reshape(-1)
        self.saved = _aligned_zeros((ends[-2], self.shape.stride) if saves else (0, 0), dtype)
        self._bits_of_dropout = self.masks[:0]
        self._scratch = np.empty(0, dtype=dtype)
        self.set_dropout(0.0, None)
        self.begin(batch_size)

    @staticmethod
    def bytes_needed(
        layer_sizes: Sequence[int], batch_size: int, dtype, *, dense_inputs=True, dropout=False, saves=False, scratch=0
    ) -> int:
        """Return the bytes of a workspace while a network trains, with `scratch` rows for products."""
        n_rows = sum(layer_sizes[0 if dense_inputs else 1 :])
        shape, size = BatchShape.of(batch_size, n_threads=2), np.dtype(dtype).itemsize
        bits = sum(layer_sizes[1:]) * shape.n_tiles * shape.n_lanes // CHUNK * (4 if dropout else 2)
        activations = n_rows * shape.stride * size + bits
        if saves:
            activations += sum(layer_sizes[1:-1]) * shape.stride * size
        return activations + scratch * shape.n_tiles * shape.n_lanes * size

    @property
    def nbytes(self) -> int:
        """Bytes of the activations."""
        return self.a.nbytes

    def begin(self, batch: int) -> None:
        """Prepare for a batch, whose inputs a source then puts into `features` or `sparse_inputs`."""
        if batch > self._batch_size:
            raise ValueError(f"A batch of {batch} samples does not fit a workspace for {self._batch_size}.")
        self.batch = batch
        self.sparse_inputs: SparseInputs | None = None
        self.z = self.a[self._rows[-1], :batch]

    @property
    def features(self) -> FloatArray:
        """Rows for the features of dense data, (n_features, stride), with the columns behind the batch."""
        return self.a[self._features]

    @property
    def x(self) -> FloatArray:
        """Features of the samples of this batch, (n_features, batch), for dense data."""
        return self.features[:, : self.batch]

    def set_inputs(self, x: FloatArray) -> None:
        """Begin a batch with a copy of the inputs x, (n_features, batch)."""
        self.begin(x.shape[1])
        self.x[:] = x

    def check_inputs(self, n_features: int) -> None:
        """Raise a ValueError if there are no inputs of so many features: a kernel would read behind the array."""
        n_rows = self._features.stop - self._features.start
        if self.sparse_inputs is None and n_rows != n_features:
            raise ValueError(f"The workspace has no inputs of {n_features} features: it has {n_rows} rows for them.")

    def flat(self) -> tuple:
        """Return arguments of kernels: ``a``, ``masks`` and ``kept`` as vectors."""
        return self._flat_a, self._flat_masks, self.kept.reshape(-1)

    def outputs_of(self, layer: int) -> FloatArray:
        """Return the activations of a layer, (n_units, batch)."""
        return self.a[self._rows[layer], : self.batch]

    def lanes_of(self, layer: int, array: FloatArray | None = None) -> FloatArray:
        """Return a layer's rows of `a` or of another array, (n_units, lanes), with all columns that kernels work on."""
        return (self.a if array is None else array)[self._rows[layer], self._lanes]

    def saved_of(self, layer: int) -> FloatArray:
        """Return a layer's rows of `saved`, (n_units, lanes)."""
        return self.lanes_of(layer, self.saved)

    def place_of(self, layer: int) -> tuple[int, int, int]:
        """Return a layer's first row, the entries from one row to the next, and the number of lanes."""
        return self._rows[layer].start, self.shape.stride, self._lanes.stop

    def inputs_of(self, layer: int):
        """Return the inputs of a layer, (n, lanes), and which of its features they are, as a slice or as indices."""
        if layer > 0:
            return self.lanes_of(layer - 1), slice(None)
        if self.sparse_inputs is None:
            return self.a[self._features, self._lanes], slice(None)
        return self.sparse_inputs.values[:, self._lanes], self.sparse_inputs.features

    def clear_padding(self) -> None:
        """Set the errors of the outputs to zero in the columns behind the batch."""
        self.a[self._rows[-1], self.batch :] = 0

    def set_dropout(self, probability: float, draws: Draws | None) -> None:
        """Let the kernels silence hidden units with this probability, by these draws; none without.

        The probability is rounded to a multiple of 2⁻¹⁶.
        """
        threshold, key = 0, 0
        if draws is not None and probability > 0:
            threshold = min(round(probability * 2**16), 2**16 - 1)
            key = key_of_step(np.uint64(draws.key), draws.step, draws.column)
            if self._bits_of_dropout.size == 0:
                self._bits_of_dropout = np.zeros_like(self.masks)
        self.share_kept = 1 - threshold / 2**16
        self.kept = self._bits_of_dropout if threshold > 0 else self.masks[:0]
        self.dropout = np.uint64(key), np.uint16(threshold), self.a.dtype.type(1 / self.share_kept)

    def scratch(self, n_units: int) -> FloatArray:
        """Return rows for products, (n_units, lanes), contiguous; valid until the next call."""
        n_lanes = self._lanes.stop
        if self._scratch.size < n_units * n_lanes:
            self._scratch = np.empty(n_units * n_lanes, dtype=self.a.dtype)
        return self._scratch[: n_units * n_lanes].reshape(n_units, n_lanes)


def _aligned_zeros(shape, dtype):
    """Return zeros whose rows begin with a cache line, if the row's length is a multiple of one."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = np.zeros(size + _ALIGNMENT, dtype=np.uint8)
    start = -buffer.ctypes.data % _ALIGNMENT
    return buffer[start : start + size].view(dtype).reshape(shape)
