"""Prune rules: which stored weights are dropped.

The least important weights are dropped, among equals the first in CSR order. The importance of the weight w_ji from
unit i to unit j:

| rule | importance | cost | source |
|---|---|---|---|
| `Magnitude` | abs w | nnz | |
| `SignedMagnitude` | abs w, each sign by itself | nnz | SET; Mocanu et al., 2018 |
| `MEST` | abs w + λ · abs ∂L/∂w | passes over samples | Yuan et al., 2021 |
| `SensitivityPrune` | abs w · E abs ∂L_s/∂w = abs w · E abs a_i δ_j | passes, 2 · nnz · samples | ours |
| `PathWeightPrune` | in_i · abs w · out_j | nnz | ours |
| `SoftMagnitude` | a draw with p ∝ abs w to a power | nnz | CHTs; Zhang et al., 2025 |

a_i and δ_j are activation and error of a sample s, L_s is its loss, L the mean loss; in_i and out_j are the weights of
all paths into i and out of j (`truesparse.evolution.paths`).

`SensitivityPrune` and `PathWeightPrune`, with the grow rules of the same names, are reconstructed from the abstract of
Naji, Abtahi & Marvasti (2021), whose methods may differ.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from truesparse.evolution.search import SideBySide, sums_of_products
from truesparse.kernels.select import k_smallest
from truesparse.runtime.checks import check_count, check_flag, check_number
from truesparse.runtime.plugins import plugin
from truesparse.topology import Pattern


@plugin("prune", magnitude={})
@dataclass(frozen=True)
class Magnitude:
    """Weights with the smallest |w|.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from truesparse.evolution import Magnitude
    >>> Magnitude()([csr_array([[3.0, -0.1], [0.2, 0.0]])], n_drop=[1])
    [array([False,  True, False])]
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def __call__(self, weights, n_drop):
        """Return masks of the weights to drop, (nnz,) bool each."""
        return [k_smallest(np.abs(weight.data), n) for weight, n in zip(weights, n_drop, strict=True)]


@plugin("prune", signed_magnitude={})
@dataclass(frozen=True)
class SignedMagnitude:
    """Smallest positive and largest negative weights, in proportion to their numbers.

    The rule of SET (Mocanu et al., 2018, Algorithm 1). Zero weights are dropped first. It keeps the balance of signs,
    where `Magnitude` drops more of the sign with the smaller weights.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from truesparse.evolution import SignedMagnitude
    >>> weight = csr_array([[0.1, 0.2, -3.0], [0.3, 0.4, -4.0]])
    >>> SignedMagnitude()([weight], n_drop=[3])  # four positive, two negative: two and one
    [array([ True,  True,  True, False, False, False])]
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def __call__(self, weights, n_drop):
        """Return masks of the weights to drop, (nnz,) bool each."""
        return [self._one_layer(weight.data, n) for weight, n in zip(weights, n_drop, strict=True)]

    def _one_layer(self, w, n):
        dropped = k_smallest(np.abs(w), min(n, np.count_nonzero(w == 0)))
        n -= np.count_nonzero(dropped)
        positive, negative = np.flatnonzero(w > 0), np.flatnonzero(w < 0)
        n_signed = positive.size + negative.size
        n_positive = int(np.floor(n * positive.size / n_signed + 0.5)) if n_signed else 0
        dropped[positive[k_smallest(w[positive], n_positive)]] = True
        dropped[negative[k_smallest(-w[negative], n - n_positive)]] = True
        return dropped


@plugin("prune", mest={})
@dataclass(frozen=True)
class MEST:
    """Weights with the smallest |w| + λ |∂L/∂w|: a small weight stays if the loss still moves it (Yuan et al., 2021).

    Parameters
    ----------
    factor : float
        λ.
    n_samples : int or None
        Training samples of the mean loss L, drawn anew for each update; None for all of them.
    """

    factor: float = 1.0
    n_samples: int | None = 1000

    needs: ClassVar[tuple[str, ...]] = ("gradient", "changing")

    def __post_init__(self):
        check_number("factor", self.factor, least=0)
        check_count("n_samples", self.n_samples, none=True)

    def __call__(self, weights, n_drop, *, gradient, changing):
        """Return masks of the weights to drop, (nnz,) bool each."""
        gradients = gradient(self.n_samples)
        return [
            k_smallest(np.abs(weight.data) + weight.dtype.type(self.factor) * np.abs(gradients[layer]), n)
            for layer, weight, n in zip(changing, weights, n_drop, strict=True)
        ]


@plugin("prune", sensitivity={})
@dataclass(frozen=True)
class SensitivityPrune:
    """Weights to which the losses of single samples are least sensitive: the smallest E |w · ∂L_s/∂w|.

    The gradient of the mean loss vanishes where the network has learned; here samples that pull in opposite directions
    do not cancel. Goes with `SensitivityGrow`. `n_samples` as for `MEST`.
    """

    n_samples: int | None = 1000

    needs: ClassVar[tuple[str, ...]] = ("errors", "changing")

    def __post_init__(self):
        check_count("n_samples", self.n_samples, none=True)

    def __call__(self, weights, n_drop, *, errors, changing):
        """Return masks of the weights to drop, (nnz,) bool each."""
        stream = SideBySide(errors(self.n_samples))
        patterns = [Pattern(weight.shape, weight.indptr, weight.indices) for weight in weights]
        means = sums_of_products(stream, changing, stream.first_error, patterns, lambda _, x: np.abs(x))
        return [
            k_smallest(np.abs(weight.data) * mean, n) for weight, mean, n in zip(weights, means, n_drop, strict=True)
        ]


@plugin("prune", path_weight={})
@dataclass(frozen=True)
class PathWeightPrune:
    """Weights on the lightest paths from features to outputs, by in_i · |w_ji| · out_j.

    Weights on no path are dropped first. Reads no data. Goes with `PathWeightGrow`.
    """

    needs: ClassVar[tuple[str, ...]] = ("paths", "changing")

    def __call__(self, weights, n_drop, *, paths, changing):
        """Return masks of the weights to drop, (nnz,) bool each."""
        into, out_of = paths()
        masks = []
        for layer, weight, n in zip(changing, weights, n_drop, strict=True):
            rows, columns = _pairs_of(weight)
            masks.append(k_smallest(into[layer][columns] * np.abs(weight.data) * out_of[layer][rows], n))
        return masks


@plugin("prune", soft_magnitude={})
@dataclass(frozen=True)
class SoftMagnitude:
    """Weights drawn at random, where a larger |w| is kept with a larger probability (CHTs; Zhang et al., 2025).

    As many weights as are to stay are drawn without replacement, each with a probability ∝ S^(δ / (1 − δ)), S = |w|. At
    strictness δ = 0 all are equally likely, at ½ in proportion to S, and towards 1 the smallest go, as for `Magnitude`.

    Parameters
    ----------
    strictness, final : float in [0, 1), default=0.5, 0.9
        δ at the first and at the last step of the plan, linear between them.
    relative : bool, default=False
        S is |w| as a share of all |w| of its row plus its share of those of its column, so that weights of weakly
        connected units stay.
    """

    strictness: float = 0.5
    final: float = 0.9
    relative: bool = False

    needs: ClassVar[tuple[str, ...]] = ("progress", "rng")

    def __post_init__(self):
        check_number("strictness", self.strictness, 0, 1, without=1)
        check_number("final", self.final, 0, 1, without=1)
        check_flag("relative", self.relative)

    def __call__(self, weights, n_drop, *, progress, rng):
        """Return masks of the weights to drop, (nnz,) bool each."""
        share = min(1.0, progress.steps_of_plan / progress.planned_steps)
        delta = float(self.strictness) + share * (float(self.final) - float(self.strictness))
        return [self._one_layer(weight, n, delta / (1 - delta), rng) for weight, n in zip(weights, n_drop, strict=True)]

    def _one_layer(self, weight, n, power, rng):
        size = np.abs(weight.data).astype(np.float64)
        if self.relative:
            rows, columns = _pairs_of(weight)
            of_rows, of_columns = np.bincount(rows, weights=size), np.bincount(columns, weights=size)
            tiny = np.finfo(np.float64).tiny
            size = size / np.maximum(of_rows[rows], tiny) + size / np.maximum(of_columns[columns], tiny)
        # The largest of log p plus Gumbel noise are a draw without replacement.
        noise = rng.gumbel(size=size.size)
        if power:
            with np.errstate(divide="ignore"):  # weights of zero are dropped first
                noise += power * np.log(size)
        return k_smallest(noise, n)


def _pairs_of(weight):
    """Return rows and columns of the stored weights, (nnz,) int64 each."""
    rows = np.repeat(np.arange(weight.shape[0], dtype=np.int64), np.diff(weight.indptr))
    return rows, weight.indices.astype(np.int64)
