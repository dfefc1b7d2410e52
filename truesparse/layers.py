"""The two kinds of layer, with one interface: sparse ones run on our kernels, full ones on BLAS.

A layer owns no numbers. The network holds all parameters in one flat vector and all gradients in another; ``bind``
gives a layer its part of both.

Shapes: inputs (fan_in, batch), outputs and their errors ``delta`` (fan_out, batch), C-contiguous.
"""

import numpy as np
from scipy.sparse import csr_array

from truesparse._typing import FloatArray
from truesparse.kernels.sddmm import sddmm
from truesparse.kernels.spmm import spmm_bias, spmm_transposed
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
    def weight(self) -> csr_array:
        """W as ``csr_array`` of shape (fan_out, fan_in); its ``data`` are the layer's own parameters, not a copy."""
        return csr_array((self.data, self.pattern.indices, self.pattern.indptr), shape=self.shape, copy=False)

    def forward(self, x: FloatArray, out: FloatArray) -> None:
        """out = W · x + b."""
        spmm_bias(self.data, self.pattern.indices, self.pattern.indptr, self.bias, x, out)

    def backward_parameters(self, x: FloatArray, delta: FloatArray) -> None:
        """Gradient of the stored weights and the biases, into the bound gradient vector."""
        sddmm(self.pattern.indices, self.pattern.indptr, delta, x, self.data_gradient)
        np.sum(delta, axis=1, out=self.bias_gradient)

    def backward_input(self, delta: FloatArray, out: FloatArray) -> None:
        """out = Wᵀ · delta."""
        rows_t, indptr_t, perm_t = self.pattern.transposed_index
        spmm_transposed(self.data, rows_t, indptr_t, perm_t, delta, out)


class DenseLinear(_Layer):
    """W · x + b with all weights, for layers whose pattern is full.

    Parameters
    ----------
    shape : (fan_out, fan_in)
    """

    is_sparse = False

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

    def forward(self, x: FloatArray, out: FloatArray) -> None:
        """out = W · x + b."""
        np.matmul(self.weight, x, out=out)
        out += self.bias[:, None]

    def backward_parameters(self, x: FloatArray, delta: FloatArray) -> None:
        """Gradient of the weights and the biases, into the bound gradient vector."""
        np.matmul(delta, x.T, out=self.data_gradient.reshape(self.shape))
        np.sum(delta, axis=1, out=self.bias_gradient)

    def backward_input(self, delta: FloatArray, out: FloatArray) -> None:
        """out = Wᵀ · delta."""
        np.matmul(self.weight.T, delta, out=out)


Layer = SparseLinear | DenseLinear
