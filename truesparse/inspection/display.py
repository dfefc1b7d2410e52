"""Base class of the displays, and what their pictures share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truesparse.inspection.tables import ANY_KIND, network_of
from truesparse.runtime.checks import checked_image_shape

# Told apart by the colour-blind as well: Okabe, Ito. Color Universal Design, 2008.
BLUE, VERMILION = "#0072B2", "#D55E00"


@contextmanager
def needs_matplotlib() -> Iterator[None]:
    """A ``with`` block that imports matplotlib; raises an ImportError that says how to install it."""
    try:
        yield
    except ImportError as error:
        raise ImportError(f"Pictures need matplotlib: pip install matplotlib ({error})") from error


class Display:
    """Arrays that can be drawn; `truesparse.inspection` says how displays are used.

    `plot` keeps its results in attributes that end with an underscore. They are not pickled.
    """

    ax_: Any
    figure_: Any

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if not name.endswith("_")}

    def _use_axes(self, ax: Any, n_panels: int | None = None, *, figsize: tuple[float, float] | None = None) -> None:
        """Set `ax_` and `figure_`: `ax`, one or `n_panels` Axes, or by default those of a new figure."""
        with needs_matplotlib():
            import matplotlib.pyplot as plt
            from matplotlib.axes import Axes
        if ax is None:
            ax = plt.subplots(1, n_panels or 1, sharey=True, figsize=figsize, layout="constrained")[1]
        panels = np.ravel(np.asarray(ax, dtype=object))
        if panels.size != (n_panels or 1) or not all(isinstance(panel, Axes) for panel in panels):
            wanted = "matplotlib Axes" if n_panels is None else f"{n_panels} matplotlib Axes"
            raise TypeError(f"ax={ax!r} must be {wanted} or None.")
        self.ax_, self.figure_ = panels[0] if n_panels is None else panels, panels[0].figure


def layer_names(n_layers: int) -> list[str]:
    """Return the names of layers: "hidden 1", "hidden 2", …, "output"."""
    return [f"hidden {number}" for number in range(1, n_layers)] + ["output"]


def layer_index(layer: int, n_layers: int) -> int:
    """Return a layer's index from 0; ValueError for what is none, of which negative ones count from the end."""
    if not isinstance(layer, Integral) or not -n_layers <= layer < n_layers:
        raise ValueError(f"layer={layer!r} must be an integer in [{-n_layers}, {n_layers}).")
    return range(n_layers)[layer]


def image_shape_of(image_shape: Any, n_features: int) -> tuple[int, int, int]:
    """Return the shape of an image with so many features, as a tuple; ValueError for others."""
    height, width, channels = checked_image_shape(image_shape)
    if height * width * channels != n_features:
        raise ValueError(
            f"image_shape={image_shape!r} has {height * width * channels} values, but there are {n_features} features."
        )
    return height, width, channels


def layer_colors(n_layers: int) -> NDArray:
    """Return colours of layers from dark to light, (n_layers, 4)."""
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0.1, 0.85, n_layers) if n_layers > 1 else [0.4])


def legend_above(ax: Any, handles: Sequence) -> None:
    """Draw a legend above the axes, where it hides nothing, with as many columns as fit."""
    room = max(1, int(ax.get_window_extent().width / ax.figure.dpi / 1.5))  # an entry takes 1.5 inches
    n_rows = -(-len(handles) // room)
    n_columns = -(-len(handles) // n_rows)
    ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=n_columns, frameon=False)


def colorbar_beside(ax: Any, image: Any, label: str) -> Any:
    """Return a new colour bar as high as the axes, whatever the shape of the image."""
    return ax.figure.colorbar(image, cax=ax.inset_axes([1.04, 0, 0.05, 1]), label=label)


def axis_on_the_right(ax: Any, label: str, color: str) -> Any:
    """Return new axes with the same x axis and a coloured y axis on the right."""
    right = ax.twinx()
    right.set_ylabel(label, color=color)
    right.tick_params(axis="y", colors=color)
    return right


def whole_numbers(*axis: Any) -> None:
    """Put the ticks of each matplotlib.axis.Axis at integers only."""
    from matplotlib.ticker import MaxNLocator

    for each in axis:
        each.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))


def history_of(estimator: Any) -> dict[str, list]:
    """Return ``history_`` of a fitted estimator; raise what `network_of` raises, and a TypeError for a network."""
    network_of(estimator, ANY_KIND)
    if not hasattr(estimator, "history_"):
        raise TypeError(f"estimator must be a fitted estimator, which has a history_, got {type(estimator).__name__}.")
    return estimator.history_
