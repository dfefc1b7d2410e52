"""Planes of images in memory, and where a convolution finds its inputs and its errors.

A tile of samples has planes (channels, rows + 2, columns + 2, samples): each channel has a border of zeros, and the
samples of a place lie side by side. A window of 1 × 1 is the middle of a window of 3 × 3, so that both have the same
offsets.
"""

from dataclasses import dataclass

import numpy as np

from truesparse._typing import IndexArray
from truesparse.kernels.lanes import width_of
from truesparse.topology import Pattern

BORDER = 1  # places on each side
ROLLING = 1 + 2 * BORDER  # rows that a window reads at a time
_N_LANES = (128, 64, 32)


@dataclass(frozen=True)
class Planes:
    """Shape of the planes of a tile: channels, rows and columns without the border, and samples."""

    channels: int
    height: int
    width: int
    samples: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the array of a tile."""
        return self.channels, self.height + 2 * BORDER, self.width + 2 * BORDER, self.samples

    @property
    def rolling(self) -> tuple[int, int, int, int]:
        """Shape of an array with room for three rows of each plane: row r takes the place of row r − 3."""
        return self.channels, ROLLING, *self.shape[2:]

    @property
    def row(self) -> int:
        """Entries from one row of places to the next."""
        return self.shape[2] * self.samples

    @property
    def plane(self) -> int:
        """Entries from one plane to the next."""
        return self.shape[1] * self.row

    @property
    def size(self) -> int:
        """Entries of a tile."""
        return self.channels * self.plane

    @property
    def first(self) -> int:
        """Entries from the start of a plane to its first place within the border."""
        return BORDER * self.row + BORDER * self.samples

    @property
    def n_lanes(self) -> int:
        """Lanes of a run, of which a row of places has a whole number; few, for kernels are compiled for each."""
        return next(n for n in _N_LANES if self.width * self.samples % n == 0)

    @property
    def runs(self) -> tuple[int, int, tuple]:
        """Rows, runs of lanes in each, and the argument of kernels for the number of lanes."""
        return self.height, self.width * self.samples // self.n_lanes, width_of(self.n_lanes)

    @property
    def starts(self) -> IndexArray:
        """Where the first place of each plane is in a tile."""
        return np.arange(self.channels) * self.plane + self.first

    @property
    def phases(self) -> "Phases":
        """The planes of even and odd rows and columns, of which a stride of 2 has one each."""
        return Phases(self)

    def strided(self, channels: int, stride: int) -> "Planes":
        """Return the planes of the outputs of a convolution."""
        return Planes(channels, -(-self.height // stride), -(-self.width // stride), self.samples)


@dataclass(frozen=True)
class Phases:
    """Four planes for each one of `planes`: those of even and odd rows, and of even and odd columns among them."""

    planes: Planes

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the array of a tile."""
        channels, rows, columns, samples = self.planes.shape
        return 4 * channels, -(-rows // 2), -(-columns // 2), samples

    @property
    def row(self) -> int:
        """Entries from one row of places to the next."""
        return self.shape[2] * self.shape[3]

    @property
    def plane(self) -> int:
        """Entries from one plane to the next."""
        return self.shape[1] * self.row

    @property
    def size(self) -> int:
        """Entries of a tile."""
        return self.shape[0] * self.plane


@dataclass(frozen=True, eq=False)
class ConvolutionIndex:
    """Index arrays of a convolution, for the kernels.

    `offsets`, (1, nnz), say where the weights find the inputs of the first run; `slots`, `errors` and `error_indptr`
    are those of the backward pass, sorted by input plane, whose first runs start at `error_starts`. `rolling_offsets`
    and `rolling_errors`, (3, nnz), are for planes of `Planes.rolling`; with a stride of 2, inputs do not roll.
    """

    offsets: IndexArray
    rolling_offsets: IndexArray
    indptr: IndexArray
    slots: IndexArray
    errors: IndexArray
    rolling_errors: IndexArray
    error_indptr: IndexArray
    error_starts: IndexArray

    @classmethod
    def of(cls, pattern: Pattern, inputs: Planes, outputs: Planes, window: int, stride: int) -> "ConvolutionIndex":
        """Make the index of a pattern (channels out, channels in · window²)."""
        source = inputs if stride == 1 else inputs.phases
        kind = np.int32 if max(source.size, outputs.size) < 2**31 else np.int64
        channel, place = np.divmod(pattern.indices.astype(np.int64), window**2)
        dy, dx = np.divmod(place, window) if window > 1 else (place + BORDER, place + BORDER)
        plane = (channel * stride + dy % stride) * stride + dx % stride
        offsets = _offsets(plane, dy // stride, dx // stride, source, inputs.samples, kind)
        # The first input of a phase that is no border; the errors that it went into are at its place − d // stride.
        first_row, first_column = -((dy % stride - BORDER) // stride), -((dx % stride - BORDER) // stride)
        rows = np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))
        slots = np.argsort(plane, kind="stable")
        row, column = first_row - dy // stride + BORDER, first_column - dx // stride + BORDER
        errors = _offsets(rows[slots], row[slots], column[slots], outputs, outputs.samples, kind)
        planes = np.arange(source.shape[0])
        phase_row, phase_column = planes // stride % stride, planes % stride
        starts = planes * source.plane - ((phase_row - BORDER) // stride) * source.row
        starts -= ((phase_column - BORDER) // stride) * inputs.samples
        return cls(
            *offsets, np.ascontiguousarray(pattern.indptr, dtype=kind), slots.astype(kind), *errors,
            np.searchsorted(plane[slots], np.arange(planes.size + 1)).astype(kind), starts.astype(np.int64),
        )  # fmt: skip


def _offsets(plane, row, column, planes: Planes | Phases, samples, kind) -> tuple[IndexArray, IndexArray]:
    """Return where places of the first rows of planes are; and, in rolling planes, after 0, 1 and 2 rows, (3, n)."""
    inside = column * samples
    offsets = plane * planes.plane + row * planes.row + inside
    turns = (row + np.arange(ROLLING)[:, None]) % ROLLING
    rolling = plane * ROLLING * planes.row + turns * planes.row + inside
    return offsets[None].astype(kind), rolling.astype(kind)
