"""The two kinds of layer: sparse ones, which run on our kernels, and full ones, which run on BLAS.

A layer owns no numbers. The network holds all parameters in one flat vector and all gradients in another; ``bind``
gives a layer its part of both. Sparse layers are computed by kernels that take many layers in one call (see
`truesparse.network.passes`), so they have no methods for that; full ones have.
"""

from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import csr_array

from truesparse._typing import FloatArray
from truesparse.topology import Pattern


class _Layer:
    """The views that ``bind`` hands over; copies and pickles leave them out."""

    nnz: int

    def bind(self, data: FloatArray, bias: FloatArray, data_gradient: FloatArray, bias_gradient: FloatArray) -> None:
        """Use these views, (nnz,) and (fan_out,), for the parameters and their gradients."""
        self.data, self.bias = data, bias
        self.data_gradient, self.bias_gradient = data_gradient, bias_gradient

    def __getstate__(self) -> dict[str, Any]:
        views = ("data", "bias", "data_gradient", "bias_gradient")
        return {name: value for name, value in vars(self).items() if name not in views}


class SparseLinear(_Layer):
    """W · x + b with the weights that a pattern holds.

    Parameters
    ----------
    pattern : Pattern, shape (fan_out, fan_in)

    Attributes
    ----------
    version : int
        How often the pattern has been replaced.
    """

    in_kernels: ClassVar[bool] = True
    n_scratch_rows: ClassVar[int] = 0

    def __init__(self, pattern: Pattern):
        self._pattern = pattern
        self.version = 0

    @property
    def pattern(self) -> Pattern:
        """The layer's connections; another pattern of the same shape and number of weights may take their place."""
        return self._pattern

    @pattern.setter
    def pattern(self, pattern: Pattern) -> None:
        """Replace the pattern."""
        self._pattern = pattern
        self.version += 1

    @property
    def stored_pattern(self) -> Pattern:
        """The pattern."""
        return self._pattern

    @property
    def shape(self) -> tuple[int, int]:
        """(fan_out, fan_in)."""
        return self._pattern.shape

    @property
    def nnz(self) -> int:
        """Number of weights."""
        return self._pattern.nnz

    @property
    def can_change(self) -> bool:
        """Whether there are pairs without a connection."""
        return self._pattern.nnz < self._pattern.n_pairs

    @property
    def weight(self) -> csr_array:
        """W as ``csr_array`` of shape (fan_out, fan_in); its ``data`` are the layer's own parameters, not a copy."""
        return csr_array((self.data, self._pattern.indices, self._pattern.indptr), shape=self.shape, copy=False)

    def with_pattern(self, pattern: Pattern) -> Self:
        """Return a new layer of this kind, which is not bound yet."""
        return type(self)(pattern)


class DenseLinear(_Layer):
    """W · x + b with all weights, for large layers whose pattern is full.

    Parameters
    ----------
    shape : (fan_out, fan_in)
    """

    in_kernels: ClassVar[bool] = False
    can_change: ClassVar[bool] = False
    stored_pattern: ClassVar[None] = None
    version: ClassVar[int] = 0

    def __init__(self, shape: tuple[int, int]):
        self.shape = shape
        self.nnz = shape[0] * shape[1]

    @property
    def pattern(self) -> Pattern:
        """The full pattern, made anew on each call."""
        return Pattern.full(self.shape)

    @property
    def weight(self) -> FloatArray:
        """W, shape (fan_out, fan_in), a view of the layer's own parameters."""
        return self.data.reshape(self.shape)

    @property
    def n_scratch_rows(self) -> int:
        """Rows that `input_products` fills."""
        return self.shape[1]

    def with_pattern(self, pattern: Pattern) -> Self:
        """Return a new layer of this kind with the shape of a full pattern, which is not bound yet."""
        return type(self)(pattern.shape)

    def sums(self, x: FloatArray, out: FloatArray, features=slice(None)) -> None:
        """out = W · x + b, (fan_out, batch), for inputs x, (fan_in, batch), or for those features that are not zero."""
        np.matmul(self.weight[:, features], x, out=out)
        out += self.bias[:, None]

    def gradient(self, x: FloatArray, delta: FloatArray, features=slice(None)) -> None:
        """Gradient of weights and biases, into the bound views, from the errors ``delta``, (fan_out, batch)."""
        gradient = self.data_gradient.reshape(self.shape)
        if isinstance(features, slice):
            np.matmul(delta, x.T, out=gradient)
        else:
            gradient[:] = 0
            gradient[:, features] = delta @ x.T
        np.sum(delta, axis=1, out=self.bias_gradient)

    def input_products(self, delta: FloatArray, out: FloatArray) -> None:
        """out = Wᵀ · delta, (fan_in, batch)."""
        np.matmul(self.weight.T, delta, out=out)
