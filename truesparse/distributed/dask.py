"""One training on the workers of a Dask cluster: a classifier and a regressor for Dask collections.

Samples stay on the workers. The client runs the ordinary training loop, whose epochs consist of rounds
(`truesparse.distributed.dask_rounds`), and sends the network, which is small because it is sparse.
"""

import copy
import inspect
from collections.abc import Callable
from numbers import Integral
from typing import Any, ClassVar, TypeVar

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from truesparse.data.source import Source
from truesparse.distributed.dask_collections import Parts, gathered, is_collection, partitions
from truesparse.distributed.dask_rounds import RoundTrainer
from truesparse.distributed.dask_source import DaskSource
from truesparse.distributed.dask_workers import Workers
from truesparse.estimators.base import BaseSparseNetwork
from truesparse.estimators.classifier import SparseMLPClassifier
from truesparse.estimators.regressor import SparseMLPRegressor
from truesparse.estimators.samples import checked_weights
from truesparse.estimators.sklearn_callbacks import managed
from truesparse.network.losses import Weighted
from truesparse.training.state import Start

Init = TypeVar("Init", bound=Callable[..., Any])

_OWN = ("local_steps", "n_parts", "client")


def _besides_those_of(cls: Any) -> Callable[[Init], Init]:
    """Give an ``__init__`` with keywords of its own the signature that has the parameters of another one as well."""

    def decorate(init):
        parameters = inspect.signature(init).parameters.values()
        own = [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
        init.__signature__ = inspect.Signature([*inspect.signature(cls.__init__).parameters.values(), *own])
        return init

    return decorate


class _OnDask(BaseSparseNetwork):
    """Base of the estimators for Dask collections, which are also the ordinary ones for everything else."""

    _local_class: ClassVar[type]
    _parameter_constraints: ClassVar[dict] = {
        "local_steps": [Interval(Integral, 1, None, closed="left")],
        "n_parts": [Interval(Integral, 1, None, closed="left"), None],
        "client": "no_validation",
    }

    local_steps: int
    n_parts: int | None
    client: Any

    def to_local(self) -> BaseSparseNetwork:
        """Return the ordinary estimator with the same parameters and, if this one is fitted, with its network."""
        parameters = self.get_params(deep=False)
        local = self._local_class(**{name: value for name, value in parameters.items() if name not in _OWN})
        kept = parameters.keys() | managed(self).keys()
        local.__dict__.update({name: value for name, value in vars(self).items() if name not in kept})
        return local

    def _as_stored(self):
        return self.to_local()

    def _make_trainer(self, network, recipe, source, **options):
        return RoundTrainer(network, recipe, source, local_steps=int(self.local_steps), **options)

    def _train(self, X, y, sample_weight, validation_data=None, *, start, classes=None, resume_from=None):
        """Train on the workers that hold the partitions of X."""
        with Workers(self.client) as workers:
            names = self._train_on(workers, X, y, sample_weight, validation_data, start, classes, resume_from)
        if names is not None:
            self.feature_names_in_ = np.asarray(names, dtype=object)
        return self

    def _train_on(self, workers, X, y, sample_weight, validation_data, start, classes, resume_from):
        """Train on these workers; return the names of the features, or None."""
        n_parts = None if self.n_parts is None else int(self.n_parts)
        source, names = self._collected(workers, "", X, y, sample_weight, n_parts)
        if start in (Start.WARM, Start.PART) and hasattr(self, "feature_names_in_"):
            _check_names("X", names, tuple(self.feature_names_in_))
        if validation_data is not None:
            X_val, y_val, weights = validation_data
            if is_collection(X_val):
                aside, names_aside = self._collected(workers, "_val", X_val, y_val, weights, n_parts)
                validation_data = aside, None, None
                _check_names("X_val", names_aside, names)
            elif names is not None and hasattr(X_val, "columns"):
                _check_names("X_val", tuple(X_val.columns), names)
                validation_data = X_val.to_numpy(), y_val, weights
        super()._train(source, None, None, validation_data, start=start, classes=classes, resume_from=resume_from)
        return names

    def _collected(self, workers, suffix, X, y, sample_weight, n_parts):
        """Return the samples of collections with their targets, and the names of the features or None."""
        if isinstance(X, Source) or not is_collection(X):
            raise ValueError(
                f"X{suffix}={type(X).__name__} must be a Dask array or DataFrame, or a list of delayed partitions; for "
                f"other data there is {self._local_class.__name__}."
            )
        if y is None:
            raise ValueError(f"y{suffix}=None: {type(self).__name__} needs targets.")
        parts = Parts.of(workers, f"X{suffix}", X, self.dtype, n_parts)
        of = f"X{suffix}"
        target: Any = gathered(workers, f"y{suffix}", y, parts.sizes, of)
        if sample_weight is not None:
            name = f"sample_weight{suffix}"
            weights = checked_weights(name, gathered(workers, name, sample_weight, parts.sizes, of), len(target))
            target = target if weights is None else Weighted(target, weights)
        return DaskSource(parts, target, self.dtype), parts.names

    def _predicted(self, method: str, X: Any) -> Any:
        """Return what a method of the local estimator predicts: lazily for a Dask collection, at once otherwise."""
        check_is_fitted(self)
        if not is_collection(X):
            return getattr(super(), method)(X)
        return _lazily(self.to_local(), method, X)

    def score(self, X, y, sample_weight=None):
        """Return the accuracy, or R² of a regressor; predictions and `y` are gathered if they are Dask collections."""
        if not is_collection(X):
            return super().score(X, y, sample_weight)
        import dask
        from sklearn.metrics import accuracy_score, r2_score

        values = self.predict(X), y, sample_weight
        computed = dask.compute(*values) if self.client is None else self.client.gather(self.client.compute(values))
        predicted, y, sample_weight = computed
        measure = accuracy_score if is_classifier(self) else r2_score
        return float(measure(y, predicted, sample_weight=sample_weight))

    def __sklearn_clone__(self):
        """Return an unfitted copy with the same client, which cannot be copied."""
        other = BaseEstimator.__sklearn_clone__(copy.copy(self))  # without a client
        other.client = self.client
        return other

    def __getstate__(self):
        return super().__getstate__() | {"client": None}  # a client cannot be pickled


class DaskSparseMLPClassifier(_OnDask, SparseMLPClassifier):
    """A sparse classifier that the workers of a Dask cluster train, on data that no single one of them holds.

    Training is in rounds. In each, every worker trains a copy of the network on its own samples, for `local_steps`
    steps. Then the copies are averaged, each in proportion to its samples. If a worker dies, Dask computes again what
    it held, another worker repeats what it was doing, and the result is the same: it depends on the partitions,
    `n_parts`, `local_steps` and `random_state`, not on which worker does what.

    Parameters
    ----------
    hidden_layer_sizes, evolution, … : as for `truesparse.SparseMLPClassifier`
        `batch_size` counts the samples of a step over all parts, each of which takes as many. `n_jobs` is the number
        of threads of each worker. ``max_iter=None`` means 200. Callbacks are called in the client, ``on_step``
        after each round.
    local_steps : int, default=250
        Steps between two averages, at most an epoch. Fewer make the parts agree more, and cost more messages: a round
        takes some 20 ms besides its steps. The topology is updated between rounds, at the very steps that the schedule
        says.
    n_parts : int or None, default=None
        In how many parts the samples are trained on side by side, each a group of consecutive partitions with about
        equally many rows. None is the number of workers when ``fit`` begins. Give a number to get the same network from
        clusters of different sizes, or to resume on another one.
    client : dask.distributed.Client, default=None
        None is the client that was made last.

    Attributes
    ----------
    classes_, coefs_, history_, … : as for `truesparse.SparseMLPClassifier`

    See Also
    --------
    truesparse.distributed.fit_mpi : the same by MPI, with an average of gradients in every step

    Notes
    -----
    ``fit``, ``partial_fit`` and ``score`` take a Dask array, a Dask DataFrame or a list of delayed partitions as `X`.
    Chunks are arrays, SciPy sparse matrices or DataFrames. `y` and `sample_weight` are Dask collections or local
    arrays; they are gathered in the client. `X_val` is a collection or a local array. A partition may be empty, but
    must have the same rows whenever Dask computes it.

    Rows reach the client only where few are needed: those that a rule of evolution draws (up to 64 MiB; of more, sums
    are computed on the workers), those that ``topology_init="snip"`` looks at, and validation data for a `scoring`
    other than the loss. A `truesparse.callbacks.Checkpoint` reads all rows once, a few at a time.

    Predictions of a Dask collection are lazy Dask arrays; those of local data are arrays.

    Examples
    --------
    >>> import dask.array as da
    >>> from dask.distributed import Client
    >>> from sklearn.datasets import load_digits
    >>> from truesparse.distributed import DaskSparseMLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X, y = da.from_array(X / 16, chunks=(300, -1)), da.from_array(y, chunks=300)
    >>> with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None):
    ...     model = DaskSparseMLPClassifier((100,), epsilon=5, max_iter=20, random_state=0).fit(X, y)
    ...     score = model.score(X, y)
    ...     predictions = model.predict(X)  # not computed yet
    >>> score > 0.9
    True
    >>> predictions
    dask.array<concatenate, shape=(1797,), dtype=int64, chunksize=(300,), chunktype=numpy.ndarray>
    >>> model.to_local()
    SparseMLPClassifier(epsilon=5, hidden_layer_sizes=(100,), max_iter=20,
                        random_state=0)
    """

    _local_class = SparseMLPClassifier
    _parameter_constraints: ClassVar[dict] = SparseMLPClassifier._parameter_constraints | _OnDask._parameter_constraints

    @_besides_those_of(SparseMLPClassifier)
    def __init__(self, *args, local_steps=250, n_parts=None, client=None, **parameters):
        super().__init__(*args, **parameters)
        self.local_steps = local_steps
        self.n_parts = n_parts
        self.client = client

    def predict(self, X):
        """Return the most probable class, or the labels more probable than not; lazily for a Dask collection."""
        return self._predicted("predict", X)

    def predict_proba(self, X):
        """Return the probabilities of the classes, or of each label; lazily for a Dask collection."""
        return self._predicted("predict_proba", X)

    def predict_log_proba(self, X):
        """Return logarithms of `predict_proba` in float64; lazily for a Dask collection."""
        return self._predicted("predict_log_proba", X)

    def decision_function(self, X):
        """Return the last layer's sums, as the ordinary classifier does; lazily for a Dask collection."""
        return self._predicted("decision_function", X)


class DaskSparseMLPRegressor(_OnDask, SparseMLPRegressor):
    """A sparse regressor that is trained by the workers of a Dask cluster: see `DaskSparseMLPClassifier`.

    Parameters
    ----------
    hidden_layer_sizes, evolution, … : as for `truesparse.SparseMLPRegressor`
    local_steps, n_parts, client : as for `DaskSparseMLPClassifier`

    Attributes
    ----------
    target_mean_, coefs_, history_, … : as for `truesparse.SparseMLPRegressor`

    Examples
    --------
    >>> import dask.array as da
    >>> from dask.distributed import Client
    >>> from sklearn.datasets import make_friedman1
    >>> from truesparse.distributed import DaskSparseMLPRegressor
    >>> X, y = make_friedman1(800, random_state=0)
    >>> X, y = da.from_array(X, chunks=(200, -1)), da.from_array(y, chunks=200)
    >>> with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None):
    ...     score = DaskSparseMLPRegressor((100,), epsilon=5, max_iter=40, random_state=0).fit(X, y).score(X, y)
    >>> score > 0.7
    True
    """

    _local_class = SparseMLPRegressor
    _parameter_constraints: ClassVar[dict] = SparseMLPRegressor._parameter_constraints | _OnDask._parameter_constraints

    @_besides_those_of(SparseMLPRegressor)
    def __init__(self, *args, local_steps=250, n_parts=None, client=None, **parameters):
        super().__init__(*args, **parameters)
        self.local_steps = local_steps
        self.n_parts = n_parts
        self.client = client

    def predict(self, X):
        """Return the outputs in float64, (n_samples,) or (n_samples, n_outputs); lazily for a Dask collection."""
        return self._predicted("predict", X)


def _check_names(what, found, expected):
    if found != expected and not (found is None or expected is None):
        raise ValueError(f"{what} has the features {found!r:.200}, but the network is made for {expected!r:.200}.")


def _lazily(local, method, X):
    """Return the predictions for a collection as a Dask array, a chunk for each partition."""
    import dask.array
    from dask import delayed

    model = delayed(local)
    one = _of_nothing(local, method, 1)
    blocks = partitions("X", X)
    lengths = X.chunks[0] if hasattr(X, "chunks") else [np.nan] * len(blocks)
    made = [
        dask.array.from_delayed(delayed(_predict)(model, method, block), (length, *one.shape[1:]), dtype=one.dtype)
        for block, length in zip(blocks, lengths, strict=True)
    ]
    return dask.array.concatenate(made, allow_unknown_chunksizes=True)


def _predict(model, method, block):
    """Return the predictions for a partition, which may be empty."""
    return getattr(model, method)(block) if block.shape[0] else _of_nothing(model, method, 0)


def _of_nothing(model, method, n):
    """Return predictions of the right shape and dtype for `n` samples, 0 or 1."""
    nameless = copy.copy(model)
    nameless.__dict__.pop("feature_names_in_", None)
    return getattr(nameless, method)(np.zeros((1, model.n_features_in_)))[:n]
