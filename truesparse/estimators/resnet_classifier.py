"""A sparse residual network for small images."""

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from truesparse.estimators.classification import BaseClassifier
from truesparse.estimators.parameters import Choice, Named, explained
from truesparse.estimators.recipes import make_residual_recipe
from truesparse.estimators.samples import refuse_source
from truesparse.evolution import Evolution
from truesparse.runtime.checks import checked_image_shape

_NOT_HERE = ("hidden_layer_sizes", "epsilon", "activation", "dropout", "max_iter")


class SparseResNetClassifier(BaseClassifier):
    """A classifier of small images: a residual network of sparse convolutions, trained sparse from the first step.

    The network is that of He et al. for CIFAR-10: a convolution, three stages of residual blocks with `width`, twice
    and four times as many channels, the mean over all places, and a last layer. All convolutions are 3 × 3 with batch
    norm. The first block of the second and the third stage has a stride of 2, and a convolution of 1 × 1 beside it.

    Parameters
    ----------
    image_shape : (height, width, channels), default=None
        Shape of the images, at least 4 × 4. None takes it from `X` if that is an array (n, height, width, channels) or
        (n, height, width). Rows of `X` hold the pixels row by row, with the channels of a pixel side by side.
    depth : int, default=20
        Layers along the longest path, 6 n + 2: 8, 14, 20, 26, 32, 44, …
    width : int, default=16
        Channels of the first stage.
    density : float in (0, 1], default=0.1
        Weights as a share of all pairs, over all layers.
    distribution : {"erdos_renyi_kernel", "uniform"} or sequence of float, default="erdos_renyi_kernel"
        How `density` is spread. With the first, a layer has weights in proportion to its input and output channels and
        the width and height of its window (Evci et al., 2020), so that small layers are denser. With ``"uniform"`` all
        have the same density. A sequence has the density of each layer, and `density` no part.
    evolution : str, Evolution or None, default="rigl"
        How the topology changes during training; see `SparseMLPClassifier`. Rules see a convolution as a layer whose
        inputs are the pixels of its window, at random places of random images.
    drop_fraction : float in [0, 1], default=None
        Share of each layer's connections that an update replaces; None means the method's own.
    update_every : int, "epoch" or "auto", default=None
        Steps between updates; None means ``"auto"``, 80 updates in a training.
    topology_init : {"balanced", "erdos_renyi", "full"} or object, default="balanced"
        The first topology, as for `SparseMLPClassifier`. ``"full"`` and a `truesparse.evolution.Given` say themselves
        how many weights there are, so that `density` and `distribution` have no part.
    weight_init : {"fan_in", "dense", "glorot"} or object, default=None
        First weights. None means uniform in ±sqrt(6 / n), where n counts the channel's own connections:
        ``FanIn(1.0)``, twice those of ``"fan_in"``.
    solver : {"adam", "sgd"} or object, default="sgd"
        ``"sgd"`` has Nesterov momentum 0.9.
    alpha : float, default=5e-4
        Strength of the L2 penalty on the weights.
    batch_size : int, default=128
        Images in a training step, at least 3. Batch norms take mean and variance of a batch, which are poor for few
        images: if the last batch of an epoch would be less than half full, the last two share their images equally.
    learning_rate : {"cosine", "linear", "constant", …} or object, default="cosine"
        How the learning rate changes.
    learning_rate_init : float, default=0.1
        The largest learning rate.
    batch_transform : callable, default=None
        Changes each training batch, such as ``Compose([Crop((32, 32, 3), 4), Flip((32, 32, 3))])`` from
        `truesparse.transforms`.
    max_iter : int, default=100
        Epochs.
    shuffle, random_state, tol, verbose, warm_start, early_stopping, scoring, validation_fraction, n_iter_no_change, \
n_jobs, dtype, callbacks, class_weight, label_smoothing
        As for `SparseMLPClassifier`.

    Attributes
    ----------
    classes_ : (n_classes,)
    image_shape_ : (height, width, channels)
    coefs_ : list of csc_array
        Weights of every layer, (channels in · window², channels out), in the order first layer, then of each block the
        first, the second and, where there is one, the 1 × 1 convolution, then the last layer.
    intercepts_ : list of (channels out,)
        What batch norms add, and the biases of the last layer.
    n_iter_, loss_curve_, loss_, best_loss_, validation_scores_, best_validation_score_, best_epoch_, history_, \
density_, weight_steps_, n_parameters_, n_outputs_, out_activation_, n_features_in_
        As for `SparseMLPClassifier`.

    Notes
    -----
    Training needs memory for the activations of a whole batch: 340 MB for a batch of 128 images of 32 × 32 pixels with
    the defaults. A ValueError says so before the training if there is less. Images must be dense, and numbers of about
    mean 0 and deviation 1.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", 2016, section 4.2.
    U. Evci, T. Gale, J. Menick, P. S. Castro, E. Elsen, "Rigging the lottery: making all tickets winners", 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from truesparse import SparseResNetClassifier
    >>> digits = load_digits()
    >>> parts = train_test_split(digits.images / 8 - 1, digits.target, random_state=0)
    >>> X_train, X_test, y_train, y_test = parts
    >>> model = SparseResNetClassifier(depth=8, width=8, density=0.2, batch_size=64, max_iter=5, random_state=0)
    >>> model.fit(X_train, y_train).score(X_test, y_test) > 0.9
    True
    """

    _shaped_by: ClassVar[tuple[str, ...]] = (
        "image_shape",
        "depth",
        "width",
        "density",
        "distribution",
        "topology_init",
        "dtype",
    )

    _parameter_constraints: ClassVar[dict] = {
        **{name: allowed for name, allowed in BaseClassifier._parameter_constraints.items() if name not in _NOT_HERE},
        "image_shape": ["array-like", None],
        "depth": [Interval(Integral, 8, None, closed="left")],
        "width": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 3, None, closed="left")],  # of 2, an odd number would leave a single image
        "density": [Interval(Real, 0, 1, closed="right")],
        "distribution": [Choice("erdos_renyi_kernel", "uniform"), "array-like"],
        "evolution": [Named("method"), Evolution, None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    @explained
    def __init__(
        self,
        image_shape=None,
        *,
        depth=20,
        width=16,
        density=0.1,
        distribution="erdos_renyi_kernel",
        evolution="rigl",
        drop_fraction=None,
        update_every=None,
        topology_init="balanced",
        weight_init=None,
        solver="sgd",
        alpha=5e-4,
        batch_size=128,
        learning_rate="cosine",
        learning_rate_init=0.1,
        batch_transform=None,
        max_iter=100,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=0,
        warm_start=False,
        early_stopping=False,
        scoring=None,
        validation_fraction=0.1,
        n_iter_no_change=np.inf,
        n_jobs=None,
        dtype="float32",
        callbacks=None,
        class_weight=None,
        label_smoothing=None,
    ):
        self.image_shape = image_shape
        self.depth = depth
        self.width = width
        self.density = density
        self.distribution = distribution
        self.evolution = evolution
        self.drop_fraction = drop_fraction
        self.update_every = update_every
        self.topology_init = topology_init
        self.weight_init = weight_init
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

    @property
    def image_shape_(self):
        """Shape of the images, (height, width, channels)."""
        return self._fitted("image_shape_").network.architecture.image_shape

    @property
    def n_layers_(self):
        """Layers of channels, the inputs and the 1 × 1 convolutions beside blocks included."""
        return len(self._fitted("n_layers_").network.layers) + 1

    @property
    def n_parameters_(self):
        """Stored numbers that are trained: weights, biases, and scales and shifts of batch norms."""
        network = self._fitted("n_parameters_").network
        return network.params.size - 2 * sum(norm.mean.size for norm in network.norms)

    @property
    def feature_importances_(self):
        """Not there: an AttributeError is raised, because pixels have no weights of their own."""
        raise AttributeError("SparseResNetClassifier has no attribute 'feature_importances_': pixels share weights.")

    @property
    def activation_params_(self):
        """Not there: an AttributeError is raised, because the rectifier learns nothing."""
        raise AttributeError("SparseResNetClassifier has no attribute 'activation_params_'.")

    def _make_recipe(self):
        return make_residual_recipe(self.get_params(deep=False), self._make_loss(), self._shape_of_images())

    def _shape(self, recipe):
        shape = {name: getattr(self, name) for name in self._shaped_by}
        return shape | {"image_shape": list(self._shape_of_images()), "distribution": _plain(self.distribution)}

    def _all_samples(self, suffix, X, y, sample_weight, classes=None, *, first):
        if first:
            self._image_shape = self._found_shape(X)
        elif self.image_shape is not None and self._found_shape(X) != self._shape_of_images():
            raise ValueError(
                f"image_shape={self.image_shape!r} cannot change while training goes on with a network for images of "
                f"the shape {self._shape_of_images()}."
            )
        samples = super()._all_samples(suffix, X, y, sample_weight, classes, first=first)
        if not suffix and samples.size < 2:
            raise ValueError("X holds a single image; batch norm needs two or more.")
        shape = self._shape_of_images()
        if self.n_features_in_ != np.prod(shape):
            raise ValueError(
                f"image_shape={shape} stands for {np.prod(shape)} features, but X has {self.n_features_in_}."
            )
        return samples

    def _shape_of_images(self):
        """Return (height, width, channels) of the images of this fit, or of the fitted network."""
        found = vars(self).get("_image_shape")
        return self._run.network.architecture.image_shape if found is None else found

    def _found_shape(self, X):
        """Return (height, width, channels), as given or of an array of images."""
        given = self.image_shape
        if given is None:
            X = _as_array(X)
            shape = X.shape[1:] if isinstance(X, np.ndarray) else ()
            if len(shape) not in (2, 3):
                raise ValueError(
                    "image_shape=None: X must then be an array (n, height, width, channels) or (n, height, width). For "
                    "rows of pixels, give the shape of an image, such as image_shape=(32, 32, 3)."
                )
        else:
            shape = checked_image_shape(given)
        return shape if len(shape) == 3 else (*shape, 1)

    def _as_rows(self, X):
        """Return images as rows of pixels; other data as they are."""
        X = _as_array(X)
        taken = self._shape_of_images()
        if not isinstance(X, np.ndarray) or X.ndim < 2 or X.shape[1:] == (np.prod(taken),):
            return X
        if X.shape == taken or (*X.shape, 1) == taken:
            raise ValueError(f"X of shape {X.shape} is a single image; pass X[np.newaxis].")
        if X.ndim == 2:
            return X
        shape = X.shape[1:] if X.ndim > 3 else (*X.shape[1:], 1)
        if shape != taken:
            raise ValueError(f"X holds images of shape {X.shape[1:]}, but the network takes {taken}.")
        return X.reshape(len(X), np.prod(taken))

    def _checked(self, X, *y, **options):
        refuse_source(X)
        return super()._checked(self._as_rows(X), *y, **options)

    def _checked_source(self, X, y, *, first):
        return super()._checked_source(self._as_rows(X), y, first=first)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.three_d_array = True
        return tags


def _as_array(X):
    """Return nested lists, and arrays of other libraries that hold images, as an array of NumPy; others as they are."""
    if isinstance(X, np.ndarray):
        return X
    if isinstance(X, list | tuple):
        try:
            return np.asarray(X)
        except ValueError as error:
            raise ValueError(f"X must hold images of one shape: {error}") from error
    return np.asarray(X) if hasattr(X, "__array__") and getattr(X, "ndim", 0) > 2 else X


def _plain(distribution):
    return distribution if isinstance(distribution, str) else list(map(float, distribution))
