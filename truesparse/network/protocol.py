"""The `Network` and `Layer` protocols: the members that training, signals, storage and estimators rely on."""

from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from truesparse._typing import FloatArray
from truesparse.network.workspace import Workspace
from truesparse.topology import Pattern, Rewiring


class Layer(Protocol):
    """W · x + b, whose numbers are views of the network's vectors.

    Attributes
    ----------
    data, data_gradient : (nnz,)
    bias, bias_gradient : (fan_out,)
    """

    data: FloatArray
    bias: FloatArray
    data_gradient: FloatArray
    bias_gradient: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        """(fan_out, fan_in)."""

    @property
    def nnz(self) -> int:
        """Number of weights."""

    @property
    def pattern(self) -> Pattern:
        """Pattern of the connections."""

    @property
    def stored_pattern(self) -> Pattern | None:
        """Pattern that the layer stores; None if it stores none, for all pairs are connected."""

    @property
    def version(self) -> int:
        """Number that changes whenever the pattern is replaced."""

    @property
    def weight(self) -> Any:
        """W, (fan_out, fan_in), as ``csr_array`` or array without a copy."""

    @property
    def can_change(self) -> bool:
        """Whether connections can be grown."""

    @property
    def in_kernels(self) -> bool:
        """Whether the kernels compute the layer; otherwise it is a `LayerWithPasses`."""

    @property
    def n_scratch_rows(self) -> int:
        """Rows of (lanes,) numbers that the backward pass needs for products."""

    def bind(self, data: FloatArray, bias: FloatArray, data_gradient: FloatArray, bias_gradient: FloatArray) -> None:
        """Use these views for the parameters and their gradients."""

    def with_pattern(self, pattern: Pattern) -> Self:
        """Return a new layer of this kind, which is not bound yet."""


class LayerWithPasses(Layer, Protocol):
    """A layer that brings its own products, such as `DenseLinear`."""

    def sums(self, x: FloatArray, out: FloatArray, features: Any) -> None:
        """out = W · x + b, (fan_out, lanes), from the rows of x that stand for these features."""

    def gradient(self, x: FloatArray, delta: FloatArray, features: Any) -> None:
        """Fill the gradients of weights and biases from the errors delta, (fan_out, lanes)."""

    def input_products(self, delta: FloatArray, out: FloatArray) -> None:
        """out = Wᵀ · delta, (fan_in, lanes)."""


class Network(Protocol):
    """Parameters in one flat vector, layers with patterns, a forward and a backward pass.

    Attributes
    ----------
    params, gradient : (n_params,)
        All weights, layer by layer, come first.
    n_weights : int
        Number of the parameters that are weights.
    layers : list of Layer
    dropout : float
        Probability with which a hidden unit is silenced during training.
    """

    params: FloatArray
    gradient: FloatArray
    n_weights: int
    layers: list[Layer]
    dropout: float

    @property
    def dtype(self) -> np.dtype:
        """Data type of the parameters and of everything computed from them."""

    @property
    def layer_sizes(self) -> list[int]:
        """Numbers of units from the inputs to the outputs."""

    @property
    def is_batch_invariant(self) -> bool:
        """Whether a sample's outputs have the same bytes in batches of every size."""

    def weight_slices(self) -> list[slice]:
        """Slots of each layer's weights in the parameter vector."""

    def workspace(self, batch_size: int, *, dense_inputs: bool = True) -> Workspace:
        """Return the arrays for batches of at most so many samples."""

    def bytes_needed(self, batch_size: int, *, dense_inputs: bool = True) -> int:
        """Return the bytes of the arrays that training with such batches needs."""

    def forward(
        self, workspace: Workspace, rng: np.random.Generator | None = None, *, all_units: bool = False
    ) -> FloatArray:
        """Return the last layer's sums for the inputs in the workspace, (n_outputs, batch), a view into it."""

    def backward(self, workspace: Workspace) -> None:
        """Fill ``gradient`` from the errors of the outputs in ``workspace.z``."""

    def rewire(self, rewirings: Sequence[Rewiring | None], *vectors: FloatArray) -> None:
        """Replace patterns; the parameters follow, and so do other vectors of the same layout."""

    def keep_units(self, kept: Sequence[NDArray[np.bool_]], *vectors: FloatArray) -> list[FloatArray]:
        """Remove hidden units; return other vectors without what belonged to these."""

    def snapshot(self, *vectors: FloatArray) -> tuple[list, list[FloatArray]]:
        """Return the patterns, and copies of the parameters and of other vectors of the same layout."""

    def restore(self, snapshot: tuple[list, list[FloatArray]], *vectors: FloatArray) -> None:
        """Go back to a snapshot, in place."""
