"""The arrays of one batch of a convolutional network: features as they are read, and planes, tile by tile."""

from collections.abc import Hashable

import numpy as np

from truesparse._typing import FloatArray
from truesparse.network.planes import BORDER, Planes
from truesparse.network.workspace import BatchShape, Workspace, _aligned_zeros

SAMPLES = 32  # of a tile


class ImageWorkspace(Workspace):
    """Features and outputs of a batch, as in `Workspace`, and planes of its tiles, which are made when first asked for.

    `image_shape` is (height, width, channels), the order of the features. Samples behind the batch are zero in planes.
    """

    def __init__(self, image_shape, n_outputs: int, batch_size: int, dtype, *, shape: BatchShape | None = None):
        self._planes: dict[Hashable, FloatArray] = {}
        self._image_shape, self._n_tiles = image_shape, n_tiles(batch_size)
        super().__init__([int(np.prod(image_shape)), n_outputs], batch_size, dtype, shape=shape)
        self.statistics: dict[int, object] = {}  # of the batch norms, by layer

    @property
    def nbytes(self) -> int:
        """Bytes of the features, the outputs and all planes."""
        return super().nbytes + sum(planes.nbytes for planes in self._planes.values())

    @property
    def fills_tiles(self) -> bool:
        """Whether the batch fills its tiles. If not, planes that are made of sums are not zero behind it."""
        return self.batch % SAMPLES == 0

    @property
    def tiles(self) -> int:
        """Number of tiles that this batch takes."""
        return n_tiles(self.batch)

    def planes(self, name: Hashable, shape: tuple[int, ...]) -> FloatArray:
        """Return planes of a name, (n_tiles, *shape): zeros at first, later what the last batch has left."""
        key = name, shape
        if key not in self._planes:
            self._planes[key] = _aligned_zeros((self._n_tiles, *shape), self.a.dtype)
        return self._planes[key][: self.tiles]

    def room(self, size: int) -> FloatArray:
        """Return a vector of at least so many numbers, valid until the next call."""
        return self.scratch(-(-size // self._lanes.stop)).reshape(-1)

    def image_planes(self) -> FloatArray:
        """Return the features of the batch as planes."""
        height, width, channels = self._image_shape
        out = self.planes("inputs", Planes(channels, height, width, SAMPLES).shape)
        inside = slice(BORDER, -BORDER)
        for tile, start in enumerate(range(0, self.batch, SAMPLES)):
            x = self.features[:, start : min(start + SAMPLES, self.batch)]
            images = x.reshape(height, width, channels, -1).transpose(2, 0, 1, 3)
            out[tile, :, inside, inside, : x.shape[1]] = images
        self.clear(out)
        return out

    def clear(self, planes: FloatArray) -> None:
        """Set the samples behind the batch to zero."""
        if left := self.batch % SAMPLES:
            planes[-1, ..., left:] = 0

    def set_outputs(self, planes: FloatArray) -> FloatArray:
        """Copy planes of one place each into ``z``, (n_outputs, batch), and return it."""
        for tile, start in enumerate(range(0, self.batch, SAMPLES)):
            part = self.z[:, start : start + SAMPLES]
            part[:] = planes[tile, :, BORDER, BORDER, : part.shape[1]]
        return self.z

    def output_errors(self, planes: FloatArray) -> FloatArray:
        """Copy the errors in ``z`` into planes of one place each, and return them."""
        for tile, start in enumerate(range(0, self.batch, SAMPLES)):
            part = self.z[:, start : start + SAMPLES]
            planes[tile, :, BORDER, BORDER, : part.shape[1]] = part
        self.clear(planes)
        return planes


def n_tiles(batch_size: int) -> int:
    """Return the number of tiles of a batch."""
    return -(-batch_size // SAMPLES)
