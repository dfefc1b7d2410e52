"""A sparse convolution: a layer whose weights are shared by all places of an image.

Row o of W are the weights of output channel o; column (i, dy, dx) is input channel i at a place of the window.
Patterns, rewiring, and the vectors of weights, gradients and moments are those of every other layer.
"""

import numpy as np

from truesparse._typing import FloatArray
from truesparse.kernels.convolution import convolve, convolve_backward, gradient_of_products
from truesparse.kernels.jit import current_threads
from truesparse.network.batch_norm import BatchNorm
from truesparse.network.layers import SparseLinear
from truesparse.network.planes import ConvolutionIndex, Planes
from truesparse.topology import Pattern

WINDOWS, STRIDES = (1, 3), (1, 2)


class SparseConv2d(SparseLinear):
    """W * x with zero padding: as many places as the input has, or with a stride of 2 half as many.

    Parameters
    ----------
    pattern : Pattern
        Of shape (channels out, channels in · window²), columns in the order (channel, row, column of the window).
    image_shape : (height, width)
        Of the input planes.
    window, stride : 1 or 3, 1 or 2

    Raises
    ------
    ValueError
        If window, stride or the number of columns is not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.network.convolution import SparseConv2d
    >>> from truesparse.topology import Pattern
    >>> pattern = Pattern.sample((16, 8 * 3 * 3), nnz=115, rng=np.random.default_rng(0))
    >>> layer = SparseConv2d(pattern, image_shape=(32, 32), stride=2)
    >>> layer.inputs(16).shape, layer.outputs(16).shape
    ((8, 34, 34, 16), (16, 18, 18, 16))
    """

    def __init__(self, pattern: Pattern, image_shape: tuple[int, int], *, window: int = 3, stride: int = 1):
        if window not in WINDOWS or stride not in STRIDES:
            raise ValueError(f"window={window!r} must be one of {WINDOWS}, and stride={stride!r} one of {STRIDES}.")
        if pattern.shape[1] % window**2:
            raise ValueError(
                f"A pattern of shape {pattern.shape} has no whole number of channels for window={window}: the "
                f"number of its columns must be a multiple of {window**2}."
            )
        super().__init__(pattern)
        self.image_shape, self.window, self.stride = image_shape, window, stride
        outputs = self.outputs(1)
        self.places = outputs.height * outputs.width
        self._index: tuple[int, int, ConvolutionIndex] | None = None  # with the version and the samples it is made for

    def inputs(self, samples: int) -> Planes:
        """Return the shape of the input planes of a tile of so many samples."""
        return Planes(self.shape[1] // self.window**2, *self.image_shape, samples)

    def outputs(self, samples: int) -> Planes:
        """Return the shape of the output planes."""
        return self.inputs(samples).strided(self.shape[0], self.stride)

    def index(self, samples: int) -> ConvolutionIndex:
        """Return the index arrays of the pattern, which are kept for the next call."""
        kept = self._index  # another thread may replace it at any time
        if kept is None or kept[:2] != (self.version, samples):
            index = ConvolutionIndex.of(
                self.pattern, self.inputs(samples), self.outputs(samples), self.window, self.stride
            )
            kept = self._index = (self.version, samples, index)
        return kept[2]

    def sums(
        self,
        x: FloatArray,
        out: FloatArray,
        *,
        bias: FloatArray,
        before: tuple | None = None,
        data: FloatArray | None = None,
        added: FloatArray | None = None,
        activates: bool = False,
        rolls: bool = False,
    ) -> FloatArray:
        """Write W * x + b + `added`, or its positive part, into the places of `out`.

        `x` and `out` are planes (n_tiles, …), x divided into phases if the stride is 2; `data` are other weights than
        the layer's. With `before`, see `BatchNorm.of_sums`, x is first made, tile by tile; if it `rolls`, it is
        `Planes.rolling`, a tile for each thread. Both only with a stride of 1. Return Σ and Σ of squares of W * x + b
        over the places and samples of each tile, (n_tiles, channels, 2).
        """
        n_tiles, samples, nothing = out.shape[0], out.shape[-1], out[:0].reshape(-1)
        index, planes = self.index(samples), self.outputs(samples)
        totals = np.empty((n_tiles, planes.channels, 2), dtype=out.dtype)
        convolve(
            (*6 * (nothing,), True, 0, 0, 0) if before is None else before,
            self.data if data is None else data, index.rolling_offsets if rolls else index.offsets,
            index.indptr, bias, x.reshape(-1), nothing if added is None else added.reshape(-1), out.reshape(-1),
            planes.starts, (*_steps(x), planes.size, planes.row), *planes.runs[:2], activates, totals, planes.runs[2],
            min(current_threads(), n_tiles),
        )  # fmt: skip
        return totals

    def backward(
        self,
        delta: FloatArray,
        x: FloatArray,
        out: FloatArray | None,
        products: FloatArray,
        *,
        affine: tuple[FloatArray, FloatArray] | None = None,
        before: tuple | None = None,
        after: tuple | None = None,
        adds: bool = False,
        masks: bool = False,
        rolls: bool = False,
    ) -> None:
        """Fill the gradient of the weights, and write the errors of x into its places of `out` if there is one.

        Parameters
        ----------
        delta : planes of the errors of the sums, with a border of zeros
        x, out : planes, as in `sums`, all rows
        products : room for 16 · nnz · n_tiles numbers
        affine : scale and shift, (channels in,) each
            With them, `x` are sums z, of which the inputs are relu(scale · z + shift); only with a stride of 1.
        before : of `BatchNorm.backward`
            With it, `delta` is made first, tile by tile.
        after : `BatchNorm.room_for_totals`
            Of the batch norm below, filled from `out`; only with a stride of 1.
        adds, masks : bool
            Whether `out` already holds errors; whether the inputs are outputs of a rectifier, so that errors become
            those of its inputs.
        rolls : bool
            Whether `delta` is `Planes.rolling`, a tile for each thread.
        """
        n_tiles, samples = x.shape[0], x.shape[-1]
        index, planes = self.index(samples), self.outputs(samples)
        products = products[: 16 * self.nnz * n_tiles].reshape(n_tiles, -1)
        nothing, no_channels = x[:0].reshape(-1), np.empty((0, 3), dtype=x.dtype)
        x_tile, _, x_row = _steps(x)
        convolve_backward(
            (nothing, nothing, no_channels, 0, 0, 0) if before is None else before,
            (no_channels[:, :, None], nothing, nothing) if after is None else after[:3],
            self.data, index.slots, index.rolling_errors if rolls else index.errors,
            index.error_indptr, delta.reshape(-1), x.reshape(-1), *((nothing, nothing) if affine is None else affine),
            nothing if out is None else out.reshape(-1), index.error_starts, (*_steps(delta), x_tile, x_row),
            *planes.runs[:2], adds, masks,
            products, planes.runs[2], min(current_threads(), n_tiles),
        )  # fmt: skip
        gradient_of_products(products, index.slots, self.data_gradient)

    def folded(self, norm: BatchNorm) -> tuple[FloatArray, FloatArray]:
        """Return weights, (nnz,), and biases, (channels out,), that include the batch norm behind the layer."""
        factor, shift = norm.folded()
        return self.data * np.repeat(factor, self.pattern.out_units_fan_in), shift

    def __getstate__(self):
        return super().__getstate__() | {"_index": None}


def _steps(planes: FloatArray) -> tuple[int, int, int]:
    """Return the entries from one tile to the next, from one plane, from one row."""
    _, channels, rows, columns, samples = planes.shape
    return channels * rows * columns * samples, rows * columns * samples, columns * samples
