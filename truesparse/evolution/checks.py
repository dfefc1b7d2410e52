"""Checks of rules and of their results, made before a network is changed."""

import inspect

import numpy as np

from truesparse.runtime.checks import refuse_masked
from truesparse.topology.pattern import edge_keys

# Positional arguments and keywords of a call, besides signals, and how it is written.
_GROW_CALL = ((None,), ("rng",), "vacancies, rng=rng")
_CALLS = {
    "prune": ((None, None), (), "weights, n_drop"),
    "schedule": ((0, 0, 0), (), "step, epoch_step, total_steps"),
}


def check_rule(name, rule, example):
    """Raise a ValueError unless `rule` is an instance that can be called as the parameter `name` requires."""
    if not callable(rule) or isinstance(rule, type):
        raise ValueError(
            f"{name}={rule!r} must be callable, and an instance rather than a class; for example "
            f"truesparse.evolution.{example}."
        )
    if name != "schedule" and not isinstance(getattr(rule, "needs", None), tuple):
        raise ValueError(f"{name}={rule!r} must have a tuple 'needs' of the signals it reads; () for none.")
    signals = () if name == "schedule" else rule.needs
    arguments, keywords, call = _CALLS.get(name, _GROW_CALL)
    try:
        signature = inspect.signature(rule)
    except (TypeError, ValueError):  # compiled code cannot be checked
        return
    try:
        signature.bind(*arguments, **dict.fromkeys((*keywords, *signals)))
    except TypeError as error:
        raise ValueError(
            f"{name}={rule!r} cannot be called as rule({call}) with the signals {signals}: {error}; for example "
            f"truesparse.evolution.{example} can."
        ) from error


def signals_for(rule, signals):
    """Return the signals that a rule needs, by name; raise a ValueError if one of them does not exist."""
    unknown = [name for name in rule.needs if name not in signals]
    if unknown:
        raise ValueError(f"{rule!r} needs the unknown signals {unknown}; there are {sorted(signals)}.")
    return {name: signals[name] for name in rule.needs}


def one_per_layer(rule, results, n_layers):
    """Return the results of a rule as a list; raise a ValueError unless there is one per layer."""
    try:
        results = list(results)
    except TypeError as error:
        raise ValueError(f"{rule!r} must return a list with one result per layer, got {results!r}.") from error
    if len(results) != n_layers:
        raise ValueError(f"{rule!r} returned results for {len(results)} layers, asked for {n_layers}.")
    return results


def checked_mask(rule, mask, nnz, n_drop):
    """Return a prune rule's mask, (nnz,) bool; raise a ValueError unless exactly `n_drop` entries are True."""
    refuse_masked(f"What {rule!r} returned", mask)
    try:
        array = np.asarray(mask)
    except ValueError:  # rows of different lengths
        array = np.empty(0, dtype=object)
    is_mask = array.dtype == bool and array.shape == (nnz,)
    if not is_mask or np.count_nonzero(array) != n_drop:
        n_true = f", {np.count_nonzero(array)} True" if is_mask else ""
        raise ValueError(
            f"{rule!r} must return a bool mask of shape ({nnz},) with exactly {n_drop} True, got "
            f"{type(mask).__name__} of shape {array.shape} and dtype {array.dtype}{n_true}."
        )
    return array


def checked_keys(rule, edges, vacancy):
    """Return the sorted keys, (n,) int64, of a grow rule's edges; raise a ValueError if they cannot be grown."""
    try:
        rows, columns = edges
        keys = np.sort(edge_keys(rows, columns, vacancy.before.shape))
        if keys.size > vacancy.n_grow:
            raise ValueError(f"there are {keys.size} edges, asked for {vacancy.n_grow}.")
        vacancy.pattern.refuse(keys)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{rule!r} returned edges of layer {vacancy.layer} that cannot be grown: {error}") from error
    return keys
