"""What the classifier and the regressor share: parameters, their checks, and the way from them to a trainer."""

import copy
import math
import warnings
from abc import abstractmethod
from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from joblib import effective_n_jobs
from scipy.sparse import csc_array, csr_array, issparse
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from truesparse.activations import ACTIVATIONS, Logistic, PiecewiseLinear, Tanh
from truesparse.callbacks import EpochPrinter
from truesparse.evolution import PRESETS, Evolution, preset
from truesparse.initializers import INITIALIZERS, draw
from truesparse.lr_schedules import LEARNING_RATES
from truesparse.network import MLP
from truesparse.optimizers import SGD, Adam
from truesparse.parallelism import threads
from truesparse.randomness import RandomStreams
from truesparse.topology import Pattern
from truesparse.topology.density import erdos_renyi, global_density, layer_shapes
from truesparse.training import Trainer, Validation, forward_all

PARAMETERS_DOC = """Parameters
    ----------
    hidden_layer_sizes : sequence of int, default=(1000, 1000, 1000)
        Units of each hidden layer.
    evolution : {"cte", "ctre_sim", "ctre_seq", "set", "static"}, Evolution or None, default="cte"
        How the topology changes during training: a method's name, a `truesparse.Evolution` with other values or with
        rules of your own, or None for a topology that never changes (as ``"static"``).
    epsilon : float, default=1.0
        A layer gets ``epsilon * (fan_in + fan_out)`` weights, at most all. Not used if `density` is given.
    density : float in (0, 1], default=None
        Stored weights as a share of all pairs, over all layers; spread over them as `epsilon` would.
    drop_fraction : float in [0, 1], default=None
        Share of each layer's weights that an update of the topology replaces; the schedule of the methods anneals it to
        0 at three quarters of the training. None leaves the method's own, 0.3, or 0.5 for ``"ctre_sim"``. Not used if
        the topology never changes.
    update_every : int or "epoch", default=None
        Steps between updates of the topology. None leaves the method's own, 50. Not used if the topology never changes.
    topology_init : {"balanced", "erdos_renyi"}, default="balanced"
        First topology: all units of a side with equally many connections, give or take one, or uniformly random.
    weight_init : {"fan_in", "dense", "glorot"} or object, default="fan_in"
        First weights, uniform in ±bound. ``"fan_in"``: ``0.5 * sqrt(6 / n)`` with the number n of inputs that the unit
        really has. ``"dense"``: ``sqrt(6 / fan_in)``, and ``"glorot"``: ``sqrt(6 / (fan_in + fan_out))``, as if all
        pairs were connected. For other gains, `truesparse.initializers.FanIn`, ``Dense`` or ``Glorot``.
    grow_init : "zeros", float or object, default=None
        Values of grown weights: zero; drawn as first weights are, times this factor; or drawn by an initializer of
        their own. None leaves the method's own, 1.0, or ``"zeros"`` for ``"set"``. Not used if the topology never
        changes.
    activation : {"relu", "leaky_relu", "all_relu", "tanh", "logistic", "identity"} or object, default="relu"
        Of the hidden units; with other slopes from `truesparse.activations`.
    solver : {"adam", "sgd"}, default="adam"
        Adam, or stochastic gradient descent with momentum.
    alpha : float, default=1e-4
        Strength of the L2 penalty ``alpha / 2 * sum(weights**2)``, added to the mean loss of a batch.
    batch_size : int, default=100
        Samples per step, at most all.
    learning_rate : {"constant", "step", "cosine"} or object, default="constant"
        How the learning rate changes over ``max_iter`` epochs: not at all; divided by 10 at one half and at three
        quarters of them; or falling to 0 along half a cosine. For other steps, `truesparse.lr_schedules.Step`.
    learning_rate_init : float, default=0.003
        The learning rate at the start.
    momentum : float in [0, 1), default=0.9
        Only used with ``solver="sgd"``.
    nesterovs_momentum : bool, default=True
        Only used with ``solver="sgd"``.
    dropout : float in [0, 1), default=0.0
        Share of the hidden units that are silenced in each step of training.
    max_iter : int, default=200
        Epochs. The schedules of the topology and of the learning rate are stretched over so many; with ``partial_fit``,
        over so many calls in a row.
    shuffle : bool, default=True
        Whether every epoch takes the samples in a new order.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same bytes, whatever the number of threads.
    tol : float, default=1e-4
        An epoch is an improvement if it is better by more than that.
    verbose : bool, default=False
        Print a line per epoch.
    warm_start : bool, default=False
        Let ``fit`` go on with the network, the moments of the solver and the topology that it left, and with their
        random streams. What shapes the network (``hidden_layer_sizes``, ``epsilon``, ``density``, ``topology_init``,
        ``activation``, ``dtype``) cannot change then, nor in ``partial_fit``.
    early_stopping : bool, default=False
        Set `validation_fraction` of the data aside, stop when its score (that of ``score``: accuracy or R²) has not
        improved for `n_iter_no_change` epochs, and return the network of the best epoch. Has no effect on
        ``partial_fit``. Without it, training stops early when the training loss has not improved for
        `n_iter_no_change` epochs in which no connection was replaced.
    validation_fraction : float in (0, 1), default=0.1
        Only used with ``early_stopping=True``.
    n_iter_no_change : int or inf, default=20
        Epochs without improvement after which training stops.
    n_jobs : int, default=None
        Threads, with joblib's meaning: None is 1 unless a ``joblib.parallel_config`` says otherwise, -1 is all.
    dtype : {"float32", "float64"}, default="float32"
        Of the weights and of all arithmetic.
    """


ATTRIBUTES_DOC = """coefs_ : list of csc_array, (fan_in, fan_out)
        Copies of the weights of every layer; their ``T`` is what the network stores.
    intercepts_ : list of (fan_out,)
        Biases of every layer.
    n_iter_ : int
        Epochs that have been trained.
    loss_curve_ : list of float
        Mean training loss of every epoch.
    history_ : dict of list
        ``epoch``, ``train_loss``, ``validation_loss``, ``validation_score``, ``learning_rate``, ``nnz``,
        ``edges_replaced`` (both per layer) and ``seconds`` of every epoch; ready for ``pandas.DataFrame``. The
        validation's entries are NaN without ``early_stopping``.
    density_ : float
        Stored weights as a share of all pairs.
    n_features_in_ : int
    feature_names_in_ : (n_features,)
        Only if the features have names.
    """


class BaseSparseMLP(BaseEstimator):
    """Parameters, fitting and fitted attributes of both estimators."""

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "evolution": [StrOptions(set(PRESETS)), Evolution, None],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "density": [Interval(Real, 0, 1, closed="right"), None],
        "drop_fraction": [Interval(Real, 0, 1, closed="both"), None],
        "update_every": [Interval(Integral, 1, None, closed="left"), StrOptions({"epoch"}), None],
        "topology_init": [StrOptions({"balanced", "erdos_renyi"})],
        "weight_init": [StrOptions(set(INITIALIZERS)), HasMethods("bounds")],
        "grow_init": [StrOptions({"zeros"}), Interval(Real, 0, None, closed="left"), HasMethods("bounds"), None],
        "activation": [StrOptions(set(ACTIVATIONS)), PiecewiseLinear, Tanh, Logistic],
        "solver": [StrOptions({"adam", "sgd"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions(set(LEARNING_RATES)), HasMethods("factor")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterovs_momentum": ["boolean"],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {math.inf})],
        "n_jobs": [Interval(Integral, None, -1, closed="right"), Interval(Integral, 1, None, closed="left"), None],
        "dtype": [StrOptions({"float32", "float64"})],
    }

    def __init__(
        self,
        hidden_layer_sizes=(1000, 1000, 1000),
        *,
        evolution="cte",
        epsilon=1.0,
        density=None,
        drop_fraction=None,
        update_every=None,
        topology_init="balanced",
        weight_init="fan_in",
        grow_init=None,
        activation="relu",
        solver="adam",
        alpha=1e-4,
        batch_size=100,
        learning_rate="constant",
        learning_rate_init=0.003,
        momentum=0.9,
        nesterovs_momentum=True,
        dropout=0.0,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=20,
        n_jobs=None,
        dtype="float32",
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.evolution = evolution
        self.epsilon = epsilon
        self.density = density
        self.drop_fraction = drop_fraction
        self.update_every = update_every
        self.topology_init = topology_init
        self.weight_init = weight_init
        self.grow_init = grow_init
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.dropout = dropout
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.n_jobs = n_jobs
        self.dtype = dtype

    # What a kind of estimator adds.

    @abstractmethod
    def _encode(self, y, classes, *, first):
        """Check the targets and return what the loss wants; if `first`, set what is learnt from them on the way."""

    @abstractmethod
    def _make_loss(self):
        """The loss for the targets that have been learnt."""

    @abstractmethod
    def _n_outputs(self):
        """Units of the output layer."""

    @abstractmethod
    def _stratify(self, target):
        """What a split must keep the shares of, or None."""

    @abstractmethod
    def _score_predictions(self, predictions, target):
        """The score of predictions (n_outputs, n_samples) against an encoded target; higher is better."""

    # Fitting.

    def _train(self, X, y, *, go_on, n_epochs, classes=None):
        """Check everything, then train; the attributes change only if all of that succeeds."""
        go_on = go_on and hasattr(self, "_network")
        in_parts = n_epochs is not None
        with _unchanged_on_error(self):
            self._refuse_classes()
            shape = self._checked_shape(go_on)
            if issparse(y):
                raise ValueError(f"y must be a dense array, got a sparse one of type {type(y).__name__}.")
            X, y = self._checked(X, y, dtype=self.dtype, reset=not go_on, multi_output=True, y_numeric=self._y_numeric)
            target = self._encode(y, classes, first=not go_on)
            target = target.astype(self.dtype, copy=False) if target.dtype.kind == "f" else target
            validation = None
            seed = self._seed if go_on else int(check_random_state(self.random_state).randint(2**31 - 1))
            if self.early_stopping and not in_parts:
                X, target, validation = self._split(X, target, seed)
            trainer = self._make_trainer(X.shape[1], shape, seed, go_on)
            n_epochs = n_epochs if in_parts else self.max_iter
            done = trainer.state.progress.epoch
            with threads(effective_n_jobs(self.n_jobs)):
                trainer.train(
                    X,
                    target,
                    n_epochs=n_epochs,
                    planned_epochs=self.max_iter if in_parts else None,
                    validation=validation,
                    patience=self.n_iter_no_change,
                    tol=self.tol,
                    callbacks=[EpochPrinter(done + n_epochs)] if self.verbose else [],
                )
            self._seed, self._shape, self._network, self._state = seed, shape, trainer.network, trainer.state
        self._warn_of_what_did_not_happen(trainer, done, in_parts)
        return self

    def _refuse_classes(self):
        """A class has the methods that the constraints ask for, but forgetting to call it is a mistake."""
        for name in ("weight_init", "learning_rate", "grow_init"):
            if isinstance(getattr(self, name), type):
                raise ValueError(f"{name}={getattr(self, name)!r} is a class; an instance of it is allowed.")

    def _checked_shape(self, go_on):
        """The parameters that shape a network, which must be those it was made with if training goes on."""
        hidden = self.hidden_layer_sizes
        hidden = [hidden] if isinstance(hidden, Integral) else list(hidden)
        if not all(isinstance(size, Integral) and not isinstance(size, bool) and size > 0 for size in hidden):
            raise ValueError(f"hidden_layer_sizes={self.hidden_layer_sizes!r} must hold positive integers only.")
        names = ("epsilon", "density", "topology_init", "activation", "dtype")
        shape = {"hidden_layer_sizes": [int(size) for size in hidden]} | {name: getattr(self, name) for name in names}
        if go_on:
            for name, value in shape.items():
                if value != self._shape[name]:
                    raise ValueError(
                        f"{name}={value!r} cannot change while training goes on with a network made with "
                        f"{self._shape[name]!r}; fit with warm_start=False makes a new one."
                    )
        return shape

    def _warn_of_what_did_not_happen(self, trainer, done, in_parts):
        epochs = trainer.state.history[done:]
        evolves = trainer.evolution is not None and any(layer.is_sparse for layer in trainer.network.layers)
        if evolves and not in_parts and not any(sum(record.edges_replaced) for record in epochs):
            warnings.warn(
                f"The topology never changed: no update fell into the {trainer.state.progress.steps_of_plan} steps of "
                "this training. Lower update_every, raise max_iter, or choose evolution='static'.",
                UserWarning,
                stacklevel=5,
            )
        if in_parts and epochs[-1].learning_rate == 0:
            warnings.warn(
                f"The learning rate has fallen to 0, because it was planned for max_iter={self.max_iter} calls of "
                "partial_fit: nothing was learnt. Raise max_iter, or choose learning_rate='constant'.",
                UserWarning,
                stacklevel=5,
            )

    def _make_trainer(self, n_features, shape, seed, go_on):
        streams = RandomStreams(seed)
        initializer = INITIALIZERS[self.weight_init] if isinstance(self.weight_init, str) else self.weight_init
        if go_on:
            network, state = copy.deepcopy(self._network), self._state.copy()
            network.dropout = self.dropout
        else:
            network, state = self._make_network(n_features, shape["hidden_layer_sizes"], initializer, streams), None
        if self.solver == "adam":
            optimizer = Adam(alpha=self.alpha)
        else:
            optimizer = SGD(momentum=self.momentum, nesterov=self.nesterovs_momentum, alpha=self.alpha)
        schedule = self.learning_rate
        return Trainer(
            network,
            self._make_loss(),
            optimizer=optimizer,
            learning_rate=self.learning_rate_init,
            lr_schedule=LEARNING_RATES[schedule] if isinstance(schedule, str) else schedule,
            evolution=self._make_evolution(),
            initializer=initializer,
            batch_size=self.batch_size,
            shuffle=self.shuffle,
            streams=streams,
            state=state,
        )

    def _make_network(self, n_features, hidden, initializer, streams):
        shapes = layer_shapes([n_features, *hidden, self._n_outputs()])
        counts = erdos_renyi(shapes, self.epsilon) if self.density is None else global_density(shapes, self.density)
        balanced = self.topology_init == "balanced"
        patterns = [
            Pattern.sample(shape, nnz, streams("topology", layer), balanced=balanced)
            for layer, (shape, nnz) in enumerate(zip(shapes, counts, strict=True))
        ]
        activation = ACTIVATIONS[self.activation] if isinstance(self.activation, str) else self.activation
        network = MLP.from_patterns(patterns, activation, dropout=self.dropout, dtype=self.dtype)
        for index, (layer, pattern) in enumerate(zip(network.layers, patterns, strict=True)):
            layer.data[:] = draw(initializer, pattern, slice(None), streams("weights", index))
        return network

    def _make_evolution(self):
        evolution = preset(self.evolution) if isinstance(self.evolution, str) else self.evolution
        if evolution is None:
            return None
        for_schedule = {"drop_fraction": self.drop_fraction, "update_every": self.update_every}
        for_schedule = {name: value for name, value in for_schedule.items() if value is not None}
        if for_schedule:
            try:
                evolution = replace(evolution, schedule=replace(evolution.schedule, **for_schedule))
            except TypeError as error:
                raise ValueError(
                    f"{' and '.join(for_schedule)} cannot be set, because the schedule {evolution.schedule!r} has no "
                    "such field; set it in the schedule itself and leave the parameter None."
                ) from error
        return evolution if self.grow_init is None else replace(evolution, grow_init=self.grow_init)

    def _split(self, X, target, seed):
        try:
            X, X_val, target, target_val = train_test_split(
                X, target, test_size=self.validation_fraction, random_state=seed, stratify=self._stratify(target)
            )
        except ValueError as error:
            raise ValueError(
                f"early_stopping=True cannot set validation_fraction={self.validation_fraction!r} of {X.shape[0]} "
                f"samples aside: {error}"
            ) from error
        if X_val.shape[0] < self._fewest_to_score:
            raise ValueError(
                f"validation_fraction={self.validation_fraction!r} sets {X_val.shape[0]} of "
                f"{X.shape[0] + X_val.shape[0]} samples aside; a score needs at least {self._fewest_to_score}."
            )
        return X, target, Validation(X_val, target_val, self._score_predictions)

    def _checked(self, X, *y, dtype, **options):
        """The data, dense and C-contiguous or CSR with sound indices, in the dtype of the network."""
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused as infinite, in words
            checked = validate_data(self, X, *y, accept_sparse="csr", dtype=np.dtype(dtype), order="C", **options)
        X, *y = checked if y else (checked,)
        if issparse(X):
            # Kernels do not check indices, and neither does scikit-learn.
            X = csr_array(X)
            try:
                X.check_format(full_check=True)
            except ValueError as error:
                raise ValueError(f"X is a damaged sparse matrix: {error}") from error
        return X, *y

    # Using what was fitted.

    def _forward(self, X):
        """The last layer's sums, (n_outputs, n_samples), and the loss that turns them into predictions."""
        check_is_fitted(self)
        (X,) = self._checked(X, dtype=self._network.dtype, reset=False)
        with threads(effective_n_jobs(self.n_jobs)):
            return forward_all(self._network, X), self._make_loss()

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_network")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @property
    def coefs_(self):
        """Weights of every layer, csc_array of shape (fan_in, fan_out)."""
        return [csc_array(layer.weight.T, copy=True) for layer in self._fitted("coefs_")._network.layers]

    @property
    def intercepts_(self):
        """Biases of every layer, (fan_out,)."""
        return [layer.bias.copy() for layer in self._fitted("intercepts_")._network.layers]

    @property
    def n_iter_(self):
        """Epochs that have been trained."""
        return self._fitted("n_iter_")._state.progress.epoch

    @property
    def loss_curve_(self):
        """Mean training loss of every epoch."""
        return [record.train_loss for record in self._fitted("loss_curve_")._state.history]

    @property
    def history_(self):
        """What is known of every epoch, as lists of equal length; see `truesparse.training.EpochRecord`."""
        return self._fitted("history_")._state.history.as_dict()

    @property
    def density_(self):
        """Stored weights as a share of all pairs, over all layers."""
        return self._fitted("density_")._network.density

    def _fitted(self, attribute):
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"{type(self).__name__} has no attribute {attribute!r} before it is fitted.")
        return self


@contextmanager
def _unchanged_on_error(estimator):
    """Give an estimator back the attributes it had if what is done to it fails or is interrupted."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
