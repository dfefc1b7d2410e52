"""Recipe of a training, and the new network that it describes."""

import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from truesparse.data.source import Source
from truesparse.data.transformed import BatchTransform
from truesparse.evolution.density_decay import WeightCounts
from truesparse.evolution.evolve import Evolution
from truesparse.evolution.first import Balanced, FirstTopology, final_counts, first_patterns, first_weights
from truesparse.evolution.input_removal import NeuronGrow
from truesparse.evolution.rules import pairs_allowed
from truesparse.evolution.snip import SNIP, DenseStart
from truesparse.network.activations import Activation, PiecewiseLinear
from truesparse.network.architecture import Architecture
from truesparse.network.initial_weights import FanIn, Initializer
from truesparse.network.losses import Loss
from truesparse.network.mlp import MLP
from truesparse.network.resnet import ResNet
from truesparse.runtime.checks import plain
from truesparse.runtime.random_streams import RandomStreams
from truesparse.topology.density import convolution_counts, layer_shapes
from truesparse.training.checks import check_start
from truesparse.training.lr_schedules import Cosine, LearningRate
from truesparse.training.optimizers import Adam, Optimizer


@dataclass(frozen=True)
class Recipe:
    """All settings of a training that do not depend on the data. An estimator makes one from its parameters.

    NumPy's numbers become Python's, also those within rules, solvers and losses.

    Parameters
    ----------
    topology, initializer, optimizer, learning_rate, lr_schedule, n_epochs, patience
        The estimators' ``topology_init``, ``weight_init``, ``solver``, ``learning_rate_init``, ``learning_rate``,
        ``max_iter`` and ``n_iter_no_change``. These and the others have objects in place of names.
    residual : Architecture, optional
        A residual network of convolutions in place of a multilayer perceptron: then `hidden_layer_sizes`, `activation`
        and `dropout` have no part, and `distribution` says how `density` is spread over the layers, see
        `truesparse.topology.density.convolution_counts`.
    epsilon, density : float, optional
        At most one of the two. Without both, `epsilon` is 1; a residual network has a `density`, unless `topology` or
        a sequence as `distribution` says how many weights there are.
    alpha : float
        Strength of the L2 penalty ``alpha / 2 * sum(weights**2)``, which is added to the mean loss of each batch.
        Biases are not penalised. (scikit-learn's MLPs divide the penalty by the batch size.)
    temperature : float
        Number by which the last layer is divided when the training ends, to make probabilities less sure.
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
    temperature: float = 1.0
    patience: float = 20
    tol: float = 1e-4
    residual: Architecture | None = None
    distribution: str | tuple[float, ...] = "erdos_renyi_kernel"

    def __post_init__(self):
        for part in fields(self):
            object.__setattr__(self, part.name, plain(getattr(self, part.name)))
        if self.residual is not None:
            self._check_residual()

    def _check_residual(self):
        """Refuse what a network of convolutions cannot do."""
        if getattr(self.evolution, "unit_pruning", None) is not None:
            raise ValueError("unit_pruning removes units of multilayer perceptrons; channels cannot be removed.")
        if isinstance(getattr(self.evolution, "grow", None), NeuronGrow):
            raise ValueError("neuron_evolution removes features of multilayer perceptrons; pixels share weights.")
        if isinstance(self.topology, SNIP) or hasattr(self.topology, "hidden_layer_sizes"):
            raise ValueError(f"topology_init={self.topology!r} is for multilayer perceptrons; choose 'balanced'.")
        counts = hasattr(self.topology, "counts") or not isinstance(self.distribution, str)
        if self.epsilon is not None or (self.density is None and not counts):
            raise ValueError(
                f"epsilon={self.epsilon!r} and density={self.density!r}: a residual network needs a density, and has "
                "no epsilon."
            )


def new_network(recipe: Recipe, source: Source, n_outputs: int, *, seed: int) -> Any:
    """Return the network that a recipe describes, with its first topology and weights.

    Topologies that depend on data, such as `SNIP`, look at `source`, which also gives the number of features.
    """
    streams = RandomStreams(seed)
    rule, initializer, dtype = recipe.topology, recipe.initializer, np.dtype(recipe.dtype)
    signals = {}
    if recipe.residual is None:
        shapes = layer_shapes([source.n_features, *recipe.hidden_layer_sizes, n_outputs])
        signals["dense_start"] = DenseStart(source, recipe.loss, recipe.activation, initializer, streams)
    else:
        if source.n_features != (n := math.prod(recipe.residual.image_shape)):
            raise ValueError(
                f"image_shape={recipe.residual.image_shape} has {n} values, but the samples have {source.n_features} "
                "features."
            )
        shapes = recipe.residual.shapes(n_outputs)
    counts = weight_counts(recipe, shapes)
    if counts is not None:
        check_start(counts, dtype.itemsize)
    patterns = first_patterns(
        rule, shapes, epsilon=recipe.epsilon, density=recipe.density, streams=streams, signals=signals,
        counts=None if counts is None else counts.first, sizes=_final_counts(recipe, shapes),
    )  # fmt: skip
    if recipe.residual is None:
        final = None if counts is None else counts.final
        network: Any = MLP.from_patterns(patterns, recipe.activation, final=final, dropout=recipe.dropout, dtype=dtype)
        for index, (activation, params) in enumerate(zip(network.activations, network.activation_params, strict=True)):
            if activation.n_params:
                params[:] = activation.first_params(params.shape[1], streams("activation", index))
    else:
        network = ResNet(recipe.residual, patterns, dtype=dtype)
    for index, (layer, pattern) in enumerate(zip(network.layers, patterns, strict=True)):
        layer.data[:] = first_weights(rule, index, pattern, initializer, streams("weights", index))
    if counts is None:  # a density that decays has checked the pairs already
        _check_within(recipe.evolution, network)
    return network


def _check_within(evolution, network):
    """Refuse now, and not at the first update, pairs that do not fit a layer."""
    if evolution is None or not evolution.replaces:
        return
    for index, layer in enumerate(network.layers):
        if layer.can_change:
            pairs_allowed(evolution.within, index, layer.shape)


def weight_counts(recipe: Recipe, shapes: list[tuple[int, int]]) -> WeightCounts | None:
    """Return the first and the final numbers of weights of layers (fan_out, fan_in); None if the density stays."""
    evolution = recipe.evolution
    if evolution is None or evolution.density is None:
        return None
    return WeightCounts.of(evolution.density, evolution.within, shapes, _final_counts(recipe, shapes))


def _final_counts(recipe, shapes):
    """Return the number of weights of each layer in the end."""
    if recipe.residual is None or hasattr(recipe.topology, "counts"):
        return final_counts(recipe.topology, shapes, recipe.epsilon, recipe.density)
    layers, _ = recipe.residual.layers(n_outputs=shapes[-1][0])
    return convolution_counts(layers, recipe.density, recipe.distribution)
