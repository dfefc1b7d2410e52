"""How large the layers of a network are, and how many operations a sample costs."""

from dataclasses import dataclass

from truesparse.inspection.tables import Row, network_of


@dataclass(frozen=True, kw_only=True)
class LayerSummary(Row):
    """How large a layer is.

    Parameters
    ----------
    units : int
        Output units, each of which has a bias.
    pairs : int
        Weights that the layer could have.
    weights : int
        Weights that it has.
    bytes : int
        Of weights, biases, what the activation learns, and the positions of the weights.
    training_bytes : int
        Of these, the gradient, the optimiser's moments, and the index by columns.
    """

    units: int
    pairs: int
    weights: int
    bytes: int
    training_bytes: int

    @property
    def density(self) -> float:
        """Weights as a share of pairs."""
        return self.weights / self.pairs


def layer_summaries(model, *, n_moments: int = 2) -> list[LayerSummary]:
    """Units, weights, density and bytes of every layer.

    Not counted are the arrays of a batch, for which `truesparse.network.mlp.MLP.bytes_needed` is asked, and the data.

    Parameters
    ----------
    model : MLP or fitted estimator
    n_moments : int
        Vectors that the optimiser keeps: 2 for Adam, 1 for SGD.

    Returns
    -------
    list of LayerSummary

    Examples
    --------
    >>> from truesparse.network.activations import PiecewiseLinear
    >>> from truesparse.inspection import layer_summaries
    >>> from truesparse.network.mlp import MLP
    >>> from truesparse.topology import Pattern
    >>> pattern = Pattern.from_edges([0, 0, 1], [0, 2, 1], shape=(2, 3))
    >>> row = layer_summaries(MLP.from_patterns([pattern], PiecewiseLinear()))[0]
    >>> row.units, row.weights, row.density
    (2, 3, 0.5)
    >>> row.bytes == 4 * (3 + 2) + 4 * (3 + 3)  # parameters; column indices and where rows begin
    True
    """
    rows = []
    network = network_of(model)
    learned = [network.params[slots].nbytes for slots in network.activation_slices()]
    for index, (layer, of_activation) in enumerate(zip(network.layers, [*learned, 0], strict=True)):
        parameters = layer.data.nbytes + layer.bias.nbytes + of_activation
        positions = by_columns = 0
        pattern = layer.stored_pattern
        if pattern is not None:
            positions = pattern.indices.nbytes + pattern.indptr.nbytes
            if index > 0:  # only errors run through columns, and none are computed for the features
                by_columns = pattern.indices.itemsize * (2 * pattern.nnz + pattern.shape[1] + 1)
        rows.append(
            LayerSummary(
                layer=index,
                shape=layer.shape,
                units=layer.shape[0],
                pairs=layer.shape[0] * layer.shape[1],
                weights=layer.nnz,
                bytes=parameters + positions,
                training_bytes=(2 + n_moments) * parameters + positions + by_columns,
            )
        )
    return rows


@dataclass(frozen=True, kw_only=True)
class LayerFlops(Row):
    """Floating-point operations that one sample costs in a layer, and would cost if the layer were full."""

    inference: int
    training: int
    dense_inference: int
    dense_training: int


def layer_flops(model) -> list[LayerFlops]:
    """Operations per sample, two for each multiplication with its addition.

    | | operations |
    |---|---|
    | forward, W · a + b | 2 · nnz: k products and a bias take k additions |
    | gradient, δ · aᵀ at the stored pairs | 2 · nnz |
    | errors, Wᵀ · δ, not for the first layer | 2 · nnz |

    Inference is the first line, training all three. What grows with units only is left out (activations, their
    derivatives, dropout, the loss, gradients of biases), and so is what does not grow with samples (steps of the
    optimiser, updates of the topology). Features count as all different from zero; with sparse data, the first layer
    costs less.

    Parameters
    ----------
    model : MLP or fitted estimator

    Returns
    -------
    list of LayerFlops

    Examples
    --------
    >>> from truesparse.network.activations import PiecewiseLinear
    >>> from truesparse.inspection import layer_flops, total
    >>> from truesparse.network.mlp import MLP
    >>> from truesparse.topology import Pattern
    >>> patterns = [Pattern.from_edges([0, 0, 1], [0, 2, 1], shape=(2, 3)), Pattern.full((1, 2))]
    >>> rows = layer_flops(MLP.from_patterns(patterns, PiecewiseLinear()))
    >>> [(row.inference, row.training) for row in rows]
    [(6, 12), (4, 12)]
    >>> total(rows).inference, total(rows).dense_inference
    (10, 16)
    """
    rows = []
    for index, layer in enumerate(network_of(model).layers):
        n_pairs = layer.shape[0] * layer.shape[1]
        passes = 2 if index == 0 else 3
        rows.append(
            LayerFlops(
                layer=index,
                shape=layer.shape,
                inference=2 * layer.nnz,
                training=2 * passes * layer.nnz,
                dense_inference=2 * n_pairs,
                dense_training=2 * passes * n_pairs,
            )
        )
    return rows


# Degrees.
