"""The state of a network's training as metadata and arrays, and back.

| array | content |
|---|---|
| ``history.epoch``, … | (n_epochs,) or (n_epochs, n_layers), see `truesparse.training.state.EpochRecord` |
| ``moment.mean``, … | (n_params,), the optimiser's moments, in the order of the network's parameters |
| ``best.layer0.indptr``, ``best.layer0.indices``, ``best.params``, ``best.moment.mean``, … | the best epoch so far |
"""

import math
from dataclasses import fields
from typing import Any

import numpy as np

from truesparse.network.protocol import Network
from truesparse.storage.archive import ModelFormatError
from truesparse.storage.networks import Stored, restore_params, restore_pattern, store_pattern
from truesparse.storage.sections import Arrays, Section
from truesparse.training.state import BestEpoch, EpochRecord, EpochSums, History, Progress, TrainingState


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
                arrays |= store_pattern(f"best.layer{index}", pattern)
        names = ("params", *(f"moment.{name}" for name in moments))
        arrays |= {f"best.{name}": vector for name, vector in zip(names, best.vectors, strict=True)}
    return metadata, arrays


def restore_run(section: Section, arrays: Arrays, network: Network) -> TrainingState:
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
            restore_pattern(f"best.layer{index}", layer.shape, arrays, layer.nnz) if layer.stored_pattern else None
            for index, layer in enumerate(network.layers)
        ]
        vectors = [restore_params("best.params", arrays, network)]
        vectors += [arrays.numbers(f"best.moment.{name}", *vector) for name in names]
        best = BestEpoch(patterns, vectors, best_steps)
    section.close()
    return TrainingState(moments, steps, progress, history, best, sums)


def _restore_sums(section, n_layers):
    replaced = section.counts("replaced", n_layers)
    sums = EpochSums(
        np.array(replaced, dtype=np.int64), section.count("n_epochs", least=1), section.number("summed_loss"),
        section.count("n_seen", least=1), section.number("learning_rate"), section.number("seconds"),
    )  # fmt: skip
    section.close()
    return sums


def _restore_history(arrays, n_epochs, n_layers):
    if n_epochs == 0:
        return History()
    columns = []
    for field in fields(EpochRecord):
        shape = (n_epochs, n_layers) if field.type == list[int] else (n_epochs,)
        kinds = "f" if field.type is float else "i"
        columns.append(arrays.take(f"history.{field.name}", kinds, shape).tolist())
    return History(EpochRecord(*values) for values in zip(*columns, strict=True))
