"""Connections of one layer: a canonical CSR pattern, and ways to sample one.

A pattern is immutable. Evolution replaces it by another one through a `Rewiring`.

Both ways of sampling give exactly ``nnz`` connections in memory O(nnz); the first takes time O(nnz), the second sorts:

- *uniform* (Erdős–Rényi's G(n, M)): every set of ``nnz`` pairs is equally likely. Sorted random ranks are drawn as a
  cumulated sum of exponentials and merged with the pairs that exist; duplicates are drawn again among the absent pairs.
- *balanced*: all units of a side have the same number of connections, give or take one. At one connection in five
  hundred, uniform sampling leaves many units with none.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from truesparse._typing import Edges, IndexArray
from truesparse.kernels.rewire import FINE, TWICE, clash, keys_of, split_keys, without
from truesparse.kernels.select import nth_absent
from truesparse.runtime.checks import refuse_masked


@dataclass(frozen=True, eq=False)
class Pattern:
    """Positions of the stored weights of one layer, in canonical CSR form.

    The constructor trusts its arguments; `from_csr`, `from_edges` and `from_index_arrays` check theirs.

    Parameters
    ----------
    shape : (fan_out, fan_in)
    indptr, indices : (fan_out + 1,) int32 or int64; (nnz,) of the same dtype, sorted and unique within each row

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.topology import Pattern
    >>> pattern = Pattern.sample((3, 4), nnz=5, rng=np.random.default_rng(0))
    >>> pattern.nnz, pattern.density
    (5, 0.4166666666666667)
    """

    shape: tuple[int, int]
    indptr: IndexArray
    indices: IndexArray

    def __post_init__(self):
        # Layers, snapshots and users' views share a pattern, and kernels do not check its indices.
        self.indptr.flags.writeable = self.indices.flags.writeable = False

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        return Pattern, (self.shape, self.indptr, self.indices)

    @classmethod
    def full(cls, shape: tuple[int, int]) -> "Pattern":
        """Return the pattern of all pairs."""
        fan_out, fan_in = shape
        dtype = _index_dtype(fan_out * fan_in)
        indptr = np.arange(fan_out + 1, dtype=dtype) * dtype(fan_in)
        return cls(shape, indptr, np.tile(np.arange(fan_in, dtype=dtype), fan_out))

    @classmethod
    def from_keys(cls, keys: IndexArray, shape: tuple[int, int]) -> "Pattern":
        """Make a pattern from sorted, unique keys ``row · fan_in + column``."""
        fan_out, fan_in = shape
        dtype = _index_dtype(max(keys.size, fan_in))
        indptr, indices = np.empty(fan_out + 1, dtype=dtype), np.empty(keys.size, dtype=dtype)
        split_keys(keys, fan_in, indptr, indices)
        return cls(shape, indptr, indices)

    @classmethod
    def from_edges(cls, rows: IndexArray, columns: IndexArray, shape: tuple[int, int]) -> "Pattern":
        """Make a pattern from pairs in any order.

        Raises
        ------
        ValueError
            If a pair lies outside of the shape or occurs twice.
        """
        keys = np.sort(edge_keys(rows, columns, shape))
        if np.any(keys[1:] == keys[:-1]):
            raise ValueError("The edges of a pattern must be distinct; at least one pair occurs twice.")
        return cls.from_keys(keys, shape)

    @classmethod
    def from_index_arrays(cls, indptr: IndexArray, indices: IndexArray, shape: tuple[int, int]) -> "Pattern":
        """Make a pattern from index arrays from outside, without a copy.

        Raises
        ------
        ValueError
            If they are not those of a canonical CSR matrix of this shape: ``indptr`` rising from 0 to nnz, ``indices``
            within [0, fan_in) and rising within each row, both int64 or, where fan_in and nnz fit, both int32.
        """
        fan_out, fan_in = shape
        allowed = {np.dtype(np.int64), np.dtype(_index_dtype(max(indices.size, fan_in)))}
        if indptr.dtype != indices.dtype or indptr.dtype not in allowed:
            raise ValueError(f"indptr is {indptr.dtype} and indices {indices.dtype}; both must be of {allowed}.")
        if indptr.shape != (fan_out + 1,) or indices.ndim != 1:
            raise ValueError(f"indptr has shape {indptr.shape} and indices {indices.shape} for {fan_out} rows.")
        if indptr[0] != 0 or indptr[-1] != indices.size or (indptr[1:] < indptr[:-1]).any():
            raise ValueError(f"indptr must rise from 0 to the number of indices, {indices.size}.")
        if indices.size and not (indices.min() >= 0 and indices.max() < fan_in):
            raise ValueError(f"indices must lie in [0, {fan_in}), got {indices.min()} to {indices.max()}.")
        rises = indices[1:] > indices[:-1]
        first_of_row = indptr[(indptr > 0) & (indptr < indices.size)]
        rises[first_of_row - 1] = True
        if not rises.all():
            raise ValueError("indices must rise within each row, so that no connection occurs twice.")
        return cls(shape, indptr, indices)

    @classmethod
    def from_csr(cls, matrix) -> "Pattern":
        """Make a pattern of the positions that a SciPy CSR matrix or array stores, explicit zeros included.

        Raises
        ------
        ValueError
            If its index arrays are damaged: SciPy itself accepts indices that lie outside of the shape.
        """
        matrix = csr_array(matrix)
        matrix.check_format(full_check=True)
        coo = matrix.tocoo()
        return cls.from_edges(coo.row, coo.col, coo.shape)

    @classmethod
    def sample(cls, shape: tuple[int, int], nnz: int, rng: np.random.Generator, *, balanced: bool = False) -> "Pattern":
        """Draw a pattern of shape (fan_out, fan_in) with exactly `nnz` connections.

        Parameters
        ----------
        balanced : bool
            Give all units of a side the same number of connections, give or take one, instead of sampling uniformly.

        Raises
        ------
        ValueError
            If `nnz` does not lie between 0 and fan_out · fan_in.
        """
        fan_out, fan_in = shape
        if not 0 <= nnz <= fan_out * fan_in:
            raise ValueError(f"nnz={nnz!r} must lie between 0 and fan_out · fan_in = {fan_out * fan_in}.")
        if nnz == fan_out * fan_in:
            return cls.full(shape)
        if not balanced:
            nothing = np.empty(0, dtype=np.int64)
            return cls.from_keys(_sample_absent_keys(nothing, fan_out * fan_in, nnz, rng), shape)
        shorter, longer = _deal(min(shape), max(shape), nnz, rng)
        rows, columns = (shorter, longer) if fan_out <= fan_in else (longer, shorter)
        return cls.from_edges(rows, columns, shape)

    def between(self, outputs: NDArray[np.bool_], inputs: NDArray[np.bool_]) -> tuple["Pattern", IndexArray]:
        """Return the pattern between some of the units, which are renumbered, and the slots, (n,), that it had here.

        Parameters
        ----------
        outputs, inputs : (fan_out,), (fan_in,) bool
        """
        rows = self.rows
        slots = np.flatnonzero(outputs[rows] & inputs[self.indices])
        shape = int(np.count_nonzero(outputs)), int(np.count_nonzero(inputs))
        new_row, new_column = (np.cumsum(kept, dtype=np.int64) - 1 for kept in (outputs, inputs))
        keys = new_row[rows[slots]] * shape[1] + new_column[self.indices[slots]]
        return Pattern.from_keys(keys, shape), slots

    @property
    def nnz(self) -> int:
        """Number of connections."""
        return self.indices.size

    @property
    def n_pairs(self) -> int:
        """Number of pairs that could be connected, fan_out · fan_in."""
        return self.shape[0] * self.shape[1]

    @property
    def density(self) -> float:
        """nnz / (fan_out · fan_in)."""
        return self.nnz / self.n_pairs

    @property
    def sparsity(self) -> float:
        """1 − density."""
        return 1 - self.density

    @property
    def rows(self) -> IndexArray:
        """Output unit of every slot, shape (nnz,)."""
        return np.repeat(np.arange(self.shape[0], dtype=self.indices.dtype), self.out_units_fan_in)

    @property
    def keys(self) -> IndexArray:
        """``row · fan_in + column`` of every slot, shape (nnz,), int64, sorted."""
        keys = np.repeat(np.arange(self.shape[0], dtype=np.int64) * self.shape[1], self.out_units_fan_in)
        keys += self.indices
        return keys

    def chunks(self, size: int) -> Iterator[tuple[slice, IndexArray, IndexArray]]:
        """Yield the slots, `size` at a time, with their rows and columns, (≤ size,) each."""
        for start in range(0, self.nnz, size):
            slots = slice(start, min(start + size, self.nnz))
            first, last = np.searchsorted(self.indptr, [start, slots.stop - 1], side="right")
            ends = np.clip(self.indptr[first - 1 : last + 1], start, slots.stop)
            yield slots, np.repeat(np.arange(first - 1, last), np.diff(ends)), self.indices[slots]

    @property
    def out_units_fan_in(self) -> IndexArray:
        """Number of connections of each output unit, shape (fan_out,)."""
        return np.diff(self.indptr)

    def without(self, dropped: NDArray[np.bool_]) -> "Pattern":
        """Return the pattern without the marked slots, (nnz,)."""
        n_left = self.nnz - np.count_nonzero(dropped)
        indptr, indices = np.empty_like(self.indptr), np.empty(n_left + 1, dtype=self.indices.dtype)
        without(self.indptr, self.indices, dropped, indptr, indices)
        return Pattern(self.shape, indptr, indices[:-1])

    def keys_at(self, chosen: NDArray[np.bool_]) -> IndexArray:
        """Return the keys of the marked slots, (nnz,)."""
        keys = np.empty(np.count_nonzero(chosen), dtype=np.int64)
        keys_of(self.indptr, self.indices, chosen, self.shape[1], keys)
        return keys

    def refuse(self, keys: IndexArray) -> None:
        """Raise a ValueError if a pair with one of these sorted keys occurs twice or is already there."""
        found = clash(self.indptr, self.indices, self.shape[1], keys)
        if found != FINE:
            raise ValueError("An edge occurs twice." if found == TWICE else "An edge is already there.")

    def sample_absent(self, n: int, rng: np.random.Generator) -> Edges:
        """Draw `n` distinct absent pairs, every set of them equally likely.

        Raises
        ------
        ValueError
            If fewer than `n` pairs are absent.
        """
        return np.divmod(self.sample_absent_keys(n, rng), self.shape[1])

    def sample_absent_keys(self, n: int, rng: np.random.Generator, besides: IndexArray | None = None) -> IndexArray:
        """Return the sorted keys of `n` absent pairs, drawn as by `sample_absent`, `besides` some sorted keys."""
        taken = self.keys if besides is None else _merged(self.keys, besides)
        if n > self.n_pairs - taken.size:
            raise ValueError(f"n={n!r} pairs asked for, but only {self.n_pairs - taken.size} are absent.")
        return _sample_absent_keys(taken, self.n_pairs, n, rng)


def _index_dtype(largest):
    """Return int32 where it suffices: indices are half of what a float32 weight costs."""
    return np.int32 if largest <= np.iinfo(np.int32).max else np.int64


def edge_keys(rows: IndexArray, columns: IndexArray, shape: tuple[int, int]) -> IndexArray:
    """Return the keys ``row · fan_in + column`` of pairs, int64.

    Raises
    ------
    ValueError
        If the two are not integer vectors of one length, or a pair lies outside of the shape.
    """
    for name, values in (("rows", rows), ("columns", columns)):
        refuse_masked(name, values)
    rows, columns = np.asarray(rows), np.asarray(columns)
    if rows.ndim != 1 or rows.shape != columns.shape:
        raise ValueError(f"rows and columns must be vectors of one length, got shapes {rows.shape}, {columns.shape}.")
    for name, values, size in (("rows", rows, shape[0]), ("columns", columns, shape[1])):
        if values.size and not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f"{name} must be integers, got dtype {values.dtype}.")
        if values.size and not (values.min() >= 0 and values.max() < size):
            raise ValueError(f"{name} must lie in [0, {size}), got {values.min()} to {values.max()}.")
    return rows.astype(np.int64) * shape[1] + columns.astype(np.int64)


def not_among(keys, others):
    """Return the keys that do not occur in the sorted others."""
    if others.size == 0:
        return keys
    return keys[others[np.minimum(np.searchsorted(others, keys), others.size - 1)] != keys]


def _sample_absent_keys(keys, n_pairs, n, rng):
    """Draw `n` sorted distinct integers out of ``range(n_pairs)`` that are not among the sorted `keys`.

    Some more are drawn than are needed, because some coincide. The surplus is removed at random, so that every set
    remains equally likely.
    """
    if keys.size == 0 and n > n_pairs // 2:
        return nth_absent(np.arange(n), _sample_absent_keys(keys, n_pairs, n_pairs - n, rng))
    chosen, n_absent = np.empty(0, dtype=np.int64), n_pairs - keys.size  # ranks among the absent pairs
    while chosen.size < n:
        n_missing, n_left = n - chosen.size, n_absent - chosen.size
        coincide = n_missing**2 / (2 * n_left)
        ranks = _sorted_ranks(n_left, n_missing + int(coincide + 4 * np.sqrt(coincide)), rng)
        if ranks.size > n_missing:
            ranks = np.delete(ranks, rng.choice(ranks.size, ranks.size - n_missing, replace=False))
        chosen = _merged(chosen, nth_absent(ranks, chosen))
    return nth_absent(chosen, keys)


def _merged(keys, others):
    """Return the keys of two sorted vectors, sorted."""
    both = np.concatenate([keys, others])
    both.sort(kind="stable")  # merges sorted runs in linear time
    return both


def _sorted_ranks(n_ranks, n, rng):
    """Return the distinct ones among `n` uniform draws from ``range(n_ranks)``, sorted without sorting.

    The cumulated sum of n + 1 exponentials, divided by its last term, is distributed as n sorted uniforms.
    """
    spacings = np.cumsum(rng.standard_exponential(n + 1))
    ranks = np.floor(spacings[:-1] / spacings[-1] * n_ranks).astype(np.int64)
    np.minimum(ranks, n_ranks - 1, out=ranks)  # the quotient can round to 1
    return ranks[np.concatenate([[True], ranks[1:] != ranks[:-1]])]


def _deal(n_hands, n_cards, nnz, rng):
    """Deal `nnz` cards from freshly shuffled decks of ``n_cards`` to ``n_hands`` ≤ ``n_cards`` hands in turn.

    Return hands and cards, (nnz,) each. Hands hold equally many cards, give or take one, and every card occurs equally
    often. A hand that ends one deck and begins the next could get a card twice: the first cards of the new deck that it
    does not hold yet are moved to its front.
    """
    sizes = np.full(n_hands, nnz // n_hands)
    sizes[rng.choice(n_hands, nnz % n_hands, replace=False)] += 1
    ends = np.cumsum(sizes)
    cards = np.empty(nnz, dtype=np.int64)
    for start in range(0, nnz, n_cards):
        deck = rng.permutation(n_cards)
        hand = np.searchsorted(ends, start, side="right")
        held = cards[ends[hand] - sizes[hand] : start]
        n_needed = ends[hand] - start
        if held.size and np.intersect1d(deck[:n_needed], held).size:
            new = ~np.isin(deck, held)
            first = np.flatnonzero(new)[:n_needed]
            deck = np.concatenate([deck[first], np.delete(deck, first)])
        cards[start : start + n_cards] = deck[: nnz - start]
    return np.repeat(np.arange(n_hands), sizes), cards
