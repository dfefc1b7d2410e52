"""Density decay: a training begins with more weights than it ends with.

A layer that ends with nnz₁ weights begins with nnz₀ = start · nnz₁, at most all pairs. With the progress p from `begin`
(0) to `end` (1), it has

    nnz = nnz₁ + ⌊(nnz₀ − nnz₁) · remaining(p)⌋

| decay | remaining(p) | source |
|---|---|---|
| `Cubic` | (1 − p)³ | GMP; Zhu & Gupta, 2017; GraNet; Liu et al., 2021 |
| `Sigmoid` | 1 / (1 + exp(k · (p − ½))), shifted and scaled to run from 1 to 0 | CHTss; Zhang et al., 2025 |

Each update drops the weights that are too many together with those that it replaces, a share of the rest. If that share
is zero throughout, the training is gradual pruning. nnz₁ is the number that ``epsilon``, ``density`` or the first
topology give. A layer never gets more weights than it has: a network that is trained further keeps its number.

Memory and time of a step follow the number of weights of that step. nnz₁ and nnz₀ depend on parameters and shapes only,
so that a resumed training needs no state for them.

Sources: M. Zhu, S. Gupta, "To prune, or not to prune", arXiv 1710.01878. S. Liu et al., "Sparse training via boosting
pruning plasticity with neuroregeneration", NeurIPS 2021. Y. Zhang et al., "Brain network science modelling of sparse
neural networks enables Transformers and LLMs to perform as fully connected", arXiv 2501.19107.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from truesparse.evolution.rules import DensityDecay, Within, pairs_allowed
from truesparse.evolution.schedule import check_steps, in_steps, is_on_grid
from truesparse.network.protocol import Layer
from truesparse.runtime.checks import check_number, is_number
from truesparse.runtime.plugins import plugin


@plugin("density")
@dataclass(frozen=True)
class Cubic:
    """Numbers of weights that fall along a cubic, fast at first.

    Updates come at the steps that the schedule's ``update_every`` says, also where the schedule replaces nothing.

    Parameters
    ----------
    start : float
        Number of weights at first, as a multiple of the final number; more than 1. A layer has at most all pairs, or
        all that ``Evolution.within`` allows.
    begin, end : int or float, default=0.0, 0.75
        When the number starts to fall, and when it is the final one. An int counts steps, a float is a share of the
        plan. The final number is reached before the last step at the latest.

    Examples
    --------
    >>> from truesparse import Evolution, SparseMLPClassifier
    >>> from truesparse.evolution import Cubic, Gradient
    >>> granet = Evolution(grow=Gradient(), grow_init="zeros", density=Cubic(start=4))
    >>> classifier = SparseMLPClassifier((100,), density=0.05, evolution=granet)

    Gradual magnitude pruning of a network that begins with all pairs and grows nothing:

    >>> from truesparse.evolution import Constant
    >>> gmp = Evolution(schedule=Constant(drop_fraction=0.0), density=Cubic(start=20))
    """

    start: float
    begin: int | float = 0.0
    end: int | float = 0.75

    def __post_init__(self):
        check_number("start", self.start, 1, without=1)
        check_steps(begin=self.begin, end=self.end)
        if isinstance(self.begin, Integral) == isinstance(self.end, Integral) and self.begin > self.end:
            raise ValueError(f"begin={self.begin!r} must not be after end={self.end!r}.")

    def to_go(self, step: int, total_steps: int) -> float:
        """Return the share of the surplus of weights that is left at a step, 1 at `begin` and 0 from `end` on."""
        begin, end = in_steps(self.begin, total_steps), min(in_steps(self.end, total_steps), total_steps - 1)
        if step >= end:
            return 0.0
        return float(self.remaining((step - begin) / (end - begin))) if step > begin else 1.0

    def remaining(self, progress: float) -> float:
        """Return the share of the surplus between begin (`progress` 0) and end (1)."""
        return (1 - progress) ** 3


@plugin("density")
@dataclass(frozen=True)
class Sigmoid(Cubic):
    """Numbers of weights that fall along a sigmoid, fastest in the middle; parameters as for `Cubic`.

    `steepness` is k, in [0.001, 500]. The curve of the paper, which ends near 0 and 1, is stretched to end there.
    """

    steepness: float = 6.0

    def __post_init__(self):
        super().__post_init__()
        check_number("steepness", self.steepness, 0.001, 500)  # below, the differences of the formula lose all digits

    def remaining(self, progress: float) -> float:
        """Return the share of the surplus."""
        k = float(self.steepness)
        rest = 1 / (1 + math.exp(-k / 2))
        return (1 / (1 + math.exp(k * (progress - 0.5))) - (1 - rest)) / (2 * rest - 1)


def check_decay(decay: Any) -> None:
    """Raise a ValueError unless an object can be a density decay."""
    if isinstance(decay, type) or not is_number(getattr(decay, "start", None)) or not hasattr(decay, "to_go"):
        raise ValueError(
            f"density={decay!r} must have a number 'start' and a method 'to_go'; for example "
            "truesparse.evolution.Cubic(start=4). (The estimator's own density is the share of pairs in the end.)"
        )


@dataclass(frozen=True)
class WeightCounts:
    """Numbers of weights of every layer while they fall from `first` to `final`."""

    decay: DensityDecay
    first: list[int]
    final: list[int]

    @classmethod
    def of(
        cls, decay: DensityDecay, within: Within | None, shapes: Sequence[tuple[int, int]], final: Sequence[int]
    ) -> "WeightCounts":
        """Return the numbers for layers (fan_out, fan_in) that end with `final` weights."""
        most = [fan_out * fan_in for fan_out, fan_in in shapes]
        patterns = [pairs_allowed(within, layer, shape) for layer, shape in enumerate(shapes)]
        most = [n if pattern is None else min(n, pattern.nnz) for n, pattern in zip(most, patterns, strict=True)]
        start = float(decay.start)
        first = [max(n, min(limit, math.floor(start * n + 0.5))) for n, limit in zip(final, most, strict=True)]
        return cls(decay, first, list(final))

    def at(self, layers: Sequence[Layer], step: int, total_steps: int) -> list[int]:
        """Return the numbers of weights after an update before a step; never more than the layers have."""
        to_go = self.decay.to_go(step, total_steps)
        if not is_number(to_go, 0, 1):
            raise ValueError(f"{self.decay!r} returned {to_go!r} for step {step}; it must return a number in [0, 1].")
        counts = [last + math.floor((first - last) * to_go) for first, last in zip(self.first, self.final, strict=True)]
        return [_at_most(layer, n) for layer, n in zip(layers, counts, strict=True)]

    def due(
        self, layers: Sequence[Layer], update_every: int | str, step: int, epoch_step: int, total_steps: int
    ) -> list[int] | None:
        """Return the numbers after the update before a step; None if none is due.

        Updates come at the steps of `update_every`, and at the first step at which the final numbers are due.
        """
        if not self.is_falling(layers):
            return None
        is_last = self.decay.to_go(step, total_steps) == 0
        if not (is_last or (step > 0 and is_on_grid(update_every, step, epoch_step, total_steps))):
            return None
        counts = self.at(layers, step, total_steps)
        return counts if any(n < layer.nnz for n, layer in zip(counts, layers, strict=True)) else None

    def is_falling(self, layers: Sequence[Layer]) -> bool:
        """Return whether a layer still has more than its final number of weights."""
        return any(_at_most(layer, n) < layer.nnz for layer, n in zip(layers, self.final, strict=True))


def _at_most(layer: Layer, n: int) -> int:
    """Return `n`, or the number of weights of a layer that has fewer or that stores no pattern to change."""
    return layer.nnz if layer.stored_pattern is None else min(layer.nnz, n)
