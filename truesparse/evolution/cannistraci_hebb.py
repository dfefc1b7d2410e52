"""Growth by the topology alone (Cannistraci-Hebb training, CHT; Zhang et al., 2024).

The connections of a layer are a bipartite graph of inputs and outputs. An absent pair (u, v) is scored by the paths of
length three between its units, u – z₁ – z₂ – v. The units on these paths are the local community of the pair. Such a
unit z has i_z connections to others of the community, and e_z to units that are neither in it nor u or v:

| `score` | of the pair (u, v) | source |
|---|---|---|
| ``"ch3_l3"`` | Σ_paths 1 / √((1 + e_z₁)(1 + e_z₂)) | CHT; Zhang et al., 2024 |
| ``"ch2_l3"`` | Σ_paths √((1 + i_z₁)(1 + i_z₂)) / √((1 + e_z₁)(1 + e_z₂)) | Muscoloni et al., 2020 |
| ``"ch2_l3n"`` | Σ_units (1 + i_z) / (1 + e_z) | CHTs; Zhang et al., 2025 |

CHT grows the pairs with the highest scores. CHTs draws pairs in proportion to the scores, which explores more: the
topology of a young network tells little. With a score s and a uniform random number r, the k pairs with the largest
log(r) / s are such a draw without replacement (Efraimidis & Spirakis, 2006).

Cost: one walk over all paths of length three, about nnz · (connections of a unit)² operations on one core; memory
O(nnz + units + pairs to grow). No data are read, and no weights. `truesparse.kernels.length_three` has the walk.

Differences from the papers: ours are the scores of the exact sets also for ``"ch2_l3n"``, where theirs come from
products of dense matrices. First topologies (CSTI, BRF) and the removal of units without paths are not part of it.

Sources: Y. Zhang, J. Zhao, W. Wu, A. Muscoloni, C. V. Cannistraci, "Epitopological learning and Cannistraci-Hebb
network shape intelligence brain-inspired theory for ultra-sparse advantage in deep learning", ICLR 2024. Y. Zhang et
al., "Brain network science modelling of sparse neural networks enables Transformers and LLMs to perform as fully
connected", arXiv 2501.19107. A. Muscoloni, U. Michieli, C. V. Cannistraci, "Adaptive network automata modelling of
complex networks", Preprints 202012.0808.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from truesparse.evolution.rules import edges_of
from truesparse.kernels.length_three import PATHS, PATHS_WITHIN, UNITS, top_pairs_on_paths
from truesparse.runtime.checks import check_flag
from truesparse.runtime.plugins import plugin
from truesparse.topology.pattern import not_among

_KINDS = {"ch3_l3": PATHS, "ch2_l3": PATHS_WITHIN, "ch2_l3n": UNITS}


@plugin("grow", cht={}, chts={"score": "ch2_l3n", "soft": True})
@dataclass(frozen=True)
class CHT:
    """Absent pairs between units that are on many paths of length three (Zhang et al., 2024).

    Parameters
    ----------
    score : {"ch3_l3", "ch2_l3", "ch2_l3n"}, default="ch3_l3"
        How paths count, see `truesparse.evolution.cannistraci_hebb`.
    soft : bool, default=False
        Draw pairs in proportion to their scores (CHTs). If not, take the highest scores, ties at random.
    regrow : bool, default=True
        Whether a pair that was dropped in the same update may be picked; it then keeps its weight. If not, random pairs
        take the places of such picks.

    Examples
    --------
    >>> from truesparse.evolution import CHT, Evolution, SoftMagnitude
    >>> evolution = Evolution(SoftMagnitude(), CHT("ch2_l3n", soft=True), grow_init="zeros")
    """

    score: str = "ch3_l3"
    soft: bool = False
    regrow: bool = True

    needs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        if not isinstance(self.score, str) or self.score not in _KINDS:
            raise ValueError(f"score={self.score!r} must be one of {list(_KINDS)}.")
        check_flag("soft", self.soft)
        check_flag("regrow", self.regrow)

    def __call__(self, vacancies, *, rng):
        """Return the edges to grow, per layer."""
        picks = []
        for vacancy in vacancies:
            pattern, within = vacancy.pattern, vacancy.within
            keys = top_pairs_on_paths(
                pattern.indptr, pattern.indices, pattern.shape[1], vacancy.n_grow, _KINDS[self.score],
                rng.integers(2**64, dtype=np.uint64), soft=bool(self.soft),
                within=None if within is None else (within.indptr, within.indices),
            )  # fmt: skip
            picks.append(keys if self.regrow else not_among(keys, vacancy.dropped_keys))
        return edges_of(picks, vacancies)
