"""Steps in one call of a kernel give the bytes of the trainer's own steps, for every number of threads."""

import numpy as np
import pytest

from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.training import trainer
from truesparse.training.compiled import CompiledSteps
from truesparse.training.sharing import Pace, least_batch, shares_rows, useful_threads

rng = np.random.default_rng(0)
X = rng.standard_normal((500, 21)).astype(np.float32)  # no multiple of 16
CLASSES = (X[:, :3].sum(axis=1) > 0).astype(int) + (X[:, 4] > 1)
NUMBERS = X[:, :2] ** 2
LABELS = (X[:, :3] > 0).astype(int)

CASES = {
    "classes, adam": (SparseMLPClassifier, CLASSES, {}),
    "labels, sgd, set": (SparseMLPClassifier, LABELS, {"solver": "sgd", "evolution": "set"}),
    "squared error, float64": (SparseMLPRegressor, NUMBERS, {"dtype": "float64", "evolution": "rigl"}),
    "smoothed labels": (SparseMLPClassifier, CLASSES, {"label_smoothing": 0.1}),
    "huber, no dropout": (SparseMLPRegressor, NUMBERS, {"loss": "huber", "dropout": 0.0}),
    "absolute error": (SparseMLPRegressor, NUMBERS, {"loss": "absolute_error"}),
    "poisson": (SparseMLPRegressor, NUMBERS, {"loss": "poisson", "activation": "all_relu"}),
    "weights": (SparseMLPClassifier, CLASSES, {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}}),
    "validation": (SparseMLPClassifier, CLASSES, {"early_stopping": True}),
}


class Watcher:
    """A callback that has to be called after every step."""

    def __init__(self):
        self.steps = []

    def on_step(self, network, step):
        self.steps.append(step)


def fitted(case, **settings):
    estimator, y, own = CASES[case]
    settings = {"max_iter": 3, "update_every": 7, "random_state": 0, "epsilon": 3, **own, **settings}
    return estimator((90, 80), **settings).fit(X, y)


def numbers(model):
    """Everything that a training ends with but its seconds."""
    moments = [moment.tobytes() for moment in model._run.state.optimizer_state.values()]
    history = {name: values for name, values in model.history_.items() if name != "seconds"}
    return model._network.params.tobytes(), moments, repr(history)


@pytest.fixture
def compiled_calls(monkeypatch):
    calls, run = [], CompiledSteps.run

    def noted(self, state, samples, learning_rates, draws):
        calls.append(len(learning_rates))
        return run(self, state, samples, learning_rates, draws)

    monkeypatch.setattr(CompiledSteps, "run", noted)
    return calls


@pytest.mark.parametrize("case", CASES)
def test_the_same_bytes_as_step_by_step(case, compiled_calls):
    watcher = Watcher()
    by_step = numbers(fitted(case, callbacks=[watcher]))
    assert not compiled_calls
    assert numbers(fitted(case)) == by_step
    assert sum(compiled_calls) == len(watcher.steps)
    assert compiled_calls[:2] == [7, 7]  # from one update of the topology to the next


@pytest.mark.usefixtures("share_all_work")
@pytest.mark.parametrize("batch_size", [1, 16, 100, 128, 200, 400])
def test_the_same_bytes_for_every_batch_size_and_number_of_threads(batch_size):
    one = numbers(fitted("classes, adam", batch_size=batch_size, max_iter=2))
    assert numbers(fitted("classes, adam", batch_size=batch_size, max_iter=2, n_jobs=2)) == one
    assert numbers(fitted("classes, adam", batch_size=batch_size, max_iter=2, callbacks=[Watcher()], n_jobs=2)) == one


@pytest.mark.usefixtures("share_all_work")
def test_the_same_bytes_where_threads_share_rows(monkeypatch):
    one = numbers(fitted("classes, adam", batch_size=100))
    monkeypatch.setattr(trainer, "shares_rows", lambda *arguments: True)
    assert numbers(fitted("classes, adam", batch_size=100, n_jobs=2)) == one


def test_which_threads_share_what():
    assert not shares_rows(10**8, 128, n_threads=1)
    assert shares_rows(10**8, 128, n_threads=2)  # a gradient for each tile would take 800 MB
    assert not shares_rows(10**5, 128, n_threads=2)
    assert shares_rows(10**6, 32, n_threads=2)  # one tile has nothing to share


@pytest.mark.parametrize(("with_one", "with_four", "faster"), [(1.0, 0.5, 4), (1.0, 10.0, 1)])
def test_the_faster_number_of_threads_is_chosen_and_the_other_tried_now_and_then(with_one, with_four, faster):
    pace, chosen = Pace(4), []
    for _ in range(800):
        chosen.append(pace.n_threads())
        pace.note(chosen[-1], with_one if chosen[-1] == 1 else with_four)
    assert chosen[:6] == [4, 4, 4, 1, 1, 1]
    assert not Pace(1).is_trial
    assert chosen[6:].count(faster) == 800 - 6 - 3  # at 200, 400 and 600


def test_a_core_that_becomes_busy_and_free_again_is_noticed():
    pace = Pace(2)
    for seconds, expected in ((0.5, 2), (10.0, 1), (0.5, 2)):  # with two threads; with one it is 1
        for _ in range(1000):
            n = pace.n_threads()
            pace.note(n, seconds if n == 2 else 1.0)
        pace.note(expected, seconds if expected == 2 else 1.0)  # the next part is no trial
        assert pace.n_threads() == expected


@pytest.mark.parametrize("tile", [1, 32])
@pytest.mark.parametrize("n_params", [1, 7_000, 33_000, 60_000, 70_000, 10**6, 10**8])
def test_the_least_batch_is_the_first_that_is_worth_several_threads(n_params, tile):
    least = least_batch(n_params, tile=tile)
    assert useful_threads(n_params, least, most=4, tile=tile) == 4
    assert least == 1 or useful_threads(n_params, least - 1, most=4, tile=tile) == 1
    assert tile == 1 or least > tile  # a tile is not shared


def test_an_overflow_is_an_error_that_names_its_step(compiled_calls):
    with pytest.raises(ValueError, match=r"training loss became infinite or NaN in epoch 1, step [2-9]\."):
        fitted("squared error, float64", learning_rate_init=1e200, solver="sgd", dropout=0.0)
    assert compiled_calls


def test_a_call_ends_soon_after_it_is_asked_to_stop(monkeypatch, compiled_calls):
    monkeypatch.setattr("truesparse.training.compiled._MOST_WORK", 1)
    fitted("classes, adam")
    assert set(compiled_calls) == {1}
