import numpy as np
import pytest

from truesparse.network.activations import PiecewiseLinear
from truesparse.network.layers import DenseLinear, SparseLinear
from truesparse.network.mlp import MLP
from truesparse.topology import Pattern


@pytest.fixture
def network(rng):
    """Two sparse layers and a full one, with random weights."""
    layers = [SparseLinear(Pattern.sample(shape, nnz, rng)) for shape, nnz in (((30, 20), 100), ((25, 30), 61))]
    network = MLP([*layers, DenseLinear((4, 25))], PiecewiseLinear(), dtype=np.float64)
    network.params[:] = rng.standard_normal(network.params.size)
    return network
