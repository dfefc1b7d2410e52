"""How many ways lead through a network, and which weights lie on none.

With P_l the pattern of layer l as a matrix of zeros and ones,

    f_0 = 1,  f_l = P_l f_(l−1)        ways from any input to each unit of level l
    b_L = 1,  b_(l−1) = P_lᵀ b_l       ways from each unit to any output

so f_l · b_l ways lead through a unit, f_(l−1)[c] · b_l[r] through the weight (r, c), and Σ f_L through the network.
The count of a unit is kept as m · 2^e, as ``numpy.frexp`` gives it, with an exponent for each unit: counts are exact
below 2⁵³, rounded as float64 beyond, and neither overflow nor vanish beside larger ones, however deep the network.

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
from truesparse.runtime.caching import cached_property


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
        self._patterns = [layer.stored_pattern for layer in layers]
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

    >>> from truesparse.network.activations import PiecewiseLinear
    >>> from truesparse.inspection import paths
    >>> from truesparse.network.mlp import MLP
    >>> from truesparse.topology import Pattern
    >>> patterns = [Pattern.from_edges([0, 0], [0, 2], shape=(2, 3)), Pattern.full((1, 2))]
    >>> counted = paths(MLP.from_patterns(patterns, PiecewiseLinear()))
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
    >>> from truesparse.network.activations import PiecewiseLinear
    >>> from truesparse.inspection import layer_connectivity, total
    >>> from truesparse.network.mlp import MLP
    >>> from truesparse.topology import Pattern
    >>> patterns = [Pattern.from_edges([0, 0], [0, 2], shape=(2, 3)), Pattern.full((1, 2))]
    >>> everything = total(layer_connectivity(MLP.from_patterns(patterns, PiecewiseLinear())))
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
