"""What a fit leaves in an estimator: one object, which files and callbacks take as it is."""

import copy
from dataclasses import dataclass, replace
from typing import Any

from truesparse.network.mlp import MLP
from truesparse.training.state import TrainingState

SHAPED_BY = ("hidden_layer_sizes", "epsilon", "density", "topology_init", "activation", "dtype")
"""The parameters that shape a network, and cannot change while its training goes on."""


@dataclass(frozen=True, eq=False)
class Run:
    """A network and its training.

    Parameters
    ----------
    network : MLP
    state : TrainingState
        With the network and the seed, all that the next step depends on.
    seed : int
        Of all random streams.
    shape : dict
        The parameters `SHAPED_BY` that the network was made with.
    """

    network: MLP
    state: TrainingState
    seed: int
    shape: dict[str, Any]

    def copy(self) -> "Run":
        """Return a copy that shares nothing that changes."""
        return replace(self, network=copy.deepcopy(self.network), state=self.state.copy())
