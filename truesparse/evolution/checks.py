"""Rules of evolution, and what they return, checked before a network is changed by it."""

import inspect

import numpy as np

from truesparse.runtime.checks import refuse_masked
from truesparse.topology.pattern import edge_keys

# Positional arguments and keywords of a call, besides signals, and how it is written.
_CALL_OF_GROWTH = ((None,), ("rng",), "vacancies, rng=rng")
_CALLS = {
    "prune": ((None, None), (), "weights, n_drop"),
    "schedule": ((0, 0, 0), (), "step, epoch_step, total_steps"),
}


def check_rule(name, rule, example):
    """Refuse what is no prune or grow rule, or no schedule, as the parameter `name` asks.

    Raises
    ------
    ValueError
        If `rule` is not callable, is a class, has no tuple ``needs`` although it is no schedule, or cannot be called
        as it would be: a rule of another kind.
    """
    if not callable(rule) or isinstance(rule, type):
        raise ValueError(
            f"{name}={rule!r} must be callable, and an instance rather than a class; for example "
            f"truesparse.evolution.{example}."
        )
    if name != "schedule" and not isinstance(getattr(rule, "needs", None), tuple):
        raise ValueError(f"{name}={rule!r} must have a tuple 'needs' of the signals it reads; () for none.")
    signals = () if name == "schedule" else rule.needs
    arguments, keywords, call = _CALLS.get(name, _CALL_OF_GROWTH)
    try:
        signature = inspect.signature(rule)
    except (TypeError, ValueError):  # of compiled code
        return
    try:
        signature.bind(*arguments, **dict.fromkeys((*keywords, *signals)))
    except TypeError as error:
        raise ValueError(
            f"{name}={rule!r} cannot be called as rule({call}) with the signals {signals}: {error}; for example "
            f"truesparse.evolution.{example} can."
        ) from error


def one_per_layer(rule, results, n_layers):
    """The results of a rule as a list, one for each layer it was asked about.

    Raises
    ------
    ValueError
        If there are more or fewer of them.
    """
    try:
        results = list(results)
    except TypeError as error:
        raise ValueError(f"{rule!r} must return a list with one result per layer, got {results!r}.") from error
    if len(results) != n_layers:
        raise ValueError(f"{rule!r} returned results for {len(results)} layers, asked for {n_layers}.")
    return results


def checked_mask(rule, mask, nnz, n_drop):
    """What a prune rule returned for a layer, (nnz,) bool.

    Raises
    ------
    ValueError
        If it is no bool mask of this shape with exactly `n_drop` entries True.
    """
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
    """Sorted keys of the edges that a grow rule returned for a layer, (n,) int64.

    Raises
    ------
    ValueError
        If these are no pairs of integers within the layer, occur twice, are connected already, or are more than were
        asked for.
    """
    try:
        rows, columns = edges
        keys = np.sort(edge_keys(rows, columns, vacancy.pattern.shape))
        if keys.size > vacancy.n_grow:
            raise ValueError(f"there are {keys.size} edges, asked for {vacancy.n_grow}.")
        vacancy.pattern.refuse(keys)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{rule!r} returned edges of layer {vacancy.layer} that cannot be grown: {error}") from error
    return keys
