"""One training on several processes that talk by MPI (mpi4py).

Each process, a rank, holds a part of the samples. In every step, each computes the gradient of its part of the batch,
and the gradients are added up: one message with a number for each stored weight, which is small because the network is
sparse. Then all make the same step. Updates of the topology draw the same random numbers everywhere and look at sums
over all samples, so that all ranks choose the same connections without sending them.
"""

import json
import os
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import _fit_context, clone
from sklearn.utils import check_random_state

from truesparse.data.shard import Shard
from truesparse.data.source import Source
from truesparse.distributed.ranks import Ranks
from truesparse.estimators.base import BaseSparseNetwork, unchanged_on_error
from truesparse.estimators.resnet_classifier import SparseResNetClassifier
from truesparse.estimators.samples import check_together, checked_weights
from truesparse.network.losses import Weighted, values_and_weights
from truesparse.storage import encode
from truesparse.training.state import Start


def fit_mpi(
    model: BaseSparseNetwork,
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    comm: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    sample_weight_val: Any = None,
    resume_from: str | os.PathLike | None = None,
) -> BaseSparseNetwork:
    """Train one network on the samples of all MPI processes, and return the model, which is the same in all of them.

    All ranks call this with equal models, each with its own samples. The training is that of one process with all
    samples, in the order of the ranks, but for rounding and for which samples make up a batch (see
    `truesparse.data.Shard`). Batches do not depend on the number of ranks, so a checkpoint can go on with another one.

    Parameters
    ----------
    model : SparseMLPClassifier or SparseMLPRegressor
        `batch_size` counts the samples of a step over all ranks. `callbacks` and `verbose` are those of rank 0: other
        ranks call none. ``max_iter=None`` means 200. Each rank uses `n_jobs` threads.
    X, y, sample_weight : as for ``fit``, or a Source as `X`
        The samples of this rank, at least one. A rank may lack some classes, and may have more samples than others; all
        wait for the slowest in every step. The targets of all samples are sent to every rank.
    comm : mpi4py.MPI.Comm, default=None
        The processes that take part. None is ``MPI.COMM_WORLD``.
    X_val, y_val, sample_weight_val : as for ``fit``
        This rank's part of the validation data. If `scoring` is the name of a scorer or a function, every rank gets all
        of them, and computes the score.
    resume_from : path, default=None
        A checkpoint, which rank 0 reads.

    Raises
    ------
    ValueError
        In all ranks, if the arguments of one are unsuitable, or if models, numbers of features, dtypes, or kinds of
        targets differ. The model is unchanged.
    RuntimeError
        In the other ranks, if one fails while it trains; or in all, if their networks are no longer the same.

    Examples
    --------
    With one process; ``mpiexec -n 4 python program.py`` starts four, each of which would read its own part of the data:

    >>> from sklearn.datasets import load_iris
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.distributed import fit_mpi
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SparseMLPClassifier((20,), epsilon=5, max_iter=50, random_state=0)
    >>> fit_mpi(model, X, y).score(X, y) > 0.9
    True
    """
    with Ranks(comm) as ranks:
        with ranks.agree():
            if not isinstance(model, BaseSparseNetwork):
                raise ValueError(f"model={model!r} must be a SparseMLPClassifier or a SparseMLPRegressor.")
            if isinstance(model, SparseResNetClassifier):
                raise ValueError(
                    f"model={model!r} has batch norms, whose mean and variance would be those of one process; only a "
                    "SparseMLPClassifier or a SparseMLPRegressor trains on several."
                )
            check_together(X_val, y_val, sample_weight_val)
            parameters = _parameters_in_words(model)
        ranks.check_equal("the parameters", parameters)
        ranks.check_equal("X_val", "given" if X_val is not None else "None")
        ranks.check_equal("resume_from", "given" if resume_from is not None else "None")
        with unchanged_on_error(model):
            source, names = _shared(ranks, model, "", X, y, sample_weight)
            validation = None
            if X_val is not None:
                validation = (_shared(ranks, model, "_val", X_val, y_val, sample_weight_val)[0], None, None)
            start = Start.RESUMED if resume_from is not None else Start.WARM if model.warm_start else Start.NEW
            with (
                ranks.file_of_root(resume_from) as path,
                _as_rank(ranks, model, path is not None),
                ranks.failing_together(),
            ):
                _fit(model, source, validation, start, path)
            if names is not None:
                model.feature_names_in_ = names
    return model


class _Elsewhere:
    """Stands for a callback that rank 0 calls."""

    def on_fit_end(self) -> None:
        """Do nothing."""


class _WriterElsewhere(_Elsewhere):
    """Stands for a callback that writes checkpoints, so that all ranks take part in the fingerprint of the data."""

    def on_fit_begin(self, write_checkpoint: Callable) -> None:
        """Do nothing."""


def _parameters_in_words(model):
    """Return the parameters that must be equal, as JSON."""
    left_out = ("callbacks", "verbose", "n_jobs", "random_state")
    parameters = {name: value for name, value in model.get_params(deep=False).items() if name not in left_out}
    return json.dumps([type(model).__name__, {name: encode(value, name) for name, value in parameters.items()}])


def _shared(ranks, model, suffix, X, y, sample_weight):
    """Return the samples of all ranks with their targets, and the names of the features or None."""
    checked = clone(model)  # which learns the number and names of the features
    with ranks.agree():
        if isinstance(X, Source):
            if y is not None or sample_weight is not None:
                raise ValueError(f"y{suffix} and sample_weight{suffix} must be None where X{suffix} is a Source.")
            y, sample_weight = values_and_weights(X.target) if X.target is not None else (None, None)
        source, y = checked._checked_source(X, y, first=True)
        weights = checked_weights(f"sample_weight{suffix}", sample_weight, source.n_samples)
    names = getattr(checked, "feature_names_in_", None)
    of = f" of X{suffix}"
    ranks.check_equal(f"the number of features{of}", str(source.n_features))
    ranks.check_equal(f"the kind{of}", "sparse" if source.is_sparse else "dense")
    ranks.check_equal(f"the names of the features{of}", "none" if names is None else str(names.tolist()))
    ranks.check_equal(f"the shape of a target y{suffix}", str(y.shape[1:]))
    ranks.check_equal(f"the kind of y{suffix}", "numbers" if y.dtype.kind in "biuf" else "texts or objects")
    sizes, y = ranks.all_of(source.n_samples), np.concatenate(ranks.all_of(y))
    target = y
    all_weights = ranks.all_of(weights)
    if any(given is not None for given in all_weights):
        parts = [np.ones(size) if given is None else given for given, size in zip(all_weights, sizes, strict=True)]
        target = Weighted(y, np.concatenate(parts))
    first = sum(sizes[: ranks.rank])
    return Shard(source, first=first, n_samples=sum(sizes), target=target, reduce=ranks.add_up), names


@contextmanager
def _as_rank(ranks, model, resumes):
    """Give the model rank 0's random numbers for a ``with`` block; only there has it callbacks and a display."""
    state, writers = model.random_state, [hasattr(callback, "on_fit_begin") for callback in model.callbacks or ()]
    if not (resumes or isinstance(state, Integral)):
        state = check_random_state(state)
    state, writers = ranks.of_root((state, writers))
    if ranks.rank == 0:
        yield
        return
    before = vars(model).copy()
    model.random_state, model.verbose = state, 0
    model.callbacks = [_WriterElsewhere() if writes else _Elsewhere() for writes in writers]
    vars(model).pop("_skl_callbacks", None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rank 0 warns
            yield
    finally:
        for name in ("random_state", "verbose", "callbacks", "_skl_callbacks"):
            if name in before:
                setattr(model, name, before[name])


@_fit_context(prefer_skip_nested_validation=True)  # for callbacks of scikit-learn
def _fit(model, source, validation, start, path):
    model._train(source, None, None, validation, start=start, resume_from=path)
