"""The samples of a Dask collection, for a training whose loop runs in the client.

The client knows the targets of all samples. Rows stay on the workers, which compute what needs many of them. Where few
are needed, such as those that rules of evolution draw, they are fetched.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse, vstack

from truesparse._typing import IndexArray
from truesparse.data.source import ArraySource, CSRSource, Source, array_source
from truesparse.distributed.dask_collections import Parts, Rows
from truesparse.distributed.dask_workers import Held
from truesparse.network.losses import Target
from truesparse.runtime.threads import threads
from truesparse.training.recipe import Recipe


class DaskSource(Source):
    """Samples of a collection, or those numbered in `chosen`, (n,)."""

    def __init__(self, parts: Parts, target: Target | None, dtype: str, chosen: IndexArray | None = None):
        self.parts, self.target, self._chosen = parts, target, chosen
        self.n_samples = int(parts.starts[-1]) if chosen is None else chosen.size
        self.n_features, self.dtype, self.is_sparse = parts.n_features, np.dtype(dtype), parts.is_sparse

    def rows(self, samples: IndexArray) -> Any:
        """Fetch some rows from the workers."""
        by_part = list(self._by_part(samples))
        fetched = self.parts.run(_take, [(number, own) for number, _, own in by_part])
        if not by_part:
            empty = np.empty((0, self.n_features), dtype=self.dtype)
            return csr_array(empty) if self.is_sparse else empty
        order = np.argsort(np.concatenate([places for _, places, _ in by_part]), kind="stable")
        return vstack(fetched, format="csr")[order] if self.is_sparse else np.concatenate(fetched)[order]

    def compute(self, function: Callable[[Source], NDArray]) -> NDArray:
        """Return ``function(source)``, (…, n_samples), computed part by part on the workers."""
        by_part = list(self._by_part(np.arange(self.n_samples)))
        results = self.parts.run(_compute, [(number, self._own(own, number)) for number, _, own in by_part], function)
        out = np.empty((*results[0].shape[:-1], self.n_samples), dtype=results[0].dtype)
        for (_, places, _), result in zip(by_part, results, strict=True):
            out[..., places] = result
        return out

    def subset(self, samples: IndexArray) -> "DaskSource":
        """Return some of the samples, which stay where they are."""
        part = copy.copy(self)
        part.n_samples = samples.size
        part.target = None if self.target is None else self.target[samples]
        part._chosen = samples if self._chosen is None else self._chosen[samples]
        return part

    def n_batches(self, batch_size: int) -> int:
        """Return how many batches the part with the most samples has in an epoch."""
        return max(-(-size // self.of_part(batch_size)) for size in self.part_sizes)

    def of_part(self, batch_size: int) -> int:
        """Return how many samples of a batch, which all parts make together, are of one part."""
        return -(-batch_size // len(self.part_sizes))

    @property
    def part_sizes(self) -> list[int]:
        """Numbers of samples of the parts that have some."""
        return [places.size for _, places, _ in self._by_part(np.arange(self.n_samples))]

    def shares(self, recipe: Recipe, seed: int) -> Held:
        """Return what the workers hold for a training, one `Share` for each part that has samples."""
        target: Any = self.target
        recipe = replace(recipe, batch_size=self.of_part(recipe.batch_size))
        calls, first = [], 0
        for number, places, own in self._by_part(np.arange(self.n_samples)):
            numbers = None if self._chosen is None else places
            calls.append((number, self._own(own, number), numbers, target[places], recipe, seed, first))
            first += places.size
        workers, rows = self.parts.workers, self.parts.held
        return workers.keep(lambda: [workers.submit(Share, rows.futures[call[0]], *call[1:]) for call in calls])

    def _by_part(self, samples) -> Iterator[tuple[int, IndexArray, IndexArray]]:
        """Yield each part that has some of the samples, their places in `samples`, and their rows in the part."""
        numbers, starts = samples if self._chosen is None else self._chosen[samples], self.parts.starts
        part_of = np.searchsorted(starts, numbers, side="right") - 1
        for number in np.unique(part_of).tolist():
            places = np.flatnonzero(part_of == number)
            yield number, places, numbers[places] - starts[number]

    def _own(self, own, number):
        """Return the chosen rows of a part, None for all of them in order."""
        return None if self._chosen is None else own


@dataclass(frozen=True, eq=False)
class Share:
    """What a worker holds of a training: some samples, and all that does not change."""

    rows: Rows
    chosen: IndexArray | None  # of the rows; None for all
    numbers: IndexArray | None  # of these samples among all of the training, rising; None if they follow `first`
    target: Target
    recipe: Recipe
    seed: int
    first: int  # samples in the parts before this one

    def source(self) -> Source:
        """Return the samples, as a source of one task."""
        source = _source(self.rows, self.chosen, self.target)
        source.first = self.first
        return source

    def __sizeof__(self):
        return self.rows.__sizeof__()


class DrawnRows(Source):
    """All samples of a source, of which those drawn last are here.

    `draw` raises `TooManyRowsError` if they have more than `most` bytes.
    """

    def __init__(self, source: DaskSource, most: int):
        self._source, self._most = source, most
        self._samples: IndexArray = np.empty(0, dtype=np.int64)
        self._here: ArraySource | None = None
        self.n_samples, self.n_features, self.target = source.n_samples, source.n_features, source.target
        self.dtype, self.is_sparse = source.dtype, source.is_sparse

    def draw(self, n: int | None, rng: np.random.Generator) -> IndexArray:
        """Draw samples as any source does, and fetch their rows."""
        drawn = self._source.draw(n, rng)
        parts = self._source.parts
        if drawn.size * (parts.n_bytes / parts.starts[-1]) > self._most:
            raise TooManyRowsError
        if not np.array_equal(drawn, self._samples):
            self._samples, self._here = drawn, array_source(self._source.rows(drawn))
        return drawn

    def rows(self, samples: IndexArray) -> Any:
        """Return some rows, those that are here without fetching them."""
        places = self._places(samples)
        return self._source.rows(samples) if self._here is None or places is None else self._here.rows(places)

    def read(self, samples: IndexArray, workspace: Any) -> None:
        """Put some samples into a workspace."""
        places = self._places(samples)
        if self._here is None or places is None:
            super().read(samples, workspace)
        else:
            self._here.read(places, workspace)

    def _places(self, samples):
        places = np.searchsorted(self._samples, samples)
        known = places < self._samples.size
        return places if known.all() and np.array_equal(self._samples[places], samples) else None


class TooManyRowsError(Exception):
    """More rows were drawn than should be fetched."""


def _source(rows, chosen, target=None):
    return (CSRSource if issparse(rows.X) else ArraySource)(rows.X, target, chosen)


def _take(rows, samples):
    return rows.X[samples]


def _compute(rows, chosen, function):
    with threads(1):
        return function(_source(rows, chosen))
