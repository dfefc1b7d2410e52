"""A source that transforms training batches, for example shifts images or adds noise."""

from collections.abc import Callable
from typing import Any

import numpy as np

from truesparse._typing import IndexArray
from truesparse.data.checks import sound_batch
from truesparse.data.source import Source, array_source
from truesparse.network.workspace import Workspace

BatchTransform = Callable[[Any, np.random.Generator], Any]
"""``transform(X_batch, rng)`` returns the replacement of a training batch, (n, n_features)."""


class Transformed(Source):
    """Samples of another source, each batch replaced by ``transform(X_batch, rng)``, which may change its copy.

    ``make_rng()`` returns the random generator of the next batch.
    """

    def __init__(self, source: Source, transform: BatchTransform, make_rng: Callable[[], np.random.Generator]):
        self._source, self._transform, self._make_rng = source, transform, make_rng
        self.n_samples, self.n_features = source.n_samples, source.n_features
        self.dtype, self.is_sparse, self.target = source.dtype, source.is_sparse, source.target
        self.batches, self.order = source.batches, source.order  # type: ignore[method-assign]

    def rows(self, samples: IndexArray) -> Any:
        """Return some rows, transformed; ValueError if the result is of another kind or shape or not finite."""
        batch = self._source.rows(samples)
        shape, name = batch.shape, f"batch_transform={self._transform!r}"
        returned = self._transform(batch, self._make_rng())
        return sound_batch(name, returned, shape, self.dtype, is_sparse=self.is_sparse)

    def read(self, samples: IndexArray, workspace: Workspace) -> None:
        """Put the transformed batch into a workspace."""
        array_source(self.rows(samples)).read(np.arange(samples.size), workspace)
