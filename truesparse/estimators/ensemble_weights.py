"""Weights of the methods of an ensemble, chosen by predictions for samples that its members were not trained on.

With predictions p_m of method m, an ensemble predicts their weighted mean

    p = Σ w_m · p_m,        w_m ≥ 0,  Σ w_m = 1.

`greedy` minimises the loss of p by selection with replacement (Caruana et al., 2004): in each round it adds one more
copy of the method that lowers the loss most, and w_m = copies of m / rounds. Weights are those of the best round.
Selection with replacement hardly overfits, because it can only weigh a few predictions that are good by themselves.
Unlike there, a candidate is a method with all its folds: only together do they predict every sample.

Source: R. Caruana, A. Niculescu-Mizil, G. Crew, A. Ksikes, "Ensemble selection from libraries of models", ICML 2004.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from truesparse._typing import FloatArray
from truesparse.network.losses import Loss, Target

N_ROUNDS = 50

_EPS = float(np.finfo(np.float32).eps)  # the least probability, so that no loss is infinite

# The sums z of which an output function makes the predictions p.
_SUMS = {
    "softmax": lambda p: np.log(np.maximum(p, _EPS)),
    "logistic": lambda p: logit(np.clip(p, _EPS, 1 - _EPS)),
    "exp": lambda p: np.log(np.maximum(p, _EPS)),
    "identity": lambda p: p,
}


def greedy(loss: Callable[[FloatArray], float], n_methods: int, n_rounds: int = N_ROUNDS) -> FloatArray:
    """Return weights (n_methods,), multiples of 1 / rounds with the sum 1, for which ``loss(weights)`` is small.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.estimators.ensemble_weights import greedy
    >>> predictions, target = np.array([0.0, 4.0, 9.0]), 1.0
    >>> greedy(lambda weights: (weights @ predictions - target) ** 2, 3).tolist()
    [0.75, 0.25, 0.0]
    """
    copies = np.zeros(n_methods)
    best, least = copies, math.inf
    for n in range(1, n_rounds + 1):
        losses = [loss((copies + one_more) / n) for one_more in np.eye(n_methods)]
        chosen = int(np.argmin(losses))
        copies[chosen] += 1
        if losses[chosen] < least:
            best, least = copies / n, losses[chosen]
    return best


@dataclass(frozen=True)
class Standing:
    """A method in an ensemble: its weight, and its part in the loss for samples that members were not trained on."""

    name: str
    n_members: int  # of the ensemble; 0 if the weight is 0
    weight: float
    loss: float = math.nan  # of the method alone; NaN if there are no such samples
    loss_without: float = math.nan  # of the other methods, with their weights in proportion


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions of every method for samples that its members were not trained on."""

    predictions: FloatArray  # (n_methods, n_outputs, n_samples)
    target: Target  # encoded, of these samples
    loss: Loss
    scale: FloatArray  # of predictions in units of the user's targets, (n_outputs,) or (1,)
    shift: FloatArray
    dtype: np.dtype  # of the network

    def mix(self, weights: FloatArray) -> FloatArray:
        """Return the weighted mean of the methods' predictions, (n_outputs, n_samples)."""
        return np.tensordot(weights, self.predictions, axes=1)

    def encoded(self, weights: FloatArray) -> FloatArray:
        """Return `mix` in the units of the encoded target."""
        return (self.mix(weights) - self.shift[:, None]) / self.scale[:, None]

    def loss_of(self, weights: FloatArray) -> float:
        """Return the mean loss of the weighted mean."""
        p = self.encoded(weights)
        z = np.empty((len(p), p.shape[1] + 1), dtype=self.dtype)[:, :-1]  # with gaps, as training compiles its kernels
        z[:] = _SUMS[self.loss.out_activation](p)
        return self.loss(z, self.target, z)

    def standings(self, names: Sequence[str], weights: FloatArray, n_members: int) -> list[Standing]:
        """Return what each method adds to the weighted mean, in which it has `n_members` members."""
        made = []
        for m, (name, weight) in enumerate(zip(names, weights.tolist(), strict=True)):
            alone = np.eye(len(names))[m]
            others = np.where(alone, 0, weights)
            without = self.loss_of(others / others.sum()) if others.any() else math.nan
            made.append(Standing(name, n_members if weight else 0, weight, self.loss_of(alone), without))
        return made
