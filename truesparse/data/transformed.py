"""A source that transforms training batches, for example shifts images or mixes samples."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from truesparse._typing import IndexArray
from truesparse.data.checks import sound_batch, sound_target
from truesparse.data.source import Source, array_source
from truesparse.network.losses import BatchTarget
from truesparse.network.workspace import Workspace

BatchTransform = Callable[..., Any]
"""``transform(X_batch, rng)`` returns the replacement of a training batch, (n, n_features).

One that changes targets as well is called as ``transform(X_batch, target_batch, rng)`` and returns both. It takes three
arguments, or has an attribute ``changes_targets`` that is true.
"""


class Transformed(Source):
    """Samples of another source, each batch replaced by ``transform(X_batch, rng)``, which may change its copy.

    Parameters
    ----------
    source, transform : Source, BatchTransform
    make_rng : callable
        Returns the random generator of the next batch.
    n_outputs : int, optional
        How many outputs the network has, so that changed classes can be checked. None checks no upper bound.
    """

    def __init__(
        self,
        source: Source,
        transform: BatchTransform,
        make_rng: Callable[[], np.random.Generator],
        n_outputs: int | None = None,
    ):
        self._source, self._transform, self._make_rng = source, transform, make_rng
        self._changes_targets, self._n_outputs = changes_targets(transform), n_outputs
        self._name = f"batch_transform={transform!r}"  # for messages; a repr takes longer than some transforms
        self.n_samples, self.n_features = source.n_samples, source.n_features
        self.dtype, self.is_sparse, self.target = source.dtype, source.is_sparse, source.target
        self.batches, self.order = source.batches, source.order  # type: ignore[method-assign]

    def rows(self, samples: IndexArray) -> Any:
        """Return some rows, transformed; ValueError if the result is of another kind or shape or not finite."""
        return self._batch(samples)[0]

    def read(self, samples: IndexArray, workspace: Workspace) -> None:
        """Put the transformed batch into a workspace."""
        self.read_batch(samples, workspace)

    def read_batch(self, samples: IndexArray, workspace: Workspace) -> BatchTarget:
        """Put the transformed batch into a workspace; return its targets, transformed as well."""
        X, target = self._batch(samples)
        array_source(X).read(np.arange(samples.size), workspace)
        return target

    def _batch(self, samples):
        X, name = self._source.rows(samples), self._name
        target: Any = None if self.target is None else self.target[samples]
        shape, with_target = X.shape, self._changes_targets
        X, changed = apply_transform(self._transform, X, target, self._make_rng(), with_target=with_target)
        X = sound_batch(name, X, shape, self.dtype, is_sparse=self.is_sparse)
        return X, sound_target(name, changed, target, self._n_outputs) if with_target else target


def changes_targets(transform: BatchTransform) -> bool:
    """Return whether a transform says that it changes targets, or has three parameters without defaults."""
    declared = getattr(transform, "changes_targets", None)
    if declared is not None:
        return bool(declared)
    try:
        parameters = inspect.signature(transform).parameters.values()
    except (TypeError, ValueError):  # of some functions written in C
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(one.kind in positional and one.default is one.empty for one in parameters) == 3


def apply_transform(
    transform: BatchTransform, X: Any, target: BatchTarget | None, rng: np.random.Generator, *, with_target: bool
) -> tuple[Any, Any]:
    """Return a transformed batch and its targets; ValueError if a transform `with_target` does not return both."""
    if not with_target:
        return transform(X, rng), target
    returned = transform(X, target, rng)
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        raise ValueError(
            f"batch_transform={transform!r} changes targets, so it must return (X_batch, target_batch), got "
            f"{type(returned).__name__}."
        )
    return returned[0], returned[1]
