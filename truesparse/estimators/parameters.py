"""The parameters of both estimators: what they mean, what is allowed, and their defaults."""

import inspect
import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions

from truesparse.evolution import PRESETS, Evolution, ImportancePruning
from truesparse.evolution.snip import SNIP
from truesparse.network.activations import Activation
from truesparse.network.initial_weights import INITIALIZERS
from truesparse.runtime.plugins import names
from truesparse.training.lr_schedules import LEARNING_RATES

PARAMETERS_DOC = """Parameters
    ----------
    hidden_layer_sizes : sequence of int, default=(1000, 1000, 1000)
        Units of each hidden layer.
    evolution : str, Evolution or None, default="cte"
        How the topology changes during training: a method's name, ``"cte"``, ``"ctre_sim"``, ``"ctre_seq"``, ``"omp"``,
        ``"rigl"``, ``"gse"``, ``"path_weight"``, ``"sensitivity"``, ``"set"`` or ``"static"``; a
        `truesparse.Evolution` with other values or with rules of your own; or None for a topology that never changes
        (as ``"static"``). ``"snip"`` is static with the first topology of ``topology_init="snip"``; ``"dense"`` stores
        all weights, whatever `epsilon` and `topology_init` say, and refuses a `density` below 1.
    epsilon : float, default=1.0
        A layer gets ``epsilon * (fan_in + fan_out)`` weights, at most all. Not used if `density` is given.
    density : float in (0, 1], default=None
        Stored weights as a share of all pairs, over all layers; spread over them as `epsilon` would.
    drop_fraction : float in [0, 1], default=None
        Share of each layer's weights that an update of the topology replaces; the schedule of the methods anneals it to
        0 at three quarters of the training. None leaves the method's own, 0.3, or 0.5 for ``"ctre_sim"``. Not used if
        the topology never changes.
    update_every : int or "epoch", default=None
        Steps between updates of the topology. None leaves the method's own, 150. Not used if the topology never
        changes.
    topology_init : {"balanced", "erdos_renyi", "snip"} or SNIP, default="balanced"
        First topology: all units of a side with equally many connections, give or take one; uniformly random; or those
        that matter most to the loss of a dense network before training, judged by some of the samples of the first call
        of ``fit`` or ``partial_fit``. That network is drawn some rows at a time, never held, but it takes the time of a
        few dense steps. `truesparse.evolution.snip.SNIP` sets the number of samples, or lets layers compete for
        weights. With ``evolution="snip"`` anything but an instance of it means ``"snip"``.
    unit_pruning : ImportancePruning, default=None
        Removes hidden units that matter little while the network trains, see
        `truesparse.evolution.ImportancePruning`; the network gets narrower, and has fewer weights.
    weight_init : {"fan_in", "dense", "glorot"} or object, default="fan_in"
        First weights, uniform in ±bound. ``"fan_in"``: ``0.5 * sqrt(6 / n)`` with the number n of inputs that the unit
        really has. ``"dense"``: ``sqrt(6 / fan_in)``, and ``"glorot"``: ``sqrt(6 / (fan_in + fan_out))``, as if all
        pairs were connected. For other gains, `truesparse.network.initial_weights.FanIn`, ``Dense`` or ``Glorot``.
    grow_init : "zeros", float or object, default=None
        Values of grown weights: zero; drawn as first weights are, times this factor; or drawn by an initializer of
        their own. None leaves the method's own, 1.0 for those that grow between similar units, else ``"zeros"``. Not
        used if the topology never changes.
    activation : {"relu", "leaky_relu", "all_relu", "tanh", "logistic", "srelu", "identity"} or object, default="relu"
        Of the hidden units: a short name, or an object from `truesparse.network.activations`, which also describes how
        to write one of your own.
    solver : {"adam", "sgd"}, default="adam"
        Adam, or stochastic gradient descent with momentum.
    alpha : float, default=1e-4
        Strength of the L2 penalty ``alpha / 2 * sum(weights**2)``, added to the mean loss of a batch.
    batch_size : int, default=32
        Samples per step, at most all.
    learning_rate : {"constant", "step", "cosine"} or object, default="cosine"
        How the learning rate changes over ``max_iter`` epochs: not at all; divided by 10 at one half and at three
        quarters of them; or falling to 0 along half a cosine. For other steps, `truesparse.training.lr_schedules.Step`.
    learning_rate_init : float, default=0.006
        The learning rate at the start.
    momentum : float in [0, 1), default=0.9
        Only used with ``solver="sgd"``.
    nesterovs_momentum : bool, default=True
        Only used with ``solver="sgd"``.
    dropout : float in [0, 1), default=None
        Share of the hidden units that are silenced in each step of training. None is 0.1 for classes, and 0 for
        numbers, which the noise blurs.
    batch_transform : callable, default=None
        ``batch_transform(X_batch, rng)`` returns what takes the place of a training batch of shape (n, n_features), for
        example shifted images or noisy features. It is given a copy, dense or CSR as the data are, that it may
        change, and a `numpy.random.Generator`. Validation data do not go through it, nor do the samples that the
        evolution of the topology looks at.
    max_iter : int, default=200
        Epochs. The schedules of the topology and of the learning rate are stretched over so many; with ``partial_fit``,
        over so many calls in a row.
    shuffle : bool, default=True
        Whether every epoch takes the samples in a new order.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same bytes, whatever the number of threads, and for dense and sparse `X` with the same
        numbers. Dense and sparse agree within rounding only if all weights of a first layer with at least 64 units and
        64 features are stored, which BLAS computes.
    tol : float, default=1e-4
        An epoch is an improvement if it is better by more than that.
    verbose : int or bool, default=0
        0 is silent. 1 shows a progress bar with loss, score and time left, if rich is installed and output goes to
        a terminal that nothing else draws on; else, as in files, notebooks and parallel searches, it prints a line per
        epoch. 2 always prints lines.
    warm_start : bool, default=False
        Let ``fit`` go on with the network, the moments of the solver and the topology that it left, and with their
        random streams. What shapes the network (``hidden_layer_sizes``, ``epsilon``, ``density``, ``topology_init``,
        ``activation``, ``dtype``) cannot change then, nor in ``partial_fit``.
    early_stopping : bool, default=False
        Set `validation_fraction` of the data aside, unless ``fit`` is given validation data, stop when their score has
        not improved for `n_iter_no_change` epochs, and return the network of the best epoch. Has no effect on
        ``partial_fit``. Without it, training stops early when the training loss has not improved for
        `n_iter_no_change` epochs in which no connection was replaced.
    scoring : str, callable or None, default=None
        The score of the validation data: a scorer of scikit-learn or its name, called with this estimator, their
        features, targets and, if they differ, weights; or ``"loss"`` for minus their loss. None is what ``score`` says,
        accuracy or R². Only used with validation data.
    validation_fraction : float in (0, 1), default=0.1
        Only used with ``early_stopping=True``, when ``fit`` is given no validation data.
    n_iter_no_change : int or inf, default=20
        Epochs without improvement after which training stops.
    n_jobs : int, default=None
        Threads, with joblib's meaning: None is 1 unless a ``joblib.parallel_config`` says otherwise, -1 is all, -2 all
        but one; at most those that Numba has, ``NUMBA_NUM_THREADS``. In a search that has `n_jobs` itself, leave None
        here. Several threads are a RuntimeError in a process forked from one that had used several: start it by
        "loky", "spawn" or "forkserver". `truesparse.runtime.threads` has the details.
    dtype : {"float32", "float64"}, default="float32"
        Of the weights and of all arithmetic.
    callbacks : list, default=None
        Objects that watch the training, such as `truesparse.callbacks.EarlyStopping`; `truesparse.callbacks` has
        others, and their methods. Callbacks of scikit-learn 1.9 or later go into ``set_callbacks``.
    """


ATTRIBUTES_DOC = """coefs_ : list of csc_array, (fan_in, fan_out)
        Copies of the weights of every layer; their ``T`` is what the network stores.
    intercepts_ : list of (fan_out,)
        Biases of every layer.
    feature_importances_ : (n_features,)
        Strength of every feature: the sum of its absolute weights in the first layer, divided by that of all, so that
        they add up to 1 (to 0 if that layer has no weight but zero). They compare features of about equal scale only,
        for a feature measured in smaller units needs smaller weights. They mean more the more the topology has evolved:
        ``"cte"`` moves connections to features that matter, while those that never moved tell little. A high value says
        that the network reads a feature, also one that others could replace, and not in which direction.
    activation_params_ : list of (n_params, n_units)
        What the activation of every hidden layer has learnt: left threshold, left slope, distance of the thresholds and
        right slope for ``"srelu"``, nothing for others.
    n_iter_ : int
        Epochs that have been trained.
    loss_curve_ : list of float
        Mean training loss of every epoch.
    history_ : dict of list
        ``epoch``, ``train_loss``, ``validation_loss``, ``validation_score``, ``learning_rate``, ``nnz``,
        ``edges_replaced`` (both per layer) and ``seconds`` of every epoch; ready for ``pandas.DataFrame``. The
        validation's entries are NaN without validation data.
    density_ : float
        Stored weights as a share of all pairs.
    n_features_in_ : int
    feature_names_in_ : (n_features,)
        Only if the features have names.
    """


class ShortNames(StrOptions):
    """Constraint: a short name of a kind of plug-in, also one that is registered after the import."""

    def __init__(self, kind: str):
        super().__init__(set(names(kind)))
        self._kind = kind

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether `val` is a short name now."""
        self.options = set(names(self._kind))
        return super().is_satisfied_by(val)


class Parameters(BaseEstimator):
    """Holds the parameters, and the constraints that scikit-learn checks before ``fit``."""

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "evolution": [StrOptions(set(PRESETS)), Evolution, None],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "density": [Interval(Real, 0, 1, closed="right"), None],
        "drop_fraction": [Interval(Real, 0, 1, closed="both"), None],
        "update_every": [Interval(Integral, 1, None, closed="left"), StrOptions({"epoch"}), None],
        "topology_init": [StrOptions({"balanced", "erdos_renyi", "snip"}), SNIP],
        "unit_pruning": [ImportancePruning, None],
        "weight_init": [StrOptions(set(INITIALIZERS)), HasMethods("bounds")],
        "grow_init": [StrOptions({"zeros"}), Interval(Real, 0, None, closed="left"), HasMethods("bounds"), None],
        "activation": [ShortNames("activation"), Activation],
        "solver": [StrOptions({"adam", "sgd"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions(set(LEARNING_RATES)), HasMethods("factor")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterovs_momentum": ["boolean"],
        "dropout": [Interval(Real, 0, 1, closed="left"), None],
        "batch_transform": [callable, None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "early_stopping": ["boolean"],
        "scoring": [StrOptions({"loss", *get_scorer_names()}), callable, None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {math.inf})],
        "n_jobs": [Interval(Integral, None, -1, closed="right"), Interval(Integral, 1, None, closed="left"), None],
        "dtype": [StrOptions({"float32", "float64"})],
        "callbacks": [list, tuple, None],
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
        unit_pruning=None,
        weight_init="fan_in",
        grow_init=None,
        activation="relu",
        solver="adam",
        alpha=1e-4,
        batch_size=32,
        learning_rate="cosine",
        learning_rate_init=0.006,
        momentum=0.9,
        nesterovs_momentum=True,
        dropout=None,
        batch_transform=None,
        max_iter=200,
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
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.evolution = evolution
        self.epsilon = epsilon
        self.density = density
        self.drop_fraction = drop_fraction
        self.update_every = update_every
        self.topology_init = topology_init
        self.unit_pruning = unit_pruning
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


def extends(shared: Callable) -> Callable:
    """A decorator of an ``__init__`` that hands ``*args`` and ``**others`` to `shared`: its signature, as scikit-learn
    reads it, lists the parameters of `shared` and then its own.
    """  # fmt: skip

    def decorate(init):
        signature = inspect.signature(init)
        kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        own = [parameter for name, parameter in signature.parameters.items() if name != "self"]
        own = [parameter for parameter in own if parameter.kind not in kinds]
        init.__signature__ = signature.replace(parameters=[*inspect.signature(shared).parameters.values(), *own])
        return init

    return decorate
