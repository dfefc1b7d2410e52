"""Dask collections as partitions: arrays, DataFrames, and lists of delayed partitions.

Partitions of `X` are read, checked and joined on the workers. Only numbers about them, and `y`, come to the client.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse, vstack

from truesparse.distributed.dask_workers import Held, Workers
from truesparse.estimators.classifier import SparseMLPClassifier
from truesparse.runtime.checks import refuse_sparse
from truesparse.runtime.warnings import warn


def is_collection(X: Any) -> bool:
    """Return whether something is a Dask collection or a list of delayed partitions."""
    from dask.base import is_dask_collection

    return is_dask_collection(X) or (isinstance(X, list | tuple) and len(X) > 0 and all(map(is_dask_collection, X)))


def partitions(name: str, collection: Any) -> list:
    """Return the partitions of a collection along its rows, as Dask's delayed objects."""
    from dask.delayed import Delayed

    if isinstance(collection, Delayed):
        return [collection]
    if isinstance(collection, list | tuple):
        if all(isinstance(part, Delayed) for part in collection):
            return list(collection)
    elif hasattr(collection, "to_delayed"):
        ndim = getattr(collection, "ndim", 0)
        if hasattr(collection, "rechunk") and ndim == 2 and collection.numblocks[1] > 1:
            collection = collection.rechunk({1: -1})
        if ndim in (1, 2):
            return np.ravel(collection.to_delayed()).tolist()
    raise ValueError(
        f"{name}={type(collection).__name__} must be a Dask array or DataFrame of one or two dimensions, or a list of "
        "delayed partitions."
    )


@dataclass(frozen=True, eq=False)
class Rows:
    """Checked rows on a worker."""

    X: Any  # C-contiguous array or CSR, (n, n_features)

    @property
    def n_bytes(self) -> int:
        """Bytes of the arrays."""
        arrays = [self.X.data, self.X.indices, self.X.indptr] if issparse(self.X) else [self.X]
        return sum(array.nbytes for array in arrays)

    def __sizeof__(self):  # by which Dask decides where to run what
        return 1000 + self.n_bytes

    def __setstate__(self, state):
        X = state["X"]  # its arrays may be views of a read-only message, for which kernels would be compiled anew
        if issparse(X):
            X.data, X.indices, X.indptr = map(_writable, (X.data, X.indices, X.indptr))
        else:
            X = _writable(X)
        object.__setattr__(self, "X", X)


def _writable(array):
    return array if array.flags.writeable else array.copy()


@dataclass(frozen=True)
class Facts:
    """What the client learns of a partition, or what is wrong with it."""

    n_rows: int = 0
    n_features: int = 0
    dtype: str = ""  # of the user's array, "" for a DataFrame
    is_sparse: bool = False
    n_bytes: int = 0
    names: tuple[str, ...] | None = None
    problem: str | None = None


def _read(block, dtype):
    """Return a partition as checked rows, and the facts about it; rows are None if there is a problem."""
    estimator = SparseMLPClassifier()  # which only checks
    try:
        (X,) = estimator._checked(block, dtype=dtype, reset=True, ensure_min_samples=0)
    except (TypeError, ValueError) as error:
        return None, Facts(problem=str(error))
    names = getattr(estimator, "feature_names_in_", None)
    of = "" if names is not None or not hasattr(block, "dtype") else str(block.dtype)
    rows = Rows(X)
    n_rows, n_features = X.shape
    return rows, Facts(n_rows, n_features, of, issparse(X), rows.n_bytes, None if names is None else tuple(names))


def _facts(read):
    return read[1]


def _joined(n_rows, *read):
    """Return the rows of consecutive partitions as one array."""
    blocks = [rows for rows, _ in read]
    found = [0 if rows is None else rows.X.shape[0] for rows in blocks]
    if found != n_rows:
        raise ValueError(
            f"Partitions of X with {n_rows} rows have {found} rows now; each must be the same whenever it is computed."
        )
    if len(blocks) == 1:
        return blocks[0]
    arrays = [rows.X for rows in blocks]
    return Rows(csr_array(vstack(arrays, format="csr")) if issparse(arrays[0]) else np.concatenate(arrays))


@dataclass(frozen=True, eq=False)
class Parts:
    """The rows of a collection in parts of consecutive partitions, each held by a worker."""

    workers: Workers
    held: Held
    starts: np.ndarray  # number of each part's first row, and that of all rows, (n_parts + 1,)
    sizes: list[int]  # rows of each partition
    n_bytes: int
    n_features: int
    is_sparse: bool
    names: tuple[str, ...] | None

    @classmethod
    def of(cls, workers: Workers, name: str, collection: Any, dtype: str, n_parts: int | None) -> "Parts":
        """Read a collection; ValueError if its partitions are unsuitable or disagree."""
        from dask import delayed

        n_parts = workers.count() if n_parts is None else n_parts
        blocks = [delayed(_read, pure=True)(block, dtype) for block in partitions(name, collection)]
        read = workers.keep(lambda: workers.client.compute(blocks))
        facts = workers.run(_facts, [(number,) for number in range(len(blocks))], held=[read])
        _check(name, facts)
        sizes = [fact.n_rows for fact in facts]
        groups = _grouped(sizes, n_parts)
        if len(groups) < n_parts:
            warn(
                f"{name} has partitions of {[size for size in sizes if size]!r:.100} rows, so that only {len(groups)} "
                f"{'part' if len(groups) == 1 else 'parts'} can be worked on side by side, not {n_parts}: more and "
                "smaller partitions would help."
            )

        def join():
            read.restore()
            futures = []
            for group in groups:
                of_group = [read.futures[i] for i in group]
                futures.append(workers.submit(_joined, [sizes[i] for i in group], *of_group))
            read.release()  # once they are joined, the partitions are not needed any more
            return futures

        held, of_rows = workers.keep(join), next(fact for fact in facts if fact.n_rows)
        workers.run(_wait, [(number,) for number in range(len(groups))], held=[held])
        workers.spread(held)
        starts = np.cumsum([0, *(sum(sizes[i] for i in group) for group in groups)])
        n_bytes = sum(fact.n_bytes for fact in facts)
        return cls(workers, held, starts, sizes, n_bytes, of_rows.n_features, of_rows.is_sparse, of_rows.names)

    def run(self, function: Any, calls: Sequence[tuple], *shared: Any) -> list:
        """Return what a function makes of parts, see `Workers.run`."""
        return self.workers.run(function, calls, *shared, held=[self.held])


def _wait(rows):
    return None


def _check(name, facts):
    """Raise one ValueError that names the partition if something is wrong with it, or if it differs from others."""
    for number, fact in enumerate(facts):
        if fact.problem is not None:
            raise ValueError(f"Partition {number} of {name}: {fact.problem}")
    full = [(number, fact) for number, fact in enumerate(facts) if fact.n_rows]
    if not full:
        raise ValueError(f"{name} has no rows: all of its {len(facts)} partitions are empty.")
    for what, value in (
        ("features", lambda fact: fact.n_features),
        ("the dtype", lambda fact: fact.dtype),
        ("the format", lambda fact: "CSR" if fact.is_sparse else "dense"),
        ("the names", lambda fact: fact.names and list(fact.names)),
    ):
        first, expected = full[0][0], value(full[0][1])
        for number, fact in full:
            if value(fact) != expected:
                raise ValueError(
                    f"The partitions of {name} disagree: partition {first} has {what} {expected!r:.200}, "
                    f"partition {number} has {what} {value(fact)!r:.200}."
                )


def _grouped(sizes, n_parts):
    """Divide partitions, without empty ones, into at most so many groups of consecutive ones with about equal rows."""
    full = [number for number, size in enumerate(sizes) if size]
    ends = np.cumsum([sizes[number] for number in full])
    middles = ends - 0.5 * np.array([sizes[number] for number in full])
    group_of = np.minimum(middles * n_parts // ends[-1], n_parts - 1).astype(int)
    return [[full[i] for i in np.flatnonzero(group_of == group)] for group in np.unique(group_of)]


def gathered(workers: Workers, name: str, values: Any, sizes: Sequence[int], of: str) -> np.ndarray:
    """Return targets or weights, (n,) or (n, n_outputs), on the client; ValueError unless they fit the rows of `of`."""
    if not is_collection(values):
        return values if not hasattr(values, "__len__") else _checked_length(name, np.asarray(values), sizes, of)
    blocks = partitions(name, values)
    held = workers.keep(lambda: workers.client.compute(blocks))
    arrays = workers.run(_as_array, [(number,) for number in range(len(blocks))], held=[held])
    found = [len(array) for array in arrays]
    if len(found) == len(sizes) and found != list(sizes) and not _has_known_chunks(values):
        number = next(i for i, (n, size) in enumerate(zip(found, sizes, strict=True)) if n != size)
        raise ValueError(
            f"Partition {number} of {name} has {found[number]} rows, but partition {number} of {of} has "
            f"{sizes[number]}; both must have the same partitions."
        )
    full = [array for array in arrays if len(array)]
    kinds = sorted({"numbers" if array.dtype.kind in "biuf" else "texts or objects" for array in full})
    shapes = sorted({array.shape[1:] for array in full})
    if len(kinds) > 1 or len(shapes) > 1:
        raise ValueError(
            f"The partitions of {name} disagree: they hold {' and '.join(kinds)}, of the shapes {shapes} for a row."
        )
    return _checked_length(name, np.concatenate(full) if full else np.empty(0), sizes, of)


def _as_array(values):
    refuse_sparse("y", values)
    return np.asarray(values)


def _checked_length(name, array, sizes, of):
    if array.shape[:1] != (sum(sizes),):
        raise ValueError(f"{name} has the shape {array.shape}, but {of} has {sum(sizes)} rows; both must be equal.")
    return array


def _has_known_chunks(values):
    return hasattr(values, "chunks") and not any(np.isnan(size) for size in values.chunks[0])
