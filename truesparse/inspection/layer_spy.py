"""Which pairs of units a layer connects.

A layer with more pairs than a picture has pixels is drawn by counting: the pairs are divided into equal cells of
several rows and columns, and a cell's colour is the share of its pairs that are connected. Time is O(nnz), memory
O(nnz + cells).
"""

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from truesparse.inspection.display import Display, axes_for, colorbar_beside, layer_names, whole_numbers
from truesparse.inspection.tables import network_of
from truesparse.runtime.checks import is_count
from truesparse.topology import Pattern

_MOST_CELLS = 2000
_PIXELS_OF_A_CELL = 3


@dataclass(eq=False, kw_only=True)
class LayerSpyDisplay(Display):
    """The pattern of a layer, as ``matplotlib.pyplot.spy`` would draw it, readable for millions of connections.

    Parameters
    ----------
    pattern : truesparse.topology.Pattern
        Which ``Pattern.from_csr`` makes of any CSR matrix.
    name : str, default="layer"

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
    figure_ : matplotlib.figure.Figure
    image_ : matplotlib.image.AxesImage
    cell_ : (rows, columns)
        Units on the sides of a cell of the image; (1, 1) if every pair is shown.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        None if every pair is shown.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.inspection import LayerSpyDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> model = SparseMLPClassifier((1000, 1000), max_iter=1, evolution="static", random_state=0).fit(X / 16, y)
    >>> display = LayerSpyDisplay.from_estimator(model, layer=1, resolution=100)
    >>> display.cell_
    (10, 10)
    """

    pattern: Pattern
    name: str = "layer"

    def __post_init__(self):
        if not isinstance(self.pattern, Pattern):
            raise TypeError(f"pattern must be a Pattern, got {type(self.pattern).__name__}.")

    @classmethod
    def from_estimator(
        cls, estimator, *, layer: int = 0, resolution: int | None = None, ax=None, **kwargs
    ) -> "LayerSpyDisplay":
        """Draw a layer of a fitted estimator.

        Parameters
        ----------
        estimator : SparseMLPClassifier, SparseMLPRegressor or MLP, fitted
        layer : int, default=0
            Negative ones count from the output layer.
        resolution, ax, **kwargs
            See `plot`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
        """
        layers = network_of(estimator).layers
        n_layers = len(layers)
        if not isinstance(layer, Integral) or not -n_layers <= layer < n_layers:
            raise ValueError(f"layer={layer!r} must be an integer in [{-n_layers}, {n_layers}).")
        display = cls(pattern=layers[layer].pattern, name=layer_names(n_layers)[layer])
        return display.plot(ax, resolution=resolution, **kwargs)

    def plot(self, ax: Any = None, *, resolution: int | None = None, **kwargs) -> "LayerSpyDisplay":
        """Draw the pattern.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            A new figure by default.
        resolution : int up to 2000, optional
            Most cells along a side; by default as many as the axes have room for.
        **kwargs
            See `matplotlib.axes.Axes.imshow`.
        """
        if resolution is not None and not (is_count(resolution) and resolution <= _MOST_CELLS):
            raise ValueError(f"resolution={resolution!r} must be an integer in [1, {_MOST_CELLS}] or None.")
        self.ax_ = axes_for(ax)
        self.figure_, self.colorbar_ = self.ax_.figure, None
        fan_out, fan_in = self.pattern.shape
        extent = self.ax_.get_window_extent()
        if resolution is not None:
            most = [resolution, resolution]
        elif fan_out <= extent.height and fan_in <= extent.width:
            most = [fan_out, fan_in]
        else:
            most = [max(1, int(side / _PIXELS_OF_A_CELL)) for side in (extent.height, extent.width)]
        self.cell_ = tuple(-(-size // cells) for size, cells in zip(self.pattern.shape, most, strict=True))
        image = self._shares()
        rows, columns = (n * size for n, size in zip(image.shape, self.cell_, strict=True))
        exact = self.cell_ == (1, 1)
        look = {
            "cmap": "Greys" if exact else _white_to_blue(),
            "vmin": 0,
            "vmax": 100 if exact else image.max() or 100,
            "aspect": "auto",
            "interpolation": "nearest",
            "extent": (-0.5, columns - 0.5, rows - 0.5, -0.5),
        }
        self.image_ = self.ax_.imshow(image, **(look | kwargs))
        whole_numbers(self.ax_.xaxis, self.ax_.yaxis)
        self.ax_.set(
            xlim=(-0.5, fan_in - 0.5),
            ylim=(fan_out - 0.5, -0.5),
            xlabel="input unit",
            ylabel="output unit",
            title=f"{self.name}: {self.pattern.nnz:,} of {self.pattern.n_pairs:,} pairs connected",
        )
        if not exact:
            self.colorbar_ = colorbar_beside(self.ax_, self.image_, "connected pairs (%)")
        return self

    def _shares(self):
        """Per cent of the pairs of every cell that are connected."""
        height, width = self.cell_
        heights, widths = (
            np.diff(np.append(np.arange(0, size, cell), size))  # the last ones may be smaller
            for size, cell in zip(self.pattern.shape, self.cell_, strict=True)
        )
        cells = self.pattern.rows // height * widths.size + self.pattern.indices // width
        counts = np.bincount(cells, minlength=heights.size * widths.size).reshape(heights.size, widths.size)
        return 100 * counts / np.outer(heights, widths)


def _white_to_blue():
    """Colours that tell few connections from none."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    colors = colormaps["Blues"](np.linspace(0.3, 1, 256))
    colors[0] = 1
    return ListedColormap(colors)
