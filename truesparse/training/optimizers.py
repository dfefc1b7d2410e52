"""Optimisers: SGD with (Nesterov) momentum, and Adam.

An optimiser holds hyper-parameters only; its state is a dictionary of vectors as long as the parameters. The trainer
sets their entries to zero for grown connections. Adam's bias correction counts the steps of the network, so the first
steps of a grown weight are up to (1 − β₁) / √(1 − β₂) ≈ 3.2 times the learning rate.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from truesparse._typing import FloatArray
from truesparse.kernels.update import adam_step, sgd_step, smallest_normal
from truesparse.runtime.checks import check_flag, check_number
from truesparse.runtime.plugins import plugin


class Optimizer(Protocol):
    """Protocol of the optimisers."""

    def init(self, params: FloatArray) -> dict[str, FloatArray]:
        """Return a fresh state: named vectors as long as `params`, all zero."""

    def step(
        self, params: FloatArray, gradient: FloatArray, state: dict[str, FloatArray], *,
        learning_rate: float, alpha: float, n_weights: int, n_steps: int,
    ) -> None:  # fmt: skip
        """Update `params` and `state` in place; `gradient` has the shape (n_params,).

        `alpha` is the strength of the L2 penalty on the first `n_weights` parameters, which `gradient` does not
        contain. `n_steps` counts the steps so far, this one included.
        """


class KernelOptimizer(Protocol):
    """An optimiser that `truesparse.kernels.steps` knows."""

    def numbers(self, learning_rate: float, n_steps: int) -> tuple[float, ...]:
        """Return the scalars that its kernel takes for a step, up to four."""


@plugin("optimizer", sgd={})
@dataclass(frozen=True)
class SGD:
    """v ← momentum · v − learning_rate · g;  w ← w + v, or with Nesterov w + momentum · v − learning_rate · g.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.training.optimizers import SGD
    >>> sgd, params = SGD(momentum=0.5, nesterov=False), np.zeros(1)
    >>> state = sgd.init(params)
    >>> for step in (1, 2):
    ...     sgd.step(params, np.ones(1), state, learning_rate=0.1, alpha=0, n_weights=1, n_steps=step)
    >>> params  # −0.1, then −0.1 − 0.15
    array([-0.25])
    """

    momentum: float = 0.9
    nesterov: bool = True

    def __post_init__(self):
        check_number("momentum", self.momentum, 0, 1, without=1)
        check_flag("nesterov", self.nesterov)

    def init(self, params: FloatArray) -> dict[str, FloatArray]:
        """Return ``velocity``, all zero."""
        return {"velocity": np.zeros_like(params)}

    def step(self, params, gradient, state, *, learning_rate, alpha, n_weights, n_steps) -> None:
        """See `Optimizer`."""
        scalar = params.dtype.type
        sgd_step(
            params, gradient, state["velocity"], *map(scalar, self.numbers(learning_rate, n_steps)), scalar(alpha),
            n_weights, smallest_normal(params.dtype),
        )  # fmt: skip

    def numbers(self, learning_rate: float, n_steps: int) -> tuple[float, ...]:
        """See `KernelOptimizer`."""
        return learning_rate, self.momentum, float(self.nesterov)


@plugin("optimizer", adam={})
@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba, 2015) with bias-corrected moments; the L2 penalty is part of the gradient."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self):
        check_number("beta1", self.beta1, 0, 1, without=1)
        check_number("beta2", self.beta2, 0, 1, without=1)
        check_number("eps", self.eps, 0, without=0)

    def init(self, params: FloatArray) -> dict[str, FloatArray]:
        """Return ``mean`` and ``square``, all zero."""
        return {"mean": np.zeros_like(params), "square": np.zeros_like(params)}

    def step(self, params, gradient, state, *, learning_rate, alpha, n_weights, n_steps) -> None:
        """See `Optimizer`."""
        scalar = params.dtype.type
        adam_step(
            params, gradient, state["mean"], state["square"], *map(scalar, self.numbers(learning_rate, n_steps)),
            scalar(alpha), n_weights, smallest_normal(params.dtype),
        )  # fmt: skip

    def numbers(self, learning_rate: float, n_steps: int) -> tuple[float, ...]:
        """See `KernelOptimizer`."""
        root = math.sqrt(1 - self.beta2**n_steps)
        return learning_rate * root / (1 - self.beta1**n_steps), self.beta1, self.beta2, self.eps * root
