"""The protocols of prune rules, grow rules and schedules, and what a grow rule is given to fill."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

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
        The layer's index: its inputs are ``activations[layer]``, its outputs ``activations[layer + 1]``.
    before : Pattern
        The connections before pruning.
    dropped : (nnz,) bool
        Which of them were dropped in this update.
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
        """Return a layer (fan_out, fan_in) without any connection, of which a first topology is made."""
        nothing = Pattern.from_keys(np.empty(0, dtype=np.int64), shape)
        return cls(layer, nothing, np.empty(0, dtype=bool), n_grow)

    @cached_property
    def pattern(self) -> Pattern:
        """The connections that are left after pruning."""
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

    def sample(self, n: int, rng: np.random.Generator, besides: IndexArray | None = None) -> IndexArray:
        """Draw keys of `n` absent pairs that may be connected, every set of them equally likely.

        Parameters
        ----------
        n : int
        rng : numpy.random.Generator
        besides : (m,) int64, optional
            Keys of absent pairs that are taken already.

        Returns
        -------
        (n,) int64
        """
        if self.within is not None:
            free = self.candidates if besides is None else not_among(self.candidates, np.sort(besides))
            return rng.choice(free, n, replace=False)
        pattern = self.pattern
        if besides is not None:
            pattern = Pattern.from_keys(np.sort(np.concatenate([pattern.keys, besides])), pattern.shape)
        rows, columns = pattern.sample_absent(n, rng)
        return rows * pattern.shape[1] + columns


class Prune(Protocol):
    """Chooses the stored weights that go.

    A rule names in ``needs`` the signals that it reads (see `truesparse.evolution.signals`); each arrives as a keyword
    argument.
    """

    needs: tuple[str, ...]

    def __call__(self, weights: Sequence[csr_array], n_drop: Sequence[int], **signals: Any) -> list[NDArray[np.bool_]]:
        """Return one mask of shape (nnz,) per layer, with exactly ``n_drop`` entries True: those are dropped."""


class Grow(Protocol):
    """Chooses the absent pairs that become connections; ``needs`` as for `Prune`."""

    needs: tuple[str, ...]

    def __call__(self, vacancies: Sequence[Vacancy], *, rng: np.random.Generator, **signals: Any) -> list[Edges]:
        """Return edges per layer, at most ``vacancy.n_grow`` of them, distinct and absent from ``vacancy.pattern``."""


class Within(Protocol):
    """Restricts which pairs of a layer may ever be grown."""

    def allowed(self, layer: int, shape: tuple[int, int]) -> Pattern:
        """Return the pairs of the layer (fan_out, fan_in) with this index that may be connected."""


class Schedule(Protocol):
    """Says when the topology changes and by how much."""

    drop_fraction: float
    update_every: int | str

    def __call__(self, step: int, epoch_step: int, total_steps: int) -> float:
        """Return the share of each layer's weights to replace after `step` steps, `epoch_step` of them in this epoch.

        0 where no update is due, at most 1.
        """
