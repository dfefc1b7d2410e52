"""Neuron evolution (NeuroFS): the first layer drops and grows whole inputs, so that a network selects features.

The strength of an input is the sum of its absolute weights,

    s_i = Σ_j |w_ji|

Of d inputs, k are to stay. The number of connected inputs after step t of T is

    A(t) = k + (d − k) · max(0, 1 − t / (αT))

Each update drops all connections of the weakest inputs beyond A(t), and of this many more, at most A(t) / 2, in whose
places other inputs come back:

    ⌊ζ · (d − A(t)) · (1 − t / T)⌋

A grow rule chooses the inputs that come back and all new connections. It is asked twice about the first layer. Other
layers evolve as usual. In the paper, k is called K and ζ is called ζ_in.

Source: Atashgahi et al., "Supervised feature selection with neuron evolution in sparse neural networks", TMLR, 2023.

Differences from the paper and the authors' code:

- A layer replaces as many connections as the schedule says: those of whole inputs first, then its smallest. An input
  with more connections than that goes in several updates.
- An input comes back by the number of its pairs that the rule picks, not by its largest gradient, and gets at least
  one connection. The next update may drop it again.
- The authors' code takes the gradient of the network's outputs, ours that of the loss.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from scipy.sparse import issparse

from truesparse.evolution.checks import check_rule
from truesparse.evolution.combine import Confirmed, keys_of
from truesparse.evolution.evolve import Evolution
from truesparse.evolution.rules import Grow, edges_of, keys_in_all
from truesparse.evolution.schedule import Constant
from truesparse.kernels.select import k_smallest
from truesparse.runtime.checks import check_count, check_number
from truesparse.runtime.plugins import plugin

_SIGNALS = ("activations", "errors", "progress")  # those that exist for some of the inputs


def input_strength(weight) -> np.ndarray:
    """Return the sum of |w| over the connections of each input, (fan_in,) float64, of a dense or CSR (fan_out, fan_in).

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from truesparse.evolution.input_removal import input_strength
    >>> input_strength(csr_array([[1.0, 0.0, -2.0], [0.0, 0.0, 3.0]]))
    array([1., 0., 5.])
    """
    if issparse(weight):
        return np.bincount(weight.indices, weights=np.abs(weight.data), minlength=weight.shape[1])
    return np.abs(weight).sum(axis=0, dtype=np.float64)


@plugin("evolution")
@dataclass(frozen=True)
class InputRemoval:
    """Number of connected inputs over time: all at first, `n_inputs` in the end.

    Parameters
    ----------
    n_inputs : int
        How many stay (k); more if the layer's weights need more.
    end : float, in (0, 1]
        When only these are left, as a share of the planned steps (α).

    Examples
    --------
    >>> from truesparse.evolution import InputRemoval
    >>> from truesparse.training.state import Progress
    >>> removal = InputRemoval(n_inputs=20, end=0.5)
    >>> [removal.n_left((1000, 500), 1500, Progress(step=step, planned_steps=100)) for step in (0, 25, 50, 75)]
    [500, 260, 20, 20]
    """

    n_inputs: int
    end: float = 0.65

    def __post_init__(self):
        check_count("n_inputs", self.n_inputs)
        check_number("end", self.end, 0, 1, without=0)

    def n_left(self, shape: tuple[int, int], nnz: int, progress) -> int:
        """Return how many inputs of a layer (fan_out, fan_in) with `nnz` weights are to be connected."""
        fan_out, fan_in = shape
        fewest = min(fan_in, max(int(self.n_inputs), -(-nnz // fan_out)))
        to_go = max(0.0, 1 - progress.steps_of_plan / (float(self.end) * progress.planned_steps))
        return fewest + int((fan_in - fewest) * to_go)


@plugin("prune")
@dataclass(frozen=True)
class NeuronPrune:
    """All connections of the first layer's weakest inputs, then the smallest; in other layers the smallest.

    Goes with `NeuronGrow`, with the same `removal`.

    Parameters
    ----------
    removal : InputRemoval
    exchange : float, in [0, 1]
        How many inputs are exchanged for others, as a share of those that are not connected (ζ); falls linearly to 0.
    """

    removal: InputRemoval
    exchange: float = 0.2

    needs: ClassVar[tuple[str, ...]] = ("progress", "changing")

    def __post_init__(self):
        _check_removal(self.removal)
        check_number("exchange", self.exchange, 0, 1)

    def __call__(self, weights, n_drop, *, progress, changing):
        """Return masks of the weights to drop, (nnz,) bool each."""
        scores = [np.abs(weight.data) for weight in weights]
        if changing[0] == 0:
            places = self._places_of_leaving(weights[0], progress)[weights[0].indices]
            scores[0] = np.where(places < 0, places, scores[0])
        return [k_smallest(score, n) for score, n in zip(scores, n_drop, strict=True)]

    def _places_of_leaving(self, weight, progress):
        """Return −n … −1 for the n inputs that leave, weakest first, and 0 for those that stay, (fan_in,)."""
        fan_in = weight.shape[1]
        connected = np.flatnonzero(np.bincount(weight.indices, minlength=fan_in))
        n_left = self.removal.n_left(weight.shape, weight.nnz, progress)
        time_left = max(0.0, 1 - progress.steps_of_plan / progress.planned_steps)
        n_exchanged = min(int(float(self.exchange) * (fan_in - n_left) * time_left), n_left // 2)
        n_leaving = min(max(0, connected.size - n_left) + n_exchanged, connected.size)
        leaving = connected[np.argsort(input_strength(weight)[connected], kind="stable")[:n_leaving]]
        places = np.zeros(fan_in)
        places[leaving] = np.arange(-n_leaving, 0)
        return places


@plugin("grow")
@dataclass(frozen=True)
class NeuronGrow:
    """A rule's picks, in the first layer only from inputs that are connected or come back.

    If fewer inputs are connected than there are to be, the rule is asked for pairs of the others, and those with the
    most picks come back. It is then asked for pairs of all connected inputs. `grow` may read ``activations``,
    ``errors`` and ``progress``. Goes with `NeuronPrune`, with the same `removal`.
    """

    removal: InputRemoval
    grow: Grow = field(default_factory=Confirmed)

    def __post_init__(self):
        _check_removal(self.removal)
        check_rule("grow", self.grow, "Confirmed()")
        if not set(self.grow.needs) <= set(_SIGNALS):
            raise ValueError(f"grow={self.grow!r} needs the signals {self.grow.needs}; only {_SIGNALS} are allowed.")

    @property
    def needs(self) -> tuple[str, ...]:
        """Progress of training, and the signals of the rule."""
        return tuple(dict.fromkeys(("progress", *self.grow.needs)))

    def __call__(self, vacancies, *, rng, **signals):
        """Return the edges to grow, per layer."""
        above = [replace(vacancy, n_grow=0) if vacancy.layer == 0 else vacancy for vacancy in vacancies]
        picks = keys_of(self.grow, above, rng, signals)
        if vacancies[0].layer == 0:
            picks[0] = self._pick_in_first_layer(vacancies[0], rng, signals)
        return edges_of(picks, vacancies)

    def _pick_in_first_layer(self, vacancy, rng, signals):
        pattern = vacancy.pattern
        connected = np.bincount(pattern.indices, minlength=pattern.shape[1]) > 0
        n_left = self.removal.n_left(pattern.shape, vacancy.before.nnz, signals["progress"])
        n_coming = min(max(0, n_left - np.count_nonzero(connected)), vacancy.n_grow)
        keys = self._first_pairs(vacancy, ~connected, n_coming, rng, signals)
        connected[keys % pattern.shape[1]] = True
        return np.concatenate([keys, self._pick(vacancy.after(keys), connected, rng, signals)])

    def _first_pairs(self, vacancy, inputs, n, rng, signals):
        """Return keys of one pair for each of `n` of the given inputs: those with the most picks, then random ones."""
        fan_out, fan_in = vacancy.pattern.shape
        picks = rng.permutation(self._pick(vacancy, inputs, rng, signals)) if n else np.empty(0, dtype=np.int64)
        columns, places, counts = np.unique(picks % fan_in, return_index=True, return_counts=True)
        best = np.argsort(-counts, kind="stable")[:n]
        others = rng.choice(np.setdiff1d(np.flatnonzero(inputs), columns), n - best.size, replace=False)
        return np.sort(np.concatenate([picks[places[best]], rng.integers(fan_out, size=others.size) * fan_in + others]))

    def _pick(self, vacancy, inputs, rng, signals):
        """Return keys of the rule's picks among pairs of the given inputs, and of random pairs if it finds too few."""
        part = vacancy.of_inputs(inputs)
        n_absent = part.pattern.n_pairs - part.pattern.nnz if part.within is None else part.candidates.size
        part = replace(part, n_grow=min(part.n_grow, n_absent))
        (keys,) = keys_of(self.grow, [part], rng, _restricted(signals, np.flatnonzero(inputs)))
        rest = part.after(keys)
        return keys_in_all(np.concatenate([keys, rest.sample(rest.n_grow, rng)]), inputs)


def neuron_evolution(n_inputs: int, grow: Grow | None = None) -> Evolution:
    """Return the evolution that leaves few inputs connected: a third of the weights moves after every epoch.

    Parameters
    ----------
    n_inputs : int
    grow : Grow, default=Confirmed()
        The paper's is `Gradient`, with which grown weights should start at zero (``grow_init="zeros"``).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.evolution import neuron_evolution
    >>> X, y = load_digits(return_X_y=True)
    >>> model = SparseMLPClassifier((100,), evolution=neuron_evolution(12), max_iter=20, random_state=0)
    >>> int(np.count_nonzero(model.fit(X / 16, y).feature_importances_))
    12
    """
    removal = InputRemoval(n_inputs)
    grow = NeuronGrow(removal, Confirmed() if grow is None else grow)
    return Evolution(prune=NeuronPrune(removal), grow=grow, schedule=Constant(0.3, update_every="epoch"))


def _restricted(signals, features):
    """Return the signals with streams that hold only some of the features."""
    result = dict(signals)
    for name in {"activations", "errors"} & signals.keys():
        result[name] = lambda n, name=name: signals[name](n).of_features(features)
    return result


def _check_removal(removal):
    if not isinstance(removal, InputRemoval):
        raise ValueError(f"removal={removal!r} must be a truesparse.evolution.InputRemoval.")
