"""Updates of the topology by sums over all parts, where rules look at more samples than the client should fetch.

A rule adds sums over samples up, by ``reduce``, in the middle of its work. A task cannot wait for others. So the task
of each part runs the rule up to the first sum that it does not know, and returns its own share of it. The client adds
the shares up, and submits the tasks again with one more known sum, until they return the next topology. A rule that
needs k sums is run k + 1 times. Nothing stays behind on a worker that its death could take away.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from truesparse._typing import IndexArray
from truesparse.data.source import Source
from truesparse.distributed.dask_source import Share
from truesparse.evolution.evolve import Due, Evolution, evolve
from truesparse.evolution.signals import Signals
from truesparse.network.workspace import BatchShape
from truesparse.runtime.random_streams import RandomStreams
from truesparse.runtime.threads import threads
from truesparse.topology import Rewiring
from truesparse.training.checks import check_finite


@dataclass(frozen=True, eq=False)
class Sum:
    """A part's share of a sum that it does not know."""

    array: NDArray


class _UnknownError(Exception):
    """The rule has come to a sum that is not known."""


class _Replay(Source):
    """All samples of a training, of which `share` holds some; `known` are the first sums, the same in all parts."""

    def __init__(self, share: Share, n_samples: int, known: tuple[NDArray, ...]):
        self._here = share.source()
        here, self.n_samples, self.target = self._here, n_samples, self._here.target
        self.n_features, self.dtype, self.is_sparse = here.n_features, here.dtype, here.is_sparse
        numbers = share.numbers
        self._numbers = share.first + np.arange(here.n_samples) if numbers is None else numbers
        self._known, self._used = known, 0
        self.unknown: NDArray | None = None
        self.reduce = self._reduce

    def _reduce(self, array):
        if self._used == len(self._known):
            self.unknown = array.copy()
            raise _UnknownError
        self._used += 1
        return self._known[self._used - 1].copy()

    def locate(self, drawn: IndexArray) -> tuple[IndexArray, IndexArray]:
        """Return the places of drawn samples that are here, and their numbers among those here."""
        own = np.minimum(np.searchsorted(self._numbers, drawn), self._numbers.size - 1)
        places = np.flatnonzero(self._numbers[own] == drawn)
        return places, own[places]

    def rows(self, samples: IndexArray) -> Any:
        """Return some rows that are here."""
        return self._here.rows(samples)

    def read(self, samples: IndexArray, workspace: Any) -> None:
        """Put some samples that are here into a workspace."""
        self._here.read(samples, workspace)

    def stored_features(self, samples: IndexArray) -> NDArray[np.bool_]:
        """Return which features some samples that are here store."""
        return self._here.stored_features(samples)


def evolve_by_sums(on_shares: Callable, n_parts: int, n_samples: int, begun: Any, due: Due, hold: Callable):
    """Return the next topology; RuntimeError if the parts do not agree on it.

    ``on_shares(function, calls, *shared)`` runs a function of shares, and ``hold(value)`` sends a value to the workers.
    """
    known: list = []
    while True:
        calls = [(part, n_samples, due) for part in range(n_parts)]
        results = on_shares(replay, calls, begun, *known)
        if all(isinstance(result, Sum) for result in results):
            total = results[0].array
            for result in results[1:]:
                total = total + result.array
            known.append(hold(total))
        elif any(isinstance(result, Sum) for result in results) or not all(
            _are_equal(results[0], result) for result in results
        ):
            raise RuntimeError(
                "The parts of the data chose different topologies: a rule must depend on samples by sums over all of "
                "them only, see truesparse.evolution.signals."
            )
        else:
            return results[0]


def replay(share: Share, n_samples: int, due: Due, begun: Any, *known: NDArray) -> Sum | list:
    """Choose the next topology with the sums that are known; return the next sum or, at the end, the rewirings."""
    recipe, network, progress = share.recipe, copy.deepcopy(begun.network), begun.progress
    streams = RandomStreams(share.seed)
    source = _Replay(share, n_samples, known)
    batch_size = min(recipe.batch_size, source.n_samples)

    def check_loss(loss):
        check_finite(progress, recipe.learning_rate, "training loss", bool(np.isfinite(loss)))

    with threads(1), np.errstate(over="ignore", invalid="ignore"):
        shape = BatchShape.of(batch_size, n_threads=1)
        workspace = network.workspace(batch_size, dense_inputs=not source.is_sparse, shape=shape)
        signals = Signals(
            network, recipe.loss, source,
            batch_size=batch_size, streams=streams, progress=progress, check_loss=check_loss,
        ).at(progress.step, workspace)  # fmt: skip
        rng = streams("evolve", progress.step)
        try:
            return evolve(
                network.layers, cast(Evolution, recipe.evolution), due.drop_fraction, rng, signals, due.counts
            )
        except _UnknownError:
            return Sum(cast(NDArray, source.unknown))


def _are_equal(one: list[Rewiring | None], other: list[Rewiring | None]) -> bool:
    """Return whether two parts chose the same topology."""
    for a, b in zip(one, other, strict=True):
        if (a is None) != (b is None):
            return False
        if a is not None and b is not None and not np.array_equal(a.pattern.keys, b.pattern.keys):
            return False
    return True
