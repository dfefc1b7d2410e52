"""Numbers of paths through a network, and weights that lie on none.

With P_l the pattern of layer l as a matrix of zeros and ones,

    f_0 = 1,  f_l = P_l f_(l−1)        paths from the features to each unit of level l
    b_L = 1,  b_(l−1) = P_lᵀ b_l       paths from each unit to the outputs

so f_l · b_l paths lead through a unit, f_(l−1)[c] · b_l[r] through the weight (r, c), and Σ f_L through the network.
A count is kept as m · 2^e, as ``numpy.frexp`` gives it, with an exponent per unit: it is exact below 2⁵³, rounded as
float64 beyond, and neither overflows nor vanishes beside larger ones, however deep the network.

Reference: Vysogorets, Kempe. Connectivity Matters: Neural Network Pruning Through the Lens of Effective Sparsity. JMLR
24, 2023.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truesparse.inspection.tables import Row, network_of
from truesparse.network.protocol import Layer


@dataclass(frozen=True, eq=False)
class _Counts:
    """Numbers m · 2^e, zero or at least 1, where m is 0 or in [½, 1)."""

    mantissas: NDArray[np.float64]
    exponents: NDArray[np.int32]

    @classmethod
    def of(cls, numbers, exponents=0) -> "_Counts":
        """Return numbers · 2^exponents."""
        mantissas, shifts = np.frexp(numbers)
        return cls(mantissas, np.where(mantissas > 0, shifts + exponents, 0).astype(np.int32))

    def values(self, *, log=False):
        """Return float64, inf where that is too small, or natural logarithms, −inf for zero."""
        with np.errstate(over="ignore", divide="ignore"):
            if log:
                return np.log(self.mantissas) + self.exponents * math.log(2)
            return np.ldexp(self.mantissas, self.exponents)

    def at(self, indices) -> "_Counts":
        """Return the counts with these indices."""
        return _Counts(self.mantissas[indices], self.exponents[indices])

    def times(self, other: "_Counts") -> "_Counts":
        """Return the products, element by element."""
        return _Counts.of(self.mantissas * other.mantissas, self.exponents + other.exponents)

    def summed_by(self, groups, n_groups: int) -> "_Counts":
        """Return the sum of each group, (n_groups,), from the group of each number."""
        largest = np.zeros(n_groups, dtype=np.int32)
        np.maximum.at(largest, groups, self.exponents)
        terms = np.ldexp(self.mantissas, self.exponents - largest[groups])  # those that underflow are lost in the sum
        return _Counts.of(np.bincount(groups, weights=terms, minlength=n_groups), largest)

    def sum(self) -> "_Counts":
        """Return the sum of all, (1,)."""
        return self.summed_by(np.zeros(self.mantissas.size, dtype=np.intp), 1)

    def through(self, layer: Layer, *, backward: bool = False) -> "_Counts":
        """Return P · counts or, backward, Pᵀ · counts, with P the pattern of a layer."""
        pattern, n_units = layer.stored_pattern, layer.shape[1 if backward else 0]
        if pattern is None:
            return self.sum().at(np.zeros(n_units, dtype=np.intp))
        begins, ends = (pattern.rows, pattern.indices) if backward else (pattern.indices, pattern.rows)
        return self.at(begins).summed_by(ends, n_units)


class Paths:
    """Numbers of paths through a topology, as `paths` counts them.

    Level 0 are the features, level l the outputs of layer l − 1. Counts are float64, exact below 2⁵³ and inf beyond
    1.8 · 10³⁰⁸. Their natural logarithms are finite there, and −inf where there is no path.
    """

    def __init__(self, layers: Sequence[Layer]):
        self._shapes = [layer.shape for layer in layers]
        self._patterns = [layer.stored_pattern for layer in layers]
        self._from_inputs = [_Counts.of(np.ones(layers[0].shape[1]))]
        for layer in layers:
            self._from_inputs.append(self._from_inputs[-1].through(layer))
        self._to_outputs = [_Counts.of(np.ones(layers[-1].shape[0]))]
        for layer in reversed(layers):
            self._to_outputs.insert(0, self._to_outputs[0].through(layer, backward=True))
        self._all = self._from_inputs[-1].sum()

    @property
    def n_paths(self) -> float:
        """Number of paths from any feature to any output."""
        return float(self._all.values()[0])

    @property
    def log_n_paths(self) -> float:
        """Logarithm of `n_paths`."""
        return float(self._all.values(log=True)[0])

    def through_units(self, level: int, *, log: bool = False) -> NDArray[np.float64]:
        """Return the paths through each unit of a level, (n_units,), or their logarithms."""
        return self._from_inputs[level].times(self._to_outputs[level]).values(log=log)

    def through_weights(self, layer: int, *, log: bool = False) -> NDArray[np.float64]:
        """Return the paths through each weight of a layer, in the order of its ``data``, (nnz,), or the logarithms."""
        pattern, shape = self._patterns[layer], self._shapes[layer]
        rows, columns = np.indices(shape).reshape(2, -1) if pattern is None else (pattern.rows, pattern.indices)
        counts = self._from_inputs[layer].at(columns).times(self._to_outputs[layer + 1].at(rows))
        return counts.values(log=log)

    def on_a_path(self, layer: int) -> NDArray[np.bool_]:
        """Return which weights of a layer lie on a path, (nnz,)."""
        return self.through_weights(layer) > 0


def paths(model) -> Paths:
    """Count the paths from the features to the outputs of a network or a fitted estimator, as it is now.

    Examples
    --------
    The second hidden unit has no input, so no path leads through it:

    >>> from truesparse.inspection import paths
    >>> from truesparse.network.activations import PiecewiseLinear
    >>> from truesparse.network.mlp import MLP
    >>> from truesparse.topology import Pattern
    >>> patterns = [Pattern.from_edges([0, 0], [0, 2], shape=(2, 3)), Pattern.full((1, 2))]
    >>> counted = paths(MLP.from_patterns(patterns, PiecewiseLinear()))
    >>> counted.n_paths, counted.through_units(1), counted.on_a_path(1)
    (2.0, array([2., 0.]), array([ True, False]))
    """
    return Paths(network_of(model).layers)


@dataclass(frozen=True, kw_only=True)
class LayerConnectivity(Row):
    """Weights of a layer (the pairs that are connected), and those on a path from the features to the outputs."""

    pairs: int
    weights: int
    effective: int

    @property
    def dead_share(self) -> float:
        """Share of the weights that lie on no path; 0 without weights."""
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
    """Return the weights on paths of every layer, and 1 − the effective sparsity of Vysogorets and Kempe (2023).

    A weight without a path to an output changes nothing. One without a path from a feature passes on the same number
    for all samples, as a bias would.

    Examples
    --------
    >>> from truesparse.inspection import layer_connectivity, total
    >>> from truesparse.network.activations import PiecewiseLinear
    >>> from truesparse.network.mlp import MLP
    >>> from truesparse.topology import Pattern
    >>> patterns = [Pattern.from_edges([0, 0], [0, 2], shape=(2, 3)), Pattern.full((1, 2))]
    >>> whole = total(layer_connectivity(MLP.from_patterns(patterns, PiecewiseLinear())))
    >>> whole.density, whole.effective_density, whole.dead_share
    (0.5, 0.375, 0.25)
    """
    counted, rows = paths(model), []
    for index, layer in enumerate(network_of(model).layers):
        effective = int(np.count_nonzero(counted.on_a_path(index)))
        sizes = {"pairs": math.prod(layer.shape), "weights": layer.nnz, "effective": effective}
        rows.append(LayerConnectivity(layer=index, shape=layer.shape, **sizes))
    return rows
