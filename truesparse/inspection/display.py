"""What all pictures have in common: the axes they are drawn into, their colours, and what is asked of a model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from truesparse.inspection.tables import network_of

# Told apart by the colour-blind as well: Okabe, Ito. Color Universal Design, 2008.
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#999999"


class Display:
    """Data that can be drawn. What `plot` adds ends with an underscore, and is left out when a display is pickled."""

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if not name.endswith("_")}


@contextmanager
def needs_matplotlib() -> Iterator[None]:
    """A ``with`` block that imports matplotlib.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(f"Pictures need matplotlib: pip install matplotlib ({error})") from error


def axes_for(ax: Any, n_panels: int | None = None, *, figsize: tuple[float, float] | None = None) -> Any:
    """The axes to draw into: those given, or those of a new figure.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, a sequence of `n_panels` of them, or None
    n_panels : int, optional
        Panels side by side with a common y axis, if it takes more than one.
    figsize : (width, height) of a new figure in inches, optional

    Returns
    -------
    Axes, or (n_panels,) array of Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError
        If `ax` is something else.
    """
    with needs_matplotlib():
        import matplotlib.pyplot as plt
        from matplotlib.axes import Axes
    if ax is None:
        return plt.subplots(1, n_panels or 1, sharey=True, figsize=figsize, layout="constrained")[1]
    panels = np.ravel(np.asarray(ax, dtype=object))
    if panels.size != (n_panels or 1) or not all(isinstance(panel, Axes) for panel in panels):
        wanted = "matplotlib Axes" if n_panels is None else f"{n_panels} matplotlib Axes"
        raise TypeError(f"ax={ax!r} must be {wanted} or None.")
    return panels[0] if n_panels is None else panels


def layer_names(n_layers: int) -> list[str]:
    """What layers are called: "hidden 1", "hidden 2", …, "output"."""
    return [f"hidden {number}" for number in range(1, n_layers)] + ["output"]


def layer_colors(n_layers: int) -> np.ndarray:
    """Colours in an order that can be seen, from dark to light, (n_layers, 4)."""
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0.1, 0.85, n_layers) if n_layers > 1 else [0.4])


def legend_above(ax: Any, handles: Sequence) -> None:
    """A legend above the axes, where it hides nothing, with as many columns as there is room for."""
    room = max(1, int(ax.get_window_extent().width / ax.figure.dpi / 1.5))  # inches, of which an entry takes 1.5
    n_rows = -(-len(handles) // room)
    ax.legend(
        handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=-(-len(handles) // n_rows), frameon=False
    )


def colorbar_beside(ax: Any, image: Any, label: str) -> Any:
    """A colour bar as high as the axes, whatever the shape of the image."""
    return ax.figure.colorbar(image, cax=ax.inset_axes([1.04, 0, 0.05, 1]), label=label)


def axis_on_the_right(ax: Any, label: str, color: str) -> Any:
    """Axes with the same x and a y axis of their own, in a colour that says what belongs to it."""
    right = ax.twinx()
    right.set_ylabel(label, color=color)
    right.tick_params(axis="y", colors=color)
    return right


def whole_numbers(*axis: Any) -> None:
    """Ticks of matplotlib.axis.Axis at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    for each in axis:
        each.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))


def history_of(estimator: Any) -> dict[str, list]:
    """``history_`` of a fitted estimator.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If it has not been fitted.
    TypeError
        If it is no estimator of truesparse.
    """
    network_of(estimator)
    if not hasattr(estimator, "history_"):
        raise TypeError(f"estimator must be a fitted estimator, which has a history_, got {type(estimator).__name__}.")
    return estimator.history_
