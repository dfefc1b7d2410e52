"""The `Network` protocol: the members that training, signals, storage and estimators rely on.

`truesparse.network.mlp.MLP` describes arguments and results; `truesparse.network.layers` has the layers.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from truesparse._typing import FloatArray
from truesparse.network.layers import Layer
from truesparse.network.workspace import Workspace
from truesparse.topology import Rewiring


class Network(Protocol):
    """Parameters in one flat vector, layers with patterns, a forward and a backward pass.

    Attributes
    ----------
    params, gradient : (n_params,)
        The first `n_weights` are the weights, layer by layer.
    n_weights : int
    layers : list of Layer
    dropout : float
        Probability with which a hidden unit is silenced during training.
    """

    params: FloatArray
    gradient: FloatArray
    n_weights: int
    layers: list[Layer]
    dropout: float

    @property
    def dtype(self) -> np.dtype:
        """Data type of the parameters and of everything computed from them."""

    @property
    def layer_sizes(self) -> list[int]:
        """Numbers of units from the inputs to the outputs."""

    @property
    def is_batch_invariant(self) -> bool:
        """Whether a sample's outputs have the same bytes in batches of every size."""

    def weight_slices(self) -> list[slice]:
        """Return the slots of each layer's weights in the vector of parameters."""

    def workspace(self, batch_size: int, *, dense_inputs: bool = True) -> Workspace:
        """Return the arrays for batches of at most so many samples."""

    def bytes_needed(self, batch_size: int, *, dense_inputs: bool = True) -> int:
        """Return the bytes of the arrays that training with such batches needs."""

    def forward(
        self, workspace: Workspace, rng: np.random.Generator | None = None, *, all_units: bool = False
    ) -> FloatArray:
        """Return the last layer's sums for the inputs in the workspace, (n_outputs, batch)."""

    def backward(self, workspace: Workspace) -> None:
        """Fill ``gradient`` from the errors of the outputs in ``workspace.z``."""

    def rewire(self, rewirings: Sequence[Rewiring | None], *vectors: FloatArray) -> None:
        """Replace patterns; the parameters follow, and so do other vectors of the same layout."""

    def keep_units(self, kept: Sequence[NDArray[np.bool_]], *vectors: FloatArray) -> list[FloatArray]:
        """Remove hidden units; return other vectors of the same layout without what belonged to them."""

    def snapshot(self, *vectors: FloatArray) -> tuple[list, list[FloatArray]]:
        """Return the patterns, and copies of the parameters and of other vectors of the same layout."""

    def restore(self, snapshot: tuple[list, list[FloatArray]], *vectors: FloatArray) -> None:
        """Go back to a snapshot, in place."""
