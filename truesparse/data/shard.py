"""The samples of one process, if several train one network together.

All processes draw the same random numbers, and each reads its own samples. The training's ``reduce`` adds sums over
samples, such as gradients and sketches, up over the processes.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from truesparse._typing import IndexArray
from truesparse.data.source import Source, in_batches
from truesparse.network.workspace import Workspace


class Shard(Source):
    """One process's part of the samples.

    Parameters
    ----------
    source, numbers : Source, (n_samples,) increasing integers
        The samples of this process, and their numbers among all samples.
    n_total : int
        Samples of all processes.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.data import ArraySource, Shard
    >>> X, y = np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1])
    >>> second = Shard(ArraySource(X[2:], y[2:]), numbers=np.array([2, 3]), n_total=4)
    >>> [batch.tolist() for batch in second.batches(3)]  # samples 2 and 3 of all are 0 and 1 here
    [[0], [1]]
    """

    def __init__(self, source: Source, numbers: IndexArray, n_total: int):
        numbers = np.asarray(numbers)
        is_vector = numbers.shape == (source.n_samples,) and numbers.dtype.kind in "iu"
        if not is_vector or (numbers[1:] <= numbers[:-1]).any():
            raise ValueError(f"numbers={numbers!r} must be {source.n_samples} increasing integers, one per sample.")
        if numbers.size and not (numbers[0] >= 0 and numbers[-1] < n_total):
            raise ValueError(f"numbers must lie in [0, n_total={n_total}), got {numbers[0]} to {numbers[-1]}.")
        self._source, self._numbers, self._n_total = source, numbers, int(n_total)
        self.n_samples, self.n_features = source.n_samples, source.n_features
        self.dtype, self.is_sparse, self.target = source.dtype, source.is_sparse, source.target

    @property
    def n_total(self) -> int:
        """Samples of all processes that train together."""
        return self._n_total

    def rows(self, samples: IndexArray) -> Any:
        """Return a copy of some rows of this shard."""
        return self._source.rows(samples)

    def read(self, samples: IndexArray, workspace: Workspace) -> None:
        """Put some samples of this shard into a workspace."""
        self._source.read(samples, workspace)

    def batches(self, batch_size: int, rng: np.random.Generator | None = None) -> Iterator[IndexArray]:
        """Yield this shard's part of each batch of an epoch over all samples; a part may be empty."""
        samples = np.arange(self.n_total)
        if rng is not None:
            rng.shuffle(samples)
        for batch in in_batches(samples, batch_size):
            yield self.locate(batch)[1]

    def locate(self, drawn: IndexArray) -> tuple[IndexArray, IndexArray]:
        """Return which of the drawn samples are here: their places in `drawn`, and their numbers here."""
        own = np.minimum(np.searchsorted(self._numbers, drawn), self._numbers.size - 1)
        places = np.flatnonzero(self._numbers[own] == drawn) if self._numbers.size else np.empty(0, dtype=np.int64)
        return places, own[places]
