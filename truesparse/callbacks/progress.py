"""Display of progress while an estimator trains, as `verbose` asks for: a bar, or a line per epoch."""

import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from truesparse.network.mlp import MLP
from truesparse.training.state import EpochRecord


def displays(verbose: int, done: int, n_epochs: int) -> list[Any]:
    """Return the callbacks that `verbose` asks for in a fit of `n_epochs` epochs after `done` earlier ones."""
    if not verbose:
        return []
    if verbose == 1 and n_epochs > 1 and _bar_possible():
        return [EpochBar(done, n_epochs)]
    return [EpochPrinter(done + n_epochs)]


class EpochPrinter:
    """A callback that prints one line per epoch, with the number of the last epoch that is planned."""

    def __init__(self, last_epoch: int):
        self._last_epoch = last_epoch

    def on_epoch_end(self, network: MLP, record: EpochRecord) -> None:
        """Print the record."""
        print(
            f"epoch {record.epoch:>4}/{self._last_epoch}  {_losses(record)}"
            f"  learning rate {record.learning_rate:.2g}  replaced {sum(record.edges_replaced)} of {sum(record.nnz)}"
            f"  {record.seconds:.2f} s",
            flush=True,  # into a file too, where somebody may be reading
        )


class EpochBar:
    """A callback that draws a bar of `n_epochs` after `done` epochs, with the loss and the time left; needs rich."""

    def __init__(self, done: int, n_epochs: int):
        self._done, self._n_epochs = done, n_epochs
        self._bar: Any = None

    def on_train_begin(self, network: MLP) -> None:
        """Draw the empty bar."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[last]}"),
            BarColumn(),
            TextColumn("{task.fields[losses]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(),
            refresh_per_second=4,
        )
        last = self._done + self._n_epochs
        self._task = self._bar.add_task("", total=self._n_epochs, epoch=self._done, last=last, losses="")
        self._bar.start()

    def on_resume(self, network: MLP, records: Sequence[EpochRecord]) -> None:
        """Show the epochs that are done."""
        self.on_epoch_end(network, records[-1])

    def on_epoch_end(self, network: MLP, record: EpochRecord) -> None:
        """Advance the bar to this epoch."""
        self._bar.update(self._task, completed=record.epoch - self._done, epoch=record.epoch, losses=_losses(record))

    def on_fit_end(self) -> None:
        """Stop drawing."""
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def members_display(verbose: int, n_members: int) -> Iterator[Callable[[str], None]]:
    """Return ``show(text)``, called for each member of an ensemble: it advances a bar, or prints a line.

    `verbose` is that of the estimators: 0 is silent, 1 a bar where one is possible, 2 lines.
    """
    numbers = iter(range(1, n_members + 1))
    if verbose == 1 and n_members > 1 and _bar_possible():
        from rich.progress import Progress

        with Progress() as bar:
            task = bar.add_task(f"0 of {n_members} members", total=n_members)
            yield lambda text: bar.update(task, advance=1, description=f"{next(numbers)} of {n_members} members")
        return

    def show(text):
        if verbose:
            print(f"member {next(numbers):>{len(str(n_members))}} of {n_members}: {text}", flush=True)

    yield show


def _losses(record):
    shown = f"loss {record.train_loss:.4f}"
    if record.validation_score == record.validation_score:  # not NaN
        shown += f"  validation loss {record.validation_loss:.4f}  score {record.validation_score:.4f}"
    return shown


def _bar_possible():
    """Return whether rich is installed and the output is a terminal on which no parallel fit draws."""
    try:
        from rich.console import Console
        from rich.file_proxy import FileProxy
    except ImportError:
        return False
    alone = threading.current_thread() is threading.main_thread() and multiprocessing.parent_process() is None
    is_terminal = sys.stdout is not None and sys.stdout.isatty() and not isinstance(sys.stdout, FileProxy)
    return alone and is_terminal and Console().is_interactive
