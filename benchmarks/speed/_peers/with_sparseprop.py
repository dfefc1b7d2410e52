"""SparseProp (Nikdan et al., ICML 2023): sparse layers for PyTorch on CPUs."""

# isort: off
import torch  # noqa: F401  SparseProp needs it, and shares its OpenMP if it is loaded first
from sparseprop.modules import SparseLinear
# isort: on

from .with_torch import Torch


class SparseProp(Torch):
    """SparseProp (Nikdan et al., 2023): its sparse layers in PyTorch's loop."""

    sparse = True

    def first_values(self, weight):
        """Return the weights with zeros for absent pairs."""
        return weight.toarray()

    def layer(self, weight):
        """Return a sparse layer."""
        return SparseLinear.from_dense(super().layer(weight))
