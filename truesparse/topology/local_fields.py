"""Local receptive fields: units of a hidden layer have places in a map, and read a window around their own.

    window of a unit at y along an axis of n' places, over n places below, w wide:
    first = ⌊(2y + 1) · n / (2n') − w / 2⌋,  places first … first + w − 1

No weight is shared: this is a topology, not a convolution. Windows that pass the border are moved inside, cut, or go on
at the other end. Units are numbered as images are flattened: the channel runs fastest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar

import numpy as np

from truesparse._typing import IndexArray
from truesparse.runtime.checks import check_flag, check_number, is_count
from truesparse.runtime.plugins import plugin
from truesparse.topology.density import erdos_renyi, global_density
from truesparse.topology.pattern import Pattern

_BORDERS = ("inside", "cut", "wrap")


@plugin("topology")
@dataclass(frozen=True)
class LocalFields:
    """First topology of images, series or volumes: every unit reads a window around its own place.

    Also a restriction of growth, ``Evolution(within=LocalFields(...))``: only pairs in windows are connected, and all
    pairs of the output layer. `window` must be given then; the windows may be larger than those of the first topology.

    The numbers of connections of the layers are `n_connections`, or those that the estimator's `epsilon` or `density`
    give, as for other topologies; a layer's connections are then drawn from its windows, equally many for each unit,
    give or take one. If none of these is given, whole windows are connected; without a `window` too, `epsilon` is 1.

    Parameters
    ----------
    image_shape : tuple of int
        How the features of a sample are laid out: (height, width, channels), (length, channels) of a series, or (depth,
        height, width, channels).
    maps : sequence of tuples of int
        The same for every hidden layer. The products are the `hidden_layer_sizes`, which may be None then.
    window : int or sequence, default=None
        Width of the windows in places of the layer below, for all hidden layers, or for each: an int or one per axis.
        None takes the smallest windows, of the same width along all axes, that hold a layer's connections.
    n_connections : sequence of int, default=None
        Connections of each hidden layer, and of the output layer unless `full_output`.
    channels : float in (0, 1], default=1
        The share of the channels below that a unit reads, chosen at random for each unit.
    border : {"inside", "cut", "wrap"}, default="inside"
        What becomes of a window that passes the border.
    rewired : float in [0, 1], default=0
        Share of each hidden layer's connections that go anywhere, as in a small world (Watts & Strogatz, 1998).
    full_output : bool, default=True
        Whether the output layer has all connections. Of a `density`, the hidden layers get what it leaves.

    Raises
    ------
    ValueError
        If the maps do not fit the layers, or windows do not hold the connections; it says which layer, and what would
        fit. Layers count from 0.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.topology import LocalFields
    >>> X, y = load_digits(return_X_y=True)  # images of 8 × 8 pixels
    >>> fields = LocalFields(image_shape=(8, 8, 1), maps=[(8, 8, 4), (4, 4, 8)], window=3)
    >>> model = SparseMLPClassifier(None, topology_init=fields, evolution="static", max_iter=5, random_state=0)
    >>> [layer.nnz for layer in model.fit(X / 16, y).coefs_]  # 256 · 3², 128 · 3² · 4, 10 · 128
    [2304, 4608, 1280]
    """

    image_shape: Sequence[int]
    maps: Sequence[Sequence[int]]
    window: Any = None
    n_connections: Sequence[int] | None = None
    channels: float = 1.0
    border: str = "inside"
    rewired: float = 0.0
    full_output: bool = True

    needs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        image_shape = _checked_map("image_shape", self.image_shape, None)
        of_layers = _as_tuple(self.maps)
        if not of_layers:
            raise ValueError(f"maps={self.maps!r} must be a sequence with one map per hidden layer.")
        maps = tuple(_checked_map(f"maps[{layer}]", of_layer, image_shape) for layer, of_layer in enumerate(of_layers))
        check_number("channels", self.channels, 0, 1, without=0)
        check_number("rewired", self.rewired, 0, 1)
        check_flag("full_output", self.full_output)
        if not isinstance(self.border, str) or self.border not in _BORDERS:
            raise ValueError(f"border={self.border!r} must be one of {_BORDERS}.")
        numbers = None if self.n_connections is None else _as_tuple(self.n_connections)
        expected = len(maps) + (not self.full_output)
        if numbers is not None and not (len(numbers) == expected and all(map(is_count, numbers))):
            layers = "hidden layer" if self.full_output else "layer"
            raise ValueError(
                f"n_connections={self.n_connections!r} must hold {expected} positive integers, one per {layers}."
            )
        for name, value in (
            ("image_shape", image_shape), ("maps", maps), ("window", _checked_windows(self.window, maps)),
            ("n_connections", None if numbers is None else tuple(map(int, numbers))),
            ("channels", float(self.channels)), ("rewired", float(self.rewired)),
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    @property
    def hidden_layer_sizes(self) -> list[int]:
        """Units of the hidden layers; estimators with ``hidden_layer_sizes=None`` have these."""
        return [prod(of_layer) for of_layer in self.maps]

    def counts(self, shapes: list[tuple[int, int]], epsilon: float | None, density: float | None) -> list[int]:
        """Return each layer's number of connections; raise a ValueError if they or the maps do not fit."""
        self._check_shapes(shapes)
        given = {"n_connections": self.n_connections, "epsilon": epsilon, "density": density}
        named = [name for name, value in given.items() if value is not None]
        if len(named) > 1:
            raise ValueError(
                f"{' and '.join(f'{name}={given[name]!r}' for name in named)} both say how many connections there are; "
                "leave one of them None."
            )
        of_output = prod(shapes[-1])
        if not named and self.window is None:
            named, epsilon = ["epsilon"], 1.0
        if not named:
            if not self.full_output:
                raise ValueError(
                    "full_output=False needs n_connections, epsilon or density, which say how many connections the "
                    "output layer has."
                )
            return [*(self._n_in_windows(layer, self.window[layer]) for layer in range(len(self.maps))), of_output]
        if self.n_connections is not None:
            counts = [*self.n_connections, of_output] if self.full_output else list(self.n_connections)
        elif density is not None:
            counts = self._of_density(shapes, density)
        else:
            counts = erdos_renyi(shapes, epsilon)
            counts[-1] = of_output if self.full_output else counts[-1]
        for layer, count in enumerate(counts[: len(self.maps)]):
            self._check_room(layer, count)
        if counts[-1] > of_output:
            raise ValueError(f"n_connections={self.n_connections!r}: the output layer has {of_output} pairs only.")
        return counts

    def __call__(self, vacancies, *, rng):
        """Return the pattern of each layer."""
        return [self._pattern(empty.layer, empty.pattern.shape, empty.n_grow, rng) for empty in vacancies]

    def allowed(self, layer: int, shape: tuple[int, int]) -> Pattern | None:
        """Return the pairs in a layer's windows, to which ``Evolution.within`` restricts growth; None for the output.

        Raise a ValueError if the maps do not fit, there is no `window`, or units read only a share of the channels.
        """
        if layer > len(self.maps) or (layer < len(self.maps) and shape != self._shape(layer)):
            raise ValueError(f"within={self!r} does not fit a layer {layer} of shape (fan_out, fan_in) {shape}.")
        if self.window is None or self.channels < 1:
            raise ValueError(f"within={self!r} needs a window, and channels=1.")
        return None if layer == len(self.maps) else self._windows(layer, self.window[layer])

    def wider(self, by: int) -> "LocalFields":
        """Return the fields with windows that reach `by` places further on each side, for ``Evolution.within``."""
        if self.window is None or not is_count(by):
            raise ValueError(f"by={by!r} must be a positive integer, and window={self.window!r} given.")
        window = tuple(tuple(width + 2 * by for width in of_layer) for of_layer in self.window)
        return replace(self, window=window, n_connections=None, rewired=0.0)

    def _shape(self, layer):
        below = (self.image_shape, *self.maps)[layer]
        return prod(self.maps[layer]), prod(below)

    def _check_shapes(self, shapes):
        features, hidden = shapes[0][1], [fan_out for fan_out, _ in shapes[:-1]]
        if features != prod(self.image_shape):
            raise ValueError(
                f"image_shape={self.image_shape} holds {prod(self.image_shape)} values, but there are {features} "
                "features."
            )
        if hidden != self.hidden_layer_sizes:
            raise ValueError(
                f"maps={self.maps} hold {self.hidden_layer_sizes} units, but hidden_layer_sizes are {hidden}; "
                "hidden_layer_sizes=None takes them from the maps."
            )

    def _of_density(self, shapes, density):
        if not self.full_output:
            return global_density(shapes, density)
        n_pairs, of_output = sum(map(prod, shapes)), prod(shapes[-1])
        n_left, of_hidden = round(density * n_pairs) - of_output, sum(map(prod, shapes[:-1]))
        if n_left < len(self.maps):
            raise ValueError(
                f"density={density!r} leaves no connections beside the {of_output} of the full output layer; it must "
                f"be larger, or full_output=False."
            )
        return [*global_density(shapes[:-1], n_left / of_hidden), of_output]

    def _n_read(self, layer):
        """Channels below that a unit reads."""
        return max(1, round(self.channels * (self.image_shape, *self.maps)[layer][-1]))

    def _n_in_windows(self, layer, widths):
        """Pairs in the windows of a layer, of the channels that units read."""
        axes = [_places(n, n_below, width, self.border) for n, n_below, width in self._axes(layer, widths)]
        return prod(int((axis >= 0).sum()) for axis in axes) * self.maps[layer][-1] * self._n_read(layer)

    def _axes(self, layer, widths):
        """For each axis, the numbers of places of a layer and of those below, and the width of a window."""
        below, own = (self.image_shape, *self.maps)[layer : layer + 2]
        return [
            (n, n_below, min(width, self._widest * n_below))
            for n, n_below, width in zip(own, below, widths, strict=False)
        ]

    @property
    def _widest(self):
        """Width of the widest windows, which hold everything below, in multiples of the map below."""
        return 2 if self.border == "cut" else 1  # a unit at the border loses half of its window

    def _smallest(self, layer, count):
        """The narrowest windows that hold so many connections; None if none do."""
        widest = self._widest * max((self.image_shape, *self.maps)[layer][:-1])
        windows = ((width,) * (len(self.image_shape) - 1) for width in range(1, widest + 1))
        return next((widths for widths in windows if self._n_in_windows(layer, widths) >= count), None)

    def _check_room(self, layer, count):
        room = prod(self._shape(layer)) if self.window is None else self._n_in_windows(layer, self.window[layer])
        fits = self._smallest(layer, count)
        if count <= room and fits is not None:
            return
        advice = "no window does" if fits is None else f"window={max(fits)} does"
        windows = "" if self.window is None else f" with window={self.window[layer]}"
        raise ValueError(
            f"layer {layer}, maps {(self.image_shape, *self.maps)[layer]} to {self.maps[layer]}, does not hold {count} "
            f"connections{windows}; {advice}."
        )

    def _pattern(self, layer, shape, count, rng):
        if layer == len(self.maps):
            return Pattern.sample(shape, count, rng, balanced=True)
        self._check_room(layer, count)
        widths = self._smallest(layer, count) if self.window is None else self.window[layer]
        pattern = self._windows(layer, widths, rng)
        if count < pattern.nnz:
            pattern = _drawn_from(pattern, count, rng)
        n_rewired = min(round(self.rewired * count), pattern.n_pairs - count)
        if not n_rewired:
            return pattern
        moved = np.zeros(count, dtype=bool)
        moved[rng.choice(count, n_rewired, replace=False)] = True
        keys = np.concatenate([pattern.keys[~moved], pattern.sample_absent_keys(n_rewired, rng)])
        return Pattern.from_keys(np.sort(keys), shape)

    def _windows(self, layer, widths, rng=None):
        """Return the pairs in the windows of a layer, of all channels unless units read a share of them."""
        below, own = (self.image_shape, *self.maps)[layer : layer + 2]
        fan_out, fan_in = self._shape(layer)
        places = np.zeros((1, 1), dtype=np.int64)  # of each unit's place, those in its window; −1 for none
        for n_own, n_below, width in self._axes(layer, widths):
            axis = _places(n_own, n_below, width, self.border)
            inside = (places[:, None, :, None] >= 0) & (axis[None, :, None, :] >= 0)
            places = np.where(inside, places[:, None, :, None] * n_below + axis[None, :, None, :], -1)
            places = places.reshape(places.shape[0] * n_own, -1)
        n_read = self._n_read(layer)
        if rng is None or n_read == below[-1]:
            of_units = np.broadcast_to(np.arange(below[-1]), (fan_out, below[-1]))
        else:
            of_units = np.argsort(rng.random((fan_out, below[-1])), axis=1)[:, :n_read]
        of_units = of_units.reshape(-1, own[-1], 1, of_units.shape[1])  # (places, own channels, 1, channels read)
        rows = np.arange(fan_out).reshape(-1, own[-1], 1, 1)
        keys = rows * fan_in + places[:, None, :, None] * below[-1] + of_units
        present = np.broadcast_to(places[:, None, :, None] >= 0, keys.shape)
        return Pattern.from_keys(np.sort(keys[present]), (fan_out, fan_in))


def _places(n_own: int, n_below: int, width: int, border: str) -> IndexArray:
    """Return the places below in each place's window along an axis, (n_own, width); −1 beyond a border that cuts."""
    first = ((2 * np.arange(n_own, dtype=np.int64) + 1) * n_below - width * n_own) // (2 * n_own)
    if border == "inside":
        first = np.clip(first, 0, n_below - width)
    places = first[:, None] + np.arange(width)
    if border == "wrap":
        return places % n_below
    return np.where((places >= 0) & (places < n_below), places, -1)


def _drawn_from(pattern: Pattern, count: int, rng: np.random.Generator) -> Pattern:
    """Return `count` connections of a pattern, as many for each output unit as it can have, give or take one."""
    room = pattern.out_units_fan_in
    # The largest number that each unit can have; the connections that are left go to units chosen at random.
    low = int(np.searchsorted(np.cumsum(_units_beyond(room)), count, side="right"))
    taken = np.minimum(room, low)
    open_units = np.flatnonzero(room > low)
    taken[rng.choice(open_units, count - taken.sum(), replace=False)] += 1
    order = np.lexsort((rng.random(pattern.nnz), pattern.rows))  # each unit's connections in random order
    rank = np.arange(pattern.nnz) - np.repeat(pattern.indptr[:-1], room)
    chosen = np.sort(order[rank < np.repeat(taken, room)])
    return Pattern.from_keys(pattern.keys[chosen], pattern.shape)


def _units_beyond(room):
    """Numbers of units that have room for more than 0, 1, 2 … connections."""
    return room.size - np.cumsum(np.bincount(room))[:-1]


def _as_tuple(value):
    """Return the elements of a sequence or an array; none of anything else."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _checked_map(name, value, like):
    sizes = _as_tuple(value)
    expected = "two or more" if like is None else len(like)
    fits = len(sizes) >= 2 if like is None else len(sizes) == len(like)
    if not fits or not all(map(is_count, sizes)):
        raise ValueError(f"{name}={value!r} must hold {expected} positive integers, the channels last.")
    return tuple(int(size) for size in sizes)


def _checked_windows(window, maps):
    """Return the widths along each axis for every hidden layer; None if `window` is."""
    if window is None:
        return None
    n_axes = len(maps[0]) - 1
    of_layers = (window,) * len(maps) if is_count(window) else _as_tuple(window)
    if len(of_layers) != len(maps):
        raise ValueError(f"window={window!r} must be a positive integer, or one or a tuple per hidden layer.")
    widths = []
    for layer, of_layer in enumerate(of_layers):
        of_axes = (of_layer,) * n_axes if is_count(of_layer) else _as_tuple(of_layer)
        if len(of_axes) != n_axes or not all(map(is_count, of_axes)):
            raise ValueError(f"window[{layer}]={of_layer!r} must be a positive integer, or {n_axes} of them.")
        widths.append(tuple(map(int, of_axes)))
    return tuple(widths)
