"""How the topology changed during a training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truesparse.inspection.display import (
    VERMILION,
    Display,
    axes_for,
    axis_on_the_right,
    history_of,
    layer_colors,
    layer_names,
    legend_above,
    whole_numbers,
)
from truesparse.inspection.recorder import TopologyRecorder


@dataclass(eq=False, kw_only=True)
class TopologyChangeDisplay(Display):
    """How many connections the updates of the topology replaced in every epoch, and how much they have explored.

    The layers' parts are stacked, so that the height is the sum over all layers. An epoch may have several updates, and
    more than all connections can be replaced in it.

    Parameters
    ----------
    epochs : (n_epochs,) int
    edges_replaced : (n_epochs, n_layers) int
    weights : (n_epochs, n_layers) int
        Connections that there were.
    exploration_epochs : (n_updates,), optional
        When the topology changed: at 1.5, half of the second epoch is over.
    exploration_rates : (n_updates,), optional
        Share of all pairs that had been connected at any time until then, see
        `truesparse.inspection.TopologyRecorder`; it falls back to the density where units are removed.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    exploration_ax_ : matplotlib.axes.Axes or None
        On top, with a y axis on the right; None without exploration rates.
    figure_ : matplotlib.figure.Figure
    steps_ : list of matplotlib.patches.StepPatch
        One for each layer.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.inspection.recorder import TopologyRecorder
    >>> from truesparse.inspection import TopologyChangeDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> recorder = TopologyRecorder()
    >>> model = SparseMLPClassifier((50,), evolution="set", update_every=20, max_iter=4, callbacks=[recorder])
    >>> display = TopologyChangeDisplay.from_estimator(model.fit(X / 16, y), recorder=recorder)
    >>> display.edges_replaced.shape  # epochs, layers
    (4, 2)
    >>> len(display.exploration_rates) == len(recorder.updates)
    True
    """

    epochs: NDArray
    edges_replaced: NDArray
    weights: NDArray
    exploration_epochs: Sequence[float] | NDArray = ()
    exploration_rates: Sequence[float] | NDArray = ()

    def __post_init__(self):
        for name in ("epochs", "edges_replaced", "weights", "exploration_epochs", "exploration_rates"):
            setattr(self, name, np.array(getattr(self, name)))
        shape = self.edges_replaced.shape
        if len(shape) != 2 or not all(shape) or self.weights.shape != shape or self.epochs.shape != shape[:1]:
            raise ValueError(
                f"epochs, edges_replaced and weights have shapes {self.epochs.shape}, {shape} and "
                f"{self.weights.shape}; they must be (n_epochs,), (n_epochs, n_layers) and (n_epochs, n_layers), with "
                "at least one epoch and layer."
            )
        times, rates = self.exploration_epochs, self.exploration_rates
        if times.ndim != 1 or times.shape != rates.shape:
            raise ValueError(
                f"exploration_epochs and exploration_rates have shapes {times.shape} and {rates.shape}; both must be "
                "(n_updates,)."
            )

    @classmethod
    def from_estimator(
        cls, estimator, *, recorder: TopologyRecorder | None = None, by: str = "share", ax=None, **kwargs
    ) -> "TopologyChangeDisplay":
        """Draw the training of a fitted estimator.

        Parameters
        ----------
        estimator : SparseMLPClassifier or SparseMLPRegressor, fitted
        recorder : TopologyRecorder, optional
            That was among the estimator's callbacks. Its updates are placed by their steps as if all epochs had equally
            many, as they have unless ``partial_fit`` was called with more data at one time than at another.
        by, ax, **kwargs
            See `plot`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
        ValueError
            If the recorder has seen updates that the training of this estimator did not have.
        """
        history = history_of(estimator)
        replaced = np.array(history["edges_replaced"])
        times, rates = [], []
        if recorder is not None:
            if not isinstance(recorder, TopologyRecorder):
                raise TypeError(f"recorder must be a TopologyRecorder or None, got {type(recorder).__name__}.")
            updates, progress = recorder.updates, estimator._run.state.progress
            # An epoch that was interrupted has no record, but its updates have been seen.
            if updates and (len(updates[-1].edges_replaced) != replaced.shape[1] or updates[-1].step >= progress.step):
                raise ValueError("recorder has seen updates that the training of this estimator did not have.")
            times = [update.step * progress.epoch / progress.step for update in updates]
            rates = [update.exploration_rate for update in updates]
        display = cls(
            epochs=history["epoch"],
            edges_replaced=replaced,
            weights=history["nnz"],
            exploration_epochs=times,
            exploration_rates=rates,
        )
        return display.plot(ax, by=by, **kwargs)

    def plot(self, ax: Any = None, *, by: str = "share", **kwargs) -> "TopologyChangeDisplay":
        """Draw the changes.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            A new figure by default.
        by : {"share", "number"}, default="share"
            Whether replaced connections are counted, or given in per cent of all connections of the network.
        **kwargs
            Of the layers' areas, see `matplotlib.axes.Axes.stairs`.
        """
        if by not in ("share", "number"):
            raise ValueError(f"by={by!r} must be 'share' or 'number'.")
        self.ax_ = axes_for(ax)
        self.figure_, self.exploration_ax_ = self.ax_.figure, None
        heights = self.edges_replaced
        if by == "share":
            heights = 100 * heights / np.maximum(1, self.weights.sum(axis=1, keepdims=True))
        tops = np.cumsum(heights, axis=1)
        n_layers = tops.shape[1]
        edges = np.append(self.epochs[0] - 1, self.epochs)  # an epoch lasts from the end of the one before to its own
        self.steps_ = []
        for layer, (color, name) in enumerate(zip(layer_colors(n_layers), layer_names(n_layers), strict=True)):
            look = {"fill": True, "facecolor": color, "label": name}
            baseline = tops[:, layer - 1] if layer else 0
            self.steps_.append(self.ax_.stairs(tops[:, layer], edges, baseline=baseline, **(look | kwargs)))
        unit = " (% of all)" if by == "share" else ""
        self.ax_.set(ylabel=f"connections replaced{unit}", xlim=(edges[0], edges[-1]))
        self.ax_.set_ylim(0, None)
        self.ax_.set_xlabel("epoch")
        whole_numbers(self.ax_.xaxis)
        handles = list(self.steps_)
        if self.exploration_rates.size:
            self.exploration_ax_ = axis_on_the_right(self.ax_, "pairs ever connected (%)", VERMILION)
            times = np.append(self.exploration_epochs, edges[-1])
            rates = 100 * np.append(self.exploration_rates, self.exploration_rates[-1])
            handles += self.exploration_ax_.step(times, rates, color=VERMILION, where="post", label="exploration rate")
            self.exploration_ax_.set_ylim(0, None)
        legend_above(self.ax_, handles)
        return self
