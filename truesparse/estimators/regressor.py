"""A sparse multilayer perceptron for regression."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils.validation import column_or_1d

from truesparse._typing import FloatArray
from truesparse.estimators.base import BaseSparseNetwork
from truesparse.estimators.parameters import Named, explained
from truesparse.estimators.target_scale import FirstTargets, learn_scaling, must_change, rescale
from truesparse.kernels.update import all_finite
from truesparse.network.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy, values_and_weights
from truesparse.runtime.plugins import names, resolve
from truesparse.storage import ModelFormatError, decode, encode
from truesparse.storage.head import Head
from truesparse.training.state import Start


class SparseMLPRegressor(RegressorMixin, BaseSparseNetwork):
    """A regressor whose network is sparse from the first to the last step of its training.

    It predicts one or several outputs. `score` is R² for every `loss`.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default=(1000, 1000, 1000)
        Units of each hidden layer. None takes them from a `topology_init` that tells them, as `LocalFields` does.
    evolution : str, Evolution or None, default="cte"
        How the topology changes during training. Each update drops a share of the weakest connections and grows as
        many: ``"cte"`` between units with similar activations, ``"set"`` at random, ``"rigl"`` where the gradient is
        largest, ``"omp"`` where an input explains most of an error. Other methods are ``"ctre_sim"``, ``"ctre_seq"``,
        ``"gse"``, ``"cht"``, ``"chts"``, ``"path_weight"`` and ``"sensitivity"``. ``"static"`` and None leave the
        topology as it is. A `truesparse.Evolution` has other values, or rules of your own.
    epsilon, density : float, default=None
        A layer gets ``epsilon * (fan_in + fan_out)`` connections, at most all. `density`, in (0, 1], instead gives
        their share of all pairs over all layers, divided in the same way. Without both, `epsilon` is 1. (Adam's
        constant, which MLPClassifier calls epsilon, is ``solver=truesparse.training.Adam(eps=1e-8)``.)
    drop_fraction : float in [0, 1], default=None
        Share of each layer's connections that an update replaces. None means the method's own: 0.3 (0.5 for
        ``"ctre_sim"``), annealed to 0 at three quarters of the training.
    update_every : int, "epoch" or "auto", default=None
        Steps between updates. ``"auto"``, which None means for all methods, divides the planned steps by 80, but takes
        no fewer than 25.
    topology_init : {"balanced", "erdos_renyi", "snip", "full"} or object, default="balanced"
        The first topology. ``"balanced"`` gives all units of a side equally many connections, give or take one.
        ``"erdos_renyi"`` draws them uniformly. ``"snip"`` takes those that matter most to the loss of a dense network,
        judged by some of the samples: that costs a few dense steps in time, but no dense array. ``"full"`` stores all
        connections. An object is a grow rule that fills empty layers, such as `truesparse.evolution.SNIP` with other
        values, `truesparse.evolution.Given`, your own, or `truesparse.topology.LocalFields`, windows of images.
    activation : {"relu", "leaky_relu", "all_relu", "tanh", "logistic", "srelu", "identity"} or object, default=None
        Activation of the hidden units. The default depends on the method: ``"relu"`` for growth by similarity,
        ``"all_relu"``, whose units never fall silent, for all others. Other slopes: `truesparse.network.activations`.
    weight_init : {"fan_in", "dense", "glorot"} or object, default=None
        First weights, uniform in ±bound. The bound is ``0.5 * sqrt(6 / n)`` for ``"fan_in"``, where n counts the unit's
        own connections, ``sqrt(6 / fan_in)`` for ``"dense"`` and ``sqrt(6 / (fan_in + fan_out))`` for ``"glorot"``.
        The default depends on the method: ``"fan_in"``, twice as large for ``"set"``, ``"static"`` and full networks.
        Other gains: `truesparse.network.initial_weights`.
    dropout : float in [0, 1), default=None
        Share of the hidden units that are silenced in each step. None means 0.1 for classification and 0 for
        regression, where the noise costs accuracy.
    solver : {"adam", "sgd"} or object, default="adam"
        Adam, or SGD with Nesterov momentum 0.9; `truesparse.training.Adam` and `truesparse.training.SGD` have others.
    alpha : float, default=1e-4
        Strength of the L2 penalty ``alpha / 2 * sum(weights**2)``, which is added to the mean loss of a batch.
    batch_size : int, default=32
        Samples per step, at most all.
    learning_rate : {"constant", "step", "linear", "cosine", "warm_up"} or object, default="cosine"
        How the learning rate changes over ``max_iter`` epochs: not at all; divided by 10 at one half and at three
        quarters; to 0 along a line or half a cosine; a cosine after a rise. See `truesparse.training.lr_schedules`.
    learning_rate_init : float, default=0.006
        The learning rate at the start.
    batch_transform : callable, default=None
        ``batch_transform(X_batch, rng)`` returns a replacement of a copy of a training batch (n, n_features), dense or
        CSR like the data: see `truesparse.transforms`. With three arguments, ``(X_batch, target_batch, rng)``, it
        returns both. Neither validation data nor the samples that rules of evolution look at are transformed.
    max_iter : int or None, default=None
        Epochs that the schedules of the topology and the learning rate are planned for; calls of ``partial_fit``. None
        means 25, 50, 100 or 200, whichever suits the data: of 50 to 10,000 samples, networks of two halves judge each
        other first (see `truesparse.estimators.epochs`). For classification, they also tell the temperature that makes
        probabilities as sure as they should be. That takes up to twice as long as the training itself. None means 200
        for other numbers of samples, a source, a class with a single sample, `early_stopping`, ``partial_fit``, and a
        `warm_start` of a fitted network.
    shuffle : bool, default=True
        Whether every epoch takes the samples in a new order.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same bytes for any number of threads, and for dense and sparse `X` of the same numbers,
        these only within rounding if the first layer is full and has at least 64 units and features (BLAS computes it).
    tol : float, default=1e-4
        The smallest improvement of an epoch that counts.
    verbose : int or bool, default=0
        0 is silent. 1 shows a progress bar if rich is installed and the output is a terminal that nothing else draws
        on, and otherwise prints a line per epoch. 2 always prints lines.
    warm_start : bool, default=False
        Let ``fit`` continue with the network, moments and random streams of the last one. Then, and in ``partial_fit``,
        `hidden_layer_sizes`, `epsilon`, `density`, `topology_init`, `activation` and `dtype` cannot change.
    early_stopping : bool, default=False
        If True, set `validation_fraction` of the data aside, unless ``fit`` is given validation data; stop when their
        loss has not improved by more than `tol` for `n_iter_no_change` epochs, and keep the network of the best epoch.
        For classification, 50 or more of these samples also tell the temperature, unless `scoring` is another than the
        loss. Not used by ``partial_fit``. If False, stop when the training loss has not improved by more than `tol` for
        `n_iter_no_change` epochs in which no connection was replaced.
    scoring : str, callable or None, default=None
        Scorer of the validation data or its name, or ``"loss"`` for minus their loss, which decides when to stop and is
        in `history_`. None means that the loss decides, and that accuracy or R² is in `history_`.
    validation_fraction : float in (0, 1), default=0.1
        Share of the training data that `early_stopping` sets aside.
    n_iter_no_change : int or inf, default=20
        Epochs without improvement after which training stops.
    n_jobs : int, default=None
        The most threads that may be used, as in joblib: None is 1 unless a ``joblib.parallel_config`` says otherwise,
        -1 is all; at most ``NUMBA_NUM_THREADS``. Where they would cost more than they save, one is used: ``summary()``
        says from which batch size on they help. In a search that has `n_jobs` itself, leave None here. A process that
        was forked from one with several threads raises a RuntimeError for more than one: start it by "loky", "spawn" or
        "forkserver".
    dtype : {"float32", "float64"}, default="float32"
        Type of the weights and of all arithmetic.
    callbacks : list, default=None
        Objects that watch the training, see `truesparse.callbacks`; those of scikit-learn go into ``set_callbacks``.
    loss : {"squared_error", "absolute_error", "huber", "poisson"} or Huber, default="squared_error"
        The training loss, a sum over the outputs. ``"squared_error"`` (halved) fits means, ``"absolute_error"``
        medians, ``"huber"`` means when some targets are outliers (other thresholds: `truesparse.network.losses.Huber`),
        ``"poisson"`` counts: half the Poisson deviance, with exp as the last activation. Cannot change while training
        goes on.

    Attributes
    ----------
    target_mean_, target_scale_ : (n_outputs,) float64
        Mean and standard deviation of the first training targets, by which they are standardised for training and for
        the losses in `history_`; predictions are scaled back. ``"huber"`` and ``"absolute_error"`` take the median and
        1.4826 times the median absolute deviation from it, ``"poisson"`` 0 and the mean. The scale of a constant
        output is 0: the constant is predicted.
    coefs_, intercepts_ : list of csc_array (fan_in, fan_out), list of (fan_out,)
        Copies of the weights and biases of every layer; the network stores ``coefs_[l].T``.
    feature_importances_ : (n_features,)
        Sum of every feature's absolute weights in the first layer, as a share of all: they add up to 1, or to 0 if all
        weights are zero. Compare only features of about equal scale: a feature in smaller units needs smaller weights.
        Importances are more reliable after more updates of the topology. A high value means that the network uses the
        feature. A correlated feature might do as well, and the sign of the effect is not shown.
    activation_params_ : list of (n_params, n_units)
        Learnt parameters of every hidden layer's activation. For ``"srelu"``: left threshold, left slope, distance of
        the thresholds and right slope. Other activations have none.
    n_iter_, loss_curve_ : int, list of float
        Epochs that have been trained, and the mean training loss of each.
    loss_, best_loss_ : float
        Mean training loss of the last epoch, and the lowest of all epochs.
    validation_scores_, best_validation_score_ : list of float, float
        Validation score of every epoch, and the highest one. Only with validation data, also those that
        `early_stopping` sets aside.
    best_epoch_ : int
        Epoch of the last ``fit``, counted from 1 over all fits, with the lowest validation loss, or with the best score
        if `scoring` is given. With `early_stopping`, the network is that of this epoch, unless units were removed
        later. Only with validation data.
    n_layers_, n_outputs_, out_activation_ : int, int, str
        Layers of units, the inputs and the outputs included; output units; their activation.
    n_parameters_ : int
        Stored numbers that are trained: weights, biases and what activations learn.
    history_ : dict of list
        ``epoch``, ``train_loss``, ``validation_loss``, ``validation_score``, ``learning_rate``, ``nnz``,
        ``edges_replaced`` (both per layer) and ``seconds`` of every epoch; ready for ``pandas.DataFrame``. Validation
        entries are NaN without validation data.
    density_, weight_steps_ : float, int
        Connections as a share of all pairs; the number of weights, added up over all steps of the training.
    n_features_in_, feature_names_in_ : int, (n_features,), names only if the features have some

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from truesparse import SparseMLPRegressor
    >>> X, y = make_friedman1(500, random_state=0)
    >>> regressor = SparseMLPRegressor((200, 200), epsilon=5, random_state=0).fit(X[:400], y[:400])
    >>> regressor.score(X[400:], y[400:]) > 0.7
    True
    """

    _y_numeric = True
    _fewest_to_score = 2  # R² compares with the mean
    _first_targets: FirstTargets | None = None  # while the scale may change
    target_mean_: FloatArray
    target_scale_: FloatArray

    _parameter_constraints: ClassVar[dict] = {**BaseSparseNetwork._parameter_constraints, "loss": [Named("loss"), Loss]}

    @explained
    def __init__(
        self,
        hidden_layer_sizes=(1000, 1000, 1000),
        *,
        evolution="cte",
        epsilon=None,
        density=None,
        drop_fraction=None,
        update_every=None,
        topology_init="balanced",
        activation=None,
        weight_init=None,
        dropout=None,
        solver="adam",
        alpha=1e-4,
        batch_size=32,
        learning_rate="cosine",
        learning_rate_init=0.006,
        batch_transform=None,
        max_iter=None,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=0,
        warm_start=False,
        early_stopping=False,
        scoring=None,
        validation_fraction=0.1,
        n_iter_no_change=20,
        n_jobs=None,
        dtype="float32",
        callbacks=None,
        loss="squared_error",
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.evolution = evolution
        self.epsilon = epsilon
        self.density = density
        self.drop_fraction = drop_fraction
        self.update_every = update_every
        self.topology_init = topology_init
        self.activation = activation
        self.weight_init = weight_init
        self.dropout = dropout
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.batch_transform = batch_transform
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.scoring = scoring
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.n_jobs = n_jobs
        self.dtype = dtype
        self.callbacks = callbacks
        self.loss = loss

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch over the given samples, and return the estimator.

        Topology, moments and schedules, which are planned for `max_iter` calls, go on from call to call. Rules of
        evolution look at the samples of the call. A ValueError is raised as by `fit`.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`, but weights are factors of each sample's loss. The scale of the targets may change until 100
            have been seen, so a stream can begin with a single row; predictions do not jump when it does.
        """
        return self._train(X, y, sample_weight, start=Start.PART)

    def predict(self, X):
        """Return the outputs in float64, (n_samples,), or (n_samples, n_outputs) if there are several."""
        predictions = self._forward(X, self._outputs)
        return predictions[0] if self._single_output else np.ascontiguousarray(predictions.T)

    def _outputs(self, z):
        return self._loss.predictions(z) * self.target_scale_[:, None] + self.target_mean_[:, None]

    def _encode(self, y, weights, classes, *, first):
        if classes is not None:
            raise ValueError("The classes of a source are for classification; a regressor has none.")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        loss = resolve("loss", self.loss)
        if isinstance(loss, SoftmaxCrossEntropy | BinaryCrossEntropy):
            raise ValueError(f"loss={loss!r} is for classification; {names('loss')} or a Loss of your own are allowed.")
        columns = y.reshape(-1, n_outputs).astype(np.float64, copy=False)
        if first:
            self._single_output, self._loss = y.ndim == 1, loss
        elif (y.ndim == 1) != self._single_output or n_outputs != self.target_mean_.size:
            raise ValueError(f"y has {n_outputs} outputs, but the network was made for {self.target_mean_.size}.")
        elif loss != self._loss:
            raise ValueError(
                f"loss={self.loss!r} cannot change while training goes on with a network made with {self._loss!r}; fit "
                "with warm_start=False makes a new one."
            )
        if loss.not_below_0 and columns.min() < 0:
            raise ValueError(f"loss={self.loss!r} needs numbers that are not below 0 in y, got {columns.min():g}.")
        with np.errstate(over="ignore", invalid="ignore"):  # an overflow is refused as infinite below
            if first:
                seen = FirstTargets(columns, np.ones(len(columns)) if weights is None else weights)
                self.target_mean_, self.target_scale_ = learn_scaling(loss, seen.values, seen.weights)
                self._first_targets = seen.to_keep(self.target_scale_)
            unit, shift = self._units()
            values = columns - shift
            values /= unit
            values = values.astype(self.dtype, copy=False)
        if not (all_finite(values.reshape(-1)) and all_finite(self.target_scale_)):
            raise ValueError(f"y must hold numbers that dtype={self.dtype!r} can, got {y.min()} to {y.max()}.")
        return values

    def _units(self):
        """Return scale and shift of encoded targets: those of predictions, but no scale is 0."""
        constant = self.target_scale_ == 0
        unit = np.where(constant, np.abs(self.target_mean_), self.target_scale_)
        shift = np.where(constant & self._loss.not_below_0, 0.0, self.target_mean_)
        return np.where(unit > 0, unit, 1.0), shift

    def _settled(self, samples):
        if self._first_targets is None:
            return samples
        columns = samples.y.reshape(-1, self.target_mean_.size).astype(np.float64, copy=False)
        weights = np.ones(samples.size) if samples.weights is None else samples.weights
        seen, old = self._first_targets.followed_by(columns, weights), (self.target_mean_, self.target_scale_)
        new = learn_scaling(self._loss, seen.values, seen.weights)
        changes = must_change(old, new)
        if self._first_targets.are_enough:
            changes &= old[1] == 0
        new = np.where(changes, new[0], old[0]), np.where(changes, new[1], old[1])
        self._first_targets = seen.to_keep(new[1])
        if not changes.any():
            return samples
        self._run = self._run.copy()
        rescale(self._run.network, self._loss, old, new)
        self._run.state.optimizer_state.clear()  # moments in the old units, without which they start anew
        self.target_mean_, self.target_scale_ = new
        y = columns[:, 0] if self._single_output else columns
        return replace(samples, values=self._encode(y, None, None, first=False))

    def _make_loss(self):
        return self._loss

    def _head(self):
        return Head(
            self._loss.out_activation,
            scale=self.target_scale_,
            shift=self.target_mean_,
            single_output=self._single_output,
        )

    def _n_outputs(self):
        return self.target_mean_.size

    def _store_learnt(self):
        metadata = {"single_output": self._single_output, "loss": encode(self._loss, "loss")}
        arrays = {"target_mean": self.target_mean_, "target_scale": self.target_scale_}
        if self._first_targets is not None:
            arrays |= {f"first_targets.{name}": array for name, array in vars(self._first_targets).items()}
        return metadata, arrays

    def _restore_learnt(self, section, arrays):
        self._single_output = section.take("single_output", bool)
        self._loss = decode(section.take("loss", dict), "loss")
        if not isinstance(self._loss, Loss):
            raise ModelFormatError(f"loss={self._loss!r:.100} is no loss of a regressor.")
        dtype = np.dtype("float64")
        self.target_mean_ = arrays.numbers("target_mean", dtype, (None,))
        self.target_scale_ = arrays.numbers("target_scale", dtype, self.target_mean_.shape)
        if self.target_mean_.size < 1 or (self._single_output and self.target_mean_.size > 1):
            raise ModelFormatError(f"target_mean has {self.target_mean_.size} entries.")
        if not (self.target_scale_ >= 0).all():
            raise ModelFormatError("target_scale must hold numbers that are not below 0.")
        if arrays.has("first_targets.values"):
            values = arrays.numbers("first_targets.values", dtype, (None, self.target_mean_.size))
            weights = arrays.numbers("first_targets.weights", dtype, (len(values),))
            if not (weights >= 0).all() or not weights.any():
                raise ModelFormatError("first_targets.weights must hold numbers that are not below 0, and one above.")
            self._first_targets = FirstTargets(values, weights)
        section.close()

    def _score_predictions(self, predictions, target):
        from sklearn.metrics import r2_score

        values, weights = values_and_weights(target)
        unit, shift = self._units()
        exact = (self.target_mean_ - shift) / unit  # of constant outputs, whatever the network's sums are
        return r2_score(values, np.where(self.target_scale_ > 0, predictions.T, exact), sample_weight=weights)
