"""The two kinds of layer: sparse ones, which run on our kernels, and full ones, which run on BLAS.

A layer owns no numbers. The network holds all parameters in one flat vector and all gradients in another; ``bind``
gives a layer its part of both. Sparse layers are computed by kernels that take many layers in one call (see
`truesparse.network.mlp`), so they have no methods for that; full ones have.
"""

import numpy as np
from scipy.sparse import csr_array

from truesparse._typing import FloatArray
from truesparse.topology import Pattern


class _Layer:
    """What both kinds share: the shape, and the views that ``bind`` hands over."""

    shape: tuple[int, int]
    nnz: int

    def bind(self, data: FloatArray, bias: FloatArray, data_gradient: FloatArray, bias_gradient: FloatArray) -> None:
        """Use these views, (nnz,) and (fan_out,), for the parameters and their gradients."""
        self.data, self.bias = data, bias
        self.data_gradient, self.bias_gradient = data_gradient, bias_gradient


class SparseLinear(_Layer):
    """W · x + b with the weights that a pattern holds.

    Parameters
    ----------
    pattern : Pattern, shape (fan_out, fan_in)
    """

    is_sparse = True

    def __init__(self, pattern: Pattern):
        self.pattern = pattern

    @property
    def shape(self) -> tuple[int, int]:
        """(fan_out, fan_in)."""
        return self.pattern.shape

    @property
    def nnz(self) -> int:
        """Number of weights."""
        return self.pattern.nnz

    @property
    def can_change(self) -> bool:
        """Whether there are pairs without a connection."""
        return self.pattern.nnz < self.pattern.n_pairs

    @property
    def weight(self) -> csr_array:
        """W as ``csr_array`` of shape (fan_out, fan_in); its ``data`` are the layer's own parameters, not a copy."""
        return csr_array((self.data, self.pattern.indices, self.pattern.indptr), shape=self.shape, copy=False)


class DenseLinear(_Layer):
    """W · x + b with all weights, for large layers whose pattern is full.

    Parameters
    ----------
    shape : (fan_out, fan_in)
    """

    is_sparse = can_change = False

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


Layer = SparseLinear | DenseLinear
