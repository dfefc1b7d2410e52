"""SNIP: the connections that matter most to the loss of a dense network at initialisation.

The sensitivity of a connection is the change of the loss when the connection is scaled down a little:

    s_ji = |w_ji · ∂L/∂w_ji| = |w_ji · Σ_samples δ_j a_i|,   keep the k largest

| symbol of the paper | here |
|---|---|
| w, weights of the dense network | drawn row by row, ``_rows``, never held |
| D_b, the batch | `n_samples` of the training samples |
| g_j, connection sensitivity (eq. 5) | ``products`` of a tile, up to its sign |
| κ, number of connections to keep | sum of the vacancies' ``n_grow`` |

The dense network is never stored. Its weights come from a random stream, drawn some rows at a time whenever they are
needed: forward, backward with a running choice of the best k, and for the first weights. They are those that
``topology_init="full"`` draws with the same seed.

Cost: time O(fan_in · fan_out · n_samples), once, 2 s for 10⁸ pairs and 64 samples on one core; memory O(weights +
units · n_samples) and one tile.

Scores use the weights that the initializer gives a full layer. `FanIn`, whose bounds depend on the chosen pattern,
counts as `Dense` with gain 1, which keeps the variance from layer to layer. A chosen connection keeps its random number
u in (−1, 1); its bound is that of the chosen pattern. With `Dense` and `Glorot` it keeps its weight.

`per_layer`, `centred` and `connected` are for few weights; docs/trials.md has figures. Σ δ_j a_i is mostly
n · δ̄_j · ā_i, which is large where an output's first predictions are far from the share of its class. `centred` leaves
it out:

    s_ji = |w_ji · Σ_samples δ_j (a_i − ā_i)|

If layers choose independently, connections into a unit are kept although none leads out of it; see `connected`.

Source: N. Lee, T. Ajanthan, P. H. S. Torr, "SNIP: Single-shot network pruning based on connection sensitivity", ICLR
2019. Differences from the authors' code (github.com/namhoonlee/snip-public): theirs holds the dense network; draws the
weights of chosen connections anew, while ours keep their random numbers, as in the paper; prunes biases, too; divides
scores by their sum, which changes no order; and keeps the first pairs where scores are zero, ours random ones.
"""

from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar

import numpy as np

from truesparse._typing import FloatArray, IndexArray
from truesparse.data.checks import sound_batch
from truesparse.data.source import CSRSource, Source
from truesparse.kernels.select import k_smallest
from truesparse.kernels.similarity import BestPairs
from truesparse.network.activations import Activation
from truesparse.network.initial_weights import Dense, FanIn, Initializer, checked_bounds
from truesparse.network.losses import Loss
from truesparse.runtime.checks import check_count, check_flag
from truesparse.runtime.plugins import plugin
from truesparse.runtime.random_streams import RandomStreams
from truesparse.topology.pattern import Pattern

_TILE = 2**18  # weights drawn at a time; a tile of one row may have more
_STEP = 1e-5  # of the difference quotient, in float64: its error is about 1e-10


# With few weights and many outputs, the paper's scores leave some outputs without any connection.
@plugin("topology", snip={"centred": True, "connected": True})
@dataclass(frozen=True)
class SNIP:
    """First topology by connection sensitivity (Lee et al., 2019, arXiv 1810.02340).

    Parameters
    ----------
    n_samples : int or None
        Training samples of the scores, drawn at random; None for all. Activations and errors of all units are held for
        so many samples.
    per_layer : bool
        Every layer keeps as many connections as Erdős–Rényi gives it. Otherwise, as in the paper, all layers compete
        for the sum of these, and a layer may be left with none.
    centred : bool
        Subtract each unit's mean activation over the samples, whose effect a bias can have as well.
    connected : bool
        Choose from the outputs downwards: all outputs keep equally many connections, give or take one, and below them
        only units compete that a unit above has chosen as its input. Needs `per_layer`.

    Examples
    --------
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.evolution.snip import SNIP
    >>> classifier = SparseMLPClassifier(evolution="static", topology_init=SNIP(per_layer=False), epsilon=10)
    """

    n_samples: int | None = 512
    per_layer: bool = True
    centred: bool = False
    connected: bool = False

    needs: ClassVar[tuple[str, ...]] = ("dense_start",)

    def __post_init__(self):
        check_count("n_samples", self.n_samples, none=True)
        for name in ("per_layer", "centred", "connected"):
            check_flag(name, getattr(self, name))
        if self.connected and not self.per_layer:
            raise ValueError("connected=True needs per_layer=True: it gives every layer connections of its own.")

    def __call__(self, vacancies, *, rng, dense_start):
        """Return the pattern of each layer; random numbers come from `dense_start`, not from `rng`."""
        shapes, counts = [empty.pattern.shape for empty in vacancies], [empty.n_grow for empty in vacancies]
        streams = dense_start.streams
        layers = [_DrawnLayer(shape, dense_start.initializer, streams, index) for index, shape in enumerate(shapes)]
        if self.per_layer:
            choices = [_Choice([shape], count) for shape, count in zip(shapes, counts, strict=True)]
            if self.connected:
                choices[-1] = _ChoicePerOutput(shapes[-1:], counts[-1])
            places = [(choice, 0) for choice in choices]
        else:
            choices = [_Choice(shapes, sum(counts))]
            places = [(choices[0], index) for index in range(len(shapes))]
        drawn = dense_start.source.draw(self.n_samples, streams("snip samples"))
        # Data of extreme size make sums infinite or NaN here; training refuses them with a message.
        with np.errstate(over="ignore", invalid="ignore"):
            _score(layers, places, drawn, dense_start, centred=self.centred, connected=self.connected)
        return [pattern for index, choice in enumerate(choices) for pattern in choice.patterns(streams("snip", index))]

    def first_weights(
        self, layer: int, pattern: Pattern, initializer: Initializer, rng: np.random.Generator
    ) -> FloatArray:
        """Return the weights by which the connections were chosen, scaled for the pattern, (nnz,)."""
        return draw_as_in_dense(initializer, pattern, rng)


@dataclass(frozen=True, eq=False)
class DenseStart:
    """Dense network before training, and the samples that score its connections.

    Weights are drawn from the stream ``("weights", layer)``.
    """

    source: Source
    loss: Loss
    activation: Activation
    initializer: Initializer
    streams: RandomStreams


def draw_as_in_dense(initializer: Initializer, pattern: Pattern, rng: np.random.Generator) -> FloatArray:
    """Draw weights by the random numbers of their pairs in a full layer, scaled for the pattern, (nnz,) float64.

    `rng` must be at its start. A full pattern gets the weights of `truesparse.network.initial_weights.draw`.
    """
    weights = np.repeat(checked_bounds(initializer, pattern), pattern.out_units_fan_in)
    rows = pattern.rows
    for first, last, u in _rows(pattern.shape, rng):
        slots = slice(pattern.indptr[first], pattern.indptr[last])
        weights[slots] *= u[rows[slots] - first, pattern.indices[slots]]
    return weights


def _rows(shape, rng):
    """Yield first row, last row and the numbers in (−1, 1) of a full layer in its order, (last − first, fan_in)."""
    fan_out, fan_in = shape
    step = max(1, _TILE // fan_in)
    for first in range(0, fan_out, step):
        last = min(first + step, fan_out)
        yield first, last, rng.uniform(-1, 1, (last - first, fan_in))


class _DrawnLayer:
    """A full layer whose weights are drawn anew whenever they are needed."""

    def __init__(self, shape, initializer, streams, index):
        self.shape, self._streams, self._index = shape, streams, index
        fan_out, fan_in = shape
        # All rows share one vector of indices, because a full pattern would be as large as the layer.
        indices = np.broadcast_to(np.arange(fan_in), shape)
        full = Pattern(shape, np.arange(fan_out + 1) * fan_in, indices)
        self._bounds = checked_bounds(Dense() if isinstance(initializer, FanIn) else initializer, full)

    def tiles(self, columns, dtype):
        """Yield first row, last row (exclusive) and the weights of these rows at the given columns."""
        for first, last, u in _rows(self.shape, self._streams("weights", self._index)):
            u *= self._bounds[first:last, None]
            yield first, last, (u if columns.size == self.shape[1] else u[:, columns]).astype(dtype)


def _read(source, samples):
    """Return the features that are not always zero, (n,), and their values, (n, n_samples).

    Dense data, too, are read without zeros, so that sparse and dense data take the same operations.
    """
    name, shape = f"{type(source).__name__}.rows", (samples.size, source.n_features)
    rows = sound_batch(name, source.gathered_rows(samples), shape, source.dtype, is_sparse=source.is_sparse)
    if source.is_sparse:
        inputs = CSRSource(rows).present(np.arange(samples.size), samples.size)
        features, values = inputs.features, inputs.values
    else:
        features, values = np.arange(source.n_features), rows.T
    present = np.any(values != 0, axis=1)
    return features[present], np.ascontiguousarray(values[present])


def _score(layers, places, samples, start, *, centred, connected):
    """Pass the samples forward and backward through the dense network and give each layer's choice its scores."""
    features, values = _read(start.source, samples)
    dtype, activation = values.dtype, start.activation
    columns = [features, *(np.arange(layer.shape[1]) for layer in layers[1:])]
    outputs, slopes = [values], []
    for index, layer in enumerate(layers):
        z = np.empty((layer.shape[0], values.shape[1]), dtype=dtype)
        for first, last, weights in layer.tiles(columns[index], dtype):
            np.matmul(weights, outputs[index], out=z[first:last])  # (rows of the tile, n_samples)
        if index < len(layers) - 1:
            a, slope = _apply(activation.at_layer(index), z)
            outputs.append(a)
            slopes.append(slope)
    delta = np.zeros_like(z)
    target: Any = start.source.target
    start.loss(z, target[samples], delta)
    unread = np.zeros(len(z), dtype=bool)
    for index in reversed(range(len(layers))):
        a, (choice, place) = outputs.pop(), places[index]
        best = choice.begin(place, dtype)
        if index == 0 and best is None:
            return
        below = np.zeros((len(a) if index > 0 else 0, a.shape[1]), dtype=dtype)  # features need no errors
        if centred and best is not None:
            a -= a.sum(axis=1, keepdims=True) / samples.size  # in place: not needed again
        for first, last, weights in layers[index].tiles(columns[index], dtype):
            if index > 0:
                below += weights.T @ delta[first:last]  # (fan_in, n_samples)
            if best is not None:
                products = delta[first:last] @ a.T  # (rows of the tile, columns)
                products *= weights
                products[unread[first:last]] = 0
                best.take(products, np.arange(first, last), columns[index])
        choice.end(place, best)
        unread = ~choice.inputs if connected else np.zeros(len(a), dtype=bool)
        if index > 0:
            delta = below
            delta *= slopes.pop()


def _apply(activation, z):
    """Return f(z) and f′(z), of the dtype of `z`: exact if piecewise linear, else a central difference quotient."""
    # An activation with parameters counts as ReLU, as which it starts.
    slope = 0 if activation.n_params else getattr(activation, "slope", None)
    if slope is None:
        a, exact = z.copy(), z.astype(np.float64)
        above, below = exact + _STEP, exact - _STEP
        for values in (a, above, below):
            activation.apply(values)
        return a, ((above - below) / (2 * _STEP)).astype(z.dtype)
    slope = np.where(z > 0, 1, slope).astype(z.dtype)
    return slope * z, slope


class _Choice:
    """The best pairs of one layer, or of several layers whose keys are numbered consecutively."""

    def __init__(self, shapes, k):
        self._shapes, self._k = shapes, k
        self._starts = list(accumulate((fan_out * fan_in for fan_out, fan_in in shapes), initial=0))
        self._keys: IndexArray = np.empty(0, dtype=np.int64)
        self._scores: FloatArray = np.empty(0)

    def begin(self, place, dtype):
        """Return an object to ``take`` the scores of the layer at this place; None if all pairs or none are kept."""
        if self._k == self._starts[-1] or self._k == 0:
            return None
        fan_out, fan_in = self._shapes[place]
        floor = self._scores.min() if self._keys.size == self._k else 0
        k = min(self._k, fan_out * fan_in)
        indices, indptr = np.empty(0, dtype=np.int32), np.zeros(fan_out + 1, dtype=np.int32)
        return BestPairs(k, indices, indptr, fan_in, dtype, floor)

    def end(self, place, best):
        """Keep the best pairs of this layer and of the layers before."""
        if best is None:
            return
        keys, scores = best.in_order(by_key=True)
        keys = np.concatenate([self._keys, keys + self._starts[place]])
        scores = np.concatenate([self._scores.astype(scores.dtype), scores])
        order = np.lexsort((keys, -scores))[: self._k]
        self._keys, self._scores = keys[order], scores[order]

    @property
    def inputs(self):
        """Inputs of the only layer that have a chosen connection, (fan_in,) bool."""
        fan_in = self._shapes[0][1]
        chosen = np.full(fan_in, self._k == self._starts[-1])
        chosen[self._keys % fan_in] = True
        return chosen

    def patterns(self, rng):
        """Return the pattern of each layer, with random pairs if too few scores are positive."""
        n_pairs = self._starts[-1]
        if self._k == n_pairs:
            return [Pattern.full(shape) for shape in self._shapes]
        keys = np.sort(self._keys)
        if keys.size < self._k:
            line = Pattern((1, n_pairs), np.array([0, keys.size]), keys)
            keys = np.sort(np.concatenate([keys, line.sample_absent(self._k - keys.size, rng)[1]]))
        parts = np.split(keys, np.searchsorted(keys, self._starts[1:-1]))
        return [
            Pattern.from_keys(part - start, shape)
            for part, start, shape in zip(parts, self._starts[:-1], self._shapes, strict=True)
        ]


class _ChoicePerOutput(_Choice):
    """Equally many best pairs, give or take one, for every output unit of one layer."""

    def begin(self, place, dtype):
        """Return the choice itself, to ``take`` the scores; None if all pairs are kept."""
        self._parts = [np.empty(0, dtype=np.int64)]
        return None if self._k == self._starts[-1] else self

    def take(self, products, rows, columns):
        """Choose among the pairs of whole rows by |products|."""
        fan_out, fan_in = self._shapes[0]
        for row, scores in zip(rows, np.abs(products), strict=True):
            n = self._k // fan_out + (row < self._k % fan_out)
            chosen = k_smallest(-scores, min(n, np.count_nonzero(scores)))
            self._parts.append(row * fan_in + columns[chosen])

    def end(self, place, best):
        """Join the rows' pairs."""
        self._keys = np.concatenate(self._parts)
