"""A film of the input connections during a training."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from truesparse.inspection.connectivity_display import ConnectivityDisplay, check_by, input_connections
from truesparse.inspection.display import needs_matplotlib
from truesparse.network.mlp import MLP
from truesparse.runtime.checks import check_count
from truesparse.training.state import EpochRecord


class ConnectivityRecorder:
    """A callback that records how many connections every input feature has, and how strong they are.

    The first record is of the network before the first epoch, the others of the ends of epochs. Memory is 12 bytes for
    every feature and record. A training that goes on is recorded as a continuation; a new fit takes the place of the
    one before. Early stopping restores the network of its best epoch after the last record.

    Parameters
    ----------
    every : int, default=1
        Epochs from one record to the next.

    Attributes
    ----------
    epochs : list of int
        Epochs done at each record.
    counts : (n_records, n_features) int64
        Numbers of connections.
    strengths : (n_records, n_features) float32
        Sums of their absolute weights.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_digits
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.inspection import ConnectivityRecorder
    >>> X, y = load_digits(return_X_y=True)
    >>> recorder = ConnectivityRecorder()
    >>> model = SparseMLPClassifier((50,), update_every=20, max_iter=4, random_state=0, callbacks=[recorder])
    >>> model = model.fit(X / 16, y)
    >>> recorder.epochs
    [0, 1, 2, 3, 4]
    >>> recorder.counts.shape
    (5, 64)
    >>> recorder.save_gif(Path(tempfile.mkdtemp()) / "digits.gif", image_shape=(8, 8))
    """

    def __init__(self, every: int = 1):
        check_count("every", every)
        self.every = every
        self._records: list[tuple[int, NDArray, NDArray]] = []
        self._first = None  # what a training began with, until the number of its first epoch is known

    def on_train_begin(self, network: MLP) -> None:
        """Look at the network before it trains."""
        self._first = _connections(network)

    def on_epoch_end(self, network: MLP, record: EpochRecord) -> None:
        """Record the connections, if this epoch is one of those."""
        if self._first is not None:
            self._begin(record.epoch - 1)
        if record.epoch % self.every == 0:
            self._records.append((record.epoch, *_connections(network)))

    def on_fit_end(self) -> None:
        """Forget what the training began with."""
        self._first = None

    def __getstate__(self):
        # A copy belongs to no training.
        return vars(self) | {"_first": None}

    def _begin(self, epoch):
        """Keep what is recorded of earlier epochs of the same training, as far as it goes on from there."""
        first, self._first = self._first, None
        same = self._records and self._records[0][1].size == first[0].size
        self._records = [record for record in self._records if same and record[0] < epoch]
        if not self._records or epoch % self.every == 0:
            self._records.append((epoch, *first))

    @property
    def epochs(self) -> list[int]:
        """Epochs done at each record."""
        return [record[0] for record in self._records]

    @property
    def counts(self) -> NDArray:
        """Numbers of connections, (n_records, n_features)."""
        return np.array([record[1] for record in self._records])

    @property
    def strengths(self) -> NDArray:
        """Sums of absolute weights, (n_records, n_features)."""
        return np.array([record[2] for record in self._records])

    def save_gif(
        self,
        path: str | os.PathLike,
        *,
        by: str = "number",
        image_shape: tuple[int, ...] | None = None,
        fps: int = 5,
        dpi: int = 80,
        **kwargs,
    ) -> None:
        """Write the film, a frame for each record.

        Parameters
        ----------
        path : path, ending with .gif
        by : {"number", "strength"}, default="number"
            What is shown of the connections.
        image_shape : (height, width) or (height, width, channels), optional
            Draw images, see `ConnectivityDisplay`.
        fps : int, default=5
            Frames per second. The last one stands for two seconds more.
        dpi : int, default=80
            Pixels per inch; a picture is 4 × 3.2 inches, or 6.4 × 3.2 without `image_shape`.
        **kwargs
            Of `ConnectivityDisplay.plot`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        sklearn.exceptions.NotFittedError
            If nothing is recorded.
        """
        if not self._records:
            raise NotFittedError("Nothing is recorded: fit an estimator that has this recorder among its callbacks.")
        if Path(path).suffix.lower() != ".gif":
            raise ValueError(f"path={str(path)!r} must end with '.gif'.")
        check_by(by)
        check_count("fps", fps)
        check_count("dpi", dpi)
        values = self.counts if by == "number" else self.strengths
        displays = [ConnectivityDisplay(values=row, by=by, image_shape=image_shape) for row in values]
        top = max(display.shown.max() for display in displays)  # one scale for all frames
        limits = {} if image_shape is None else {"vmax": top}
        with needs_matplotlib():
            from matplotlib.animation import PillowWriter
            from matplotlib.figure import Figure
        figure = Figure(figsize=(6.4 if image_shape is None else 4, 3.2), layout="constrained")
        writer = PillowWriter(fps=fps)
        with writer.saving(figure, path, dpi):
            for epoch, display in zip(self.epochs, displays, strict=True):
                figure.clear()
                display.plot(figure.subplots(), **(limits | kwargs))
                display.ax_.set_title(f"epoch {epoch}")
                if image_shape is None:
                    display.ax_.set_ylim(0, 1.05 * top)
                writer.grab_frame()
            for _ in range(2 * fps):
                writer.grab_frame()


def _connections(network):
    return input_connections(network, "number"), input_connections(network, "strength").astype(np.float32)
