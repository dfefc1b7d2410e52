"""A source whose training batches are changed on the way, such as shifted images or noisy features."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import issparse

from truesparse._typing import IndexArray
from truesparse.data.checks import sound_csr
from truesparse.data.source import Source, array_source
from truesparse.kernels.update import all_finite
from truesparse.network.workspace import Workspace
from truesparse.runtime.checks import refuse_masked

BatchTransform = Callable[[Any, np.random.Generator], Any]
"""``transform(X_batch, rng)``: returns what takes the place of a training batch, (n, n_features)."""


class Transformed(Source):
    """Samples of another source, of which each batch goes through a function.

    Parameters
    ----------
    source : Source
    transform : callable
        ``transform(X_batch, rng)``, given a copy that it may change.
    make_rng : callable
        Returns the random generator of the batch that is read next.
    """

    def __init__(self, source: Source, transform: BatchTransform, make_rng: Callable[[], np.random.Generator]):
        self._source, self._transform, self._make_rng = source, transform, make_rng
        self.n_samples, self.n_features = source.n_samples, source.n_features
        self.dtype, self.is_sparse, self.target = source.dtype, source.is_sparse, source.target
        self.order, self.locate = source.order, source.locate  # type: ignore[method-assign]

    @property
    def n_total(self) -> int:
        """Samples of all processes that train together."""
        return self._source.n_total

    def rows(self, samples: IndexArray) -> Any:
        """Return some rows, transformed and checked.

        Raises
        ------
        ValueError
            If the function returns something of another kind or shape, or numbers that are not finite.
        """
        batch = self._source.rows(samples)
        return self._checked(self._transform(batch, self._make_rng()), batch.shape)

    def read(self, samples: IndexArray, workspace: Workspace) -> None:
        """Put the transformed batch into a workspace."""
        array_source(self.rows(samples)).read(np.arange(samples.size), workspace)

    def _checked(self, returned, shape):
        name = f"batch_transform={self._transform!r}"
        refuse_masked(f"What {name} returned", returned)
        try:
            given = returned if issparse(returned) else np.asarray(returned)
        except ValueError:  # rows of different lengths
            given = np.empty(0, dtype=object)
        if issparse(given) != self.is_sparse or given.shape != shape or given.dtype.kind not in "fiub":
            kind = "a CSR array" if self.is_sparse else "a dense array"
            raise ValueError(
                f"{name} must return {kind} of shape {shape} and of real numbers, got {type(returned).__name__} of "
                f"shape {given.shape} and dtype {given.dtype}."
            )
        with np.errstate(over="ignore"):  # what overflows is refused as infinite, in words
            if self.is_sparse:
                given = sound_csr(f"What {name} returned", given).astype(self.dtype)
            else:
                given = np.ascontiguousarray(given, dtype=self.dtype)
        if not all_finite(given.data if self.is_sparse else given.reshape(-1)):
            raise ValueError(f"{name} returned numbers that are infinite or NaN.")
        return given
