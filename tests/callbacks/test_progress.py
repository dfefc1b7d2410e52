import io
import math
import pickle
import sys
import threading

import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from truesparse import SparseMLPClassifier
from truesparse.callbacks import Checkpoint, EpochPrinter
from truesparse.callbacks.progress import EpochBar, displays
from truesparse.training.state import EpochRecord

X, y = load_iris(return_X_y=True)
SMALL = {"hidden_layer_sizes": (20,), "epsilon": 5, "max_iter": 3, "random_state": 0}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """To be called in the test, for pytest sets the output anew before it."""
    pytest.importorskip("rich")

    def use():
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setattr(sys, "stdout", Terminal())
        return sys.stdout

    yield use
    monkeypatch.undo()


def test_one_line_per_epoch(capsys):
    printer = EpochPrinter(20)
    printer.on_epoch_end(None, EpochRecord(3, 0.25, math.nan, math.nan, 0.003, [100, 50], [10, 5], 0.5))
    printer.on_epoch_end(None, EpochRecord(4, 0.25, 0.3, 0.9, 0.003, [100, 50], [0, 0], 0.5))
    first, second = capsys.readouterr().out.splitlines()
    assert first == "epoch    3/20  loss 0.2500  learning rate 0.003  replaced 15 of 150  0.50 s"
    assert "validation loss 0.3000  score 0.9000" in second


def test_silent_by_default(capfd):
    SparseMLPClassifier(**SMALL).fit(X, y)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [1, True, 2])
def test_lines_without_control_characters_where_output_is_no_terminal(verbose, capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich would take that for a terminal
    SparseMLPClassifier(**SMALL, verbose=verbose).fit(X, y)
    out, err = capfd.readouterr()
    assert [line.split()[1] for line in out.splitlines()] == ["1/3", "2/3", "3/3"]
    assert "\x1b" not in out
    assert "\r" not in out
    assert not err


def test_a_bar_on_a_terminal(terminal):
    terminal = terminal()
    SparseMLPClassifier(**SMALL, verbose=1, early_stopping=True).fit(X, y)
    drawn = terminal.getvalue()
    assert "epoch 3/3" in drawn
    assert "loss" in drawn
    assert "score" in drawn
    assert "\x1b" in drawn
    assert drawn.count("\n") <= 2  # one line, drawn again and again
    assert "\x1b[?25h" in drawn  # the cursor is back


def test_a_bar_counts_on_after_a_warm_start_and_a_checkpoint(terminal, tmp_path):
    path, terminal = tmp_path / "checkpoint.npz", terminal()
    model = SparseMLPClassifier(**SMALL, verbose=1, warm_start=True).fit(X, y)
    assert model.set_params(callbacks=[Checkpoint(path, every=5)]).fit(X, y).n_iter_ == 6
    assert "epoch 6/6" in terminal.getvalue()
    terminal.truncate(0)
    model.fit(X, y, resume_from=path)
    assert "epoch 6/6" in terminal.getvalue()
    assert "epoch 3/6" in terminal.getvalue()


@pytest.mark.parametrize("where", ["verbose=2", "a dumb terminal", "one epoch", "without rich", "a thread"])
def test_lines_where_no_bar_is_wanted(where, terminal, monkeypatch):
    shown = []
    terminal()
    verbose, n_epochs = (2 if where == "verbose=2" else 1), (1 if where == "one epoch" else 5)
    if where == "a dumb terminal":
        monkeypatch.setenv("TERM", "dumb")
    if where == "without rich":
        monkeypatch.setitem(sys.modules, "rich.console", None)
    if where == "a thread":
        thread = threading.Thread(target=lambda: shown.extend(displays(verbose, 0, n_epochs)))
        thread.start()
        thread.join()
    else:
        shown = displays(verbose, 0, n_epochs)
    assert [type(display) for display in shown] == [EpochPrinter]


def test_no_bar_within_a_bar(terminal):
    """Another fit, in a callback of the first one, prints lines above the bar of that."""

    class FitsInBetween:
        def on_epoch_begin(self, network, epoch):
            kinds.append([type(display) for display in displays(1, 0, 5)])

        def on_fit_end(self):
            kinds.append([type(display) for display in displays(1, 0, 5)])

    kinds = []
    terminal()
    SparseMLPClassifier(**SMALL | {"max_iter": 2}, verbose=1, callbacks=[FitsInBetween()]).fit(X, y)
    assert kinds == [[EpochPrinter], [EpochPrinter], [EpochBar]]


def test_the_bar_goes_when_a_fit_fails(terminal):
    class Fails:
        def on_epoch_end(self, network, record):
            raise OSError

    terminal = terminal()
    with pytest.raises(OSError):  # noqa: PT011
        SparseMLPClassifier(**SMALL, verbose=1, callbacks=[Fails()]).fit(X, y)
    assert sys.stdout is terminal  # rich has let go of it
    assert "\x1b[?25h" in terminal.getvalue()


def test_a_search_can_show_its_progress(capfd):
    model = SparseMLPClassifier(**SMALL, verbose=1)
    GridSearchCV(model, {"alpha": [0, 1e-4]}, cv=2, refit=False).fit(X, y)
    assert len(capfd.readouterr().out.splitlines()) == 2 * 2 * 3
    assert not hasattr(pickle.loads(pickle.dumps(model)), "_network")
