"""Which hidden units are left out of the network for good (importance pruning; Curci et al., 2021).

A hidden unit's importance is the strength of the connections that lead to it,

    I_j = Σ_i |w_ji|          for units that another unit reads, else 0

and at certain epochs the least important units of every hidden layer are removed, with all connections to and from
them. Layers become narrower, so that memory and time shrink with the number of weights; no connection is grown in
exchange.

| paper | here |
|---|---|
| I_j, importance of a neuron | `importance` |
| τ, p: first epoch, epochs between two prunings | ``begin``, ``every`` |
| t, percentile of importance that is the threshold | ``fraction`` of the units that are left |

Cost: O(nnz) each time.

Where this differs from the authors' code: theirs removes the connections to a unit and keeps the unit, ours removes the
unit. Ours counts exactly: equally important units do not go together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from truesparse._typing import FloatArray
from truesparse.kernels.select import k_smallest
from truesparse.network.layers import Layer
from truesparse.runtime.checks import check_count, check_number


@dataclass(frozen=True)
class ImportancePruning:
    """Removes the least important units of every hidden layer, a share of those that are left at a time.

    Parameters
    ----------
    fraction : float, in [0, 1)
        Share of a layer's units that one pruning removes, rounded down; at least one unit stays.
    begin, end : float, in [0, 1]
        No pruning before the one nor from the other on, as shares of the planned epochs.
    every : int
        Epochs between prunings.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from truesparse import SparseMLPClassifier, preset
    >>> from truesparse.evolution import ImportancePruning
    >>> evolution = replace(preset("cte"), unit_pruning=ImportancePruning(fraction=0.2, every=10))
    >>> classifier = SparseMLPClassifier((100, 100), evolution=evolution)
    """

    fraction: float = 0.1
    begin: float = 0.3
    end: float = 0.75
    every: int = 5

    def __post_init__(self):
        check_number("fraction", self.fraction, 0, 1, without=1)
        check_number("begin", self.begin, 0, 1)
        check_number("end", self.end, 0, 1)
        check_count("every", self.every)

    def is_due(self, epoch: int, n_epochs: int) -> bool:
        """Whether units are removed when `epoch` epochs of `n_epochs` are done."""
        begin = max(1, int(np.ceil(self.begin * n_epochs)))
        return begin <= epoch < self.end * n_epochs and (epoch - begin) % int(self.every) == 0

    def __call__(self, layers: Sequence[Layer]) -> list[NDArray[np.bool_]]:
        """Masks of the units to keep, one (n_units,) for each hidden layer."""
        kept = []
        for scores in importance(layers):
            n_removed = min(int(float(self.fraction) * scores.size), scores.size - 1)
            kept.append(~k_smallest(scores, n_removed))
        return kept


def importance(layers: Sequence[Layer]) -> list[FloatArray]:
    """The importance of every hidden unit, one array (n_units,) for each hidden layer.

    Parameters
    ----------
    layers : list of SparseLinear or DenseLinear
    """
    scores = []
    for layer, above in pairwise(layers):
        strength = np.asarray(abs(layer.weight).sum(axis=1), dtype=np.float64)
        is_read = np.bincount(above.pattern.indices, minlength=layer.shape[0]) > 0 if above.is_sparse else True
        scores.append(strength * is_read)
    return scores
