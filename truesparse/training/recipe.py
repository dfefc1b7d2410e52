"""Recipe: all of a training that does not depend on the data; and the new network that it describes."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from truesparse.data.source import Source
from truesparse.data.transformed import BatchTransform
from truesparse.evolution.evolve import Evolution
from truesparse.evolution.first import Balanced, FirstTopology, first_patterns, first_weights
from truesparse.evolution.signals import Reduce, alone
from truesparse.evolution.snip import DenseStart
from truesparse.network.activations import Activation, PiecewiseLinear
from truesparse.network.initial_weights import FanIn, Initializer
from truesparse.network.losses import Loss
from truesparse.network.mlp import MLP
from truesparse.runtime.random_streams import RandomStreams
from truesparse.topology.density import layer_shapes
from truesparse.training.lr_schedules import Cosine, LearningRate
from truesparse.training.optimizers import Adam, Optimizer


@dataclass(frozen=True)
class Recipe:
    """All of a training that does not depend on the data.

    An estimator makes one from its parameters. Without an estimator, write it yourself.

    Parameters
    ----------
    loss : Loss
    hidden_layer_sizes : tuple of int
    topology : FirstTopology
        The first connections.
    epsilon, density : float, optional
        How many connections there are; at most one of the two. Without both, `epsilon` is 1.
    activation : Activation
        Of the hidden units.
    initializer : Initializer
        Scale of fresh weights. The ``grow_init`` of the evolution may be a share of it.
    dropout : float, in [0, 1)
        Share of the hidden units that are silenced in each step.
    dtype : {"float32", "float64"}
    evolution : Evolution, optional
        How the topology changes; by default it does not.
    optimizer : Optimizer
    learning_rate : float
    lr_schedule : LearningRate
    alpha : float
        Strength of the L2 penalty ``alpha / 2 * sum(weights**2)``, which is added to the mean loss of each batch.
        Biases are not penalised. (scikit-learn's MLPs divide the penalty by the batch size.)
    batch_size : int
        Samples per step, at most all.
    shuffle : bool
        Whether every epoch takes the samples in a new order.
    batch_transform : callable, optional
        ``batch_transform(X_batch, rng)`` returns what takes the place of a training batch, (n, n_features). Neither
        validation data nor what rules of evolution look at go through it.
    n_epochs : int
        Epochs that the schedules are planned for.
    patience : float
        Epochs without improvement by more than `tol` after which training stops. If no validation data decide, the
        training loss is watched, and only epochs count in which no connection was replaced.
    tol : float
    """

    loss: Loss
    hidden_layer_sizes: tuple[int, ...] = (1000, 1000, 1000)
    topology: FirstTopology = field(default_factory=Balanced)
    epsilon: float | None = None
    density: float | None = None
    activation: Activation = field(default_factory=PiecewiseLinear)
    initializer: Initializer = field(default_factory=FanIn)
    dropout: float = 0.0
    dtype: str = "float32"
    evolution: Evolution | None = None
    optimizer: Optimizer = field(default_factory=Adam)
    learning_rate: float = 0.006
    lr_schedule: LearningRate = field(default_factory=Cosine)
    alpha: float = 1e-4
    batch_size: int = 32
    shuffle: bool = True
    batch_transform: BatchTransform | None = None
    n_epochs: int = 200
    patience: float = 20
    tol: float = 1e-4


def new_network(
    recipe: Recipe,
    source: Source,
    n_outputs: int,
    *,
    seed: int,
    reduce: Reduce = alone,
) -> MLP:
    """Make the network that a recipe describes, with its first topology and weights.

    Parameters
    ----------
    recipe : Recipe
    source : Source
        Says how many features there are. First topologies that look at data, such as `SNIP`, look at it.
    n_outputs : int
    seed : int
    reduce : Reduce
        Adds sums over samples up over the processes that train together.

    Returns
    -------
    MLP
    """
    streams = RandomStreams(seed)
    rule, initializer = recipe.topology, recipe.initializer
    shapes = layer_shapes([source.n_features, *recipe.hidden_layer_sizes, n_outputs])
    signals: dict[str, Any] = {
        "dense_start": DenseStart(source, recipe.loss, recipe.activation, initializer, streams, reduce)
    }
    patterns = first_patterns(
        rule, shapes, epsilon=recipe.epsilon, density=recipe.density, streams=streams, signals=signals
    )
    network = MLP.from_patterns(patterns, recipe.activation, dropout=recipe.dropout, dtype=np.dtype(recipe.dtype))
    for index, (layer, pattern) in enumerate(zip(network.layers, patterns, strict=True)):
        layer.data[:] = first_weights(rule, index, pattern, initializer, streams("weights", index))
    for index, (activation, params) in enumerate(zip(network.activations, network.activation_params, strict=True)):
        if activation.n_params:
            params[:] = activation.first_params(params.shape[1], streams("activation", index))
    return network
