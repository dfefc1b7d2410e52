"""A multilayer perceptron: layers, activations, and their parameters in one flat vector.

The vector holds the weights of all layers, then the biases of all layers, then what the activations learn. The gradient
and the moments of an optimiser have the same layout, and rewiring a layer reorders its part of such vectors.
`truesparse.network.passes` has the forward and the backward pass.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from truesparse._typing import FloatArray
from truesparse.network.activations import Activation
from truesparse.network.layers import DenseLinear, Layer, SparseLinear
from truesparse.network.passes import Passes
from truesparse.network.protocol import Network, consecutive_slices
from truesparse.network.workspace import BatchShape, Workspace
from truesparse.runtime.random_streams import Draws
from truesparse.topology import Pattern

# Full layers with fewer units on a side are faster on our kernels, which share them among threads.
_FEWEST_UNITS_FOR_BLAS = 64
_MADE_BY_BIND = {"gradient", "activation_params", "passes", "_idle_workspaces"}


class MLP(Network):
    """A multilayer perceptron, whose parameters are zero at first.

    Parameters
    ----------
    layers, activation : sequence of Layer with shapes (n_1, n_0), (n_2, n_1), …; that of all hidden layers
        The loss takes the last layer's sums as they are.
    dropout : float
        Probability with which a hidden unit is silenced during training; the others are scaled by 1 / (1 − dropout).
    dtype : float32 or float64

    Attributes
    ----------
    activations, activation_params : of the hidden layers, and views of what each learns, (n_params, n_units)
    passes : Passes
        `Network` has the other attributes.
    """

    def __init__(self, layers: Sequence[Layer], activation: Activation, *, dropout: float = 0.0, dtype=np.float32):
        for below, above in pairwise(layers):
            if above.shape[1] != below.shape[0]:
                raise ValueError(f"Layer shapes {[layer.shape for layer in layers]} do not chain.")
        self.layers = list(layers)
        self.activations = [activation.at_layer(index) for index in range(len(layers) - 1)]
        self.dropout = dropout
        self.n_weights = sum(layer.nnz for layer in layers)
        self.params = np.zeros([*self.bias_slices(), *self.activation_slices()][-1].stop, dtype=dtype)
        self._bind()

    @classmethod
    def from_patterns(
        cls, patterns: Sequence[Pattern], activation: Activation, *, final: Sequence[int] | None = None, **options
    ) -> "MLP":
        """Return a network with a `DenseLinear` wherever the pattern stays full and the layer is large.

        `final` are the numbers of weights with which the layers will end, by default those of the patterns.
        """
        layers = [
            DenseLinear(pattern.shape)
            if n == pattern.n_pairs and min(pattern.shape) >= _FEWEST_UNITS_FOR_BLAS
            else SparseLinear(pattern)
            for pattern, n in zip(patterns, final or [pattern.nnz for pattern in patterns], strict=True)
        ]
        return cls(layers, activation, **options)

    @property
    def layer_sizes(self) -> list[int]:
        """Numbers of units from the inputs to the outputs."""
        return [self.layers[0].shape[1], *(layer.shape[0] for layer in self.layers)]

    def bias_slices(self) -> list[slice]:
        """Return the slots of each layer's biases."""
        return consecutive_slices(self.n_weights, self.layer_sizes[1:])

    def activation_slices(self) -> list[slice]:
        """Return the slots of what each hidden layer's activation learns."""
        return consecutive_slices(self.bias_slices()[-1].stop, [n * size for n, size in self._learnt_shapes])

    def bytes_beside_weights(self) -> list[int]:
        """See `Network`."""
        return [self.params[slots].nbytes for slots in self.activation_slices()] + [0]

    @property
    def is_in_kernels(self) -> bool:
        """Whether `truesparse.kernels.steps` can train it: all layers and activations are in kernels."""
        return self.passes.are_in_kernels

    def workspace(self, batch_size: int, *, dense_inputs: bool = True, shape: BatchShape | None = None) -> Workspace:
        """Return the arrays for batches of at most so many samples, by default of the smallest shape."""
        return Workspace(
            self.layer_sizes, batch_size, self.dtype, dense_inputs=dense_inputs, saves=self._saves, shape=shape
        )

    def bytes_needed(self, batch_size: int, *, dense_inputs: bool = True) -> int:
        """Return the bytes of the arrays that training with such batches needs."""
        return Workspace.bytes_needed(
            self.layer_sizes, batch_size, self.dtype,
            dense_inputs=dense_inputs, dropout=self.dropout > 0, saves=self._saves,
            scratch=max((layer.shape[1] for layer in self.layers[1:] if not layer.in_kernels), default=0),
        )  # fmt: skip

    def forward(self, workspace: Workspace, draws: Draws | None = None, *, all_units: bool = False) -> FloatArray:
        """Return the last layer's sums, (n_outputs, batch), for the inputs in a workspace.

        They are the workspace's ``z``. `draws` say which units dropout silences; without them, none are. Units that
        are on no path to an output may be left out, unless `all_units` is True.
        """
        workspace.set_dropout(self.dropout, draws)
        return self.passes.forward(workspace, all_units=all_units)

    def backward(self, workspace: Workspace, *, all_units: bool = False) -> None:
        """Fill ``gradient`` after a forward pass, from ∂L/∂z in ``workspace.z``; errors replace the activations.

        With `all_units`, the errors of units that are on no path to an output become zero; they may be anything
        without.
        """
        self.passes.backward(workspace, all_units=all_units)

    def free_index(self) -> None:
        """See `Network`."""
        self.passes.free_table()

    def keep_units(self, kept: Sequence[NDArray[np.bool_]], *vectors: FloatArray) -> list[FloatArray]:
        """Remove hidden units, with all connections to and from them, and their part of other vectors (n_params,).

        `kept` has for each hidden layer (n_units,) bool, with at least one True. The vectors, such as an optimiser's
        moments, are returned shorter. Workspaces and snapshots made before are of no use afterwards.
        """
        n_features, *sizes, n_outputs = self.layer_sizes
        if [np.shape(mask) for mask in kept] != [(size,) for size in sizes] or not all(
            np.asarray(mask).dtype == bool and np.any(mask) for mask in kept
        ):
            raise ValueError(
                f"kept={kept!r} must hold a bool mask with at least one True for each hidden layer, of {sizes} units."
            )
        kept = [np.ones(n_features, dtype=bool), *kept, np.ones(n_outputs, dtype=bool)]
        weights, others = [], []
        learnt_slices = self.activation_slices()  # before the layers are replaced
        for index, (slots, places) in enumerate(zip(self.weight_slices(), self.bias_slices(), strict=True)):
            inputs, outputs, layer = kept[index], kept[index + 1], self.layers[index]
            pattern, chosen = layer.pattern.between(outputs, inputs)
            weights.append(slots.start + chosen)
            others.append(places.start + np.flatnonzero(outputs))
            self.layers[index] = SparseLinear(pattern) if layer.in_kernels else DenseLinear(pattern.shape)
        for activation, places, units in zip(self.activations, learnt_slices, kept[1:-1], strict=True):
            others.append(places.start + np.flatnonzero(np.tile(units, activation.n_params)))
        source = np.concatenate(weights + others).astype(np.int64)
        self.params = self.params[source]
        self.n_weights = sum(part.size for part in weights)
        self._bind()
        return [vector[source] for vector in vectors]

    def _bind(self) -> None:
        """Give the layers, the activations and the passes their views of the parameters and of a new gradient."""
        self._idle_workspaces = {}
        self.gradient = np.zeros_like(self.params)
        for layer, weights, biases in zip(self.layers, self.weight_slices(), self.bias_slices(), strict=True):
            layer.bind(self.params[weights], self.params[biases], self.gradient[weights], self.gradient[biases])
        places = list(zip(self.activation_slices(), self._learnt_shapes, strict=True))
        self.activation_params = [self.params[slots].reshape(shape) for slots, shape in places]
        gradients = [self.gradient[slots].reshape(shape) for slots, shape in places]
        learnt = list(zip(self.activation_params, gradients, strict=True))
        self.passes = Passes(self.layers, self.activations, self.params, self.gradient, learnt)

    @property
    def _learnt_shapes(self) -> list[tuple[int, int]]:
        return [(f.n_params, size) for f, size in zip(self.activations, self.layer_sizes[1:-1], strict=True)]

    @property
    def _saves(self) -> bool:
        return any(activation.has_own_derivative for activation in self.activations)

    def __getstate__(self):
        # Views become copies when they are pickled: only what they are views of is stored.
        return {name: value for name, value in vars(self).items() if name not in _MADE_BY_BIND}

    def __setstate__(self, state):
        vars(self).update(state)
        self._bind()
