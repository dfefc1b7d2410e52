"""The layer table of a network, by which the kernels find the arrays of its layers (see `truesparse.kernels.table`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from truesparse._typing import IndexArray
from truesparse.kernels import table as fields
from truesparse.kernels.paths import mark_inputs, transpose
from truesparse.network.layers import Layer


@dataclass(frozen=True, eq=False)
class LayerTable:
    """Layer table, and the arrays whose addresses it holds, which it alone may keep alive.

    After an update of the topology, a pass makes a new one, possibly while another thread still works with this one.
    Code that hands `rows` to a kernel therefore keeps the table itself until the kernel returns.
    """

    rows: np.ndarray  # (n_layers, N_FIELDS) int64
    index: IndexArray  # (0,), of the dtype of the index arrays, which kernels take from it
    arrays: list[
        np.ndarray
    ]  # the arrays that `rows` points to; nothing reads the list, but it keeps them from being freed
    first_transposed: int  # the first layer with a transposed index; all layers above it have one, too
    versions: list[int]  # of the layers, from which a pass sees whether the table is up to date

    @classmethod
    def of(cls, layers: Sequence[Layer], kinds: Sequence[int], first_transposed: int) -> "LayerTable":
        """Make the table of some layers, whose outputs go through activations of these kinds."""
        versions = [layer.version for layer in layers]  # first: a pattern that is replaced meanwhile makes them old
        patterns = [layer.stored_pattern if layer.in_kernels else None for layer in layers]
        degrees = [0 if pattern is None else pattern.out_units_fan_in.max(initial=1) for pattern in patterns]
        shifts = [(int(degree) - 1).bit_length() for degree in degrees]
        wide = any(
            pattern is not None and (pattern.indices.dtype == np.int64 or pattern.shape[0] << shift > 2**31)
            for pattern, shift in zip(patterns, shifts, strict=True)
        )
        index: IndexArray = np.empty(0, dtype=np.int64 if wide else np.int32)
        rows = fields.empty_table(len(layers))
        rows[:, [fields.FAN_OUT, fields.FAN_IN]] = [layer.shape for layer in layers]
        rows[:, fields.NNZ] = [layer.nnz for layer in layers]
        rows[:, fields.ACTIVATION] = kinds
        rows[1:, fields.WEIGHTS] = np.cumsum(rows[:-1, fields.NNZ])
        rows[1:, fields.OUTPUTS] = np.cumsum(rows[:-1, fields.FAN_OUT])
        rows[:, fields.BIASES] = rows[:, fields.OUTPUTS] + rows[:, fields.NNZ].sum()
        rows[:, fields.INPUTS] = [rows[:, fields.FAN_OUT].sum(), *rows[:-1, fields.OUTPUTS]]
        arrays: list[np.ndarray] = []

        def point_to(row: int, first: int, *pointed: np.ndarray) -> None:
            rows[row, first : first + len(pointed)] = [fields.address(array) for array in pointed]
            arrays.extend(pointed)

        on_path = np.ones(layers[-1].shape[0], dtype=np.uint8)
        for row in reversed(range(len(layers))):
            pattern, fan_in = patterns[row], layers[row].shape[1]
            units = np.flatnonzero(on_path).astype(index.dtype)
            rows[row, fields.N_UNITS] = units.size
            point_to(row, fields.ON_PATH, on_path, units)
            if pattern is None:
                on_path = np.ones(fan_in, dtype=np.uint8)
                continue
            indices, indptr = (
                np.ascontiguousarray(array, dtype=index.dtype) for array in (pattern.indices, pattern.indptr)
            )
            point_to(row, fields.INDICES, indices, indptr)
            if row >= first_transposed:
                # Sparse inputs are spread along the columns of the first layer, also to units on no path.
                chosen = units if row > 0 else np.arange(len(on_path), dtype=index.dtype)
                n_entries = int(pattern.out_units_fan_in[chosen].sum())
                entries_t, indptr_t = (np.empty(size, dtype=index.dtype) for size in (n_entries, fan_in + 1))
                transpose(indptr, indices, chosen, shifts[row], indptr_t, entries_t)
                point_to(row, fields.ENTRIES_T, entries_t, indptr_t)
                rows[row, fields.SHIFT] = shifts[row]
            inputs_on_path = np.zeros(fan_in, dtype=np.uint8)
            mark_inputs(indptr, indices, on_path, inputs_on_path)
            on_path = inputs_on_path
        return cls(rows, index, arrays, first_transposed, versions)

    def serves(self, layers: Sequence[Layer], first_transposed: int) -> bool:
        """Return whether it is up to date, and has a transposed index for the layers from this one on."""
        return self.first_transposed <= first_transposed and self.versions == [layer.version for layer in layers]
