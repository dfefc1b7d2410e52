"""Protocols of prune rules, grow rules and schedules, and `Vacancy`, a layer that a grow rule fills."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from truesparse._typing import Edges, IndexArray
from truesparse.runtime.caching import cached_property
from truesparse.topology import Pattern
from truesparse.topology.pattern import not_among


@dataclass(frozen=True, eq=False)
class Vacancy:
    """A layer with room for new connections.

    Parameters
    ----------
    layer : int
        Index of the layer: its inputs are ``activations[layer]``, its outputs ``activations[layer + 1]``.
    before : Pattern
    dropped : (nnz,) bool
        The connections before pruning, and which of them this update has dropped.
    n_grow : int
        How many pairs to pick.
    within : Pattern, optional
        The pairs that may be connected; all by default.
    """

    layer: int
    before: Pattern
    dropped: NDArray[np.bool_]
    n_grow: int
    within: Pattern | None = None

    @classmethod
    def empty(cls, layer: int, shape: tuple[int, int], n_grow: int) -> "Vacancy":
        """Return a layer (fan_out, fan_in) without connections, to be filled by a first topology."""
        nothing = Pattern.from_keys(np.empty(0, dtype=np.int64), shape)
        return cls(layer, nothing, np.empty(0, dtype=bool), n_grow)

    @property
    def pattern(self) -> Pattern:
        """The connections that are left after pruning; made anew on each call, so that no layer holds them."""
        return self.before.without(self.dropped)

    @cached_property
    def dropped_keys(self) -> IndexArray:
        """Keys ``row · fan_in + column`` of the pairs that were dropped, (n_drop,) int64, sorted."""
        return self.before.keys_at(self.dropped)

    @cached_property
    def candidates(self) -> IndexArray:
        """Keys of the absent pairs that may be connected, sorted; only where `within` restricts them."""
        assert self.within is not None
        return not_among(self.within.keys, self.pattern.keys)

    def pattern_of(self, keys: IndexArray) -> Pattern:
        """Return the pairs with these sorted keys."""
        return Pattern.from_keys(keys, self.before.shape)

    def sample(self, n: int, rng: np.random.Generator, besides: IndexArray | None = None) -> IndexArray:
        """Draw keys of `n` absent pairs that may be connected, `besides` some keys; every set is equally likely."""
        besides = None if besides is None else np.sort(besides)
        if self.within is None:
            return self.pattern.sample_absent_keys(n, rng, besides)
        rest = self if besides is None else self.after(besides)
        return rng.choice(rest.candidates, n, replace=False)

    def of_inputs(self, inputs: NDArray[np.bool_]) -> "Vacancy":
        """Return the vacancy between all outputs and some of the inputs, (fan_in,), which are renumbered."""
        every_output = np.ones(self.before.shape[0], dtype=bool)
        before, slots = self.before.between(every_output, inputs)
        within = None if self.within is None else self.within.between(every_output, inputs)[0]
        return replace(self, before=before, dropped=self.dropped[slots], within=within)

    def after(self, keys: IndexArray) -> "Vacancy":
        """Return the vacancy that remains once the absent pairs with these sorted keys are connected."""
        all_keys = np.union1d(self.before.keys, keys)
        before = Pattern.from_keys(all_keys, self.before.shape)
        dropped = np.isin(all_keys, not_among(self.dropped_keys, keys))
        return replace(self, before=before, dropped=dropped, n_grow=self.n_grow - keys.size)


def keys_in_all(keys: IndexArray, inputs: NDArray[np.bool_]) -> IndexArray:
    """Return the keys, int64, among all inputs, (fan_in,), of pairs with keys among some of them; see `of_inputs`."""
    columns = np.flatnonzero(inputs)
    rows, places = np.divmod(keys, columns.size)
    return rows * inputs.size + columns[places]


def edges_of(keys: Iterable[IndexArray], vacancies: Sequence[Vacancy]) -> list[Edges]:
    """Return the pairs (rows, columns) of each vacancy's keys, of the dtype of its pattern's indices."""
    edges = []
    for picked, vacancy in zip(keys, vacancies, strict=True):
        (fan_out, fan_in), dtype = vacancy.before.shape, vacancy.before.indices.dtype
        if fan_out > np.iinfo(dtype).max:
            dtype = np.dtype(np.int64)
        rows, columns = np.divmod(picked, fan_in)
        edges.append((rows.astype(dtype), columns.astype(dtype)))
    return edges


class ReadsSignals(Protocol):
    """A rule that is given the signals that it names, as keyword arguments (see `truesparse.evolution.signals`)."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the signals that the rule reads."""


class Prune(ReadsSignals, Protocol):
    """A rule that chooses the stored weights to drop.

    Called as ``rule(weights, n_drop, **signals)``, with the weights of the layers that change as CSR arrays and the
    number of weights to drop in each.
    """

    def __call__(self, *args: Any, **signals: Any) -> list[NDArray[np.bool_]]:
        """Return one mask (nnz,) per layer, with exactly ``n_drop`` entries True: those are dropped."""


class Grow(ReadsSignals, Protocol):
    """A rule that chooses the absent pairs that become connections.

    Called as ``rule(vacancies, rng=rng, **signals)`` with a list of `Vacancy`.
    """

    def __call__(self, *args: Any, **signals: Any) -> list[Edges]:
        """Return edges per layer, at most ``n_grow`` of them, distinct and absent from the vacancy's ``pattern``."""


class Within(Protocol):
    """A restriction on which pairs of a layer may be grown."""

    def allowed(self, layer: int, shape: tuple[int, int]) -> Pattern | None:
        """Return the pairs that may be connected in the layer (fan_out, fan_in) with this index; None for all."""


def pairs_allowed(within: Within | None, layer: int, shape: tuple[int, int]) -> Pattern | None:
    """Return the pairs of a layer that may be connected, None if all may; ValueError if `within` returns others."""
    pattern = None if within is None else within.allowed(layer, shape)
    if pattern is not None and (not isinstance(pattern, Pattern) or pattern.shape != shape):
        raise ValueError(
            f"{within!r} must return a Pattern of shape {shape} for layer {layer}, or None; got {pattern!r:.200}."
        )
    return pattern


class Schedule(Protocol):
    """A function of the step that says when the topology changes and by how much.

    Called as ``schedule(step, epoch_step, total_steps)`` after `step` of `total_steps` planned steps, `epoch_step` of
    them in this epoch; also ahead of time, so the share must depend on these numbers only.
    """

    @property
    def drop_fraction(self) -> float:
        """The largest share that it returns."""

    @property
    def update_every(self) -> int | str:
        """Steps between updates, "epoch" or "auto"."""

    def __call__(self, *args: Any, **kwargs: Any) -> float:
        """Return the share of each layer's weights to replace, at most 1; 0 where no update is due."""


class DensityDecay(Protocol):
    """A function of the step that says how many of the weights with which a training begins are still left."""

    @property
    def start(self) -> float:
        """First number of weights, as a multiple of the final one."""

    def to_go(self, step: int, total_steps: int) -> float:
        """Return the share of the surplus that is left at a step of a plan, falling from 1 to 0."""
