"""Centre and scale of targets, by which a regressor makes them numbers of about 1.

| loss | centre | scale |
|---|---|---|
| robust: `AbsoluteError`, `Huber` | median | 1.4826 · median of ∣y − centre∣: their deviation, if they are normal |
| for targets not below 0: `Poisson` | 0 | mean |
| all others | mean | standard deviation |

A few outliers rule a mean and a standard deviation, but not a median. If more than half of the targets are equal, the
median of the deviations is that of the others. A constant output has its value as centre, and the scale 0.

The first targets of a stream may be too few to tell the scale. So it may change until `N_FIRST` targets have been seen.
`rescale` then changes the last layer, whose sums are z, such that predictions stay the same:

    scale' · z' + centre' = scale · z + centre,        with exp as output function  scale' · exp z' = scale · exp z
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truesparse._typing import FloatArray
from truesparse.network.losses import Loss
from truesparse.network.mlp import MLP

N_FIRST = 100
_ROUNDING = 10 * float(np.finfo(np.float64).eps)  # deviations of a rounded constant, relative to it
_NORMAL = 1.4826  # standard deviation of a normal distribution, in medians of its absolute deviations
_WRONG = 2.0  # factor by which a scale must be wrong to be replaced

Scaling = tuple[FloatArray, FloatArray]  # centre and scale, both (n_outputs,) float64


@dataclass(frozen=True, eq=False)
class FirstTargets:
    """Targets that are kept while the scale may still change."""

    values: FloatArray  # (n, n_outputs) float64
    weights: FloatArray  # (n,) float64

    def followed_by(self, values: FloatArray, weights: FloatArray) -> "FirstTargets":
        """Return these targets and others."""
        return FirstTargets(np.concatenate([self.values, values]), np.concatenate([self.weights, weights]))

    def to_keep(self, scale: FloatArray) -> "FirstTargets | None":
        """Return the first of these targets, one of them if all are equal; None if they are enough."""
        if len(self.values) >= N_FIRST and scale.all():
            return None
        if not scale.any():
            return FirstTargets(self.values[-1:].copy(), self.weights[-1:].copy())
        return FirstTargets(self.values[:N_FIRST].copy(), self.weights[:N_FIRST].copy())

    @property
    def are_enough(self) -> bool:
        """Whether only the scales of outputs that are constant so far may change."""
        return len(self.values) >= N_FIRST


def learn_scaling(loss: Loss, values: FloatArray, weights: FloatArray) -> Scaling:
    """Return centre and scale of targets (n, n_outputs) with weights (n,).

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.estimators.target_scale import learn_scaling
    >>> from truesparse.network.losses import AbsoluteError
    >>> learn_scaling(AbsoluteError(), np.array([[1.0], [2.0], [3.0], [4.0], [1e9]]), np.ones(5))
    (array([3.]), array([1.4826]))
    """
    weights = weights / weights.max()  # so that no sum overflows
    # NumPy adds a column up pairwise, but a whole array row by row, which rounds more: see near-constant targets.
    columns = map(np.ascontiguousarray, values.T)
    centre = np.array([_median(y, weights) if loss.robust else np.average(y, weights=weights) for y in columns])
    if loss.not_below_0:
        centre, scale = np.zeros_like(centre), centre
    else:
        deviations, rounding = np.abs(values - centre), _ROUNDING * np.abs(centre)
        if loss.robust:
            pairs = zip(deviations.T, rounding, strict=True)
            scale = _NORMAL * np.array([_median_above(column, weights, least) for column, least in pairs])
        else:
            deviations *= deviations
            scale = np.sqrt(np.average(deviations, axis=0, weights=None if weights.min() == 1 else weights))
        scale[(scale <= rounding) & (rounding < np.inf)] = 0
    weighted = values if weights.all() else values[weights > 0]
    lowest = weighted.min(axis=0)
    equal = lowest == weighted.max(axis=0)
    return np.where(equal, lowest, centre), np.where(equal, 0, scale)


def _median_above(y, weights, least):
    """Return the median of `y`, or if it is not above `least`, the median of what is; 0 if nothing is."""
    median = _median(y, weights)
    if median > least:
        return median
    weights = np.where(y > least, weights, 0)
    return _median(y, weights) if weights.any() else 0.0


def _median(y, weights):
    order = np.argsort(y, kind="stable")
    below = np.cumsum(weights[order])
    # The median is the mean of two numbers if half of the weights end between them. Sums of weights are rounded.
    lower, upper = np.argmax(below >= below[-1] * (0.5 - 1e-12)), np.argmax(below > below[-1] * (0.5 + 1e-12))
    return 0.5 * y[order[lower]] + 0.5 * y[order[upper]]


def must_change(old: Scaling, new: Scaling) -> NDArray[np.bool_]:
    """Return which outputs need the new centre and scale, (n_outputs,).

    Small changes are not worth it: every one starts the moments of the optimiser anew.
    """
    (old_centre, old_scale), (centre, scale) = old, new
    far = np.abs(centre - old_centre) > np.maximum(scale, old_scale)
    return (scale > 0) & (far | (scale > _WRONG * old_scale) | (old_scale > _WRONG * scale))


def rescale(network: MLP, loss: Loss, old: Scaling, new: Scaling) -> None:
    """Change the last layer such that predictions stay as they are; outputs that were constant keep their weights."""
    (old_centre, old_scale), (centre, scale) = old, new
    vary = old_scale > 0
    ratio = np.divide(old_scale, scale, out=np.ones_like(scale), where=vary)
    shift = np.divide(old_centre - centre, scale, out=np.zeros_like(scale), where=vary)
    layer = network.layers[-1]
    if loss.out_activation == "exp":
        layer.bias += np.log(ratio)
    else:
        layer.data *= np.repeat(ratio, np.diff(layer.pattern.indptr))
        layer.bias[:] = ratio * layer.bias + shift
