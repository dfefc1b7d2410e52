"""How many epochs a fit has if `max_iter` is None.

The samples are divided into halves. A network is trained on each, with schedules planned for 200 epochs, and judged by
the other half after every epoch, until it has not improved for `n_iter_no_change` epochs. The mean of the two curves,
smoothed over five epochs, is best in epoch e*. The network of the fit is then trained on all samples for

    n_epochs = min(200, 2.5 · e*)

epochs, for which its schedules are planned. It takes more epochs than the halves, because its learning rate falls all
the way, while theirs had hardly begun to. benchmarks/study/README.md has the trials.
"""

from collections.abc import Sequence

import numpy as np

from truesparse.training.trainer import Trainer

MOST = 200
_FEWEST_SAMPLES, _MOST_SAMPLES = 50, 10_000  # for which the number of epochs is chosen
_SMOOTHED, _LONGER = 5, 2.5


def can_be_chosen(n_samples: int, classes: np.ndarray | None) -> bool:
    """Return whether halves can tell how many epochs suit so many samples; more samples hardly overfit."""
    if not _FEWEST_SAMPLES <= n_samples <= _MOST_SAMPLES:
        return False
    return classes is None or np.unique(classes, return_counts=True)[1].min() >= 2


def chosen(curves: Sequence[Sequence[float]]) -> int:
    """Return the number of epochs that follows from two curves of validation values, of which higher ones are better.

    Examples
    --------
    >>> from truesparse.estimators.epochs import chosen
    >>> chosen([[-9, -5, -1, -1, -1, -5, -9, -9], [-9, -5, -1, -1, -1, -5, -9]])  # best around epoch 4
    10
    """
    n = min(map(len, curves))
    mean = np.mean([curve[:n] for curve in curves], axis=0)
    side = _SMOOTHED // 2
    smoothed = [mean[max(0, epoch - side) : epoch + side + 1].mean() for epoch in range(n)]
    return min(MOST, round(_LONGER * (int(np.argmax(smoothed)) + 1)))


class Trainings:
    """The trainings of a fit, one after the other. Once they are asked to stop, each ends after its first batch."""

    def __init__(self) -> None:
        self._is_asked = False
        self._current: Trainer | None = None

    def begin(self, trainer: Trainer) -> Trainer:
        """Return a trainer that `stop` will stop from now on."""
        self._current = trainer
        if self._is_asked:
            trainer.stop()
        return trainer

    def stop(self) -> None:
        """Ask the present training, and those that follow, to stop."""
        self._is_asked = True
        if self._current is not None:
            self._current.stop()
