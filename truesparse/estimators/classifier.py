"""A sparse multilayer perceptron for classification, also with several labels."""

from truesparse.estimators.classification import BaseClassifier
from truesparse.estimators.parameters import explained


class SparseMLPClassifier(BaseClassifier):
    """A classifier whose network is sparse from the first to the last step of its training.

    Two or more classes are predicted by softmax. If `y` is a binary indicator matrix, any number of labels are. The
    defaults are those that did best over five data sets.

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
    class_weight : dict or "balanced", default=None
        Factors by which the weights of training samples are multiplied, by class; 1 for classes that a dict leaves out.
        Classes of weight 0 are left out of the training and of the part that `early_stopping` sets aside.
        ``"balanced"`` gives all classes that occur the same total weight. Validation loss and score are not weighted by
        class: choose a `scoring` such as ``"balanced_accuracy"``. Not allowed for multilabel `y`.
    label_smoothing : float in [0, 1), default=None
        Share of each training label that is spread evenly over the classes, or moved towards ½ for labels. It often
        makes more predictions right, and probabilities less sure than they should be, which a temperature corrects.
        None means 0.1 for classes if a temperature is found, and 0 otherwise. Losses are given without.

    Attributes
    ----------
    classes_ : (n_classes,)
        The classes in order; for labels, their column numbers.
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

    References
    ----------
    Z. Atashgahi, J. Pieterse, S. Liu, D. C. Mocanu, R. Veldhuis, M. Pechenizkiy, "A brain-inspired algorithm for
    training highly sparse neural networks", Machine Learning 111, 2022.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from truesparse import SparseMLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
    >>> classifier = SparseMLPClassifier((200, 200), epsilon=5, max_iter=30, random_state=0).fit(X_train, y_train)
    >>> classifier.score(X_test, y_test) > 0.9
    True
    >>> f"{classifier.density_:.3f}"
    '0.080'
    """

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
        class_weight=None,
        label_smoothing=None,
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
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
