"""Which input features a network looks at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from truesparse.evolution import input_strength
from truesparse.inspection.degrees import layer_degrees
from truesparse.inspection.display import BLUE, Display, axes_for, colorbar_beside, whole_numbers
from truesparse.inspection.tables import network_of
from truesparse.network.mlp import MLP
from truesparse.runtime.checks import is_count

LABELS = {"number": "connections", "strength": "connection strength Σ|w|"}

_MOST_NAMES = 40
_MOST_BARS = 100


def input_connections(network: MLP, by: str) -> NDArray:
    """How many connections every feature has, or the sum of their absolute weights, (n_features,)."""
    if by == "number":
        return layer_degrees(network)[0].out_degrees
    return input_strength(network.layers[0].weight)


def check_by(by: Any) -> None:
    """Refuse what is no way to count connections.

    Raises
    ------
    ValueError
    """
    if by not in tuple(LABELS):
        raise ValueError(f"by={by!r} must be one of {', '.join(map(repr, LABELS))}.")


@dataclass(eq=False, kw_only=True)
class ConnectivityDisplay(Display):
    """How many connections every input feature has, or how strong they are.

    Features that are pixels are drawn as an image, up to 100 others as bars, with their names if there are at most 40,
    and more as a line each.

    Parameters
    ----------
    values : (n_features,)
    by : {"number", "strength"}, default="number"
        What the values are: numbers of connections, or sums of their absolute weights.
    image_shape : (height, width) or (height, width, channels), optional
        Draw an image; channels are added up.
    feature_names : sequence of n_features str, optional

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    artist_ : matplotlib.image.AxesImage, container.BarContainer or collections.LineCollection
    colorbar_ : matplotlib.colorbar.Colorbar or None
        Of an image.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.inspection import ConnectivityDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> model = SparseMLPClassifier((50,), max_iter=1, evolution="static", random_state=0).fit(X / 16, y)
    >>> display = ConnectivityDisplay.from_estimator(model, image_shape=(8, 8))
    >>> int(display.values.sum()) == model.coefs_[0].nnz
    True
    """

    values: NDArray
    by: str = "number"
    image_shape: tuple[int, ...] | None = None
    feature_names: Sequence[str] | None = None

    def __post_init__(self):
        self.values = np.array(self.values)
        check_by(self.by)
        if self.values.ndim != 1:
            raise ValueError(f"values must have shape (n_features,), got {self.values.shape}.")
        n_features = self.values.size
        if self.image_shape is not None:
            shape = tuple(self.image_shape) if np.iterable(self.image_shape) else ()
            if len(shape) not in (2, 3) or not all(map(is_count, shape)) or math.prod(shape) != n_features:
                raise ValueError(
                    f"image_shape={self.image_shape!r} must be (height, width) or (height, width, channels), whose "
                    f"product is the number of features, {n_features}."
                )
            self.image_shape = shape
        if self.feature_names is not None:
            self.feature_names = [str(name) for name in self.feature_names]
            if len(self.feature_names) != n_features:
                raise ValueError(f"feature_names has {len(self.feature_names)} entries for {n_features} features.")

    @property
    def shown(self) -> NDArray:
        """The values, those of pixels as an image (height, width) with channels added up."""
        if self.image_shape is None:
            return self.values
        height, width, *_ = self.image_shape
        return self.values.reshape(height, width, -1).sum(axis=2)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        *,
        by: str = "number",
        image_shape: tuple[int, ...] | None = None,
        feature_names: Sequence[str] | None = None,
        ax=None,
        **kwargs,
    ) -> "ConnectivityDisplay":
        """Draw the input connections of a fitted estimator.

        Parameters
        ----------
        estimator : SparseMLPClassifier, SparseMLPRegressor or MLP, fitted
        by, image_shape : see the class
        feature_names : sequence of n_features str, optional
            By default ``feature_names_in_``, if the estimator was fitted with a data frame.
        ax : matplotlib.axes.Axes, optional
        **kwargs
            See `plot`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
        """
        network = network_of(estimator)
        check_by(by)
        if feature_names is None:
            feature_names = getattr(estimator, "feature_names_in_", None)
        values = input_connections(network, by)
        display = cls(values=values, by=by, image_shape=image_shape, feature_names=feature_names)
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, *, features: ArrayLike | None = None, **kwargs) -> "ConnectivityDisplay":
        """Draw the features, or some of them.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            A new figure by default.
        features : indices or (n_features,) bool, optional
            Draw these only, so that several calls with the same `ax` give groups of features their own colours and
            labels; not for an image.
        **kwargs
            Of `matplotlib.axes.Axes.imshow`, ``bar``, ``barh`` or ``vlines``, whichever draws.

        Raises
        ------
        ValueError
            If `features` are given for an image, or do not exist.
        """
        n_features = self.values.size
        chosen = np.arange(n_features)
        if features is not None:
            if self.image_shape is not None:
                raise ValueError("features are drawn as an image because of image_shape: all are allowed only.")
            try:
                chosen = chosen[np.asarray(features)]
            except IndexError as error:
                raise ValueError(f"features={features!r} must choose among {n_features} features: {error}.") from error
        named = self.feature_names is not None and n_features <= _MOST_NAMES and self.image_shape is None
        self.ax_ = axes_for(ax, figsize=(6.4, max(2.0, 0.22 * n_features + 0.8)) if named else None)
        self.figure_, self.colorbar_ = self.ax_.figure, None
        if self.image_shape is not None:
            self._draw_image(kwargs)
        elif named:
            self._draw_names(chosen, kwargs)
        else:
            self._draw_along(chosen, kwargs)
        return self

    def _draw_image(self, options):
        self.artist_ = self.ax_.imshow(self.shown, **({"vmin": 0, "cmap": "viridis"} | options))
        self.ax_.set(xticks=[], yticks=[])
        self.colorbar_ = colorbar_beside(self.ax_, self.artist_, f"{LABELS[self.by]} per pixel")
        self._count_in_whole_numbers(self.colorbar_.ax.yaxis)

    def _draw_names(self, chosen, options):
        self.artist_ = self.ax_.barh(chosen, self.values[chosen], **({"color": BLUE} | options))
        self.ax_.set_yticks(np.arange(self.values.size), self.feature_names)
        self.ax_.set(xlabel=LABELS[self.by], ylim=(self.values.size - 0.4, -0.6))
        self._count_in_whole_numbers(self.ax_.xaxis)

    def _draw_along(self, chosen, options):
        n_features = self.values.size
        if n_features <= _MOST_BARS:
            self.artist_ = self.ax_.bar(chosen, self.values[chosen], **({"color": BLUE} | options))
        else:
            look = {"colors": BLUE, "linewidth": float(np.clip(500 / n_features, 0.3, 1.5))}
            self.artist_ = self.ax_.vlines(chosen, 0, self.values[chosen], **(look | options))
            self.ax_.set_ylim(0, None)
        margin = 0.01 * n_features + 0.5
        self.ax_.set(xlabel="input feature", ylabel=LABELS[self.by], xlim=(-margin, n_features - 1 + margin))
        whole_numbers(self.ax_.xaxis)
        self._count_in_whole_numbers(self.ax_.yaxis)

    def _count_in_whole_numbers(self, axis):
        if self.by == "number":
            whole_numbers(axis)
