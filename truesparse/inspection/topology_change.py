"""Picture of the changes of the topology during a training."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from truesparse.inspection import display
from truesparse.inspection.display import VERMILION, Display
from truesparse.inspection.recorder import TopologyRecorder


@dataclass(eq=False, kw_only=True)
class TopologyChangeDisplay(Display):
    """Connections that the updates of the topology replaced in every epoch, and the exploration rate.

    The layers are stacked: the height is the sum over all layers. Several updates in an epoch can replace more than all
    connections.

    Parameters
    ----------
    epochs : (n_epochs,) int
    edges_replaced, weights : (n_epochs, n_layers) int
        Connections replaced, and all connections.
    exploration_epochs, exploration_rates : (n_updates,), optional
        Times of the updates (at 1.5, half of the second epoch is over), and the rates then, as
        `truesparse.inspection.TopologyRecorder` has them; they fall back to the density where units are removed.

    Attributes
    ----------
    exploration_ax_ : matplotlib.axes.Axes or None
        With a y axis on the right; None without exploration rates.
    steps_ : list of matplotlib.patches.StepPatch
        One per layer.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.inspection import TopologyChangeDisplay, TopologyRecorder
    >>> X, y = load_digits(return_X_y=True)
    >>> recorder = TopologyRecorder()
    >>> model = SparseMLPClassifier((50,), evolution="set", update_every=20, max_iter=4, callbacks=[recorder])
    >>> display = TopologyChangeDisplay.from_estimator(model.fit(X / 16, y), recorder=recorder)
    >>> display.edges_replaced.shape, display.exploration_rates.size == len(recorder.updates)
    ((4, 2), True)
    """

    epochs: NDArray
    edges_replaced: NDArray
    weights: NDArray
    exploration_epochs: NDArray = field(default_factory=lambda: np.zeros(0))
    exploration_rates: NDArray = field(default_factory=lambda: np.zeros(0))

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
    def from_estimator(cls, estimator, *, recorder: TopologyRecorder | None = None, ax=None, **kwargs) -> Self:
        """Draw the training of a fitted estimator; `ax` and `kwargs` go to `plot`.

        `recorder` is one of the estimator's callbacks; a ValueError is raised if it saw updates of another training.
        Its updates are placed as if all epochs had the same number of steps, which differs only between calls of
        ``partial_fit`` with different numbers of samples.
        """
        history = display.history_of(estimator)
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
        exploration = {"exploration_epochs": np.array(times), "exploration_rates": np.array(rates)}
        epochs, weights = np.array(history["epoch"]), np.array(history["nnz"])
        return cls(epochs=epochs, edges_replaced=replaced, weights=weights, **exploration).plot(ax, **kwargs)

    def plot(self, ax: Any = None, *, by: str = "share", **kwargs) -> Self:
        """Draw the changes, with options of `matplotlib.axes.Axes.stairs` for the layers' areas.

        By ``"share"``, replaced connections are given in per cent of all connections, by ``"number"`` they are counted.
        """
        if by not in ("share", "number"):
            raise ValueError(f"by={by!r} must be 'share' or 'number'.")
        self._use_axes(ax)
        heights = self.edges_replaced
        if by == "share":
            heights = 100 * heights / np.maximum(1, self.weights.sum(axis=1, keepdims=True))
        tops = np.cumsum(heights, axis=1)
        n_layers = tops.shape[1]
        edges = np.append(self.epochs[0] - 1, self.epochs)  # an epoch lasts from the end of the one before to its own
        self.steps_ = []
        baseline: Any = 0
        colors, names = display.layer_colors(n_layers), display.layer_names(n_layers)
        for top, color, name in zip(tops.T, colors, names, strict=True):
            look = {"fill": True, "facecolor": color, "label": name}
            self.steps_.append(self.ax_.stairs(top, edges, baseline=baseline, **(look | kwargs)))
            baseline = top
        unit = " (% of all)" if by == "share" else ""
        self.ax_.set(xlabel="epoch", ylabel=f"connections replaced{unit}", xlim=(edges[0], edges[-1]), ylim=(0, None))
        display.whole_numbers(self.ax_.xaxis)
        handles = list(self.steps_)
        self.exploration_ax_ = None
        if self.exploration_rates.size:
            self.exploration_ax_ = display.axis_on_the_right(self.ax_, "pairs ever connected (%)", VERMILION)
            times = np.append(self.exploration_epochs, edges[-1])
            rates = 100 * np.append(self.exploration_rates, self.exploration_rates[-1])
            handles += self.exploration_ax_.step(times, rates, color=VERMILION, where="post", label="exploration rate")
            self.exploration_ax_.set_ylim(0, None)
        display.legend_above(self.ax_, handles)
        return self
