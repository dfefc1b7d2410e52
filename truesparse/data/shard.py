"""All samples of several processes, of which this one holds a part.

Numbers of samples are those of all samples, in the order of the processes. All processes draw the same random numbers
and read what they hold; ``reduce`` adds sums over samples, such as gradients and sketches, up over the processes.

The samples of a batch must come from all processes in proportion to what they hold, so that none waits for another. So
the samples are divided into as many strata of neighbours as a batch has samples, and a batch takes one of each stratum,
in random order. The batches do not depend on how the samples are divided among the processes.
"""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from truesparse._typing import IndexArray
from truesparse.data.source import Reduce, Source, alone, draw_samples
from truesparse.network.losses import Target
from truesparse.network.workspace import Workspace
from truesparse.runtime.checks import is_count


class Shard(Source):
    """All samples, of which one process holds those of `source`.

    `gathered_rows`, `draw` and `truesparse.training.inference.forward_all` return something about samples of other
    processes as well, by ``reduce``: all processes must call them, with the same arguments.

    Parameters
    ----------
    source : Source
        The samples that are here. Its targets are not used.
    first, n_samples : int
        The number of the first sample that is here, and how many samples there are in all processes.
    target : (n_samples, …) array or Weighted, optional
        The targets of all samples.
    reduce : Reduce
        Adds arrays up over the processes.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.data import ArraySource, Shard
    >>> X, y = np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1])
    >>> second = Shard(ArraySource(X[2:]), first=2, n_samples=4, target=y)
    >>> [batch.tolist() for batch in second.batches(2)]  # one of each half, of which the second is here
    [[2], [3]]
    """

    def __init__(
        self, source: Source, *, first: int, n_samples: int, target: Target | None = None, reduce: Reduce = alone
    ):
        if not (is_count(n_samples, 0) and is_count(first, 0) and int(first) <= int(n_samples) - source.n_samples):
            raise ValueError(
                f"first={first!r} and n_samples={n_samples!r} must be integers, not below 0, that leave room for the "
                f"{source.n_samples} samples of source."
            )
        self.n_samples, self.target, self.reduce = int(n_samples), target, reduce
        self._whole: Shard | None = None  # of which this is a subset
        self._chosen: IndexArray | None = None  # the numbers of the subset's samples there
        self._hold(source, int(first), int(first) + np.arange(source.n_samples))

    def _hold(self, source, first, numbers):
        """Set what is here, the numbers of its samples in its order, and how many samples are in earlier processes."""
        self._source, self.first, self._numbers = source, first, numbers
        self._by_number = np.argsort(numbers, kind="stable")
        self.n_features, self.dtype, self.is_sparse = source.n_features, source.dtype, source.is_sparse

    def rows(self, samples: IndexArray) -> Any:
        """Return a copy of some rows that are here."""
        return self._source.rows(self._here(samples)[1])

    def gathered_rows(self, samples: IndexArray) -> Any:
        """Return a copy of some rows, wherever they are."""
        places, own = self._here(samples)
        if self.is_sparse:
            here = self._source.rows(own) if own.size else csr_array((0, self.n_features), dtype=self.dtype)
            return self._csr_rows(here, places, samples.size)
        rows = np.zeros((samples.size, self.n_features), dtype=self.dtype)
        if own.size:
            rows[places] = self._source.rows(own)
        return self.reduce(rows)

    def _csr_rows(self, here, places, n):
        """Return CSR rows of which those at some places are here, and the others elsewhere."""
        lengths = np.zeros(n, dtype=np.int64)
        lengths[places] = np.diff(here.indptr)
        indptr = np.concatenate([[0], np.cumsum(self.reduce(lengths))])
        starts = indptr[places] - here.indptr[:-1]
        slots = np.arange(here.nnz) + np.repeat(starts, np.diff(here.indptr))
        data, indices = np.zeros(indptr[-1], dtype=self.dtype), np.zeros(indptr[-1], dtype=np.int64)
        data[slots], indices[slots] = here.data, here.indices
        return csr_array((self.reduce(data), self.reduce(indices), indptr), shape=(n, self.n_features))

    def read(self, samples: IndexArray, workspace: Workspace) -> None:
        """Put some samples that are here into a workspace."""
        self._source.read(self._here(samples)[1], workspace)

    def release(self) -> None:
        """Release the source of the samples that are here."""
        self._source.release()

    def stored_features(self, samples: IndexArray) -> NDArray[np.bool_]:
        """Return which features some samples that are here store, (n_features,); of sparse data only."""
        return self._source.stored_features(self._here(samples)[1])

    def batches(self, batch_size: int, rng: np.random.Generator | None = None) -> Iterator[IndexArray]:
        """Yield what is here of each batch of an epoch over all samples; that may be nothing.

        Meanwhile, `column` is the place of its first sample in the batch.
        """
        batch_of, columns, own = self._drawn_into(batch_size, rng)
        n_batches = -(-self.n_samples // batch_size)
        ends = np.cumsum(np.bincount(batch_of, minlength=n_batches)).tolist()
        if self._source.in_pieces:  # the next ones that are cheap to read, in place of those that were drawn
            parts = self._next_ones(np.diff(ends, prepend=0), None if rng is None else self._own_rng(rng))
        else:
            parts = (own[start:end] for start, end in zip([0, *ends], ends, strict=False))
        for start, part in zip([0, *ends], parts, strict=False):
            self.column = int(columns[start]) if part.size else 0
            yield self._numbers[part]

    def _next_ones(self, sizes, rng):
        """Yield so many samples of the source's own order at a time."""
        pieces, left = self._source.order(rng), np.empty(0, dtype=np.int64)
        for size in sizes.tolist():
            begins_piece = left.size < size
            while left.size < size:
                left = np.concatenate([left, next(pieces)])
            yield left[:size]
            left = left[size:]
            if begins_piece:
                self._source.proceed()

    def most_of(self, batch_size: int, multiple: int = 1) -> int:
        """Return how many samples of a batch are here at most, with those before them down to a multiple."""
        begins, first, last = self._strata(batch_size)
        lengths = np.diff(begins)
        in_last = int(np.sum(lengths[first:last] > lengths.min()))  # the last batch has a sample of longer strata only
        before = first % multiple if begins[first] == self.first else multiple - 1
        return max(last - first + before, in_last + multiple - 1 if in_last else 0)

    def _strata(self, batch_size):
        """Return the positions at which strata begin, (n_strata + 1,), and the first and the last + 1 that is here."""
        n, n_here = self.n_samples, self._source.n_samples
        size = max(1, min(batch_size, n))
        begins = np.arange(size + 1) * n // size
        if not n_here:
            return begins, 0, 0
        first, last = np.searchsorted(begins, [self.first, self.first + n_here - 1], side="right").tolist()
        return begins, first - 1, last

    def _drawn_into(self, batch_size, rng):
        """Return the batch of each sample here, its place in the batch, and the sample, by batch: (n_here,) each.

        A stratum may be held by two processes. Both draw for all of it, and keep what they hold.
        """
        begins, first, last = self._strata(batch_size)
        lengths, low, high = np.diff(begins), begins[first], begins[last]
        stratum = np.repeat(np.arange(first, last), lengths[first:last])
        drawn = np.zeros(high - low)
        if rng is not None:
            bits: Any = rng.bit_generator
            bits.advance(int(low))
            drawn = rng.random(high - low)
            bits.advance(int(self.n_samples - high))  # so that all processes leave it in the same state
        own = np.argsort(stratum + drawn, kind="stable") + low - self.first
        batch_of = np.arange(low, high) - begins[stratum]
        n_whole = lengths.min()  # batches with a sample of each stratum; only longer ones are in the last
        column = np.where(batch_of < n_whole, stratum, np.cumsum(lengths > n_whole)[stratum] - 1)
        here = np.flatnonzero((own >= 0) & (own < self._source.n_samples))
        here = here[np.argsort(batch_of[here], kind="stable")]
        return batch_of[here], column[here], own[here]

    def in_order(self, batch_size: int) -> Iterator[IndexArray]:
        """Yield the samples that are here, `batch_size` at a time, in an order in which they can be read fast."""
        for samples in self._source.in_order(batch_size):
            yield self._numbers[samples]

    def draw(self, n: int | None, rng: np.random.Generator) -> IndexArray:
        """Draw `n` distinct samples for rules, in increasing order if they can be read one by one."""
        if n is None or n >= self.n_samples:
            return np.arange(self.n_samples)
        if not self._source.in_pieces:
            return draw_samples(self.n_samples, n, rng)
        # Every process draws in proportion to what it holds, what it can read together.
        held_at = np.arange(n) * self.n_samples // n - self.first
        places = np.flatnonzero((held_at >= 0) & (held_at < self._source.n_samples))
        local = self._own_rng(rng)
        own = self._source.draw(places.size, local)
        if own.size < places.size:
            own = draw_samples(self._source.n_samples, places.size, local)
        drawn = np.zeros(n, dtype=np.int64)
        drawn[places] = self._numbers[own]
        return self.reduce(drawn)

    def _own_rng(self, rng):
        """Return a generator of this process alone."""
        return np.random.default_rng([rng.bit_generator.random_raw(), self.first])

    def locate(self, drawn: IndexArray) -> tuple[IndexArray, IndexArray]:
        """Return which of the drawn samples are here: their places in `drawn`, and their numbers."""
        places, own = self._here(drawn)
        return places, self._numbers[own]

    def subset(self, samples: IndexArray) -> "Shard":
        """Return some of the samples, each held where it was."""
        whole, chosen = self._whole or self, samples if self._chosen is None else self._chosen[samples]
        part = copy.copy(self)
        part._whole, part._chosen, part.n_samples = whole, chosen, samples.size
        part.target = None if self.target is None else self.target[samples]
        places, own = whole._here(chosen)
        in_order = np.argsort(own)
        part._hold(whole._source.subset(own[in_order]), int(np.sum(chosen < whole.first)), places[in_order])
        return part

    def _here(self, samples):
        """Return the places of the samples that are here, and their numbers in the source that holds them."""
        if self._whole is None or not self._numbers.size:
            own = samples - self.first
            places = np.flatnonzero((own >= 0) & (own < self._numbers.size))
            return places, own[places]
        place = np.searchsorted(self._numbers, samples, sorter=self._by_number)
        own = self._by_number[np.minimum(place, self._numbers.size - 1)]
        places = np.flatnonzero(self._numbers[own] == samples)
        return places, own[places]
