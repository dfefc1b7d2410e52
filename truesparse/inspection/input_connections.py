"""Connections of the input features: a picture, and a film of their changes during a training."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import NotFittedError

from truesparse.evolution import input_strength
from truesparse.inspection.degrees import layer_degrees
from truesparse.inspection.display import (
    BLUE,
    Display,
    colorbar_beside,
    image_shape_of,
    needs_matplotlib,
    whole_numbers,
)
from truesparse.inspection.tables import network_of
from truesparse.network.mlp import MLP
from truesparse.runtime.checks import check_count
from truesparse.training.state import EpochRecord

LABELS = {"number": "connections", "strength": "connection strength Σ|w|"}

_MOST_NAMES = 40
_MOST_BARS = 100


def input_connections(network: MLP, by: str) -> NDArray:
    """Return the number of connections of every feature, or the sum of their absolute weights, (n_features,)."""
    if by == "number":
        return layer_degrees(network)[0].out_degrees
    return input_strength(network.layers[0].weight)


@dataclass(eq=False, kw_only=True)
class ConnectivityDisplay(Display):
    """Numbers or strengths of the connections of every input feature.

    Pixels are drawn as an image. Up to 100 other features are drawn as bars, with their names if there are at most 40;
    more features are drawn as lines.

    Parameters
    ----------
    values : (n_features,)
    by : {"number", "strength"}, default="number"
        Whether the values are numbers of connections, or sums of their absolute weights.
    image_shape : (height, width, channels), optional
        Channels are added up.
    feature_names : sequence of n_features str, optional

    Attributes
    ----------
    artist_ : matplotlib.image.AxesImage, container.BarContainer or collections.LineCollection
    colorbar_ : matplotlib.colorbar.Colorbar or None
        Of an image.

    Examples
    --------
    >>> from truesparse.inspection import ConnectivityDisplay
    >>> ConnectivityDisplay(values=[3, 0, 1, 2], image_shape=(2, 2, 1)).plot().shown
    array([[3, 0],
           [1, 2]])
    """

    values: NDArray
    by: str = "number"
    image_shape: tuple[int, ...] | None = None
    feature_names: Sequence[str] | None = None

    def __post_init__(self):
        self.values = np.array(self.values)
        if self.by not in tuple(LABELS):
            raise ValueError(f"by={self.by!r} must be one of {', '.join(map(repr, LABELS))}.")
        if self.values.ndim != 1:
            raise ValueError(f"values must have shape (n_features,), got {self.values.shape}.")
        n_features = self.values.size
        if self.image_shape is not None:
            self.image_shape = image_shape_of(self.image_shape, n_features)
        if self.feature_names is not None:
            self.feature_names = [str(name) for name in self.feature_names]
            if len(self.feature_names) != n_features:
                raise ValueError(f"feature_names has {len(self.feature_names)} entries for {n_features} features.")

    @property
    def shown(self) -> NDArray:
        """Values as they are drawn: (n_features,), or of pixels (height, width)."""
        if self.image_shape is None:
            return self.values
        height, width, _ = self.image_shape
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
    ) -> Self:
        """Draw the input connections of a fitted estimator or an MLP; `ax` and `kwargs` go to `plot`.

        Names are ``feature_names_in_`` by default, if the estimator was fitted with a data frame.
        """
        values = input_connections(network_of(estimator), by)
        if feature_names is None:
            feature_names = getattr(estimator, "feature_names_in_", None)
        display = cls(values=values, by=by, image_shape=image_shape, feature_names=feature_names)
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, *, features: ArrayLike | None = None, **kwargs) -> Self:
        """Draw the features, with options of `matplotlib.axes.Axes.imshow`, ``bar``, ``barh`` or ``vlines``.

        `features`, indices or (n_features,) bool, draws these only. Several calls with the same `ax` give groups of
        features colours and labels of their own. An image shows all features.
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
        self._use_axes(ax, figsize=(6.4, max(2.0, 0.22 * n_features + 0.8)) if named else None)
        self.colorbar_: Any = None
        if self.image_shape is not None:
            axis = self._draw_image(kwargs)
        elif named:
            axis = self._draw_names(chosen, kwargs)
        else:
            axis = self._draw_along(chosen, kwargs)
        if self.by == "number":
            whole_numbers(axis)
        return self

    # Each of these draws the values, and returns the matplotlib.axis.Axis that they are read from.

    def _draw_image(self, options):
        self.artist_ = self.ax_.imshow(self.shown, **({"vmin": 0, "cmap": "viridis"} | options))
        self.ax_.set(xticks=[], yticks=[])
        self.colorbar_ = colorbar_beside(self.ax_, self.artist_, f"{LABELS[self.by]} per pixel")
        return self.colorbar_.ax.yaxis

    def _draw_names(self, chosen, options):
        self.artist_ = self.ax_.barh(chosen, self.values[chosen], **({"color": BLUE} | options))
        self.ax_.set_yticks(np.arange(self.values.size), self.feature_names)
        self.ax_.set(xlabel=LABELS[self.by], ylim=(self.values.size - 0.4, -0.6))
        return self.ax_.xaxis

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
        return self.ax_.yaxis


class ConnectivityRecorder:
    """A callback that records the number and the strength of every input feature's connections.

    The first record is made before the first epoch, the others at the ends of epochs; with early stopping, the best
    epoch's network is restored after the last one. A training that goes on adds records, and a new fit replaces them. A
    record takes 12 bytes per feature.

    Parameters
    ----------
    every : int, default=1
        Epochs from one record to the next.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_digits
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.inspection import ConnectivityRecorder
    >>> X, y = load_digits(return_X_y=True)
    >>> recorder = ConnectivityRecorder()
    >>> model = SparseMLPClassifier((50,), update_every=20, max_iter=4, random_state=0, callbacks=[recorder])
    >>> model = model.fit(X / 16, y)
    >>> recorder.epochs, recorder.counts.shape
    ([0, 1, 2, 3, 4], (5, 64))
    >>> recorder.save_gif(Path(tempfile.mkdtemp()) / "digits.gif", image_shape=(8, 8, 1))
    """

    def __init__(self, every: int = 1):
        check_count("every", every)
        self.every = int(every)
        self._records: list[tuple[int, NDArray, NDArray]] = []
        # Connections at the beginning of a training, until the number of its first epoch is known.
        self._first: tuple[NDArray, NDArray] | None = None

    def on_train_begin(self, network: MLP) -> None:
        """Keep the connections until the first epoch ends."""
        self._first = _connections(network_of(network))

    def on_epoch_end(self, network: MLP, record: EpochRecord) -> None:
        """Record the connections if this epoch is due."""
        if self._first is not None:
            before = record.epoch - 1
            same = self._records and self._records[0][1].size == self._first[0].size
            self._records = [earlier for earlier in self._records if same and earlier[0] < before]
            if not self._records or before % self.every == 0:
                self._records.append((before, *self._first))
            self._first = None
        if record.epoch % self.every == 0:
            self._records.append((record.epoch, *_connections(network)))

    def on_fit_end(self) -> None:
        """Forget the connections at the beginning."""
        self._first = None

    def __getstate__(self):
        # A copy belongs to no training.
        return vars(self) | {"_first": None}

    @property
    def epochs(self) -> list[int]:
        """Number of epochs done at each record."""
        return [record[0] for record in self._records]

    @property
    def counts(self) -> NDArray:
        """Numbers of connections, (n_records, n_features) int64."""
        return np.array([record[1] for record in self._records])

    @property
    def strengths(self) -> NDArray:
        """Sums of absolute weights, (n_records, n_features) float32."""
        return np.array([record[2] for record in self._records])

    def save_gif(
        self,
        path: str | os.PathLike,
        *,
        by: str = "number",
        image_shape: tuple[int, ...] | None = None,
        fps: int = 5,
        dpi: int = 80,
        **kwargs: Any,
    ) -> None:
        """Write the film to `path`, which ends with .gif.

        It has `fps` frames per second, one per record; the last one stays two seconds longer. A picture is 4 × 3.2
        inches, or 6.4 × 3.2 without `image_shape`, with `dpi` pixels per inch. The other parameters are those of
        `ConnectivityDisplay` and its `plot`. A NotFittedError is raised if nothing is recorded.
        """
        if not self._records:
            raise NotFittedError("Nothing is recorded: fit an estimator that has this recorder among its callbacks.")
        if Path(path).suffix.lower() != ".gif":
            raise ValueError(f"path={str(path)!r} must end with '.gif'.")
        check_count("fps", fps)
        check_count("dpi", dpi)
        fps, dpi = int(fps), int(dpi)
        values = self.counts if by == "number" else self.strengths
        displays = [ConnectivityDisplay(values=row, by=by, image_shape=image_shape) for row in values]
        top = max(display.shown.max() for display in displays)  # one scale for all frames
        limits = {} if image_shape is None else {"vmax": top}
        with needs_matplotlib():
            from matplotlib.animation import PillowWriter
            from matplotlib.figure import Figure
        figure = Figure(figsize=(6.4 if image_shape is None else 4, 3.2), layout="constrained")
        writer = PillowWriter(fps=fps)
        with writer.saving(figure, os.fspath(path), dpi):
            for epoch, display in zip(self.epochs, displays, strict=True):
                figure.clear()
                display.plot(figure.subplots(), **(limits | kwargs))
                display.ax_.set_title(f"epoch {epoch}")
                if image_shape is None:
                    display.ax_.set_ylim(0, 1.05 * top)
                writer.grab_frame()
            for _ in range(2 * fps):
                writer.grab_frame()


def _connections(network):
    return input_connections(network, "number"), input_connections(network, "strength").astype(np.float32)
