"""The run of a fitted estimator: its network and the state of its training."""

import copy
from dataclasses import dataclass, replace
from typing import Any

from truesparse.network.mlp import MLP
from truesparse.training.state import TrainingState

SHAPED_BY = ("hidden_layer_sizes", "epsilon", "density", "topology_init", "activation", "dtype")
"""The parameters that shape a network, and cannot change while its training goes on."""


@dataclass(frozen=True, eq=False)
class Run:
    """A network and its training."""

    network: MLP
    state: TrainingState
    seed: int  # of all random streams
    shape: dict[str, Any]  # the parameters `SHAPED_BY` that the network was made with

    def copy(self) -> "Run":
        """Return a copy that shares nothing that changes."""
        return replace(self, network=copy.deepcopy(self.network), state=self.state.copy())
