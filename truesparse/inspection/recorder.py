"""What the updates of a topology replace, and which pairs have ever been connected.

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
from truesparse.training.state import EpochRecord


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
    >>> from truesparse.network.activations import PiecewiseLinear
    >>> from truesparse.inspection import TopologyRecorder
    >>> from truesparse.network.mlp import MLP
    >>> from truesparse.topology import Pattern, Rewiring
    >>> old = Pattern.from_edges([0, 1], [0, 1], shape=(2, 2))
    >>> network = MLP.from_patterns([old], PiecewiseLinear())
    >>> recorder = TopologyRecorder()
    >>> recorder.on_train_begin(network)
    >>> recorder.exploration_rate
    0.5
    >>> rewiring = Rewiring.replace(old, dropped=np.array([True, False]), grown_keys=np.array([1]))
    >>> network.rewire([rewiring])
    >>> recorder.on_topology_change(network, 10, [rewiring])
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

    def on_topology_change(self, network: MLP, step: int, rewirings: Sequence[Rewiring | None]) -> None:
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

    def on_epoch_end(self, network: MLP, record: EpochRecord) -> None:
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
