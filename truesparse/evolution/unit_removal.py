"""Removal of hidden units (importance pruning; Curci et al., 2021).

The importance of a hidden unit is the strength of the connections into it,

    I_j = Σ_i |w_ji|          for units that another unit reads, else 0

The least important units are removed with all their connections, and nothing is grown in exchange: layers get narrower,
memory and time shrink.

Cost: O(nnz) each time. Differences from the authors' code: theirs removes the connections into a unit and keeps the
unit, by a threshold, the percentile t. Ours removes an exact number of units, also among equally important ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from truesparse.kernels.select import k_smallest
from truesparse.network.protocol import Layer
from truesparse.runtime.checks import check_count, check_number
from truesparse.runtime.plugins import plugin


@plugin("evolution")
@dataclass(frozen=True)
class ImportancePruning:
    """Removal of the least important units of every hidden layer, a share of the remaining ones at a time.

    Parameters
    ----------
    fraction : float, in [0, 1)
        Share of a layer's units that one pruning removes (t), rounded down; at least one unit stays.
    begin, end : float, in [0, 1]
        Units are removed from `begin` on (τ), up to before `end`: shares of the planned epochs.
    every : int
        Epochs between prunings (p).

    Examples
    --------
    >>> from dataclasses import replace
    >>> from truesparse import SparseMLPClassifier, preset
    >>> from truesparse.evolution import ImportancePruning
    >>> narrowing = replace(preset("cte"), unit_pruning=ImportancePruning(fraction=0.2, every=10))
    >>> classifier = SparseMLPClassifier((100, 100), evolution=narrowing)
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
        """Return whether units are removed after `epoch` of `n_epochs` epochs."""
        begin = max(1, int(np.ceil(self.begin * n_epochs)))
        return begin <= epoch < self.end * n_epochs and (epoch - begin) % int(self.every) == 0

    def __call__(self, layers: Sequence[Layer]) -> list[NDArray[np.bool_]]:
        """Return masks of the units to keep, (n_units,) per hidden layer."""
        kept = []
        for scores in importance(layers):
            n_removed = min(int(float(self.fraction) * scores.size), scores.size - 1)
            kept.append(~k_smallest(scores, n_removed))
        return kept


def importance(layers: Sequence[Layer]) -> list[NDArray[np.float64]]:
    """Return the importance of the units of every hidden layer, (n_units,) each."""
    scores = []
    for layer, above in pairwise(layers):
        strength = np.asarray(abs(layer.weight).sum(axis=1), dtype=np.float64)
        pattern = above.stored_pattern  # None where every unit is read
        is_read = True if pattern is None else np.bincount(pattern.indices, minlength=layer.shape[0]) > 0
        scores.append(strength * is_read)
    return scores
