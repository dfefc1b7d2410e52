"""How the connections are spread over the units."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truesparse.inspection.degrees import layer_degrees
from truesparse.inspection.display import Display, axes_for, layer_colors, layer_names


@dataclass(eq=False, kw_only=True)
class DegreeDisplay(Display):
    """Distributions of the in-degrees and the out-degrees of every layer.

    A curve gives for every k the share of the units with at least k connections: 1 − F(k − 1) with the distribution
    function F. It begins at 1; the fall between 0 and 1 are the units without any connection, and a layer in which all
    units have the same degree falls at once. Both axes are logarithmic, but for 0 on the x axis.

    Parameters
    ----------
    in_degrees : list of (fan_out,) int
        Of every layer: connections that end at each of its output units.
    out_degrees : list of (fan_in,) int
        Connections that begin at each of its input units.

    Attributes
    ----------
    ax_ : (2,) array of matplotlib.axes.Axes
        In-degrees, out-degrees.
    figure_ : matplotlib.figure.Figure
    lines_ : list of matplotlib.lines.Line2D
        In-degrees of all layers, then out-degrees of all layers.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.inspection import DegreeDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SparseMLPClassifier((20, 20), max_iter=1, evolution="static", random_state=0).fit(X, y)
    >>> display = DegreeDisplay.from_estimator(model)
    >>> [line.get_label() for line in display.lines_[:3]]
    ['hidden 1', 'hidden 2', 'output']
    """

    in_degrees: Sequence[NDArray]
    out_degrees: Sequence[NDArray]

    def __post_init__(self):
        self.in_degrees = [np.array(degrees) for degrees in self.in_degrees]
        self.out_degrees = [np.array(degrees) for degrees in self.out_degrees]
        if not self.in_degrees or len(self.in_degrees) != len(self.out_degrees):
            raise ValueError(
                f"There are in-degrees of {len(self.in_degrees)} and out-degrees of {len(self.out_degrees)} layers; "
                "there must be as many of both, and at least one."
            )
        for degrees in (*self.in_degrees, *self.out_degrees):
            if degrees.ndim != 1 or degrees.dtype.kind not in "iu" or not degrees.size or degrees.min() < 0:
                raise ValueError(
                    "Degrees of a layer must be integers of at least 0, one for each of one or more units, got an "
                    f"array of shape {degrees.shape} and dtype {degrees.dtype}."
                )

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, **kwargs) -> "DegreeDisplay":
        """Draw the degrees of a fitted estimator.

        Parameters
        ----------
        estimator : SparseMLPClassifier, SparseMLPRegressor or MLP, fitted
        ax : two matplotlib.axes.Axes, optional
        **kwargs
            Of all lines, see `matplotlib.axes.Axes.step`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
        """
        layers = layer_degrees(estimator)
        display = cls(
            in_degrees=[layer.in_degrees for layer in layers], out_degrees=[layer.out_degrees for layer in layers]
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs) -> "DegreeDisplay":
        """Draw the curves.

        Parameters
        ----------
        ax : two matplotlib.axes.Axes, optional
            A new figure by default.
        **kwargs
            Of all lines, see `matplotlib.axes.Axes.step`.
        """
        self.ax_ = axes_for(ax, 2, figsize=(8, 3.6))
        self.figure_, self.lines_ = self.ax_[0].figure, []
        for panel, layers, title, label in zip(
            self.ax_,
            (self.in_degrees, self.out_degrees),
            ("in-degrees", "out-degrees"),
            ("connections to an output unit, k", "connections from an input unit, k"),
            strict=True,
        ):
            for degrees, color, name in zip(layers, layer_colors(len(layers)), layer_names(len(layers)), strict=True):
                k, share = _at_least(degrees)
                look = {"color": color, "label": name, "where": "pre"}
                self.lines_ += panel.step(k, 100 * share, **(look | kwargs))
            panel.set_xscale("symlog", linthresh=1, linscale=0.4)
            panel.set_yscale("log")
            for axis in (panel.xaxis, panel.yaxis):
                axis.set_major_formatter("{x:g}")
            panel.set(title=title, xlabel=label)
        self.ax_[0].set_ylabel("units with at least k (%)")
        self.ax_[1].legend(title="layer", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        return self


def _at_least(degrees):
    """0 and the degrees that occur, and what share of the units has at least so many; a fall to 0 at the end."""
    found, counts = np.unique(np.append(degrees, 0), return_counts=True)
    counts[0] -= 1  # the 0 that was appended
    shares = np.cumsum(counts[::-1])[::-1] / degrees.size
    return np.append(found, found[-1]), np.append(shares, 0)
