"""The change from one pattern to the next.

Everything that belongs to a weight (its value, its optimiser state) follows it through ``source``. So prune and grow
rules need to know nothing of optimisers, and optimisers nothing of rules.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truesparse._typing import FloatArray, IndexArray
from truesparse.kernels.rewire import carry, replace
from truesparse.topology.pattern import Pattern


@dataclass(frozen=True, eq=False)
class Rewiring:
    """A new pattern and where each of its weights comes from.

    Parameters
    ----------
    pattern : Pattern
        The new pattern.
    source : (nnz,) integers
        The old slot of each new slot, −1 where the connection was grown.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.topology import Pattern, Rewiring
    >>> old = Pattern.from_edges(np.array([0, 1]), np.array([0, 1]), shape=(2, 2))
    >>> rewiring = Rewiring.replace(old, dropped=np.array([True, False]), grown_keys=np.array([1]))
    >>> rewiring.pattern.rows, rewiring.pattern.indices  # the pair (0, 0) was replaced by (0, 1)
    (array([0, 1], dtype=int32), array([1, 1], dtype=int32))
    >>> rewiring.carry(np.array([5.0, 7.0]))
    array([0., 7.])
    """

    pattern: Pattern
    source: IndexArray

    @classmethod
    def replace(cls, old: Pattern, dropped: NDArray[np.bool_], grown_keys: IndexArray) -> "Rewiring":
        """Drop the marked slots, (nnz,), of a pattern and grow the pairs with the given keys.

        A pair that is both dropped and grown keeps its slot's value and state.

        Parameters
        ----------
        grown_keys : (n,) int64, distinct, absent from what is kept of `old`
        """
        n_new = old.nnz - np.count_nonzero(dropped) + grown_keys.size
        indptr, indices = np.empty_like(old.indptr), np.empty(n_new, dtype=old.indices.dtype)
        source = np.empty_like(indices)
        if (grown_keys[1:] < grown_keys[:-1]).any():
            grown_keys = np.sort(grown_keys)
        replace(old.indptr, old.indices, dropped, old.shape[1], grown_keys, indptr, indices, source)
        return cls(Pattern(old.shape, indptr, indices), source)

    @property
    def grown(self) -> NDArray[np.bool_]:
        """Mask of the new slots whose connection was absent before, shape (nnz,)."""
        return self.source < 0

    @property
    def n_replaced(self) -> int:
        """Number of connections that were replaced by others."""
        return int(np.count_nonzero(self.grown))

    def carry(self, values: FloatArray) -> FloatArray:
        """Return a copy of per-weight values (nnz,) in the order of the new pattern, zero where grown."""
        out = np.empty(self.source.size, dtype=values.dtype)
        carry(values, self.source, out)
        return out
