"""Windows of convolutions: at which places of its window a layer has its connections."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from truesparse.inspection.display import Display, colorbar_beside, layer_index, layer_names
from truesparse.inspection.tables import network_of
from truesparse.network.resnet import ResNet

_LAYERS_A_ROW = 7
_INCHES = 0.36  # of a cell
_LARGEST = 9  # points of letters


def window_counts(model: Any) -> list[NDArray]:
    """Return the share of connected pairs of channels at each place of the window, (window, window) float64 per layer.

    A place of the window has a pair for each input channel and each output channel. The mean of a layer's shares is its
    density. Time is O(nnz).

    Parameters
    ----------
    model : fitted SparseResNetClassifier or ResNet

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from truesparse import SparseResNetClassifier
    >>> from truesparse.inspection import window_counts
    >>> digits = load_digits()
    >>> model = SparseResNetClassifier(depth=8, width=8, density=0.2, evolution="static", max_iter=1, random_state=0)
    >>> shares = window_counts(model.fit(digits.images / 8 - 1, digits.target))
    >>> [window.shape for window in shares]  # layers of 1 × 1 lead around blocks, and to the outputs
    [(3, 3), (3, 3), (3, 3), (3, 3), (3, 3), (1, 1), (3, 3), (3, 3), (1, 1), (1, 1)]
    >>> shares[1].round(2)  # a balanced first topology
    array([[0.48, 0.45, 0.47],
           [0.45, 0.45, 0.47],
           [0.47, 0.45, 0.47]])
    """
    shares = []
    for layer in network_of(model, kinds=(ResNet,)).layers:
        n_places = layer.window**2
        counts = np.bincount(layer.pattern.indices % n_places, minlength=n_places)
        shares.append((counts * n_places / layer.pattern.n_pairs).reshape(layer.window, layer.window))
    return shares


@dataclass(eq=False, kw_only=True)
class WindowDisplay(Display):
    """Places of the windows of convolutions, with the share of the pairs of channels that is connected at each.

    The number of a place is its share in per cent. Its colour is the share divided by the mean of the layer, from 0 to
    2: white is the mean, orange places have more connections and violet ones fewer. The top row of a window reads
    what is above the output, its left column what is to the left.

    Parameters
    ----------
    shares : sequence of (window, window)
        One for each layer, as `window_counts` returns them; all of the same size.
    names : sequence of str, optional
        Of the layers. "layer 1", "layer 2", … by default.

    Attributes
    ----------
    artist_ : matplotlib.image.AxesImage
    texts_ : list of matplotlib.text.Text
        The names, then the numbers of all places.
    colorbar_ : matplotlib.colorbar.Colorbar

    Examples
    --------
    >>> from truesparse.inspection import WindowDisplay
    >>> display = WindowDisplay(shares=[[[0.2, 0.4], [0.4, 0.6]], [[0.1, 0.1], [0.1, 0.0]]]).plot()
    >>> display.mosaic.round(1)  # a row for the names, and a column between the layers
    array([[nan, nan, nan, nan, nan],
           [0.5, 1. , nan, 1.3, 1.3],
           [1. , 1.5, nan, 1.3, 0. ]])
    """

    shares: Sequence[NDArray]
    names: Sequence[str] | None = None

    def __post_init__(self):
        self.shares = [np.array(window, dtype=np.float64) for window in self.shares]
        if not self.shares or self.shares[0].ndim != 2 or len({window.shape for window in self.shares}) > 1:
            raise ValueError(
                "shares must hold arrays (window, window) of one size, at least one, got arrays of the shapes "
                f"{[window.shape for window in self.shares]}."
            )
        if self.names is None:
            self.names = [f"layer {number}" for number in range(1, len(self.shares) + 1)]
        self.names = [str(name) for name in self.names]
        if len(self.names) != len(self.shares):
            raise ValueError(f"names has {len(self.names)} entries for {len(self.shares)} layers.")

    @classmethod
    def from_estimator(cls, estimator, *, layer: int | None = None, ax=None, **kwargs: Any) -> Self:
        """Draw the windows of a fitted SparseResNetClassifier or a ResNet; `ax` and `kwargs` go to `plot`.

        By default these are all layers of 3 × 3. `layer` chooses one layer; a negative number counts from the end.
        """
        shares = window_counts(estimator)
        names = layer_names(len(shares))
        chosen = [index for index, window in enumerate(shares) if window.size > 1]
        if layer is not None:
            chosen = [layer_index(layer, len(shares))]
        return cls(shares=[shares[i] for i in chosen], names=[names[i] for i in chosen]).plot(ax, **kwargs)

    @property
    def mosaic(self) -> NDArray:
        """The picture, (rows, columns): shares divided by their layer's mean, and NaN between the layers."""
        height, width = self.shares[0].shape
        n_columns = min(_LAYERS_A_ROW, len(self.shares))
        n_rows = -(-len(self.shares) // n_columns)
        picture = np.full((n_rows * (height + 1), n_columns * (width + 1) - 1), np.nan)
        for (top, left), window in zip(self._corners(), self.shares, strict=True):
            mean = max(window.mean(), np.finfo(float).tiny)
            picture[top : top + height, left : left + width] = window / mean
        return picture

    def _corners(self):
        """Return the first row and the first column of each layer in the mosaic; the row above is for its name."""
        height, width = self.shares[0].shape
        places = [divmod(number, _LAYERS_A_ROW) for number in range(len(self.shares))]
        return [(row * (height + 1) + 1, column * (width + 1)) for row, column in places]

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the windows, with options of `matplotlib.axes.Axes.imshow`."""
        mosaic = self.mosaic
        n_rows, n_columns = mosaic.shape
        self._use_axes(ax, figsize=(max(3.0, _INCHES * n_columns + 1.5), _INCHES * n_rows + 0.6))
        look = {"cmap": "PuOr_r", "vmin": 0, "vmax": 2, "interpolation": "nearest"}
        self.artist_ = self.ax_.imshow(mosaic, **(look | kwargs))
        self.ax_.set(xticks=[], yticks=[], title="connected pairs (%)")
        self.ax_.spines[:].set_visible(False)
        self._write_texts(mosaic)
        self.colorbar_ = colorbar_beside(self.ax_, self.artist_, "share / mean")
        return self

    def _write_texts(self, mosaic):
        """Write names and numbers, as large as the cells allow."""
        extent = self.ax_.get_window_extent()
        inches = min(extent.width / mosaic.shape[1], extent.height / mosaic.shape[0]) / self.ax_.figure.dpi
        middle = (self.shares[0].shape[1] - 1) / 2
        self.texts_ = []
        for (top, left), name in zip(self._corners(), self.names or (), strict=True):
            look = {"ha": "center", "va": "bottom", "size": min(_LARGEST, 40 * inches)}
            self.texts_.append(self.ax_.text(left + middle, top - 0.65, name, **look))
        for (top, left), window in zip(self._corners(), self.shares, strict=True):
            for (row, column), share in np.ndenumerate(window):
                red, green, blue, _ = self.artist_.to_rgba(mosaic[top + row, left + column])
                is_dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
                look = {"ha": "center", "va": "center", "size": min(_LARGEST, 30 * inches)}
                look["color"] = "white" if is_dark else "black"
                self.texts_.append(self.ax_.text(left + column, top + row, f"{100 * share:.0f}", **look))
