"""The protocols that prune rules, grow rules and schedules follow, and what a grow rule is given to fill."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from truesparse._typing import Edges, IndexArray
from truesparse.runtime.caching import cached_property
from truesparse.topology import Pattern


@dataclass(frozen=True, eq=False)
class Vacancy:
    """What a grow rule is asked to fill in one layer.

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
    """

    layer: int
    before: Pattern
    dropped: NDArray[np.bool_]
    n_grow: int

    @cached_property
    def pattern(self) -> Pattern:
        """The connections that are left after pruning."""
        return self.before.without(self.dropped)

    @cached_property
    def dropped_keys(self) -> IndexArray:
        """Keys ``row · fan_in + column`` of the pairs that were dropped, (n_drop,) int64, sorted."""
        return self.before.keys_at(self.dropped)


class Prune(Protocol):
    """Chooses the stored weights that go.

    A rule names in ``needs`` the signals that it reads (see `truesparse.evolution.evolve`); each arrives as a
    keyword argument.
    """

    needs: tuple[str, ...]

    def __call__(self, weights: Sequence[csr_array], n_drop: Sequence[int], **signals: Any) -> list[NDArray[np.bool_]]:
        """One mask of shape (nnz,) per layer, with exactly ``n_drop`` entries True: those are dropped."""


class Grow(Protocol):
    """Chooses the absent pairs that become connections; ``needs`` as for `Prune`."""

    needs: tuple[str, ...]

    def __call__(self, vacancies: Sequence[Vacancy], *, rng: np.random.Generator, **signals: Any) -> list[Edges]:
        """Edges per layer, at most ``vacancy.n_grow`` of them, distinct and absent from ``vacancy.pattern``."""


class Schedule(Protocol):
    """Says when the topology changes and by how much."""

    drop_fraction: float
    update_every: int | str

    def __call__(self, step: int, epoch_step: int, total_steps: int) -> float:
        """The fraction of each layer's weights to replace after `step` steps, `epoch_step` of them in this epoch.

        0 where no update is due, at most 1.
        """
