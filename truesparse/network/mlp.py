"""A multilayer perceptron over one flat parameter vector, its forward and its backward pass.

    forward     z_l = W_l a_(l−1) + b_l,   a_l = dropout(f_l(z_l)),   a_0 = x
    backward    δ_L = ∂L/∂z_L,   δ_(l−1) = (W_lᵀ δ_l) · f′_(l−1)(z_(l−1)),
                ∂L/∂W_l = δ_l a_(l−1)ᵀ at the stored pairs,   ∂L/∂b_l = Σ_batch δ_l

Parameters lie in one vector: the weights of all layers, then the biases of all layers, then what activations learn.
The gradient is a second vector of the same layout. An optimiser sees nothing else, and rewiring a layer reorders its
part of such vectors.

Consecutive sparse layers are computed by one call of a kernel, which finds their arrays through a table; a layer that
runs on BLAS, or an activation that has a pass of its own, ends such a span. All arrays of a batch live in a
`Workspace`, so that a network can be used by several threads at a time.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from truesparse._typing import FloatArray
from truesparse.kernels import table as fields
from truesparse.kernels.backward import backward, backward_sparse_inputs, errors_of_products
from truesparse.kernels.forward import activate, forward, forward_sparse_inputs
from truesparse.kernels.jit import current_threads
from truesparse.kernels.srelu import srelu, srelu_errors
from truesparse.network.activations import Activation
from truesparse.network.layers import DenseLinear, Layer, SparseLinear
from truesparse.network.workspace import Workspace
from truesparse.topology import Pattern, Rewiring

# Full layers with fewer units on a side are faster on our kernels, which share them among threads.
_FEWEST_UNITS_FOR_BLAS = 64


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
        return Workspace(
            self.layer_sizes, batch_size, self.dtype, dense_inputs=dense_inputs, keeps_sums=self._keeps_sums
        )

    def bytes_needed(self, batch_size: int, *, dense_inputs: bool = True) -> int:
        """Bytes of the arrays that training with such batches needs."""
        return Workspace.bytes_needed(
            self.layer_sizes, batch_size, self.dtype,
            dense_inputs=dense_inputs, dropout=self.dropout > 0, keeps_sums=self._keeps_sums,
            scratch=max((layer.shape[1] for layer in self.layers[1:] if not layer.is_sparse), default=0),
        )  # fmt: skip

    def forward(
        self,
        workspace: Workspace,
        rng: np.random.Generator | None = None,
        *,
        all_units: bool = False,
    ) -> FloatArray:
        """The last layer's sums for a batch.

        Parameters
        ----------
        x : (n_features, batch) of the network's dtype, or SparseInputs
            What `Workspace.read` returned, or any array.
        workspace : Workspace
            Receives the activations of every layer, which the backward pass needs.
        rng : numpy.random.Generator, optional
            Draws the units that dropout silences; none are without it.
        all_units : bool
            Compute even the units that no other unit reads.

        Returns
        -------
        (n_outputs, batch), a view into the workspace
        """
        if rng is not None and self.dropout > 0:
            workspace.draw_factors(self.dropout, rng)
        else:
            workspace.no_factors()
        table, index, _alive = self._table_for(0 if workspace.sparse_inputs is not None else len(self.layers))
        batch = workspace.flat()
        shape = (workspace.width, workspace.shape.n_tiles)
        n_parts = current_threads()
        for first, last in self._spans:
            layer = self.layers[first]
            if not layer.is_sparse:
                x, features = workspace.inputs_of(first)
                layer.sums(x, workspace.lanes_of(first), features)
                activate(table[first], self._slopes[first], *batch, *shape)
            else:
                start = first
                if first == 0 and workspace.sparse_inputs is not None:
                    features, x = workspace.sparse_inputs.features, workspace.sparse_inputs.values.reshape(-1)
                    forward_sparse_inputs(
                        table[0], self._slopes[0], self.params, *batch, features, x, index, *shape, n_parts
                    )
                    start = 1
                forward(table, self._slopes, start, last, self.params, *batch, not all_units, index, *shape, n_parts)
            if last < len(self.layers) and not self.activations[last - 1].is_fused:
                self._activate(last - 1, workspace)
        return workspace.z

    def backward(self, workspace: Workspace) -> None:
        """Fill ``gradient`` from the gradient of the loss with respect to the last layer's sums.

        Errors replace the activations in the workspace.

        Parameters
        ----------
        delta : (n_outputs, batch); it can be the array itself that `forward` returned
        workspace : Workspace, as the forward pass over the same batch left it
        """
        workspace.close_errors()
        table, index, _alive = self._table_for(0 if workspace.sparse_inputs is not None else 1)
        slopes = np.where(
            table[:, fields.ACTIVATION] == fields.PIECEWISE_LINEAR, self._slopes, self.dtype.type(workspace.kept)
        )
        arrays = workspace.flat()
        shape = (workspace.width, workspace.shape.n_tiles)
        n_parts = current_threads()
        for first, last in reversed(self._spans):
            if last < len(self.layers) and self.activations[last - 1].n_params:
                self._errors_of_learned(last - 1, workspace)
            layer = self.layers[first]
            from_sparse = first == 0 and workspace.sparse_inputs is not None
            if layer.is_sparse:
                start = first + from_sparse
                backward(table, slopes, start, last, self.params, self.gradient, *arrays, index, *shape, n_parts)
                if from_sparse:
                    features, x = workspace.sparse_inputs.features, workspace.sparse_inputs.values.reshape(-1)
                    a, *_, stride = arrays
                    backward_sparse_inputs(table[0], self.gradient, a, stride, features, x, index, *shape, n_parts)
            else:
                x, features = workspace.inputs_of(first)
                layer.gradient(x, workspace.lanes_of(first), features)
                if first > 0:
                    products = workspace.scratch(layer.shape[1])
                    layer.input_products(workspace.lanes_of(first), products)
                    errors_of_products(
                        table[first - 1], products.reshape(-1), slopes[first - 1], self.gradient, *arrays, *shape
                    )

    def _activate(self, layer: int, workspace: Workspace) -> None:
        """Apply an activation that is not part of the kernels, and the factors of dropout."""
        activation, a = self.activations[layer], workspace.lanes_of(layer)
        if activation.n_params:
            params = self.activation_params[layer]
            srelu(workspace.a.reshape(-1), workspace.sums.reshape(-1), params, *workspace.place_of(layer))
        else:
            activation.apply(a)
        if workspace.factors.size:
            a *= workspace.lanes_of(layer, workspace.factors)

    def _errors_of_learned(self, layer: int, workspace: Workspace) -> None:
        """Take the errors of a layer through an activation with parameters, and fill these parameters' gradient."""
        srelu_errors(
            workspace.a.reshape(-1), workspace.sums.reshape(-1), self.activation_params[layer],
            self._activation_gradients[layer], self.layers[layer].bias_gradient, *workspace.place_of(layer),
        )  # fmt: skip

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
            self.layers[index] = SparseLinear(pattern) if layer.is_sparse else DenseLinear(pattern.shape)
        for activation, places, units in zip(self.activations, learnt_slices, kept[1:-1], strict=True):
            learnt.append(places.start + np.flatnonzero(np.tile(units, activation.n_params)))
        source = np.concatenate([*weights, *biases, *learnt]).astype(np.int64)
        self.params = self.params[source]
        self.n_weights = sum(part.size for part in weights)
        self._bind()
        return [vector[source] for vector in vectors]

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
        self.activation_params, self._activation_gradients = (
            [
                vector[slots].reshape(activation.n_params, layer.shape[0])
                for activation, slots, layer in zip(
                    self.activations, self.activation_slices(), self.layers[:-1], strict=True
                )
            ]
            for vector in (self.params, self.gradient)
        )
        self._spans = list(self._find_spans())
        slopes = [activation.slope if activation.is_fused else 1 for activation in self.activations]
        self._slopes = np.array([*slopes, 1], dtype=self.dtype)
        self._table = None, None, (), math.inf, ()

    def _activation_sizes(self) -> list[int]:
        sizes = [layer.shape[0] for layer in self.layers[:-1]]
        return [activation.n_params * size for activation, size in zip(self.activations, sizes, strict=True)]

    @property
    def _keeps_sums(self) -> bool:
        return any(activation.n_params for activation in self.activations)

    def _find_spans(self):
        """Layers from first to last (exclusive) that one call of a kernel computes, or one layer that BLAS does."""
        first = 0
        for index, layer in enumerate(self.layers):
            is_last = index == len(self.layers) - 1
            ends = is_last or not self.activations[index].is_fused
            if not layer.is_sparse or ends or not self.layers[index + 1].is_sparse:
                yield first, index + 1
                first = index + 1

    def _table_for(self, first_transposed: int):
        """The table by which kernels find the layers, an empty vector of the index arrays' dtype, and these arrays.

        Another thread may replace the table, so whoever uses it holds on to the arrays that it points to.

        Layers from number `first_transposed` on have a transposed index in it. The table is kept until a pattern is
        replaced or more of these are asked for.
        """
        patterns = [layer.pattern if layer.is_sparse else None for layer in self.layers]
        table, index, alive, first, known = self._table
        if first <= first_transposed and all(a is b for a, b in zip(patterns, known, strict=True)):
            return table, index, alive
        wide = any(pattern is not None and pattern.indices.dtype == np.int64 for pattern in patterns)
        index = np.empty(0, dtype=np.int64 if wide else np.int32)
        table = fields.empty_table(len(patterns))
        n_units = sum(self.layer_sizes[1:])
        kinds = [activation.kind for activation in self.activations]
        table[:, fields.ACTIVATION] = [*kinds, fields.PIECEWISE_LINEAR]
        table[:, [fields.FAN_OUT, fields.FAN_IN]] = [layer.shape for layer in self.layers]
        table[:, fields.NNZ] = [layer.nnz for layer in self.layers]
        table[:, fields.WEIGHTS] = [slots.start for slots in self.weight_slices()]
        table[:, fields.BIASES] = [slots.start for slots in self.bias_slices()]
        table[:, fields.OUTPUTS] = table[:, fields.BIASES] - self.n_weights
        table[:, fields.INPUTS] = [n_units, *table[:-1, fields.OUTPUTS]]
        alive = []
        for row, pattern in enumerate(patterns):
            if pattern is None:
                continue
            arrays = [pattern.indices, pattern.indptr]
            if row >= first_transposed:
                arrays += pattern.transposed_index
            arrays = [np.ascontiguousarray(array, dtype=index.dtype) for array in arrays]
            alive += arrays
            table[row, fields.INDICES : fields.INDICES + len(arrays)] = [fields.address(array) for array in arrays]
        table[:-1, fields.CONSUMERS] = table[1:, fields.INDPTR_T]
        self._table = table, index, alive, first_transposed, patterns
        return table, index, alive

    def __getstate__(self):
        # Views become copies when they are pickled: only what they are views of is stored.
        made_by_bind = ("layers", "gradient", "activation_params", "_activation_gradients", "_table")
        state = {name: value for name, value in vars(self).items() if name not in made_by_bind}
        state["layers"] = [layer.pattern if layer.is_sparse else layer.shape for layer in self.layers]
        return state

    def __setstate__(self, state):
        vars(self).update(state)
        self.layers = [
            SparseLinear(stored) if isinstance(stored, Pattern) else DenseLinear(stored) for stored in self.layers
        ]
        self._bind()


def _slices(start: int, sizes: Sequence[int]) -> list[slice]:
    ends = start + np.cumsum(sizes)
    return [slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)]
