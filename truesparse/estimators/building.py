"""From the parameters of an estimator to a network and its trainer."""

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from truesparse.evolution import FIRST_TOPOLOGIES, preset
from truesparse.evolution.snip import SNIP, draw_as_in_dense
from truesparse.network.initial_weights import INITIALIZERS, draw
from truesparse.network.mlp import MLP
from truesparse.runtime.plugins import resolve
from truesparse.runtime.random_streams import RandomStreams
from truesparse.topology import Pattern
from truesparse.topology.density import erdos_renyi, global_density, layer_shapes
from truesparse.training.lr_schedules import LEARNING_RATES
from truesparse.training.optimizers import SGD, Adam
from truesparse.training.trainer import Trainer

if TYPE_CHECKING:
    from truesparse.estimators.base import BaseSparseMLP


def first_topology(estimator: "BaseSparseMLP") -> str | SNIP:
    """What the method brings, or else `topology_init`: "balanced", "erdos_renyi", "full", or a SNIP."""
    first = estimator.topology_init
    if isinstance(estimator.evolution, str):
        first = FIRST_TOPOLOGIES.get(estimator.evolution, first)
    if first == "snip":
        return estimator.topology_init if isinstance(estimator.topology_init, SNIP) else SNIP()
    return first


def make_trainer(estimator: "BaseSparseMLP", X, target, shape, seed: int, *, go_on: bool) -> Trainer:
    """A trainer of a new network, or of a copy of the one there is."""
    streams = RandomStreams(seed)
    initializer = (
        INITIALIZERS[estimator.weight_init] if isinstance(estimator.weight_init, str) else estimator.weight_init
    )
    if go_on:
        network, state = copy.deepcopy(estimator._network), estimator._state.copy()
        network.dropout = resolved_dropout(estimator)
    else:
        network, state = _make_network(estimator, X, target, shape, initializer, streams), None
    if estimator.solver == "adam":
        optimizer = Adam(alpha=estimator.alpha)
    else:
        optimizer = SGD(momentum=estimator.momentum, nesterov=estimator.nesterovs_momentum, alpha=estimator.alpha)
    schedule = estimator.learning_rate
    return Trainer(
        network,
        estimator._make_loss(),
        optimizer=optimizer,
        learning_rate=float(estimator.learning_rate_init),  # a NumPy scalar would bring its precision along
        lr_schedule=LEARNING_RATES[schedule] if isinstance(schedule, str) else schedule,
        evolution=_make_evolution(estimator),
        initializer=initializer,
        batch_size=estimator.batch_size,
        shuffle=estimator.shuffle,
        streams=streams,
        unit_pruning=estimator.unit_pruning,
        batch_transform=estimator.batch_transform,
        state=state,
    )


def _make_network(estimator, X, target, shape, initializer, streams):
    shapes = layer_shapes([X.shape[1], *shape["hidden_layer_sizes"], estimator._n_outputs()])
    activation = resolve("activation", estimator.activation)
    first = shape["topology_init"]
    if first == "full":
        counts = [fan_out * fan_in for fan_out, fan_in in shapes]
    else:
        counts = (
            erdos_renyi(shapes, estimator.epsilon)
            if estimator.density is None
            else global_density(shapes, estimator.density)
        )
    if isinstance(first, SNIP):
        parts = {"activation": activation, "loss": estimator._make_loss(), "initializer": initializer}
        patterns = first.choose(X, target, shapes, counts, **parts, streams=streams)
    else:
        patterns = [
            Pattern.sample(shape, nnz, streams("topology", layer), balanced=first == "balanced")
            for layer, (shape, nnz) in enumerate(zip(shapes, counts, strict=True))
        ]
    network = MLP.from_patterns(patterns, activation, dropout=resolved_dropout(estimator), dtype=estimator.dtype)
    for index, (layer, pattern) in enumerate(zip(network.layers, patterns, strict=True)):
        rng = streams("weights", index)
        if isinstance(first, SNIP):
            layer.data[:] = draw_as_in_dense(initializer, pattern, rng)
        else:
            layer.data[:] = draw(initializer, pattern, slice(None), rng)
    for index, (activation, params) in enumerate(zip(network.activations, network.activation_params, strict=True)):
        if activation.n_params:
            params[:] = activation.first_params(params.shape[1], streams("activation", index))
    return network


def resolved_dropout(estimator: "BaseSparseMLP") -> float:
    """Share of the hidden units to silence."""
    return estimator._default_dropout if estimator.dropout is None else float(estimator.dropout)


def _make_evolution(estimator):
    evolution = preset(estimator.evolution) if isinstance(estimator.evolution, str) else estimator.evolution
    if evolution is None:
        return None
    for_schedule = {"drop_fraction": estimator.drop_fraction, "update_every": estimator.update_every}
    for_schedule = {name: value for name, value in for_schedule.items() if value is not None}
    if for_schedule:
        try:
            evolution = replace(evolution, schedule=replace(evolution.schedule, **for_schedule))
        except TypeError as error:
            raise ValueError(
                f"{' and '.join(for_schedule)} cannot be set, because the schedule {evolution.schedule!r} has no "
                "such field; set it in the schedule itself and leave the parameter None."
            ) from error
    return evolution if estimator.grow_init is None else replace(evolution, grow_init=estimator.grow_init)
