"""Record of the updates of a topology, and of the pairs that were ever connected.

Reference: Liu, Yin, Mocanu, Pechenizkiy. Do We Actually Need Dense Over-Parameterization? In-Time
Over-Parameterization in Sparse Training. ICML 2021.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from truesparse._typing import IndexArray
from truesparse.network.mlp import MLP
from truesparse.topology import Rewiring
from truesparse.topology.pattern import not_among


@dataclass(frozen=True)
class TopologyUpdate:
    """An update of the topology after `step` steps of training: connections replaced, and exploration rates.

    Lists have one entry per layer. An exploration rate is the share of pairs connected at any time so far.
    """

    step: int
    edges_replaced: list[int]
    exploration_rates: list[float]
    exploration_rate: float


class TopologyRecorder:
    """A callback that records the updates of the topology in a list `updates`, the oldest first.

    The exploration rate is the share of all pairs that were connected at any time since recording began: R_s of Liu
    et al. (2021), who find that sparse training can match dense training where it is high. It starts at the density.
    Full layers count as explored.

    A record of a training is continued when the training goes on where it ended. It begins anew with a network that has
    connections not seen before. When units are removed, the updates stay, and exploration starts at the density again.

    Memory is 8 bytes for every pair that was ever connected in a layer that can change; an update takes time in
    proportion to their number.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.inspection import TopologyRecorder
    >>> X, y = load_digits(return_X_y=True)
    >>> recorder = TopologyRecorder()
    >>> model = SparseMLPClassifier((50,), evolution="set", update_every=20, max_iter=4, callbacks=[recorder])
    >>> model.fit(X / 16, y).density_ < recorder.exploration_rate == recorder.updates[-1].exploration_rate
    True
    """

    def __init__(self):
        self.updates: list[TopologyUpdate] = []
        self._shapes: list[tuple[int, int]] = []
        self._explored: list[IndexArray | None] = []  # sorted keys of the pairs, None for a full layer

    def on_train_begin(self, network: MLP) -> None:
        """Continue the record, or begin anew if the network has a connection not seen before."""
        shapes, keys = _topology_of(network)
        if shapes != self._shapes or not all(map(_all_among, keys, self._explored)):
            self.updates, self._shapes, self._explored = [], shapes, keys

    def on_units_removed(self, network: MLP) -> None:
        """Begin exploration anew, with the narrower layers."""
        self._shapes, self._explored = _topology_of(network)

    def on_topology_change(self, network: MLP, step: int, rewirings: Sequence[Rewiring | None]) -> None:
        """Record an update after `step` steps of training, with a rewiring per layer, None for those that stayed."""
        if not self._shapes:
            raise RuntimeError("on_topology_change needs on_train_begin before it, to see the first topology.")
        if len(rewirings) != len(self._shapes):
            raise ValueError(f"rewirings has {len(rewirings)} entries; the network has {len(self._shapes)} layers.")
        explored = list(self._explored)
        for layer, (rewiring, keys, shape) in enumerate(zip(rewirings, explored, self._shapes, strict=True)):
            if rewiring is None:
                continue
            is_full = keys is None and rewiring.pattern.nnz == rewiring.pattern.n_pairs
            if is_full or rewiring.pattern.shape != shape:
                raise ValueError(
                    f"rewirings[{layer}] has shape {rewiring.pattern.shape} and does not fit layer {layer}, which has "
                    f"shape {shape}{' and is full' if is_full else ''}."
                )
            if keys is None:  # a layer that has been full has no pairs to explore
                continue
            new = not_among(rewiring.pattern.keys_at(rewiring.grown), keys)
            if new.size:
                explored[layer] = np.insert(keys, np.searchsorted(keys, new), new)
        self._explored = explored
        self.updates.append(
            TopologyUpdate(
                step=int(step),
                edges_replaced=[0 if rewiring is None else rewiring.n_replaced for rewiring in rewirings],
                exploration_rates=self.exploration_rates,
                exploration_rate=self.exploration_rate,
            )
        )

    @property
    def n_explored(self) -> list[int]:
        """Pairs of each layer that have been connected at any time so far."""
        sizes = [math.prod(shape) for shape in self._shapes]
        return [n if keys is None else keys.size for n, keys in zip(sizes, self._explored, strict=True)]

    @property
    def exploration_rates(self) -> list[float]:
        """Share of each layer's pairs that have been connected at any time so far."""
        return [n / math.prod(shape) for n, shape in zip(self.n_explored, self._shapes, strict=True)]

    @property
    def exploration_rate(self) -> float:
        """Share of all layers' pairs that have been connected; NaN before the first training begins."""
        n_pairs = sum(map(math.prod, self._shapes))
        return sum(self.n_explored) / n_pairs if n_pairs else math.nan

    def as_dict(self) -> dict[str, list]:
        """Return one list per field of `TopologyUpdate`, e.g. for ``pandas.DataFrame``."""
        names = [field.name for field in fields(TopologyUpdate)]
        return {name: [getattr(update, name) for update in self.updates] for name in names}


def _topology_of(network):
    """Return the shapes of the layers, and the keys of their connections, None for full layers."""
    shapes = [layer.shape for layer in network.layers]
    return shapes, [layer.pattern.keys if layer.can_change else None for layer in network.layers]


def _all_among(keys, others):
    """Return whether all keys are among the sorted others; None stands for those of all pairs."""
    if keys is None or others is None:
        return others is None
    return not not_among(keys, others).size
