"""A multilayer perceptron over one flat parameter vector, its forward and its backward pass.

    forward     z_l = W_l a_(l−1) + b_l,   a_l = dropout(f_l(z_l)),   a_0 = x
    backward    δ_L = ∂L/∂z_L,   δ_(l−1) = (W_lᵀ δ_l) · f′_(l−1)(z_(l−1)),
                ∂L/∂W_l = δ_l a_(l−1)ᵀ at the stored pairs,   ∂L/∂b_l = Σ_batch δ_l

Parameters lie in one vector: the weights of all layers, then the biases of all layers. The gradient is a second
vector of the same layout. An optimiser sees nothing else, and rewiring a layer reorders its part of such vectors.

All arrays of a batch live in a `Workspace`, so that a network can be used by several threads at a time.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from truesparse._typing import FloatArray
from truesparse.activations import Activation
from truesparse.layers import DenseLinear, Layer, SparseLinear
from truesparse.topology import Pattern, Rewiring


class MLP:
    """Layers, activations and parameters.

    Parameters
    ----------
    layers : list of SparseLinear or DenseLinear
        Shapes must chain: (n_1, n_0), (n_2, n_1), …
    activation : Activation
        For all hidden layers; the last layer's sums are left to the loss.
    dropout : float
        Probability with which a hidden unit is silenced during training; the others are scaled by
        1 / (1 − dropout).
    dtype : float32 or float64

    Attributes
    ----------
    params, gradient : (n_params,)
        All weights, then all biases; zero at first.
    n_weights : int
        How many of the parameters are weights.
    """

    def __init__(self, layers: Sequence[Layer], activation: Activation, *, dropout: float = 0.0, dtype=np.float32):
        for below, above in pairwise(layers):
            if above.shape[1] != below.shape[0]:
                raise ValueError(f"Layer shapes {[layer.shape for layer in layers]} do not chain.")
        self.layers = list(layers)
        self.activations = [activation.at_layer(index) for index in range(len(layers) - 1)]
        self.dropout = dropout
        self.n_weights = sum(layer.nnz for layer in layers)
        self.params = np.zeros(self.n_weights + sum(layer.shape[0] for layer in layers), dtype=dtype)
        self._bind()

    @classmethod
    def from_patterns(cls, patterns: Sequence[Pattern], activation: Activation, **options) -> "MLP":
        """A network with a `DenseLinear` wherever the pattern is full."""
        layers = [
            DenseLinear(pattern.shape) if pattern.nnz == pattern.n_pairs else SparseLinear(pattern)
            for pattern in patterns
        ]
        return cls(layers, activation, **options)

    @property
    def dtype(self) -> np.dtype:
        """Of the parameters and of everything computed from them."""
        return self.params.dtype

    @property
    def layer_sizes(self) -> list[int]:
        """Numbers of units from the inputs to the outputs."""
        return [self.layers[0].shape[1], *(layer.shape[0] for layer in self.layers)]

    @property
    def density(self) -> float:
        """Stored weights as a share of all pairs, over all layers."""
        return self.n_weights / sum(fan_out * fan_in for fan_out, fan_in in (layer.shape for layer in self.layers))

    def weight_slices(self) -> list[slice]:
        """Where each layer's weights lie in the parameter vector."""
        return _slices(0, [layer.nnz for layer in self.layers])

    def bias_slices(self) -> list[slice]:
        """Where each layer's biases lie in the parameter vector."""
        return _slices(self.n_weights, [layer.shape[0] for layer in self.layers])

    def forward(self, x: FloatArray, workspace: "Workspace", rng: np.random.Generator | None = None) -> FloatArray:
        """The last layer's sums for a batch.

        Parameters
        ----------
        x : (n_features, batch), C-contiguous, of the network's dtype
        workspace : Workspace
            Receives the activations of every layer, which the backward pass needs.
        rng : numpy.random.Generator, optional
            Draws the units that dropout silences; none are without it.

        Returns
        -------
        (n_outputs, batch), a view into the workspace
        """
        workspace.start(x)
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            z = workspace.sums(index)
            layer.forward(workspace.layer_input[index], z)
            if index < last:
                a = workspace.outputs(index)
                self.activations[index].forward(z, a)
                if rng is not None and self.dropout > 0:
                    a = workspace.drop(index, a, self.dropout, rng)
                workspace.layer_input[index + 1] = a
        return z

    def backward(self, delta: FloatArray, workspace: "Workspace") -> None:
        """Fill ``gradient`` from the gradient of the loss with respect to the last layer's sums.

        Parameters
        ----------
        delta : (n_outputs, batch), C-contiguous
        workspace : Workspace, as the forward pass over the same batch left it
        """
        for index in reversed(range(len(self.layers))):
            layer = self.layers[index]
            layer.backward_parameters(workspace.layer_input[index], delta)
            if index > 0:
                delta_below = workspace.errors(index - 1)
                layer.backward_input(delta, delta_below)
                if workspace.kept[index - 1] is not None:
                    delta_below *= workspace.kept[index - 1]
                self.activations[index - 1].backward(
                    workspace.sums(index - 1), workspace.outputs(index - 1), delta_below
                )
                delta = delta_below

    def rewire(self, rewirings: Sequence[Rewiring | None], *vectors: FloatArray) -> None:
        """Replace patterns; the parameters follow, and so do other vectors of the same layout.

        Grown connections get zero everywhere.

        Parameters
        ----------
        rewirings : one per layer, None for those that stay
        *vectors : (n_params,) each, changed in place, such as an optimiser's moments
        """
        for layer, slots, rewiring in zip(self.layers, self.weight_slices(), rewirings, strict=True):
            if rewiring is not None:
                for vector in (self.params, *vectors):
                    vector[slots] = rewiring.carry(vector[slots])
                layer.pattern = rewiring.pattern

    def snapshot(self, *vectors: FloatArray) -> tuple[list, list[FloatArray]]:
        """The patterns, which are immutable, and copies of the parameters and of other vectors of the same layout."""
        patterns = [layer.pattern if layer.is_sparse else None for layer in self.layers]
        return patterns, [vector.copy() for vector in (self.params, *vectors)]

    def restore(self, snapshot: tuple[list, list[FloatArray]], *vectors: FloatArray) -> None:
        """Go back to what `snapshot` returned, in place; `vectors` as there."""
        patterns, copies = snapshot
        for layer, pattern in zip(self.layers, patterns, strict=True):
            if layer.is_sparse:
                layer.pattern = pattern
        for vector, kept in zip((self.params, *vectors), copies, strict=True):
            vector[:] = kept

    def _bind(self) -> None:
        self.gradient = np.zeros_like(self.params)
        for layer, weights, biases in zip(self.layers, self.weight_slices(), self.bias_slices(), strict=True):
            layer.bind(self.params[weights], self.params[biases], self.gradient[weights], self.gradient[biases])

    def __getstate__(self):
        # Views become copies when they are pickled: only what they are views of is stored.
        state = {name: value for name, value in vars(self).items() if name not in ("layers", "gradient")}
        state["layers"] = [layer.pattern if layer.is_sparse else layer.shape for layer in self.layers]
        return state

    def __setstate__(self, state):
        vars(self).update(state)
        self.layers = [
            SparseLinear(stored) if isinstance(stored, Pattern) else DenseLinear(stored) for stored in self.layers
        ]
        self._bind()


class Workspace:
    """The arrays of one batch: sums, activations and errors of every layer.

    A batch may be smaller than the workspace; its arrays are then the front part of the buffers, so that they
    stay contiguous. Arrays are valid until the next forward pass.

    Parameters
    ----------
    network : MLP
    batch_size : int
        The largest batch.
    """

    def __init__(self, network: MLP, batch_size: int):
        self._sizes = network.layer_sizes[1:]
        self._batch_size = batch_size
        self._dtype = network.dtype
        self._sums = [self._buffer(size) for size in self._sizes]
        # Where the derivative can be read off the output, the activation overwrites the sum.
        self._outputs = [
            sums if activation.in_place else self._buffer(size)
            for sums, size, activation in zip(self._sums, self._sizes, network.activations, strict=False)
        ]
        n_layers = len(self._sizes)
        self.layer_input: list[FloatArray | None] = [None] * n_layers
        self.kept: list[FloatArray | None] = [None] * (n_layers - 1)
        # Made on first use: inference needs neither errors nor dropout.
        self._errors: list[FloatArray] | None = None
        self._dropout: dict[int, tuple[FloatArray, FloatArray]] = {}

    def start(self, x: FloatArray) -> None:
        """Begin a batch."""
        self.batch = x.shape[1]
        if self.batch > self._batch_size:
            raise ValueError(f"A batch of {self.batch} samples does not fit a workspace for {self._batch_size}.")
        self.layer_input[0] = x
        self.kept = [None] * len(self.kept)

    def sums(self, index: int) -> FloatArray:
        """z of a layer, (n_units, batch)."""
        return self._front(self._sums[index], self._sizes[index])

    def outputs(self, index: int) -> FloatArray:
        """f(z) of a hidden layer before dropout, (n_units, batch)."""
        return self._front(self._outputs[index], self._sizes[index])

    def errors(self, index: int) -> FloatArray:
        """δ of a hidden layer, (n_units, batch); two buffers serve all layers in turns."""
        if self._errors is None:
            widest = max(self._sizes[:-1])
            self._errors = [self._buffer(widest), self._buffer(widest)]
        return self._front(self._errors[index % 2], self._sizes[index])

    def drop(self, index: int, a: FloatArray, probability: float, rng: np.random.Generator) -> FloatArray:
        """Silence units of a hidden layer; the factors, 0 or 1 / (1 − probability), are kept in ``kept``."""
        if index not in self._dropout:
            self._dropout[index] = self._buffer(self._sizes[index]), self._buffer(self._sizes[index])
        factors, dropped = (self._front(buffer, self._sizes[index]) for buffer in self._dropout[index])
        rng.random(dtype=self._dtype, out=factors)
        np.greater_equal(factors, probability, out=factors)
        factors *= 1 / (1 - probability)
        self.kept[index] = factors
        return np.multiply(a, factors, out=dropped)

    def _buffer(self, n_units: int) -> FloatArray:
        return np.empty(n_units * self._batch_size, dtype=self._dtype)

    def _front(self, buffer: FloatArray, n_units: int) -> FloatArray:
        return buffer[: n_units * self.batch].reshape(n_units, self.batch)


def _slices(start: int, sizes: Sequence[int]) -> list[slice]:
    ends = start + np.cumsum(sizes)
    return [slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)]
