"""A multilayer perceptron: layers, activations, and their parameters in one flat vector.

Parameters lie in one vector: the weights of all layers, then the biases of all layers, then what activations learn.
The gradient is a second vector of the same layout. An optimiser sees nothing else, and rewiring a layer reorders its
part of such vectors. `truesparse.network.passes` has the forward and the backward pass.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from truesparse._typing import FloatArray
from truesparse.network.activations import Activation
from truesparse.network.layers import DenseLinear, SparseLinear
from truesparse.network.passes import Passes
from truesparse.network.protocol import Layer
from truesparse.network.workspace import Workspace
from truesparse.topology import Pattern, Rewiring

# Full layers with fewer units on a side are faster on our kernels, which share them among threads.
_FEWEST_UNITS_FOR_BLAS = 64
_MADE_BY_BIND = {"gradient", "activation_params", "_passes"}


class MLP:
    """Layers, activations and parameters.

    Parameters
    ----------
    layers : sequence of Layer
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
        All weights, then all biases, then the parameters of the activations of one hidden layer after another; zero
        at first.
    n_weights : int
        How many of the parameters are weights.
    activation_params : list of (n_params, n_units)
        Views of what the activation of every hidden layer learns.
    """

    def __init__(self, layers: Sequence[Layer], activation: Activation, *, dropout: float = 0.0, dtype=np.float32):
        for below, above in pairwise(layers):
            if above.shape[1] != below.shape[0]:
                raise ValueError(f"Layer shapes {[layer.shape for layer in layers]} do not chain.")
        self.layers = list(layers)
        self.activations = [activation.at_layer(index) for index in range(len(layers) - 1)]
        self.dropout = dropout
        self.n_weights = sum(layer.nnz for layer in layers)
        n_others = sum(layer.shape[0] for layer in layers) + sum(self._activation_sizes())
        self.params = np.zeros(self.n_weights + n_others, dtype=dtype)
        self._bind()

    @classmethod
    def from_patterns(cls, patterns: Sequence[Pattern], activation: Activation, **options) -> "MLP":
        """A network with a `DenseLinear` wherever the pattern is full and the layer large."""
        layers = [
            DenseLinear(pattern.shape)
            if pattern.nnz == pattern.n_pairs and min(pattern.shape) >= _FEWEST_UNITS_FOR_BLAS
            else SparseLinear(pattern)
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

    @property
    def is_batch_invariant(self) -> bool:
        """Whether a sample's outputs have the same bytes in batches of every size: on our kernels, but not on BLAS."""
        return all(layer.in_kernels for layer in self.layers)

    def weight_slices(self) -> list[slice]:
        """Where each layer's weights lie in the parameter vector."""
        return _slices(0, [layer.nnz for layer in self.layers])

    def bias_slices(self) -> list[slice]:
        """Where each layer's biases lie in the parameter vector."""
        return _slices(self.n_weights, [layer.shape[0] for layer in self.layers])

    def activation_slices(self) -> list[slice]:
        """Where the parameters of each hidden layer's activation lie in the parameter vector."""
        return _slices(self.bias_slices()[-1].stop, self._activation_sizes())

    def workspace(self, batch_size: int, *, dense_inputs: bool = True) -> Workspace:
        """The arrays for batches of at most so many samples."""
        return Workspace(self.layer_sizes, batch_size, self.dtype, dense_inputs=dense_inputs, saves=self._saves)

    def bytes_needed(self, batch_size: int, *, dense_inputs: bool = True) -> int:
        """Bytes of the arrays that training with such batches needs."""
        return Workspace.bytes_needed(
            self.layer_sizes, batch_size, self.dtype,
            dense_inputs=dense_inputs, dropout=self.dropout > 0, saves=self._saves,
            scratch=max((layer.n_scratch_rows for layer in self.layers[1:]), default=0),
        )  # fmt: skip

    def forward(
        self, workspace: Workspace, rng: np.random.Generator | None = None, *, all_units: bool = False
    ) -> FloatArray:
        """Return the last layer's sums for the batch whose inputs are in a workspace.

        Parameters
        ----------
        workspace : Workspace
            Receives the activations of every layer, which the backward pass needs.
        rng : numpy.random.Generator, optional
            Draws the units that dropout silences; none are without it.
        all_units : bool
            Compute even the units that no other unit reads.

        Returns
        -------
        (n_outputs, batch), the workspace's ``z``
        """
        if rng is not None and self.dropout > 0:
            workspace.draw_factors(self.dropout, rng)
        else:
            workspace.no_factors()
        return self._passes.forward(workspace, all_units=all_units)

    def backward(self, workspace: Workspace) -> None:
        """Fill ``gradient`` from the gradient of the loss with respect to the last layer's sums.

        Errors replace the activations in the workspace.

        Parameters
        ----------
        workspace : Workspace
            As the forward pass left it, but with the gradient of the loss in ``z``.
        """
        self._passes.backward(workspace)

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

    def keep_units(self, kept: Sequence[NDArray[np.bool_]], *vectors: FloatArray) -> list[FloatArray]:
        """Remove hidden units, with all connections to and from them.

        Workspaces and snapshots made before are of no use afterwards.

        Parameters
        ----------
        kept : (n_units,) bool for each hidden layer; at least one unit of each must stay
        *vectors : (n_params,) each, such as an optimiser's moments

        Returns
        -------
        list of (n_params,)
            The vectors without what belonged to the units.
        """
        n_features, *sizes, n_outputs = self.layer_sizes
        if [np.shape(mask) for mask in kept] != [(size,) for size in sizes] or not all(
            np.asarray(mask).dtype == bool and np.any(mask) for mask in kept
        ):
            raise ValueError(
                f"kept={kept!r} must hold a bool mask with at least one True for each hidden layer, of {sizes} units."
            )
        kept = [np.ones(n_features, dtype=bool), *kept, np.ones(n_outputs, dtype=bool)]
        weights, biases, learnt = [], [], []
        learnt_slices = self.activation_slices()  # as long as the layers are those that the vectors belong to
        for index, (slots, places) in enumerate(zip(self.weight_slices(), self.bias_slices(), strict=True)):
            inputs, outputs, layer = kept[index], kept[index + 1], self.layers[index]
            pattern, chosen = layer.pattern.between(outputs, inputs)
            weights.append(slots.start + chosen)
            biases.append(places.start + np.flatnonzero(outputs))
            self.layers[index] = layer.with_pattern(pattern)
        for activation, places, units in zip(self.activations, learnt_slices, kept[1:-1], strict=True):
            learnt.append(places.start + np.flatnonzero(np.tile(units, activation.n_params)))
        source = np.concatenate([*weights, *biases, *learnt]).astype(np.int64)
        self.params = self.params[source]
        self.n_weights = sum(part.size for part in weights)
        self._bind()
        return [vector[source] for vector in vectors]

    def snapshot(self, *vectors: FloatArray) -> tuple[list, list[FloatArray]]:
        """Return the patterns, and copies of the parameters and of other vectors of the same layout."""
        patterns = [layer.stored_pattern for layer in self.layers]  # immutable
        return patterns, [vector.copy() for vector in (self.params, *vectors)]

    def restore(self, snapshot: tuple[list, list[FloatArray]], *vectors: FloatArray) -> None:
        """Go back to what `snapshot` returned, in place; `vectors` as there."""
        patterns, copies = snapshot
        for layer, pattern in zip(self.layers, patterns, strict=True):
            if pattern is not None:
                layer.pattern = pattern
        for vector, kept in zip((self.params, *vectors), copies, strict=True):
            vector[:] = kept

    def _bind(self) -> None:
        self.gradient = np.zeros_like(self.params)
        for layer, weights, biases in zip(self.layers, self.weight_slices(), self.bias_slices(), strict=True):
            layer.bind(self.params[weights], self.params[biases], self.gradient[weights], self.gradient[biases])
        self.activation_params = self._of_activations(self.params)
        gradients = self._of_activations(self.gradient)
        self._passes = Passes(
            self.layers, self.activations, self.params, self.gradient, self.activation_params, gradients
        )

    def _of_activations(self, vector: FloatArray) -> list[FloatArray]:
        """Views of a vector, (n_params, n_units) for each hidden layer."""
        parts = zip(self.activations, self.activation_slices(), self.layers[:-1], strict=True)
        return [vector[slots].reshape(activation.n_params, layer.shape[0]) for activation, slots, layer in parts]

    def _activation_sizes(self) -> list[int]:
        sizes = [layer.shape[0] for layer in self.layers[:-1]]
        return [activation.n_params * size for activation, size in zip(self.activations, sizes, strict=True)]

    @property
    def _saves(self) -> bool:
        return any(activation.has_own_derivative for activation in self.activations)

    def __getstate__(self):
        # Views become copies when they are pickled: only what they are views of is stored.
        return {name: value for name, value in vars(self).items() if name not in _MADE_BY_BIND}

    def __setstate__(self, state):
        vars(self).update(state)
        self._bind()


def _slices(start: int, sizes: Sequence[int]) -> list[slice]:
    ends = start + np.cumsum(sizes)
    return [slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)]
