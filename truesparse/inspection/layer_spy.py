"""Picture of a layer's pattern.

Where a layer has more pairs than the picture has pixels, the pairs are divided into equal cells of several rows and
columns, coloured by the share of their pairs that are connected. Time is O(nnz), memory O(nnz + cells).
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from truesparse.inspection.display import Display, colorbar_beside, layer_index, layer_names, whole_numbers
from truesparse.inspection.tables import ANY_KIND, network_of
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
        ``Pattern.from_csr`` makes one from any CSR matrix.
    name : str, default="layer"

    Attributes
    ----------
    image_ : matplotlib.image.AxesImage
    cell_ : (rows, columns)
        Units on the sides of a cell of the image; (1, 1) if every pair is shown.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        None if every pair is shown.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.inspection import LayerSpyDisplay
    >>> from truesparse.topology import Pattern
    >>> pattern = Pattern.sample((1000, 1000), 5000, np.random.default_rng(0))
    >>> LayerSpyDisplay(pattern=pattern).plot(resolution=100).cell_
    (10, 10)
    """

    pattern: Pattern
    name: str = "layer"

    def __post_init__(self):
        if not isinstance(self.pattern, Pattern):
            raise TypeError(f"pattern must be a Pattern, got {type(self.pattern).__name__}.")

    @classmethod
    def from_estimator(cls, estimator, *, layer: int = 0, ax=None, **kwargs) -> Self:
        """Draw a layer of a fitted estimator or an MLP, a negative one counted from the end; the rest is for `plot`."""
        layers = network_of(estimator, ANY_KIND).layers
        index = layer_index(layer, len(layers))
        return cls(pattern=layers[index].pattern, name=layer_names(len(layers))[index]).plot(ax, **kwargs)

    def plot(self, ax: Any = None, *, resolution: int | None = None, **kwargs) -> Self:
        """Draw the pattern, with options of `matplotlib.axes.Axes.imshow`.

        `resolution` is the largest number of cells along a side, up to 2000; by default the axes have room for them.
        """
        if resolution is not None and not (is_count(resolution) and resolution <= _MOST_CELLS):
            raise ValueError(f"resolution={resolution!r} must be an integer in [1, {_MOST_CELLS}] or None.")
        self._use_axes(ax)
        fan_out, fan_in = self.pattern.shape
        extent = self.ax_.get_window_extent()
        if resolution is not None:
            most = [resolution, resolution]
        elif fan_out <= extent.height and fan_in <= extent.width:
            most = [fan_out, fan_in]
        else:
            most = [max(1, int(side / _PIXELS_OF_A_CELL)) for side in (extent.height, extent.width)]
        self.cell_ = tuple(-(-size // cells) for size, cells in zip(self.pattern.shape, most, strict=True))
        image = self._shares_of_cells()
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
        self.colorbar_ = None if exact else colorbar_beside(self.ax_, self.image_, "connected pairs (%)")
        return self

    def _shares_of_cells(self):
        """Return the connected pairs of every cell in per cent; the last cells may be smaller."""
        height, width = self.cell_
        heights, widths = (
            np.diff(np.append(np.arange(0, size, cell), size))
            for size, cell in zip(self.pattern.shape, self.cell_, strict=True)
        )
        cells = self.pattern.rows // height * widths.size + self.pattern.indices // width
        counts = np.bincount(cells, minlength=heights.size * widths.size).reshape(heights.size, widths.size)
        return 100 * counts / np.outer(heights, widths)


def _white_to_blue():
    """Return a colour map in which a few connections differ clearly from none."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    colors = colormaps["Blues"](np.linspace(0.3, 1, 256))
    colors[0] = 1
    return ListedColormap(colors)
