import copy
import csv
import math
import pickle
import warnings

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV

from truesparse import SparseMLPClassifier
from truesparse.callbacks import Checkpoint, CSVLogger

X, y = load_iris(return_X_y=True)
SMALL = {"hidden_layer_sizes": (20, 10), "epsilon": 5, "max_iter": 6, "update_every": 3, "random_state": 0}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "epochs.csv"


def rows(path):
    with open(path, newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def epochs(path):
    return [row["epoch"] for row in rows(path)]


def without_time(row):
    return {name: value for name, value in row.items() if name != "seconds" and not math.isnan(value)}


class PowerCut(BaseException):
    pass


class CutAfter:
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, network, record):
        if record.epoch == self.epoch:
            raise PowerCut


@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_table_is_the_history(early_stopping, path):
    model = SparseMLPClassifier(**SMALL, early_stopping=early_stopping, callbacks=[CSVLogger(path)]).fit(X, y)
    table, history = rows(path), model.history_
    assert list(table[0]) == list(history)
    for name, values in history.items():
        expected = [sum(value) if isinstance(value, list) else value for value in values]
        np.testing.assert_array_equal([row[name] for row in table], expected)


def test_rows_are_written_at_once(path):
    class Reads:
        def on_epoch_end(self, network, record):
            assert epochs(path) == list(range(1, record.epoch + 1))

    SparseMLPClassifier(**SMALL, callbacks=[CSVLogger(path), Reads()]).fit(X, y)


def test_pandas_reads_it(path):
    pandas = pytest.importorskip("pandas")
    model = SparseMLPClassifier(**SMALL, callbacks=[CSVLogger(path)]).fit(X, y)
    table = pandas.read_csv(path)
    np.testing.assert_allclose(table["train_loss"], model.loss_curve_, rtol=1e-12)
    assert table["validation_score"].isna().all()


def test_a_new_fit_begins_anew_and_training_that_goes_on_appends(path):
    model = SparseMLPClassifier(**SMALL, callbacks=[CSVLogger(path)]).fit(X, y)
    model.set_params(max_iter=2).fit(X, y)
    assert epochs(path) == [1, 2]
    model.set_params(warm_start=True).fit(X, y)
    assert epochs(path) == [1, 2, 3, 4]
    model.partial_fit(X, y).partial_fit(X, y)
    assert epochs(path) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("damage", [None, "later rows", "half a row", "rows missing", "no file"])
def test_a_resumed_fit_leaves_no_epoch_out_and_none_twice(damage, path, tmp_path):
    checkpoint = tmp_path / "checkpoint.npz"
    SparseMLPClassifier(**SMALL, callbacks=[CSVLogger(path)]).fit(X, y)
    expected = rows(path)
    model = SparseMLPClassifier(**SMALL, callbacks=[CSVLogger(path), Checkpoint(checkpoint, every=3), CutAfter(5)])
    with pytest.raises(PowerCut):
        model.fit(X, y)
    assert epochs(path) == [1, 2, 3, 4, 5]
    if damage == "half a row":
        path.write_bytes(path.read_bytes()[:-20])
    if damage == "rows missing":
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    if damage == "no file":
        path.unlink()
    if damage == "later rows":
        path.write_bytes(path.read_bytes() + b"9,1,1,1,1,1,1,1\n")
    SparseMLPClassifier(**SMALL, callbacks=[CSVLogger(path)]).fit(X, y, resume_from=checkpoint)
    assert list(map(without_time, rows(path))) == list(map(without_time, expected))


def test_half_a_row_goes_when_training_goes_on(path):
    model = SparseMLPClassifier(**SMALL, callbacks=[CSVLogger(path)]).fit(X, y)
    path.write_bytes(path.read_bytes()[:-20])
    model.partial_fit(X, y)
    assert epochs(path) == [1, 2, 3, 4, 5, 7]
    assert set(map(len, rows(path))) == {8}


@pytest.mark.parametrize("content", ["name,age\nada,36\n", "epoch,loss\nfirst,0.5\n", "hello"])
def test_what_is_no_table_of_epochs_is_not_overwritten(content, path):
    path.write_text(content)
    with pytest.raises(ValueError, match="is no table of epochs"):
        SparseMLPClassifier(**SMALL, callbacks=[CSVLogger(path)]).fit(X, y)
    assert path.read_text() == content


def test_other_columns(path):
    path.write_text("epoch,loss\n1,0.5\n")
    model = SparseMLPClassifier(**SMALL).fit(X, y)
    model.set_params(warm_start=True, callbacks=[CSVLogger(path)])
    with pytest.raises(ValueError, match=r"has other columns than epoch,train_loss"):
        model.fit(X, y)
    assert path.read_text() == "epoch,loss\n1,0.5\n"


def test_an_empty_file_is_fine(path):
    path.touch()
    SparseMLPClassifier(**SMALL, callbacks=[CSVLogger(path)]).fit(X, y)
    assert len(rows(path)) == 6


def test_no_path():
    with pytest.raises(TypeError, match="path=3 must be a path"):
        CSVLogger(3)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        SparseMLPClassifier(**SMALL, callbacks=[CSVLogger(tmp_path / "nowhere" / "epochs.csv")]).fit(X, y)


def test_two_fits_at_a_time_are_refused(path):
    """Copies of a logger, as the clones of a search have them."""

    class FitsInBetween:
        def on_epoch_end(self, network, record):
            if record.epoch == 2:
                SparseMLPClassifier(**SMALL | {"max_iter": 2}, callbacks=[copy.deepcopy(logger)]).fit(X, y)

    logger = CSVLogger(path)
    with pytest.raises(RuntimeError, match="was changed while a fit wrote to it"):
        SparseMLPClassifier(**SMALL, callbacks=[logger, FitsInBetween()]).fit(X, y)


def test_the_fits_of_a_search_one_after_another(path):
    model = SparseMLPClassifier(**SMALL, callbacks=[CSVLogger(path)])
    with warnings.catch_warnings():
        warnings.simplefilter("error", FitFailedWarning)
        search = GridSearchCV(model, {"max_iter": [3, 2]}, cv=2).fit(X, y)
    assert epochs(path) == list(range(1, search.best_params_["max_iter"] + 1))


def test_a_copy_has_written_nothing(path):
    logger = CSVLogger(path)
    SparseMLPClassifier(**SMALL, callbacks=[logger]).fit(X, y)
    assert logger._left is not None
    assert vars(pickle.loads(pickle.dumps(logger))) == {"path": path, "_left": None}
