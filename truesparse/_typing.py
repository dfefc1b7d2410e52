"""Names for the arrays that travel through the package, and the protocols that plug-ins meet."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from truesparse.evolution.evolve import Vacancy

FloatArray = NDArray[np.floating]
"""float32 or float64."""

IndexArray = NDArray[np.integer]
"""int32 where the numbers fit, else int64."""

Edges = tuple[IndexArray, IndexArray]
"""Pairs of a layer as (rows, columns): row = output unit, column = input unit."""


BatchTransform = Callable[[Any, np.random.Generator], Any]
"""``transform(X_batch, rng)``: what a training batch (n, n_features) is replaced by."""


class Prune(Protocol):
    """Chooses the stored weights that go.

    A rule names in ``needs`` the signals that it reads (see `truesparse.evolution.evolve`); each arrives as a
    keyword argument.
    """

    needs: tuple[str, ...]

    def __call__(
        self, weights: Sequence["csr_array"], n_drop: Sequence[int], **signals: Any
    ) -> list[NDArray[np.bool_]]:
        """One mask of shape (nnz,) per layer, with exactly ``n_drop`` entries True: those are dropped."""


class Grow(Protocol):
    """Chooses the absent pairs that become connections; ``needs`` as for `Prune`."""

    needs: tuple[str, ...]

    def __call__(self, vacancies: Sequence["Vacancy"], *, rng: np.random.Generator, **signals: Any) -> list[Edges]:
        """Edges per layer, at most ``vacancy.n_grow`` of them, distinct and absent from ``vacancy.pattern``."""


class Schedule(Protocol):
    """Says when the topology changes and by how much."""

    drop_fraction: float
    update_every: int | str

    def __call__(self, step: int, epoch_step: int, total_steps: int) -> float:
        """The fraction of each layer's weights to replace after `step` steps, `epoch_step` of them in this epoch.

        0 where no update is due, at most 1.
        """


class Optimizer(Protocol):
    """Turns a flat gradient into a step on the flat parameters."""

    def init(self, params: FloatArray) -> dict[str, FloatArray]:
        """Fresh state: named vectors as long as `params`, all zero."""

    def step(
        self,
        params: FloatArray,
        gradient: FloatArray,
        state: dict[str, FloatArray],
        *,
        learning_rate: float,
        n_weights: int,
        n_steps: int,
    ) -> None:
        """Update `params` and `state` in place; `n_steps` counts the steps so far, this one included."""
