"""A network and the state of its training as metadata and arrays, and back.

| array | content |
|---|---|
| ``layer0.indptr``, ``layer0.indices``, ``layer0.data`` | weights of the first layer, CSR of shape (fan_out, fan_in) |
| ``layer0.weight`` | (fan_out, fan_in), in their place for a layer on BLAS |
| ``layer0.bias`` | (fan_out,) |
| ``layer0.activation`` | (n_params, fan_out), where the activation learns |
| ``history.epoch``, … | (n_epochs,) or (n_epochs, n_layers), see `truesparse.training.state.EpochRecord` |
| ``moment.mean``, … | (n_params,), the optimiser's moments: all weights, then all biases, then activations |
| ``best.layer0.indptr``, ``best.layer0.indices``, ``best.params``, ``best.moment.mean``, … | the best epoch so far |
"""

import math
from dataclasses import fields
from typing import Any

import numpy as np

from truesparse.network.activations import Activation
from truesparse.network.layers import DenseLinear, Layer, SparseLinear
from truesparse.network.mlp import MLP
from truesparse.storage.archive import ModelFormatError
from truesparse.storage.sections import Arrays, Section
from truesparse.topology import Pattern
from truesparse.training.state import BestEpoch, EpochRecord, EpochSums, History, Progress, TrainingState

Stored = tuple[dict[str, Any], dict[str, np.ndarray]]  # metadata and arrays


def store_network(network: MLP) -> Stored:
    """Return the patterns and the parameters of a network."""
    arrays: dict[str, np.ndarray] = {}
    layers = []
    for index, layer in enumerate(network.layers):
        pattern = layer.stored_pattern
        layers.append({"shape": list(layer.shape), "dense": pattern is None})
        if pattern is None:
            arrays[f"layer{index}.weight"] = layer.weight
        else:
            arrays |= _store_pattern(f"layer{index}", pattern) | {f"layer{index}.data": layer.data}
        arrays[f"layer{index}.bias"] = layer.bias
    for index, params in enumerate(network.activation_params):
        if params.size:
            arrays[f"layer{index}.activation"] = params
    return {"layers": layers, "dropout": network.dropout}, arrays


def restore_network(section: Section, arrays: Arrays, activation: Activation, dtype: np.dtype) -> MLP:
    """Return the network of `store_network`, after every pattern is checked whole."""
    dtype = np.dtype(dtype)
    layers: list[Layer] = []
    vectors = []
    for index, content in enumerate(section.take("layers", list)):
        described = Section(content, f"layer {index}")
        shape = described.take("shape", list)
        if not (len(shape) == 2 and all(type(n) is int and n > 0 for n in shape) and shape[0] * shape[1] < 2**63):
            raise ModelFormatError(
                f"layer {index}: shape={shape!r:.100} must hold two positive numbers of 64 bits together."
            )
        shape = tuple(shape)
        if layers and layers[-1].shape[0] != shape[1]:
            raise ModelFormatError(f"layer {index}: shape={shape} does not fit the layer below, {layers[-1].shape}.")
        if described.take("dense", bool):
            layers.append(DenseLinear(shape))
            vectors.append(arrays.numbers(f"layer{index}.weight", dtype, shape).reshape(-1))
        else:
            layers.append(SparseLinear(_restore_pattern(f"layer{index}", shape, arrays)))
            vectors.append(arrays.numbers(f"layer{index}.data", dtype, (layers[-1].nnz,)))
        described.close()
    if not layers:
        raise ModelFormatError("The network has no layers.")
    vectors += [arrays.numbers(f"layer{index}.bias", dtype, (layer.shape[0],)) for index, layer in enumerate(layers)]
    for index, layer in enumerate(layers[:-1]):
        n_params = activation.at_layer(index).n_params
        if n_params:
            vectors.append(arrays.numbers(f"layer{index}.activation", dtype, (n_params, layer.shape[0])).reshape(-1))
    dropout = section.number("dropout")
    if not 0 <= dropout < 1:
        raise ModelFormatError(f"dropout={dropout!r} must lie in [0, 1).")
    section.close()
    network = MLP(layers, activation, dropout=dropout, dtype=dtype)
    np.concatenate(vectors, out=network.params)
    return network


def store_run(state: TrainingState, *, training: bool) -> Stored:
    """Return the history of a run; with `training`, also the moments and the best epoch, with which it can go on."""
    moments, best = (state.optimizer_state, state.best) if training else ({}, None)
    metadata = {
        # JSON has neither infinity nor NaN.
        "progress": {key: x if math.isfinite(x) else str(x) for key, x in vars(state.progress).items()},
        "optimizer_steps": state.optimizer_steps,
        "moments": sorted(moments) if training else None,
        "best_optimizer_steps": best.optimizer_steps if best else None,
    }
    if state.sums is not None:  # files of earlier versions have none
        metadata["sums"] = vars(state.sums) | {"replaced": state.sums.replaced.tolist()}
    arrays = {f"history.{name}": np.array(column) for name, column in state.history.as_dict().items() if column}
    arrays |= {f"moment.{name}": vector for name, vector in moments.items()}
    if best:
        for index, pattern in enumerate(best.patterns):
            if pattern is not None:
                arrays |= _store_pattern(f"best.layer{index}", pattern)
        names = ("params", *(f"moment.{name}" for name in moments))
        arrays |= {f"best.{name}": vector for name, vector in zip(names, best.vectors, strict=True)}
    return metadata, arrays


def restore_run(section: Section, arrays: Arrays, network: MLP) -> TrainingState:
    """Return the state of `store_run`; moments that were not stored start anew when training goes on."""
    described = section.section("progress")
    take: dict[Any, Any] = {bool: lambda key: described.take(key, bool), float: described.number, int: described.count}
    counters = [field for field in fields(Progress) if field.name != "weight_steps"]
    progress = Progress(**{field.name: take[field.type](field.name) for field in counters})
    if described.has("weight_steps"):
        progress.weight_steps = described.count("weight_steps")
    else:  # a file of an earlier version
        progress.weight_steps = network.n_weights * progress.step
    described.close()
    epochs, steps = progress.epoch - progress.plan_epoch, progress.step - progress.plan_step
    if epochs < 0 or steps < epochs:  # an epoch takes a step or more
        raise ModelFormatError("progress: the plan does not begin before the epochs and steps that are done.")
    history = _restore_history(arrays, progress.epoch, len(network.layers))
    sums = _restore_sums(section.section("sums"), len(network.layers)) if section.has("sums") else None
    names = section.take("moments", list, type(None)) or []
    if not all(type(name) is str for name in names):
        raise ModelFormatError(f"moments={names!r:.100} must be names.")
    vector = network.dtype, network.params.shape
    moments = {name: arrays.numbers(f"moment.{name}", *vector) for name in names}
    steps = section.count("optimizer_steps")
    best = None
    if not section.is_null("best_optimizer_steps"):
        best_steps = section.count("best_optimizer_steps")
        if not names:
            raise ModelFormatError("A best epoch is stored with the moments that it had, but none are there.")
        patterns = [
            _restore_pattern(f"best.layer{index}", layer.shape, arrays, layer.nnz) if layer.stored_pattern else None
            for index, layer in enumerate(network.layers)
        ]
        stored = ("params", *(f"moment.{name}" for name in names))
        best = BestEpoch(patterns, [arrays.numbers(f"best.{name}", *vector) for name in stored], best_steps)
    section.close()
    return TrainingState(moments, steps, progress, history, best, sums)


def _restore_sums(section, n_layers):
    replaced = section.take("replaced", list)
    if len(replaced) != n_layers or not all(type(n) is int and 0 <= n < 2**63 for n in replaced):
        raise ModelFormatError(f"sums: replaced={replaced!r:.100} must hold {n_layers} counts.")
    sums = EpochSums(
        np.array(replaced, dtype=np.int64), section.count("n_epochs", least=1), section.number("summed_loss"),
        section.count("n_seen", least=1), section.number("learning_rate"), section.number("seconds"),
    )  # fmt: skip
    section.close()
    return sums


def _store_pattern(name, pattern):
    return {f"{name}.indptr": pattern.indptr, f"{name}.indices": pattern.indices}


def _restore_pattern(name, shape, arrays, nnz=None):
    indptr, indices = arrays.index(f"{name}.indptr", shape[0] + 1), arrays.index(f"{name}.indices", nnz)
    try:
        return Pattern.from_index_arrays(indptr, indices, shape)
    except ValueError as error:
        raise ModelFormatError(f"The connections of {name} are damaged: {error}") from error


def _restore_history(arrays, n_epochs, n_layers):
    if n_epochs == 0:
        return History()
    columns = []
    for field in fields(EpochRecord):
        shape = (n_epochs, n_layers) if field.type == list[int] else (n_epochs,)
        kinds = "f" if field.type is float else "i"
        columns.append(arrays.take(f"history.{field.name}", kinds, shape).tolist())
    return History(EpochRecord(*values) for values in zip(*columns, strict=True))
