"""Degrees: numbers of connections of the units, as tables and as a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from truesparse._typing import IndexArray
from truesparse.inspection.display import Display, layer_colors, layer_names
from truesparse.inspection.tables import ANY_KIND, network_of


@dataclass(frozen=True, eq=False)
class LayerDegrees:
    """Degrees of a layer: connections of each output unit, (fan_out,), and of each input unit, (fan_in,), int64."""

    layer: int
    in_degrees: IndexArray
    out_degrees: IndexArray

    @property
    def in_histogram(self) -> IndexArray:
        """Numbers of output units with 0, 1, 2, … inputs, (largest degree + 1,)."""
        return np.bincount(self.in_degrees)

    @property
    def out_histogram(self) -> IndexArray:
        """Numbers of input units with 0, 1, 2, … outputs, (largest degree + 1,)."""
        return np.bincount(self.out_degrees)

    @property
    def n_without_inputs(self) -> int:
        """Number of output units without a connection."""
        return int(np.count_nonzero(self.in_degrees == 0))

    @property
    def n_without_outputs(self) -> int:
        """Number of input units without a connection."""
        return int(np.count_nonzero(self.out_degrees == 0))


def layer_degrees(model) -> list[LayerDegrees]:
    """Return the in-degrees of the output units and the out-degrees of the input units of every layer.

    Examples
    --------
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.inspection import layer_degrees
    >>> model = SparseMLPClassifier((4,), density=0.5, max_iter=1, evolution="static").fit([[0, 1], [1, 0]], [0, 1])
    >>> degrees = layer_degrees(model)[0]
    >>> degrees.in_degrees, degrees.out_degrees
    (array([1, 1, 1, 1]), array([2, 2]))
    >>> degrees.in_histogram  # no unit without inputs, four with one
    array([0, 4])
    """
    rows = []
    for index, layer in enumerate(network_of(model, ANY_KIND).layers):
        fan_out, fan_in = layer.shape
        pattern = layer.stored_pattern
        if pattern is None:
            in_degrees, out_degrees = np.full(fan_out, fan_in), np.full(fan_in, fan_out)
        else:
            # Not from the transposed index, which the pattern would keep: the first layer may never need it.
            in_degrees, out_degrees = pattern.out_units_fan_in, np.bincount(pattern.indices, minlength=fan_in)
        rows.append(LayerDegrees(index, in_degrees.astype(np.int64), out_degrees.astype(np.int64)))
    return rows


@dataclass(eq=False, kw_only=True)
class DegreeDisplay(Display):
    """Distributions of the in-degrees and the out-degrees of every layer.

    A curve gives the share of the units with at least k connections, 1 − F(k − 1) with the distribution function F. It
    falls from 1 between 0 and 1 by the share of the units without connections, and falls at once where all units have
    the same degree. Both axes are logarithmic, except at 0.

    Parameters
    ----------
    in_degrees, out_degrees : list of (fan_out,) int and list of (fan_in,) int
        Connections of the output units and of the input units of each layer.

    Attributes
    ----------
    ax_ : (2,) array of matplotlib.axes.Axes
        In-degrees, out-degrees.
    lines_ : list of matplotlib.lines.Line2D
        In-degrees of all layers, then out-degrees of all layers.

    Examples
    --------
    >>> from truesparse.inspection import DegreeDisplay
    >>> display = DegreeDisplay(in_degrees=[[2, 0], [1]], out_degrees=[[1, 0, 1], [1, 0]]).plot()
    >>> [line.get_label() for line in display.lines_[:2]]
    ['hidden 1', 'output']
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
    def from_estimator(cls, estimator, *, ax=None, **kwargs) -> Self:
        """Draw the degrees of a fitted estimator or an MLP; the other arguments are those of `plot`."""
        layers = layer_degrees(estimator)
        display = cls(
            in_degrees=[layer.in_degrees for layer in layers], out_degrees=[layer.out_degrees for layer in layers]
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs) -> Self:
        """Draw the curves into two Axes, with options of `matplotlib.axes.Axes.step` for all of them."""
        self._use_axes(ax, 2, figsize=(8, 3.6))
        self.lines_ = []
        sides = (
            (self.in_degrees, "in-degrees", "connections to an output unit, k"),
            (self.out_degrees, "out-degrees", "connections from an input unit, k"),
        )
        for panel, (layers, title, label) in zip(self.ax_, sides, strict=True):
            for degrees, color, name in zip(layers, layer_colors(len(layers)), layer_names(len(layers)), strict=True):
                k, share = _shares_of_units(degrees)
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


def _shares_of_units(degrees):
    """Return k, which is 0 and the degrees that occur, and the shares of units with at least k; 0 at the end."""
    found, counts = np.unique(np.append(degrees, 0), return_counts=True)
    counts[0] -= 1  # the 0 that was appended
    shares = np.cumsum(counts[::-1])[::-1] / degrees.size
    return np.append(found, found[-1]), np.append(shares, 0)
