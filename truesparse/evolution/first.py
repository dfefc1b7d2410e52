"""First topologies: grow rules that fill empty layers.

`Balanced`, `Full`, `Given` and `SNIP` are made for it, but any grow rule can be one; `Random` is ``"erdos_renyi"``. A
rule returns edges or a `Pattern` for each layer. If it reads no signals, it is called for one layer at a time, so that
a layer's connections do not depend on the others. The only signal is ``dense_start`` (`truesparse.evolution.snip`).

Two methods are optional: ``counts(shapes, epsilon, density)`` returns the number of connections of each layer, in place
of those that `epsilon` or `density` give; ``first_weights(layer, pattern, initializer, rng)`` returns the weights,
(nnz,), in place of the initializer's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_array, issparse

from truesparse._typing import FloatArray
from truesparse.data.checks import sound_csr
from truesparse.evolution.checks import checked_keys, one_per_layer
from truesparse.evolution.evolve import filled
from truesparse.evolution.grow import Random
from truesparse.evolution.rules import Grow, Vacancy
from truesparse.evolution.snip import SNIP
from truesparse.network.initial_weights import Initializer, draw
from truesparse.runtime.plugins import plugin, register_value
from truesparse.topology import Pattern
from truesparse.topology.density import erdos_renyi, global_density

Shapes = list[tuple[int, int]]  # (fan_out, fan_in) of every layer


@plugin("topology", balanced={})
@dataclass(frozen=True)
class Balanced:
    """Random connections; all units of a side have equally many, give or take one.

    Uniform sampling, in contrast, leaves many units without any at a density of 1/500.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def __call__(self, vacancies, *, rng):
        """Return the pattern of each layer."""
        return [Pattern.sample(empty.pattern.shape, empty.n_grow, rng, balanced=True) for empty in vacancies]


@plugin("topology", full={})
@dataclass(frozen=True)
class Full:
    """All connections: a dense network."""

    needs: ClassVar[tuple[str, ...]] = ()

    def counts(self, shapes: Shapes, epsilon: float | None, density: float | None) -> list[int]:
        """Return each layer's number of pairs; raise a ValueError if `density` asks for fewer."""
        if density not in (None, 1):
            raise ValueError(
                f"density={density!r} contradicts topology_init='full', which stores all weights; only None and 1 are "
                "allowed with it."
            )
        return [fan_out * fan_in for fan_out, fan_in in shapes]

    def __call__(self, vacancies, *, rng):
        """Return the pattern of each layer."""
        return [Pattern.full(empty.pattern.shape) for empty in vacancies]


@plugin("topology")
@dataclass(frozen=True, eq=False)
class Given:
    """A topology of your own, such as that of a network that was trained and pruned elsewhere.

    Parameters
    ----------
    patterns : sequence of SciPy sparse matrices or `Pattern`
        One (fan_out, fan_in) per layer, the output layer last. All stored entries are connections, also explicit zeros.
    values : bool, default=False
        Whether the values of the matrices are the first weights. By default these are random.

    Examples
    --------
    Continue with the larger half of a dense network's weights:

    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neural_network import MLPClassifier
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.evolution import Given
    >>> X, y = load_digits(return_X_y=True)
    >>> dense = MLPClassifier((30,), max_iter=50, random_state=0).fit(X / 16, y)
    >>> pruned = [csr_array(np.where(abs(w) > np.median(abs(w)), w, 0).T) for w in dense.coefs_]
    >>> topology = Given(pruned, values=True)
    >>> model = SparseMLPClassifier((30,), topology_init=topology, evolution="static", max_iter=10, random_state=0)
    >>> f"{model.fit(X / 16, y).density_:.2f}"
    '0.50'
    """

    patterns: Sequence[Any]
    values: bool = False

    needs: ClassVar[tuple[str, ...]] = ()
    _data: ClassVar[tuple[FloatArray | None, ...]]  # set in each instance; not a field

    def __post_init__(self):
        if issparse(self.patterns) or isinstance(self.patterns, Pattern):
            raise ValueError("patterns must be a sequence with one matrix per layer, got a single one.")
        parts = [_given_layer(layer, matrix, self.values) for layer, matrix in enumerate(self.patterns)]
        object.__setattr__(self, "patterns", tuple(pattern for pattern, _ in parts))
        object.__setattr__(self, "_data", tuple(data for _, data in parts))

    def __repr__(self):
        n_connections = sum(pattern.nnz for pattern in self.patterns)
        return f"Given({len(self.patterns)} patterns, {n_connections} connections, values={self.values})"

    def __eq__(self, other):
        return isinstance(other, Given) and self.values == other.values and self._arrays() == other._arrays()

    def __hash__(self):
        return hash((Given, self.values, *(pattern.shape for pattern in self.patterns)))

    def _arrays(self):
        numbers = [array for pattern in self.patterns for array in (pattern.indptr, pattern.indices)]
        return [(array.shape, array.tobytes()) for array in [*numbers, *(self._data if self.values else ())]]

    def counts(self, shapes: Shapes, epsilon: float | None, density: float | None) -> list[int]:
        """Return each layer's number of connections; raise a ValueError for other shapes, `epsilon` or `density`."""
        given = [pattern.shape for pattern in self.patterns]
        if given != list(shapes):
            raise ValueError(
                f"topology_init has matrices of shapes {given}, but the layers (fan_out, fan_in) are {list(shapes)}. "
                "Sizes of layers must fit, and the first matrix has a column per feature, or per place of a window."
            )
        if epsilon is not None or density is not None:
            raise ValueError(
                f"epsilon={epsilon!r} and density={density!r} must be None with topology_init=Given(...), which says "
                "how many connections there are."
            )
        return [pattern.nnz for pattern in self.patterns]

    def __call__(self, vacancies, *, rng):
        """Return the pattern of each layer."""
        return [self.patterns[empty.layer] for empty in vacancies]

    def first_weights(
        self, layer: int, pattern: Pattern, initializer: Initializer, rng: np.random.Generator
    ) -> FloatArray:
        """Return the given weights, or random ones."""
        given = self._data[layer] if self.values else None
        return draw(initializer, pattern, slice(None), rng) if given is None else given

    def allowed(self, layer: int, shape: tuple[int, int]) -> Pattern:
        """Return a layer's pattern, to which ``Evolution.within`` restricts growth; raise a ValueError without one."""
        if layer >= len(self.patterns):
            raise ValueError(f"within has {len(self.patterns)} patterns, but the network has a layer {layer} too.")
        return self.patterns[layer]


FirstTopology = Grow | Balanced | Full | Given | SNIP

register_value("topology", "erdos_renyi", Random())


def first_patterns(
    rule: FirstTopology,
    shapes: Shapes,
    *,
    epsilon: float | None,
    density: float | None,
    streams: Callable[[str, int], np.random.Generator],
    signals: Mapping[str, Any],
    counts: Sequence[int] | None = None,
    sizes: Sequence[int] | None = None,
) -> list[Pattern]:
    """Return the pattern of every layer (fan_out, fan_in) of a new network.

    `epsilon` or `density` sets the number of connections, see `final_counts`, unless `sizes` has it for each layer; a
    density that decays begins with `counts` in place of these. Raise a ValueError if the rule needs other `signals` or
    returns anything but a pattern or absent pairs, or other numbers than `counts`.
    """
    unknown = [name for name in rule.needs if name not in signals]
    if unknown:
        raise ValueError(f"topology_init={rule!r} needs the signals {unknown}; a first topology has {sorted(signals)}.")
    if counts is not None:
        sizes = counts
    elif sizes is None:
        sizes = final_counts(rule, shapes, epsilon, density)
    empty = [Vacancy.empty(layer, *size) for layer, size in enumerate(zip(shapes, sizes, strict=True))]
    try:
        picks = _picked(rule, empty, streams, signals)
    except ValueError as error:
        if counts is None:
            raise
        raise ValueError(f"evolution.density begins with {list(counts)} weights of the layers: {error}") from error
    patterns = [
        _completed(rule, vacancy, picked, streams("topology rest", vacancy.layer))
        for vacancy, picked in zip(empty, picks, strict=True)
    ]
    made = [pattern.nnz for pattern in patterns]
    if counts is not None and made != list(counts):
        raise ValueError(
            f"topology_init={rule!r:.200} made layers of {made} weights, but evolution.density begins with {counts}: "
            "choose a first topology that makes as many as it is asked for, such as 'balanced'. With density=d, "
            "start=1/d begins with all pairs."
        )
    return patterns


def final_counts(rule: FirstTopology, shapes: Shapes, epsilon: float | None, density: float | None) -> list[int]:
    """Return each layer's number of connections, which `epsilon` or `density` give unless the rule says otherwise.

    See `truesparse.topology.density`; epsilon is 1 if both are None. Raise a ValueError if they contradict the rule.
    """
    if hasattr(rule, "counts"):
        return rule.counts(shapes, epsilon, density)
    if density is not None:
        return global_density(shapes, density)
    return erdos_renyi(shapes, 1.0 if epsilon is None else epsilon)


def first_weights(
    rule: FirstTopology, layer: int, pattern: Pattern, initializer: Initializer, rng: np.random.Generator
) -> FloatArray:
    """Return the first weights of a layer, (nnz,)."""
    own = getattr(rule, "first_weights", None)
    if own is None:
        return draw(initializer, pattern, slice(None), rng)
    weights = np.asarray(own(layer, pattern, initializer, rng))
    if weights.shape != (pattern.nnz,) or weights.dtype.kind not in "fiu" or not np.isfinite(weights).all():
        raise ValueError(
            f"first_weights of {rule!r} must return {pattern.nnz} finite numbers for layer {layer}, got an array of "
            f"shape {weights.shape} and dtype {weights.dtype}."
        )
    return weights


def _picked(rule, empty, streams, signals):
    """Return what a rule picks for each of the empty layers: edges or a pattern."""
    if rule.needs:
        asked = {name: signals[name] for name in rule.needs}
        return one_per_layer(rule, rule(empty, rng=streams("topology", 0), **asked), len(empty))
    results = [rule([vacancy], rng=streams("topology", vacancy.layer)) for vacancy in empty]
    return [one_per_layer(rule, result, 1)[0] for result in results]


def _completed(rule, vacancy, picked, rng):
    """Return the pattern of a layer from what a rule picked, with random pairs added if these are too few."""
    if isinstance(picked, Pattern):
        if picked.shape != vacancy.pattern.shape:
            raise ValueError(
                f"{rule!r} returned a pattern of shape {picked.shape} for layer {vacancy.layer}, whose shape (fan_out, "
                f"fan_in) is {vacancy.pattern.shape}."
            )
        return picked
    return Pattern.from_keys(np.sort(filled(vacancy, checked_keys(rule, picked, vacancy), rng)), vacancy.pattern.shape)


def _given_layer(layer, matrix, values):
    """Return the pattern and the values of a given matrix, checked; a `Pattern` has no values."""
    name = f"patterns[{layer}]"
    if isinstance(matrix, Pattern):
        if values:
            raise ValueError(f"{name} is a Pattern, which has no numbers; values=True needs SciPy sparse matrices.")
        return matrix, None
    if not issparse(matrix) or matrix.ndim != 2:
        raise ValueError(f"{name} must be a SciPy sparse matrix of shape (fan_out, fan_in), got {type(matrix)}.")
    n_stored = matrix.nnz
    is_coo = matrix.format == "coo"
    matrix = csr_array(sound_csr(name, matrix), copy=True)
    if is_coo and matrix.nnz < n_stored:
        raise ValueError(f"{name} cannot be a pattern: at least one pair occurs twice.")
    matrix.sort_indices()
    try:
        pattern = Pattern.from_csr(matrix)
    except ValueError as error:
        raise ValueError(f"{name} cannot be a pattern: {error}") from error
    data = np.asarray(matrix.data, dtype=np.float64)
    if values and not np.isfinite(data).all():
        raise ValueError(f"{name} holds NaN or infinity.")
    return pattern, data
