"""Tables with a row per layer: weights, bytes and operations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from sklearn.exceptions import NotFittedError

from truesparse.network.mlp import MLP
from truesparse.network.resnet import ResNet


def network_of(model: Any, kinds: tuple[type, ...] = (MLP,)) -> Any:
    """Return the network of a fitted estimator; a network is returned as it is.

    A NotFittedError is raised for an estimator that has not been fitted or wraps one of truesparse, and a TypeError for
    what is neither an estimator nor a network, and for a network of another kind than `kinds`.
    """
    network = model if isinstance(model, ANY_KIND) else getattr(model, "_network", None)
    if isinstance(network, kinds):
        return network
    if isinstance(network, ANY_KIND):
        held = next(name for kind, name in _KIND_NAMES.items() if isinstance(network, kind))
        needed = " or ".join(_KIND_NAMES[kind] for kind in kinds)
        raise TypeError(f"model={type(model).__name__} holds {held}; this function needs {needed}.")
    if hasattr(model, "fit"):
        raise NotFittedError(
            f"model={model!r} holds no network: call 'fit' first, and of a pipeline or a search pass the fitted "
            "SparseMLPClassifier or SparseMLPRegressor itself, of an ensemble one of its estimators_."
        )
    raise TypeError(f"model must be an MLP or a fitted estimator of truesparse, got {type(model).__name__}.")


ANY_KIND = (MLP, ResNet)
_KIND_NAMES: dict[type, str] = {MLP: "a multilayer perceptron", ResNet: "a convolutional network"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table: a layer with its shape (fan_out, fan_in), or, where both are None, a sum over layers."""

    layer: int | None = None
    shape: tuple[int, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return fields, then properties, by name; ``pandas.DataFrame`` takes a list of these."""
        derived = [name for name, member in vars(type(self)).items() if isinstance(member, property)]
        return {name: getattr(self, name) for name in [*(field.name for field in fields(self)), *derived]}


AnyRow = TypeVar("AnyRow", bound=Row)


def total(rows: Sequence[AnyRow]) -> AnyRow:
    """Return the sum of the rows of a table, one or more; shares and densities are those of the sums.

    Examples
    --------
    >>> from truesparse.inspection import LayerConnectivity, total
    >>> rows = [LayerConnectivity(pairs=8, weights=4, effective=3), LayerConnectivity(pairs=2, weights=1, effective=1)]
    >>> total(rows).weights, total(rows).effective_density
    (5, 0.4)
    """
    kind = type(rows[0])
    names = [field.name for field in fields(kind) if field.name not in ("layer", "shape")]
    return kind(**{name: sum(getattr(row, name) for row in rows) for name in names})


@dataclass(frozen=True, kw_only=True)
class LayerSummary(Row):
    """Size of a layer: output units, pairs, weights (the pairs that are connected), and bytes.

    `bytes` are those of weights, biases, parameters of activations and batch norms, and positions of the weights.
    `training_bytes` add the gradient, the optimiser's moments, and the transposed index, which is smaller where units
    are on no path.
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
    """Return units, weights, density and bytes of every layer.

    `n_moments` is the number of vectors that the optimiser keeps: 2 for Adam, 1 for SGD. The arrays of a batch are not
    counted (`truesparse.network.mlp.MLP.bytes_needed` has them), nor are the data.

    Examples
    --------
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.inspection import layer_summaries
    >>> model = SparseMLPClassifier((4,), density=0.5, max_iter=1, evolution="static").fit([[0, 1], [1, 0]], [0, 1])
    >>> row = layer_summaries(model)[0]
    >>> row.units, row.weights, row.density
    (4, 4, 0.5)
    >>> row.bytes == 4 * (4 + 4) + 4 * (4 + 5)  # weights and biases; column indices and where rows begin
    True
    """
    rows = []
    network = network_of(model, ANY_KIND)
    for index, (layer, others) in enumerate(zip(network.layers, network.bytes_beside_weights(), strict=True)):
        parameters = layer.data.nbytes + layer.bias.nbytes + others
        positions = transposed_index = 0
        pattern = layer.stored_pattern
        if pattern is not None:
            positions = pattern.indices.nbytes + pattern.indptr.nbytes
            if index > 0:  # the backward pass computes no errors of the features
                transposed_index = pattern.indices.itemsize * (pattern.nnz + pattern.shape[1] + 1)
        rows.append(
            LayerSummary(
                layer=index,
                shape=layer.shape,
                units=layer.shape[0],
                pairs=math.prod(layer.shape),
                weights=layer.nnz,
                bytes=parameters + positions,
                training_bytes=(2 + n_moments) * parameters + positions + transposed_index,
            )
        )
    return rows


@dataclass(frozen=True, kw_only=True)
class LayerFlops(Row):
    """Floating-point operations of a layer per sample, and those of the same layer with all pairs connected."""

    inference: int
    training: int
    dense_inference: int
    dense_training: int


def layer_flops(model) -> list[LayerFlops]:
    """Return the operations of every layer per sample, two for a multiplication and its addition.

    | | operations |
    |---|---|
    | forward, W · a + b | 2 · nnz: a sum of k products and a bias has k additions |
    | gradient, δ · aᵀ at the stored pairs | 2 · nnz |
    | errors, Wᵀ · δ, not for the first layer | 2 · nnz |

    Inference is the first line, training all three. Not counted is what grows with the units (activations, dropout, the
    loss, gradients of biases) or not with the samples (steps of the optimiser, updates of the topology). All features
    count as non-zero; the first layer costs less with sparse data. A convolution makes these operations at every place
    of its outputs.

    Examples
    --------
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.inspection import layer_flops, total
    >>> model = SparseMLPClassifier((4,), density=0.5, max_iter=1, evolution="static").fit([[0, 1], [1, 0]], [0, 1])
    >>> [(row.inference, row.training) for row in layer_flops(model)]
    [(8, 16), (8, 24)]
    >>> total(layer_flops(model)).dense_inference
    32
    """
    rows = []
    for index, layer in enumerate(network_of(model, ANY_KIND).layers):
        sparse, dense = (2 * n * layer.places for n in (layer.nnz, math.prod(layer.shape)))
        passes = 2 if index == 0 else 3
        flops = {"inference": sparse, "training": passes * sparse}
        flops |= {"dense_inference": dense, "dense_training": passes * dense}
        rows.append(LayerFlops(layer=index, shape=layer.shape, **flops))
    return rows
