"""Receptive fields: what a hidden unit sees of the features, through all layers below it."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from truesparse.inspection.display import Display, image_shape_of, layer_index, layer_names
from truesparse.inspection.tables import network_of


def receptive_fields(model: Any, layer: int, units: ArrayLike) -> NDArray:
    """Return the weights of all paths from the features to some units, added up, (n_units, n_features) float64.

    The weight of a path is the product of its connections' absolute weights: a unit's row is that of
    ``abs(W_layer) @ … @ abs(W_0)``. Only these rows are made, in time O(n_units · nnz).

    Parameters
    ----------
    model : fitted estimator or MLP
    layer : int
        Index of the units' layer, 0 for the first hidden one; a negative index counts from the end.
    units : (n_units,) of int
        Indices of units in the layer; negative ones count from the end.

    Raises
    ------
    ValueError
        If there is no such layer, or `units` are no indices of its units, or not of one dimension.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.inspection import receptive_fields
    >>> from truesparse.topology import LocalFields
    >>> X, y = load_digits(return_X_y=True)
    >>> fields = LocalFields(image_shape=(8, 8, 1), maps=[(8, 8, 4), (4, 4, 8)], window=3)
    >>> model = SparseMLPClassifier(None, topology_init=fields, evolution="static", max_iter=1).fit(X / 16, y)
    >>> seen = receptive_fields(model, layer=1, units=[0])  # a corner: 3 × 3 units, which see 3 × 3 pixels each
    >>> np.count_nonzero(seen[0].reshape(8, 8), axis=1)
    array([4, 4, 4, 4, 0, 0, 0, 0])
    """
    layers = network_of(model).layers
    layer = layer_index(layer, len(layers))
    n_units = layers[layer].shape[0]
    try:
        indices = np.asarray(units)
        chosen = np.atleast_1d(np.arange(n_units)[indices if indices.size else indices.astype(int)])
    except (IndexError, ValueError) as error:  # the latter of rows of different lengths
        raise ValueError(f"units={units!r} must be indices of the layer's {n_units} units: {error}.") from error
    if chosen.ndim > 1:
        raise ValueError(f"units={units!r} must be (n_units,) indices of the layer's {n_units} units.")
    seen = np.zeros((n_units, chosen.size))  # begins with the units themselves
    seen[chosen, np.arange(chosen.size)] = 1
    for below in reversed(layers[: layer + 1]):
        seen = abs(below.weight.T).astype(np.float64) @ seen  # (fan_in, n_chosen)
    return np.ascontiguousarray(seen.T)


@dataclass(eq=False, kw_only=True)
class ReceptiveFieldDisplay(Display):
    """What single hidden units see of an image, side by side, each divided by its largest value.

    Colours are the channels of an image of three channels; other channels are added up.

    Parameters
    ----------
    values : (n_units, n_features)
        As `receptive_fields` returns them.
    image_shape : (height, width, channels)
    name : str
        Of the layer, for the title.

    Attributes
    ----------
    artist_ : matplotlib.image.AxesImage

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.inspection import ReceptiveFieldDisplay
    >>> display = ReceptiveFieldDisplay(values=np.eye(4), image_shape=(2, 2, 1))
    >>> display.plot().mosaic.shape  # two images a row, a white line between them
    (5, 5, 3)
    """

    values: NDArray
    image_shape: tuple[int, ...]
    name: str = "layer"

    def __post_init__(self):
        self.values = np.array(self.values, dtype=np.float64)
        if self.values.ndim != 2 or not self.values.size:
            raise ValueError(f"values must have shape (n_units, n_features), got {self.values.shape}.")
        self.image_shape = image_shape_of(self.image_shape, self.values.shape[1])

    @classmethod
    def from_estimator(
        cls, estimator, *, image_shape: tuple[int, ...], layer: int = 0, units: ArrayLike | None = None, ax=None,
        **kwargs: Any,
    ) -> Self:  # fmt: skip
        """Draw units of a hidden layer of a fitted estimator or an MLP; `ax` and `kwargs` go to `plot`.

        Without `units`, 32 are taken at equal distances.
        """
        network = network_of(estimator)
        index = layer_index(layer, len(network.layers))
        if units is None:
            n_units = network.layers[index].shape[0]
            units = np.linspace(0, n_units - 1, min(32, n_units)).astype(int)
        values, name = receptive_fields(network, index, units), layer_names(len(network.layers))[index]
        return cls(values=values, image_shape=image_shape, name=name).plot(ax, **kwargs)

    @property
    def mosaic(self) -> NDArray:
        """The picture, (rows, columns, 3), with a white line between the images."""
        height, width, channels = self.image_shape
        images = self.values.reshape(-1, height, width, channels)
        if channels != 3:
            images = np.repeat(images.sum(axis=3, keepdims=True), 3, axis=3)
        images = images / np.maximum(images.max(axis=(1, 2, 3), keepdims=True), np.finfo(float).tiny)
        n_columns = int(np.ceil(np.sqrt(len(images))))
        n_rows = -(-len(images) // n_columns)
        picture = np.ones((n_rows * (height + 1) - 1, n_columns * (width + 1) - 1, 3))
        for place, image in enumerate(images):
            top, left = place // n_columns * (height + 1), place % n_columns * (width + 1)
            picture[top : top + height, left : left + width] = image
        return picture

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the units, with options of `matplotlib.axes.Axes.imshow`."""
        self._use_axes(ax)
        self.artist_ = self.ax_.imshow(self.mosaic, **({"interpolation": "nearest"} | kwargs))
        self.ax_.set(xticks=[], yticks=[], title=f"{self.name}: what {len(self.values)} units see")
        return self
