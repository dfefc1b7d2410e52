"""The run of a fitted estimator: its network and the state of its training."""

import copy
from dataclasses import dataclass, replace
from typing import Any

from truesparse.training.state import TrainingState


@dataclass(frozen=True, eq=False)
class Run:
    """A network and its training."""

    network: Any  # an MLP or a ResNet
    state: TrainingState
    seed: int  # of all random streams
    shape: dict[str, Any]  # the parameters that shaped the network

    def copy(self) -> "Run":
        """Return a copy that shares nothing that changes."""
        return replace(self, network=copy.deepcopy(self.network), state=self.state.copy())
