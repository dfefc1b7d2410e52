"""The two kinds of layer: sparse ones, which run on our kernels, and full ones, which run on BLAS.

A layer owns no parameters: `bind` gives it views of the network's flat vectors of parameters and gradients. Kernels
compute many sparse layers in one call (`truesparse.network.passes`), so only full layers have methods for products.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_array

from truesparse._typing import FloatArray
from truesparse.topology import Pattern


class Layer(ABC):
    """W · x + b of `shape` (fan_out, fan_in) with `nnz` weights, which are views of the network's vectors.

    Attributes
    ----------
    data, data_gradient, bias, bias_gradient : (nnz,) and (fan_out,), made by `bind`
        Copies and pickles leave them out.
    """

    places: int = 1  # of a sample that share the weights
    in_kernels: ClassVar[bool]  # whether the kernels compute the layer; if not, it has the products of `DenseLinear`

    def __init__(self, shape: tuple[int, int], nnz: int, stored_pattern: Pattern | None):
        self.shape, self.nnz, self.stored_pattern = shape, nnz, stored_pattern  # no pattern if all pairs are connected
        self.version = 0  # how often the pattern has been replaced

    def bind(self, data: FloatArray, bias: FloatArray, data_gradient: FloatArray, bias_gradient: FloatArray) -> None:
        """Use these views, (nnz,) and (fan_out,), for the parameters and their gradients."""
        self.data, self.bias = data, bias
        self.data_gradient, self.bias_gradient = data_gradient, bias_gradient

    @property
    def can_change(self) -> bool:
        """Whether there are absent pairs."""
        return self.nnz < self.shape[0] * self.shape[1]

    @property
    def pattern(self) -> Pattern:
        """The connections; made anew on each call if no pattern is stored."""
        return Pattern.full(self.shape) if self.stored_pattern is None else self.stored_pattern

    @pattern.setter
    def pattern(self, pattern: Pattern) -> None:
        """Replace the stored pattern by another one of the same shape; `bind` must follow if `nnz` changes."""
        if self.stored_pattern is None:
            raise AttributeError("The pattern of a full layer cannot be replaced.")
        self.stored_pattern, self.nnz = pattern, pattern.nnz
        self.version += 1

    @property
    @abstractmethod
    def weight(self) -> Any:
        """W, (fan_out, fan_in), as array or ``csr_array``; its entries are the parameters, not a copy."""

    def __getstate__(self) -> dict[str, Any]:
        views = ("data", "bias", "data_gradient", "bias_gradient")
        return {name: value for name, value in vars(self).items() if name not in views}


class SparseLinear(Layer):
    """A layer with the weights of a pattern."""

    in_kernels = True

    def __init__(self, pattern: Pattern):
        super().__init__(pattern.shape, pattern.nnz, pattern)

    @property
    def weight(self) -> csr_array:
        """W; its ``data`` are the parameters, not a copy."""
        return csr_array((self.data, self.pattern.indices, self.pattern.indptr), shape=self.shape, copy=False)


class DenseLinear(Layer):
    """A layer with all weights, for large layers whose pattern is full."""

    in_kernels = False

    def __init__(self, shape: tuple[int, int]):
        super().__init__(shape, shape[0] * shape[1], None)

    @property
    def weight(self) -> FloatArray:
        """W, (fan_out, fan_in), a view of the parameters."""
        return self.data.reshape(self.shape)

    def sums(self, x: FloatArray, out: FloatArray, features=slice(None)) -> None:
        """out = W · x + b, (fan_out, batch); the rows of x are inputs, all or those numbered in `features`."""
        np.matmul(self.weight[:, features], x, out=out)
        out += self.bias[:, None]

    def gradient(self, x: FloatArray, delta: FloatArray, features=slice(None)) -> None:
        """Fill the gradients of weights and biases from the errors ``delta``, (fan_out, batch)."""
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
