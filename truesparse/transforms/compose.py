"""Several transforms as one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from truesparse.data.transformed import apply_transform, changes_targets
from truesparse.runtime.plugins import plugin
from truesparse.transforms.moves import Move, can_join, move_images


@plugin("batch_transform")
@dataclass(frozen=True)
class Compose:
    """Apply transforms one after the other.

    Crops, flips, shifts and rotations that follow one another, of the same `image_shape` and with the same `fill`, are
    made in one pass: pixels are interpolated once, and what one move leaves outside the image the next one can bring
    back.

    Parameters
    ----------
    transforms : list or tuple of callables
        Transforms of this module or of your own. If one of them changes targets, so does all.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.transforms import Compose, Crop, CutOut, Flip
    >>> shape = (32, 32, 3)
    >>> augment = Compose([Crop(shape, padding=4), Flip(shape), CutOut(shape, size=8)])
    >>> augment(np.zeros((100, 3072), dtype=np.float32), np.random.default_rng(0)).shape
    (100, 3072)
    """

    transforms: Sequence[Callable[..., Any]]

    def __post_init__(self):
        given = self.transforms
        if not isinstance(given, list | tuple) or not given or not all(map(_is_transform, given)):
            raise ValueError(f"transforms={given!r} must be a list of at least one transform, each of them callable.")
        object.__setattr__(self, "transforms", tuple(given))

    @property
    def changes_targets(self) -> bool:
        """Whether one of the transforms changes targets."""
        return any(map(changes_targets, self.transforms))

    def __call__(self, X_batch: Any, *target_and_rng: Any) -> Any:
        """Return the batch (n, n_features) for ``(X_batch, rng)``, or both for ``(X_batch, target_batch, rng)``."""
        if len(target_and_rng) not in ((2,) if self.changes_targets else (1, 2)):
            needed = "X_batch, target_batch, rng" if self.changes_targets else "X_batch, rng"
            raise TypeError(f"{self!r} takes ({needed}), got {1 + len(target_and_rng)} arguments.")
        *targets, rng = target_and_rng
        X, target = X_batch, targets[0] if targets else None
        for group in _groups(self.transforms):
            X, target = group(X, target, rng)
        return (X, target) if targets else X


def _is_transform(value):
    return callable(value) and not isinstance(value, type)


def _groups(transforms) -> Iterator[Callable[[Any, Any, np.random.Generator], tuple[Any, Any]]]:
    """Yield functions (X, target, rng) → (X, target): moves that are made in one pass, and other transforms alone."""
    moves: list[Move] = []
    for transform in (*_flat(transforms), None):
        if moves and not can_join(moves, transform):
            yield partial(_move, moves)
            moves = []
        if isinstance(transform, Move):
            moves.append(transform)
        elif transform is not None:
            yield partial(_apply, transform)


def _flat(transforms):
    for transform in transforms:
        yield from _flat(transform.transforms) if isinstance(transform, Compose) else (transform,)


def _move(moves, X, target, rng):
    return move_images(X, moves, rng), target


def _apply(transform, X, target, rng):
    return apply_transform(transform, X, target, rng, with_target=changes_targets(transform))
