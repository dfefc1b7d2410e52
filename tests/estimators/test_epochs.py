"""How many epochs a fit has if nobody says so."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.data import ArraySource
from truesparse.estimators import epochs

rng = np.random.default_rng(0)
X = rng.standard_normal((120, 10)).astype(np.float32)
y = (X[:, 0] + X[:, 1] > 0).astype(int)
SMALL = {"hidden_layer_sizes": (20,), "epsilon": 5, "random_state": 0}


def test_two_and_a_half_times_the_best_epoch_of_the_smoothed_mean():
    best_at_ten = -np.abs(np.arange(1, 30) - 10.0)
    assert epochs.chosen([best_at_ten, best_at_ten]) == 25
    spike = best_at_ten.copy()
    spike[20] = 5  # a lucky epoch: over five epochs its mean is still below that of the tenth
    assert epochs.chosen([best_at_ten, spike]) == 25
    assert epochs.chosen([best_at_ten, best_at_ten[:5]]) == round(2.5 * 5)  # one half has stopped in the fifth
    rising = np.arange(200.0)
    assert epochs.chosen([rising, rising]) == 200


@pytest.mark.parametrize(
    ("n_samples", "classes", "can"),
    [(49, None, False), (50, None, True), (10_000, None, True), (10_001, None, False),
     (60, [0] * 58 + [1] * 2, True), (60, [0] * 59 + [1], False)],
)  # fmt: skip
def test_for_which_samples_they_are_chosen(n_samples, classes, can):
    assert epochs.can_be_chosen(n_samples, None if classes is None else np.array(classes)) == can


@pytest.mark.parametrize("kind", [SparseMLPClassifier, SparseMLPRegressor])
def test_the_fit_is_that_of_the_chosen_number(kind):
    model = kind(**SMALL).fit(X, y)
    assert 1 < model.n_iter_ < 200
    same = kind(**SMALL, max_iter=model._run.state.progress.planned_epochs).fit(X, y)
    for coef, other in zip(model.coefs_, same.coefs_, strict=True):
        assert_array_equal(coef.toarray(), other.toarray())
    assert len(model.history_["epoch"]) == model.n_iter_
    assert np.isnan(model.history_["validation_loss"]).all()


def test_the_halves_judge_each_other(monkeypatch):
    """Each sample is trained on in one half and judges the other; classes have the same shares in both."""
    seen, trainer = [], epochs.Trainings.begin
    monkeypatch.setattr(
        epochs.Trainings, "begin", lambda self, begun: seen.append(begun) or trainer(self, begun)
    )  # fmt: skip
    SparseMLPClassifier(**SMALL).fit(X, y)
    first, second, final = seen
    rows = [begun.source.rows(np.arange(begun.source.n_samples)) for begun in seen]
    judges = [begun.validation.source.rows(np.arange(60)) for begun in (first, second)]
    assert_array_equal(judges[0], rows[1])
    assert_array_equal(judges[1], rows[0])
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
