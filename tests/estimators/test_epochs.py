"""How many epochs a fit has if nobody says so, and its temperature."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.datasets import load_diabetes, make_classification
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.data import ArraySource
from truesparse.estimators import base, epochs
from truesparse.network.losses import BinaryCrossEntropy, SoftmaxCrossEntropy, SquaredError, Weighted

rng = np.random.default_rng(0)
X = rng.standard_normal((120, 10)).astype(np.float32)
y = (X[:, 0] + X[:, 1] > 0).astype(int)
noisy = (X[:, 0] + X[:, 1] + 2 * rng.standard_normal(120) > 0).astype(int)
SMALL = {"hidden_layer_sizes": (20,), "epsilon": 5, "random_state": 0}


@pytest.mark.parametrize(
    ("errors", "expected"),
    [((3, 2, 2.5, 1), 50), ((1, 1, 1, 1), 25), ((4, 3, 2, 1), 200), ((4, 3, 2, 2), 100), ((1, 2, 0, 0), 25)],
)
def test_more_epochs_until_they_no_longer_help(errors, expected):
    asked = []

    def judged(n_epochs):
        asked.append(n_epochs)
        error = errors[(25, 50, 100, 200).index(n_epochs)]
        return [(np.full((1, 4), float(error)), np.zeros((4, 1))), (np.full((1, 6), -float(error)), np.zeros((6, 1)))]

    assert epochs.find(judged, SquaredError()) == (expected, 1.0)
    assert max(asked) == min(200, 2 * expected)


def test_the_temperature_is_that_of_the_lowest_loss():
    """A network that multiplies the right log-odds by 2 needs T = 2."""
    share = np.array([0.1, 0.3, 0.5, 0.8])
    z = np.repeat(np.log(share / (1 - share)), 100)
    classes = np.concatenate([np.arange(100) < 100 * p for p in share]).astype(np.int64)
    for factor, expected in ((2.0, 2.0), (7.0, 7.0), (1.0, 1.0), (0.6, 0.6), (0.1, 0.5), (1000.0, 50.0)):
        sums = np.vstack([np.zeros_like(z), factor * z]).astype(np.float32)
        halves = [(sums[:, ::2].copy(), classes[::2]), (sums[:, 1::2].copy(), classes[1::2])]
        assert epochs.find(lambda n, halves=halves: halves, SoftmaxCrossEntropy())[1] == pytest.approx(expected, 0.01)
        labels = [(half[1:], target[:, None].astype(np.float32)) for half, target in halves]
        assert epochs.find(lambda n, halves=labels: halves, BinaryCrossEntropy())[1] == pytest.approx(expected, 0.01)


def test_weights_count_in_the_temperature():
    """With all weight on the wrong answers, no temperature is high enough; with none on them, none low enough."""
    sums, classes = np.array([[0, 0, 0, 0], [3, 3, 3, 3]], dtype=np.float32), np.array([1, 1, 1, 0])
    for weights, lowest, highest in (([1, 1, 1, 0], 0.5, 0.51), ([0, 0, 0, 1], 45, 50), ([1, 1, 1, 1], 2, 4)):
        target = Weighted(classes, 4 * np.array(weights, dtype=float) / sum(weights))
        temperature = epochs.find(lambda n, target=target: [(sums.copy(), target)] * 2, SoftmaxCrossEntropy())[1]
        assert lowest <= temperature <= highest


@pytest.mark.parametrize(
    ("n_samples", "classes", "can"),
    [(49, None, False), (50, None, True), (10_000, None, True), (10_001, None, False),
     (60, [0] * 58 + [1] * 2, True), (60, [0] * 59 + [1], False)],
)  # fmt: skip
def test_for_which_samples_they_are_chosen(n_samples, classes, can):
    assert epochs.can_be_found(n_samples, None if classes is None else np.array(classes)) == can


@pytest.mark.parametrize("kind", [SparseMLPClassifier, SparseMLPRegressor])
def test_the_fit_is_that_of_the_chosen_number_but_for_the_temperature(kind):
    model = kind(**SMALL).fit(X, noisy)
    assert 1 < model.n_iter_ < 200
    progress = model._run.state.progress
    smoothed = {"label_smoothing": 0.1} if kind is SparseMLPClassifier else {}
    assert (progress.temperature > 1) == bool(smoothed)
    same = kind(**SMALL, **smoothed, max_iter=progress.planned_epochs).fit(X, noisy)
    layers = zip(model._run.network.layers, same._run.network.layers, strict=True)
    for layer, other in layers:
        factor = np.float32(progress.temperature) if layer is model._run.network.layers[-1] else np.float32(1)
        assert_array_equal(layer.data, other.data / factor)
        assert_array_equal(layer.bias, other.bias / factor)
    assert_array_equal(model.predict(X), same.predict(X))
    assert len(model.history_["epoch"]) == model.n_iter_
    assert np.isnan(model.history_["validation_loss"]).all()


def test_probabilities_are_not_too_sure():
    """A tenth of the labels are wrong, so that nobody can be sure of more than nine tenths."""
    X, y = make_classification(1200, flip_y=0.2, random_state=0)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    chosen, all_epochs = (
        log_loss(y_test, SparseMLPClassifier(random_state=0, max_iter=n).fit(X_train, y_train).predict_proba(X_test))
        for n in (None, 200)
    )
    assert chosen < 0.5 < 0.7 < all_epochs


def test_the_halves_judge_each_other(monkeypatch):
    """Each sample is trained on in one half and judges the other; classes have the same shares in both."""
    seen, judged, trainer, forward_all = [], [], epochs.Trainings.begin, base.forward_all
    monkeypatch.setattr(
        epochs.Trainings, "begin", lambda self, begun: seen.append(begun) or trainer(self, begun)
    )  # fmt: skip
    monkeypatch.setattr(base, "forward_all", lambda network, aside: judged.append(aside) or forward_all(network, aside))
    SparseMLPClassifier(**SMALL).fit(X, y)
    *judges, final = seen
    assert [begun.recipe.n_epochs for begun in judges[::2]] == [25, 50, 100, 200][: len(judges) // 2]
    assert final.recipe.n_epochs in (25, 50, 100, 200)
    first, second = judges[:2]
    rows = [begun.source.rows(np.arange(begun.source.n_samples)) for begun in (first, second, final)]
    assert_array_equal([aside.rows(np.arange(60)) for aside in judged[:2]], [rows[1], rows[0]])
    assert_array_equal(np.sort(np.concatenate(rows[:2]), axis=0), np.sort(rows[2], axis=0))
    assert final.validation is None
    assert abs(np.mean(first.source.target) - np.mean(y)) < 0.02


@pytest.mark.parametrize("data", [csr_array(X), X])
def test_the_same_for_dense_and_sparse_data_and_for_the_same_seed(data):
    assert SparseMLPClassifier(**SMALL).fit(data, y).n_iter_ == SparseMLPClassifier(**SMALL).fit(X, y).n_iter_


def test_where_they_are_not_chosen():
    unlimited = SMALL | {"n_iter_no_change": np.inf}
    assert SparseMLPClassifier(**unlimited).fit(X[:49], y[:49]).n_iter_ == 200
    assert SparseMLPClassifier(**unlimited).fit(ArraySource(X, y)).n_iter_ == 200
    assert SparseMLPClassifier(**unlimited).fit(X, y, X_val=X, y_val=y).n_iter_ == 200
    part = SparseMLPClassifier(**SMALL).partial_fit(X, y, classes=[0, 1])
    assert part._run.state.progress.planned_steps == 200 * 4
    warm = SparseMLPClassifier(**SMALL, warm_start=True).fit(X, y)
    n_first = warm.n_iter_
    assert warm.set_params(n_iter_no_change=np.inf).fit(X, y).n_iter_ == n_first + 200


def test_a_fit_that_was_killed_goes_on_with_the_number_that_was_chosen(tmp_path):
    from truesparse.callbacks import Checkpoint

    class KilledError(Exception):
        pass

    class Kill:
        def on_epoch_end(self, network, record):
            if record.epoch == 7:
                raise KilledError

    path = tmp_path / "checkpoint"
    whole = SparseMLPClassifier(**SMALL).fit(X, y)
    assert whole.n_iter_ > 8
    with pytest.raises(KilledError):
        SparseMLPClassifier(**SMALL, callbacks=[Checkpoint(path, every=5), Kill()]).fit(X, y)
    resumed = SparseMLPClassifier(**SMALL).fit(X, y, resume_from=path)
    assert resumed.n_iter_ == whole.n_iter_
    assert resumed.predict_proba(X).tobytes() == whole.predict_proba(X).tobytes()


def test_fewer_epochs_for_noisy_targets():
    """R² on the diabetes data falls from .4 to .2 if nobody ends the training."""
    X_train, X_test, y_train, y_test = train_test_split(*load_diabetes(return_X_y=True), random_state=0)
    scale = X_train.std(axis=0)
    chosen, all_epochs = (
        SparseMLPRegressor(random_state=0, max_iter=n).fit(X_train / scale, y_train).score(X_test / scale, y_test)
        for n in (None, 200)
    )
    assert chosen > all_epochs + 0.1
