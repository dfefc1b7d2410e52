"""What a network consists of, what it costs, and how its topology has changed.

| function | answers |
|---|---|
| `layer_summaries` | how many weights each layer holds, of how many that it could, and in how many bytes |
| `layer_flops` | how many operations a sample costs, and would cost if the layer were full |
| `layer_degrees` | how the connections are spread over the units |
| `paths` | how many ways lead from the inputs to the outputs, also through a unit or a weight |
| `layer_connectivity` | how many weights lie on no such way |
| `total` | any of these tables added up |
| `TopologyRecorder` | what each update of the topology replaced, and which pairs have ever been connected |

All of them take a network or a fitted estimator, change nothing, and need time and memory O(nnz + units).

Paths. With P_l the pattern of layer l as a matrix of zeros and ones,

    f_0 = 1,  f_l = P_l f_(l−1)        ways from any input to each unit of level l
    b_L = 1,  b_(l−1) = P_lᵀ b_l       ways from each unit to any output

so f_l · b_l ways lead through a unit, f_(l−1)[c] · b_l[r] through the weight (r, c), and Σ f_L through the network.
The count of a unit is kept as m · 2^e, as ``numpy.frexp`` gives it, with an exponent for each unit: counts are exact
below 2⁵³, rounded as float64 beyond, and neither overflow nor vanish beside larger ones, however deep the network.

References
----------
Liu, Yin, Mocanu, Pechenizkiy. Do We Actually Need Dense Over-Parameterization? In-Time Over-Parameterization in Sparse
Training. ICML 2021.

Vysogorets, Kempe. Connectivity Matters: Neural Network Pruning Through the Lens of Effective Sparsity. JMLR 24, 2023.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from truesparse._typing import IndexArray
from truesparse.layers import Layer
from truesparse.network import MLP
from truesparse.topology import Rewiring

if TYPE_CHECKING:
    from truesparse.training import EpochRecord


def network_of(model) -> MLP:
    """The network that a fitted estimator trained; a network is returned as it is.

    Parameters
    ----------
    model : MLP, SparseMLPClassifier or SparseMLPRegressor

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If it is an estimator that has not been fitted.
    TypeError
        If it is neither.
    """
    if isinstance(model, MLP):
        return model
    network = getattr(model, "_network", None)
    if isinstance(network, MLP):
        return network
    if hasattr(model, "fit"):
        raise NotFittedError(
            f"model={model!r} holds no network: call 'fit' first, and of a pipeline or a search pass the fitted "
            "SparseMLPClassifier or SparseMLPRegressor itself."
        )
    raise TypeError(f"model must be an MLP or a fitted estimator of truesparse, got {type(model).__name__}.")


# Tables: a row for each layer.


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table.

    Parameters
    ----------
    layer : int or None
        Index of the layer, None in a row that `total` made.
    shape : (fan_out, fan_in) or None
    """

    layer: int | None = None
    shape: tuple[int, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """All columns by name, those that follow from others at the end; ``pandas.DataFrame`` takes a list of these."""
        derived = [name for name, member in vars(type(self)).items() if isinstance(member, property)]
        return {name: getattr(self, name) for name in [*(field.name for field in fields(self)), *derived]}


AnyRow = TypeVar("AnyRow", bound=Row)


def total(rows: Sequence[AnyRow]) -> AnyRow:
    """The rows of a table added up to one; shares are those of the sums.

    Parameters
    ----------
    rows : list of LayerSummary, LayerFlops or LayerConnectivity, not empty

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.activations import ACTIVATIONS
    >>> from truesparse.inspection import layer_summaries, total
    >>> from truesparse.network import MLP
    >>> from truesparse.topology import Pattern
    >>> rng = np.random.default_rng(0)
    >>> network = MLP.from_patterns([Pattern.sample((8, 4), 10, rng), Pattern.full((2, 8))], ACTIVATIONS["relu"])
    >>> everything = total(layer_summaries(network))
    >>> everything.weights, everything.pairs, round(everything.density, 3)
    (26, 48, 0.542)
    """
    kind = type(rows[0])
    names = [field.name for field in fields(kind) if field.name not in ("layer", "shape")]
    return kind(**{name: sum(getattr(row, name) for row in rows) for name in names})


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

    Not counted are the arrays of a batch, for which `truesparse.network.MLP.bytes_needed` is asked, and the data.

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
    >>> from truesparse.activations import ACTIVATIONS
    >>> from truesparse.inspection import layer_summaries
    >>> from truesparse.network import MLP
    >>> from truesparse.topology import Pattern
    >>> pattern = Pattern.from_edges([0, 0, 1], [0, 2, 1], shape=(2, 3))
    >>> row = layer_summaries(MLP.from_patterns([pattern], ACTIVATIONS["relu"]))[0]
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
        if layer.is_sparse:
            pattern = layer.pattern
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
    >>> from truesparse.activations import ACTIVATIONS
    >>> from truesparse.inspection import layer_flops, total
    >>> from truesparse.network import MLP
    >>> from truesparse.topology import Pattern
    >>> patterns = [Pattern.from_edges([0, 0, 1], [0, 2, 1], shape=(2, 3)), Pattern.full((1, 2))]
    >>> rows = layer_flops(MLP.from_patterns(patterns, ACTIVATIONS["relu"]))
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


@dataclass(frozen=True, eq=False)
class LayerDegrees:
    """How a layer's connections are spread over its units.

    Parameters
    ----------
    layer : int
    in_degrees : (fan_out,) int64
        Connections that end at each output unit.
    out_degrees : (fan_in,) int64
        Connections that begin at each input unit.
    """

    layer: int
    in_degrees: IndexArray
    out_degrees: IndexArray

    @property
    def in_histogram(self) -> IndexArray:
        """Entry k: the output units with k inputs, (largest degree + 1,)."""
        return np.bincount(self.in_degrees)

    @property
    def out_histogram(self) -> IndexArray:
        """Entry k: the input units with k outputs, (largest degree + 1,)."""
        return np.bincount(self.out_degrees)

    @property
    def n_without_inputs(self) -> int:
        """Output units that hear of nothing."""
        return int(np.count_nonzero(self.in_degrees == 0))

    @property
    def n_without_outputs(self) -> int:
        """Input units that nothing listens to."""
        return int(np.count_nonzero(self.out_degrees == 0))


def layer_degrees(model) -> list[LayerDegrees]:
    """In-degrees of the output units and out-degrees of the input units of every layer.

    Parameters
    ----------
    model : MLP or fitted estimator

    Returns
    -------
    list of LayerDegrees

    Examples
    --------
    >>> from truesparse.activations import ACTIVATIONS
    >>> from truesparse.inspection import layer_degrees
    >>> from truesparse.network import MLP
    >>> from truesparse.topology import Pattern
    >>> pattern = Pattern.from_edges([0, 0], [0, 2], shape=(2, 3))
    >>> degrees = layer_degrees(MLP.from_patterns([pattern], ACTIVATIONS["relu"]))[0]
    >>> degrees.in_degrees, degrees.out_degrees
    (array([2, 0]), array([1, 0, 1]))
    >>> degrees.in_histogram  # one unit without inputs, none with one, one with two
    array([1, 0, 1])
    """
    return [LayerDegrees(index, *_degrees(layer)) for index, layer in enumerate(network_of(model).layers)]


def _degrees(layer: Layer):
    fan_out, fan_in = layer.shape
    if not layer.is_sparse:
        return np.full(fan_out, fan_in, dtype=np.int64), np.full(fan_in, fan_out, dtype=np.int64)
    # Not from the transposed index: the pattern would keep it, and the first layer may never need it.
    return (
        layer.pattern.out_units_fan_in.astype(np.int64),
        np.bincount(layer.pattern.indices, minlength=fan_in).astype(np.int64),
    )


# Paths.


@dataclass(frozen=True, eq=False)
class _Counts:
    """Numbers m · 2^e, zero or at least 1, where m is 0 or in [½, 1)."""

    mantissas: NDArray[np.float64]
    exponents: NDArray[np.int32]

    @classmethod
    def of(cls, numbers, exponents=0) -> "_Counts":
        """Numbers · 2^exponents."""
        mantissas, shifts = np.frexp(numbers)
        return cls(mantissas, np.where(mantissas > 0, shifts + exponents, 0).astype(np.int32))

    @classmethod
    def ones(cls, size: int) -> "_Counts":
        """As many ones."""
        return cls.of(np.ones(size))

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Where there is anything at all."""
        return self.mantissas > 0

    def values(self):
        """As float64, infinite where that is too small."""
        with np.errstate(over="ignore"):
            return np.ldexp(self.mantissas, self.exponents)

    def logs(self):
        """Natural logarithms, −inf for zero."""
        with np.errstate(divide="ignore"):
            return np.log(self.mantissas) + self.exponents * math.log(2)

    def at(self, indices) -> "_Counts":
        """The chosen ones."""
        return _Counts(self.mantissas[indices], self.exponents[indices])

    def times(self, other: "_Counts") -> "_Counts":
        """Products, number by number."""
        return _Counts.of(self.mantissas * other.mantissas, self.exponents + other.exponents)

    def summed_by(self, groups, n_groups: int) -> "_Counts":
        """Sums over the numbers of each group, (n_groups,).

        Parameters
        ----------
        groups : (size,) integers
        """
        largest = np.zeros(n_groups, dtype=np.int32)
        np.maximum.at(largest, groups, self.exponents)
        terms = np.ldexp(
            self.mantissas, self.exponents - largest[groups]
        )  # what underflows here would not show in the sum
        return _Counts.of(np.bincount(groups, weights=terms, minlength=n_groups), largest)

    def sum(self) -> "_Counts":
        """The sum of all, (1,)."""
        return self.summed_by(np.zeros(self.mantissas.size, dtype=np.intp), 1)


class Paths:
    """How many ways lead through a topology, as `paths` counts them.

    Level 0 are the features, level l the outputs of layer l − 1. Numbers are float64, exact below 2⁵³; those beyond
    1.8 · 10³⁰⁸ are inf, but their logarithms, with base e, are not. A logarithm of −inf stands for no way at all.

    Parameters
    ----------
    layers : list of Layer
    """

    def __init__(self, layers: Sequence[Layer]):
        self._shapes = [layer.shape for layer in layers]
        self._patterns = [layer.pattern if layer.is_sparse else None for layer in layers]
        self._from_inputs = [_Counts.ones(self._shapes[0][1])]
        for shape, pattern in zip(self._shapes, self._patterns, strict=True):
            below = self._from_inputs[-1]
            if pattern is None:
                sums = below.sum().at(np.zeros(shape[0], dtype=np.intp))
            else:
                sums = below.at(pattern.indices).summed_by(pattern.rows, shape[0])
            self._from_inputs.append(sums)
        self._to_outputs = [_Counts.ones(self._shapes[-1][0])]
        for shape, pattern in zip(reversed(self._shapes), reversed(self._patterns), strict=True):
            above = self._to_outputs[-1]
            if pattern is None:
                sums = above.sum().at(np.zeros(shape[1], dtype=np.intp))
            else:
                sums = above.at(pattern.rows).summed_by(pattern.indices, shape[1])
            self._to_outputs.append(sums)
        self._to_outputs.reverse()

    @property
    def n_paths(self) -> float:
        """From any feature to any output."""
        return float(self._all.values()[0])

    @property
    def log_n_paths(self) -> float:
        """Logarithm of `n_paths`."""
        return float(self._all.logs()[0])

    def through_units(self, level: int, *, log: bool = False) -> NDArray[np.float64]:
        """Paths through each unit of a level, (n_units,), or their logarithms."""
        return _numbers(self._from_inputs[level].times(self._to_outputs[level]), log)

    def through_weights(self, layer: int, *, log: bool = False) -> NDArray[np.float64]:
        """Paths through each weight of a layer, in the order of its ``data``, (nnz,), or their logarithms."""
        rows, columns = self._ends(layer)
        counts = self._from_inputs[layer].at(columns).times(self._to_outputs[layer + 1].at(rows))
        return _numbers(counts, log).reshape(-1)

    def on_a_path(self, layer: int) -> NDArray[np.bool_]:
        """Which weights of a layer lie on a path, (nnz,)."""
        rows, columns = self._ends(layer)
        return (self._from_inputs[layer].positive[columns] & self._to_outputs[layer + 1].positive[rows]).reshape(-1)

    def _ends(self, layer):
        """Output and input unit of each weight: two vectors, or a column and a row if the layer is full."""
        pattern = self._patterns[layer]
        if pattern is not None:
            return pattern.rows, pattern.indices
        fan_out, fan_in = self._shapes[layer]
        return np.arange(fan_out)[:, None], np.arange(fan_in)[None, :]

    @cached_property
    def _all(self):
        return self._from_inputs[-1].sum()


def _numbers(counts, log):
    return counts.logs() if log else counts.values()


def paths(model) -> Paths:
    """Count the ways from the features to the outputs.

    Parameters
    ----------
    model : MLP or fitted estimator

    Returns
    -------
    Paths
        Of the topology as it is now; a later change of it does not show.

    Examples
    --------
    The second hidden unit has no input, so that its way to the output begins nowhere:

    >>> from truesparse.activations import ACTIVATIONS
    >>> from truesparse.inspection import paths
    >>> from truesparse.network import MLP
    >>> from truesparse.topology import Pattern
    >>> patterns = [Pattern.from_edges([0, 0], [0, 2], shape=(2, 3)), Pattern.full((1, 2))]
    >>> counted = paths(MLP.from_patterns(patterns, ACTIVATIONS["relu"]))
    >>> counted.n_paths
    2.0
    >>> counted.through_units(1)
    array([2., 0.])
    >>> counted.on_a_path(1)
    array([ True, False])
    """
    return Paths(network_of(model).layers)


@dataclass(frozen=True, kw_only=True)
class LayerConnectivity(Row):
    """How many weights of a layer lie on a path from the features to the outputs.

    Parameters
    ----------
    pairs : int
        Weights that the layer could have.
    weights : int
        Weights that it has.
    effective : int
        Those of them that lie on a path.
    """

    pairs: int
    weights: int
    effective: int

    @property
    def dead_share(self) -> float:
        """Share of the weights that lie on no path; 0 where there are no weights."""
        return (self.weights - self.effective) / self.weights if self.weights else 0.0

    @property
    def density(self) -> float:
        """Weights as a share of pairs."""
        return self.weights / self.pairs

    @property
    def effective_density(self) -> float:
        """Weights on a path as a share of pairs."""
        return self.effective / self.pairs


def layer_connectivity(model) -> list[LayerConnectivity]:
    """Weights on paths, and effective densities: 1 − the effective sparsity of Vysogorets and Kempe (2023).

    Without a way to an output a weight changes nothing. Without a way from a feature it passes on a number that is
    the same for all samples, which a bias could do in its place.

    Parameters
    ----------
    model : MLP or fitted estimator

    Returns
    -------
    list of LayerConnectivity

    Examples
    --------
    >>> from truesparse.activations import ACTIVATIONS
    >>> from truesparse.inspection import layer_connectivity, total
    >>> from truesparse.network import MLP
    >>> from truesparse.topology import Pattern
    >>> patterns = [Pattern.from_edges([0, 0], [0, 2], shape=(2, 3)), Pattern.full((1, 2))]
    >>> everything = total(layer_connectivity(MLP.from_patterns(patterns, ACTIVATIONS["relu"])))
    >>> everything.density, everything.effective_density, everything.dead_share
    (0.5, 0.375, 0.25)
    """
    network = network_of(model)
    counted = paths(network)
    return [
        LayerConnectivity(
            layer=index,
            shape=layer.shape,
            pairs=layer.shape[0] * layer.shape[1],
            weights=layer.nnz,
            effective=int(np.count_nonzero(counted.on_a_path(index))),
        )
        for index, layer in enumerate(network.layers)
    ]


# How the topology changes.


@dataclass(frozen=True)
class TopologyUpdate:
    """What is known of an update of the topology; lists have one entry per layer.

    Parameters
    ----------
    step : int
        Steps of training before it.
    edges_replaced : list of int
        Connections that made way for others.
    exploration_rates : list of float
        Share of a layer's pairs that have been connected at any time so far.
    exploration_rate : float
        The same over all layers.
    """

    step: int
    edges_replaced: list[int]
    exploration_rates: list[float]
    exploration_rate: float


class TopologyRecorder:
    """A callback that records the updates of the topology.

    The exploration rate is the share of all pairs that were connected at any time since recording began: R_s of Liu
    et al. (2021), who find that sparse training can match dense training where it is high. It starts at the density.
    Full layers count as explored.

    Memory is 8 bytes for every pair that was ever connected in a layer that can change; an update takes time in
    proportion to their number.

    A training that goes on where a recorded one ended is recorded as its continuation. A network with connections that
    were never seen is another one, with which recording begins anew. Where units are removed from a network, its
    updates stay on record, and exploration starts at the density again.

    Attributes
    ----------
    updates : list of TopologyUpdate
        Oldest first.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.activations import ACTIVATIONS
    >>> from truesparse.inspection import TopologyRecorder
    >>> from truesparse.network import MLP
    >>> from truesparse.topology import Pattern, Rewiring
    >>> old = Pattern.from_edges([0, 1], [0, 1], shape=(2, 2))
    >>> network = MLP.from_patterns([old], ACTIVATIONS["relu"])
    >>> recorder = TopologyRecorder()
    >>> recorder.on_train_begin(network)
    >>> recorder.exploration_rate
    0.5
    >>> rewiring = Rewiring.replace(old, dropped=np.array([True, False]), grown_keys=np.array([1]))
    >>> network.rewire([rewiring])
    >>> recorder.on_topology_change(10, [rewiring])
    >>> recorder.updates
    [TopologyUpdate(step=10, edges_replaced=[1], exploration_rates=[0.75], exploration_rate=0.75)]
    """

    def __init__(self):
        self.updates: list[TopologyUpdate] = []
        self._shapes: list[tuple[int, int]] = []
        self._explored: list[IndexArray | None] = []

    def on_train_begin(self, network: MLP) -> None:
        """Take note of the topology that training begins with."""
        shapes, keys = _topology_of(network)
        if shapes != self._shapes or not all(
            _all_among(mine, explored) for mine, explored in zip(keys, self._explored, strict=True)
        ):
            self.updates, self._shapes, self._explored = [], shapes, keys

    def on_units_removed(self, network: MLP) -> None:
        """Take note of the narrower topology."""
        self._shapes, self._explored = _topology_of(network)

    def on_topology_change(self, step: int, rewirings: Sequence[Rewiring | None]) -> None:
        """Record an update.

        Parameters
        ----------
        step : int
            Steps of training before it.
        rewirings : one per layer, None for those that stayed

        Raises
        ------
        RuntimeError
            If `on_train_begin` has not been called: the pairs that were dropped would be missed.
        ValueError
            If there are not as many rewirings as layers, or one does not fit its layer.
        """
        if not self._shapes:
            raise RuntimeError("on_topology_change needs on_train_begin before it, to see the first topology.")
        if len(rewirings) != len(self._shapes):
            raise ValueError(f"rewirings has {len(rewirings)} entries; the network has {len(self._shapes)} layers.")
        changed = [(layer, rewiring) for layer, rewiring in enumerate(rewirings) if rewiring is not None]
        for layer, rewiring in changed:
            if self._explored[layer] is None or rewiring.pattern.shape != self._shapes[layer]:
                raise ValueError(
                    f"rewirings[{layer}] has shape {rewiring.pattern.shape} and does not fit layer {layer}, which has "
                    f"shape {self._shapes[layer]}{' and is full' if self._explored[layer] is None else ''}."
                )
        for layer, rewiring in changed:
            grown = rewiring.pattern.keys_at(rewiring.grown)
            self._explored[layer] = _united(self._explored[layer], grown)
        self.updates.append(
            TopologyUpdate(
                step=int(step),
                edges_replaced=[0 if rewiring is None else rewiring.n_replaced for rewiring in rewirings],
                exploration_rates=self.exploration_rates,
                exploration_rate=self.exploration_rate,
            )
        )

    def on_epoch_end(self, record: "EpochRecord") -> None:
        """Nothing: updates are recorded when they happen."""

    @property
    def n_explored(self) -> list[int]:
        """Pairs of each layer that have been connected at any time so far."""
        return [
            fan_out * fan_in if keys is None else keys.size
            for (fan_out, fan_in), keys in zip(self._shapes, self._explored, strict=True)
        ]

    @property
    def exploration_rates(self) -> list[float]:
        """Share of each layer's pairs that have been connected at any time so far."""
        return [n / (shape[0] * shape[1]) for n, shape in zip(self.n_explored, self._shapes, strict=True)]

    @property
    def exploration_rate(self) -> float:
        """The same over all layers; NaN before the first training begins."""
        n_pairs = sum(fan_out * fan_in for fan_out, fan_in in self._shapes)
        return sum(self.n_explored) / n_pairs if n_pairs else math.nan

    def as_dict(self) -> dict[str, list]:
        """One list per field of `TopologyUpdate`, e.g. for ``pandas.DataFrame``."""
        return {
            field.name: [getattr(update, field.name) for update in self.updates] for field in fields(TopologyUpdate)
        }


def _topology_of(network):
    """Shapes of the layers, and the keys of their connections, None for full layers."""
    shapes = [layer.shape for layer in network.layers]
    return shapes, [layer.pattern.keys if layer.can_change else None for layer in network.layers]


def _among(keys, others):
    """Which of the sorted keys are among others, sorted too, and where the others would take them in."""
    places = np.searchsorted(others, keys)
    found = np.zeros(keys.size, dtype=bool)
    inside = places < others.size
    found[inside] = others[places[inside]] == keys[inside]
    return found, places


def _all_among(keys, others):
    """Whether all are; None stands for every key of a layer, so that all are among them."""
    if keys is None or others is None:
        return keys is others
    return bool(_among(keys, others)[0].all())


def _united(keys, more):
    """Both together, sorted; the same array if there is nothing new."""
    found, places = _among(more, keys)
    return keys if found.all() else np.insert(keys, places[~found], more[~found])
