import pickle
import warnings
from dataclasses import replace

import numba
import numpy as np
import pytest
from helpers import METHODS
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import coo_array, csc_matrix, csr_array, csr_matrix, issparse
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.datasets import make_classification, make_multilabel_classification
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info

import truesparse
from truesparse import Evolution, SparseMLPClassifier, SparseMLPRegressor, preset
from truesparse.evolution import Constant, CosineAnnealing, ImportancePruning, Random
from truesparse.kernels import reference
from truesparse.network.activations import AllReLU, PiecewiseLinear, SReLU
from truesparse.network.initial_weights import Dense, FanIn
from truesparse.training import SGD
from truesparse.training.lr_schedules import Step


def small(**parameters):
    return SparseMLPClassifier((60, 40), **{"max_iter": 5, "epsilon": 5, "random_state": 0, **parameters})


@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"dense"}))
def test_every_method_learns_digits_at_99_7_percent_sparsity(method, digits):
    X_train, X_test, y_train, y_test = digits
    model = SparseMLPClassifier(**METHODS[method], epsilon=2, max_iter=60, random_state=0).fit(X_train, y_train)
    assert model.density_ < 0.006
    assert model.score(X_test, y_test) > 0.9
    replaced = np.array(model.history_["edges_replaced"])
    assert replaced.any() == (METHODS[method]["evolution"] != "static")


def test_fitted_attributes(digits):
    X, _, y, _ = digits
    names = np.array(list("abcdefghij"))
    model = small().fit(X, names[y])
    assert_array_equal(model.classes_, names)
    assert [coef.shape for coef in model.coefs_] == [(64, 60), (60, 40), (40, 10)]
    assert all(issparse(coef) for coef in model.coefs_)
    assert [coef.nnz for coef in model.coefs_] == [5 * 124, 5 * 100, 5 * 50]
    assert [bias.shape for bias in model.intercepts_] == [(60,), (40,), (10,)]
    assert model.n_iter_ == 5 == len(model.loss_curve_)
    assert model.n_features_in_ == 64
    assert model.density_ == sum(coef.nnz for coef in model.coefs_) / (64 * 60 + 60 * 40 + 40 * 10)
    history = model.history_
    assert history["epoch"] == [1, 2, 3, 4, 5]
    assert history["train_loss"] == model.loss_curve_
    assert history["nnz"] == [[620, 500, 250]] * 5
    steps = np.arange(1, 6) * 43 - 1  # 43 of 32 samples an epoch; the last step of each
    assert_allclose(history["learning_rate"], 0.003 * (1 + np.cos(np.pi * steps / 215)))
    assert all(seconds > 0 for seconds in history["seconds"])
    assert np.isnan(history["validation_score"]).all()


def test_predictions_are_those_of_what_srelu_has_learnt(digits):
    X, X_test, y, _ = digits
    model = small(activation="srelu").fit(X, y)
    a = X_test.T
    for index, (coef, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        a = coef.toarray().T @ a + bias[:, None]
        if index < len(model.coefs_) - 1:
            a = reference.srelu(a, model.activation_params_[index])
    assert_allclose(model.predict_log_proba(X_test), log_softmax(a.T, axis=1), rtol=1e-3, atol=1e-4)
    first_slopes = SReLU().first_params(60, np.random.default_rng(0))[3]
    assert not np.allclose(model.activation_params_[0][3], first_slopes)
    assert [params.shape for params in small().fit(X, y).activation_params_] == [(0, 60), (0, 40)]


def test_probabilities_are_those_of_the_coefficients(digits):
    """The forward pass once more from what the user can see, in dense double precision."""
    X, _, y, _ = digits
    model = small(dtype="float64").fit(X, y)
    a = X
    for coef, intercept in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        a = np.maximum(a @ coef.toarray() + intercept, 0)
    z = a @ model.coefs_[-1].toarray() + model.intercepts_[-1]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert_allclose(model.predict_proba(X), p, rtol=1e-9, atol=1e-12)
    assert_allclose(model.predict_log_proba(X), np.log(p), rtol=1e-9, atol=1e-9)
    assert_array_equal(model.predict(X), p.argmax(axis=1))


def test_decisions_and_logarithms_are_those_of_the_sums(digits):
    X, _, y, _ = digits
    model = small().fit(X, y)
    z = model.decision_function(X)
    assert z.shape == (len(X), 10)
    assert_allclose(model.predict_log_proba(X), log_softmax(z.astype(np.float64), axis=1), rtol=1e-12)
    assert_array_equal(model.predict(X), model.classes_[z.argmax(axis=1)])
    labels = np.column_stack([y > 4, y % 2, y == 3]).astype(int)
    model = small().fit(X, labels)
    z = model.decision_function(X)
    assert_array_equal(model.predict(X), z > 0)
    assert_allclose(model.predict_log_proba(X), -np.log1p(np.exp(-z.astype(np.float64))), rtol=1e-12)


def test_the_decision_between_two_classes_is_the_log_odds_of_the_second():
    X, y = make_classification(200, random_state=0)
    model = small(max_iter=30).fit(X, y)
    decision = model.decision_function(X)
    assert decision.shape == (200,)
    assert_array_equal(model.predict(X), decision > 0)
    log_p = model.predict_log_proba(X)
    assert_allclose(log_p[:, 1] - log_p[:, 0], decision, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("labels", [False, True])
def test_label_smoothing_bounds_how_sure_a_network_becomes(labels):
    """Of two classes, the best answer to a target of which a fifth is spread evenly is 0.9."""
    X = np.repeat(np.eye(2), 100, axis=0)
    y = X[:, [0]].astype(int).repeat(2, axis=1) if labels else X[:, 0]
    options = {"max_iter": 300, "n_iter_no_change": np.inf, "alpha": 0.0, "dropout": 0.0, "random_state": 0}
    model = SparseMLPClassifier((20,), epsilon=5, label_smoothing=0.2, **options).fit(X, y)
    p = model.predict_proba(X)[:, 1]
    assert_allclose(p, np.where(X[:, 0] == 1, 0.9, 0.1), atol=0.003)
    loss = -np.log(0.9) * (2 if labels else 1)  # without smoothing, so that losses can be compared
    assert model.loss_curve_[-1] == pytest.approx(loss, rel=0.01)


def test_logarithms_of_probabilities_that_round_to_0_and_1():
    X, y = make_classification(200, random_state=0)
    model = small(max_iter=30).fit(X, y)
    far = 1000 * X
    p, log_p = model.predict_proba(far), model.predict_log_proba(far)
    assert (p == 0).any()
    assert (p == 1).any()
    assert np.isfinite(log_p).all()
    assert log_p.max() <= 0
    assert_allclose(log_p.min(axis=1), -np.abs(model.decision_function(far)), rtol=1e-6)


@pytest.mark.parametrize("kind", [SparseMLPClassifier, SparseMLPRegressor])
def test_parameters_that_are_set_after_a_fit_change_nothing_of_it(kind):
    X, y = make_classification(100, random_state=0)
    model = kind((20,), epsilon=3, max_iter=3, random_state=0).fit(X, y)
    predictions, summary, importances = model.predict(X), model.summary(), model.feature_importances_
    for name, value in model.get_params(deep=False).items():
        others = {"dtype": "float64", "hidden_layer_sizes": (7, 3), "loss": "huber", "activation": "tanh", "n_jobs": 2}
        model.set_params(**{name: others.get(name, "anything")})
        assert_array_equal(model.predict(X), predictions)
        assert model.summary() == summary
        assert_array_equal(model.feature_importances_, importances)
        assert model.n_iter_ == 3
        model.set_params(**{name: value})


def test_coefs_are_copies_that_do_not_change_the_model(digits):
    X, _, y, _ = digits
    model = small().fit(X, y)
    before = model.predict_proba(X)
    coef = model.coefs_[0]
    coef.data[::2] = 0
    coef.eliminate_zeros()
    model.intercepts_[0][:] = 9
    assert_array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize("container", [csr_matrix, csr_array, csc_matrix, coo_array])
def test_sparse_input(container, digits):
    X, X_test, y, _ = digits
    dense, sparse = small().fit(X, y), small().fit(container(X), y)
    assert_array_equal(sparse.predict_proba(container(X_test)), dense.predict_proba(X_test))


def test_sparse_input_is_never_dense_as_a_whole():
    """As dense float32, these data would take 200 GB."""
    rng = np.random.default_rng(0)
    n_samples, n_features = 10_000, 5_000_000
    X = csr_array(
        (np.ones(n_samples, dtype=np.float32), rng.integers(n_features, size=n_samples), np.arange(n_samples + 1)),
        shape=(n_samples, n_features),
    )
    model = SparseMLPClassifier((5,), evolution="static", epsilon=0.1, batch_size=2, max_iter=1, random_state=0)
    model.fit(X[:8], [0, 1] * 4)
    assert model.predict(X[:100]).shape == (100,)


def test_damaged_sparse_input_is_refused_before_a_kernel_sees_it(digits):
    X, _, y, _ = digits
    model = small().fit(X, y)
    damaged = csr_array(X)
    damaged.indices[5] = 10**6
    for call in (lambda: small().fit(damaged, y), lambda: model.predict(damaged)):
        with pytest.raises(ValueError, match=r"indices|column index"):
            call()


def test_the_users_matrix_is_not_changed(digits):
    X, _, y, _ = digits
    X = csr_matrix(X)
    X.data.flags.writeable = X.indices.flags.writeable = X.indptr.flags.writeable = False
    small().fit(X, y).predict(X)


def test_duplicate_unsorted_and_zero_entries_mean_their_sum():
    X = csr_array((np.array([3.0, 1.0, 2.0, 0.0]), np.array([1, 0, 1, 0]), np.array([0, 3, 4])), shape=(2, 2))
    dense = np.array([[1.0, 5.0], [0.0, 0.0]])
    parameters = {"epsilon": 50, "batch_size": 2}
    assert_array_equal(
        small(**parameters).fit(X, [0, 1]).predict_proba(X), small(**parameters).fit(dense, [0, 1]).predict_proba(dense)
    )


def test_multilabel():
    X, Y = make_multilabel_classification(600, n_features=20, n_classes=4, random_state=0)
    X = StandardScaler().fit_transform(X)
    model = SparseMLPClassifier((80, 80), epsilon=10, max_iter=60, random_state=0, early_stopping=True)
    model.fit(X[:500], Y[:500])
    p = model.predict_proba(X[500:])
    assert p.shape == (100, 4)
    assert_array_equal(model.predict(X[500:]), p > 0.5)
    assert np.mean(model.predict(X[500:]) == Y[500:]) > 0.8
    assert_array_equal(model.classes_, [0, 1, 2, 3])
    assert model.history_["validation_score"][-1] > 0


def test_binary_with_labels_that_are_no_numbers(digits):
    X, X_test, y, y_test = digits
    labels = np.array(["low", "high"])
    model = SparseMLPClassifier((80, 80), epsilon=10, max_iter=30, random_state=0).fit(X, labels[(y > 4).astype(int)])
    assert model.score(X_test, labels[(y_test > 4).astype(int)]) > 0.9
    assert model.predict_proba(X_test).shape[1] == 2


def test_pipeline_grid_search_cross_validation_clone_and_pickle(digits):
    X, X_test, y, _ = digits
    X, y = X[:400], y[:400]
    pipeline = make_pipeline(StandardScaler(), small(evolution=preset("set")))
    search = GridSearchCV(
        pipeline,
        {"sparsemlpclassifier__epsilon": [2, 8], "sparsemlpclassifier__evolution": ["set", None]},
        cv=2, error_score="raise",
    ).fit(X, y)  # fmt: skip
    assert search.best_params_["sparsemlpclassifier__epsilon"] == 8
    scores = cross_val_score(small(max_iter=60), X, y, cv=2, n_jobs=2, error_score="raise")
    assert scores.min() > 0.5
    model = small(evolution=Evolution(grow=Random())).fit(X, y)
    assert clone(model).get_params() == model.get_params()
    other = pickle.loads(pickle.dumps(model))
    assert_array_equal(other.predict_proba(X_test), model.predict_proba(X_test))
    other.partial_fit(X, y)
    assert_array_equal(model.predict(X_test), small(evolution=Evolution(grow=Random())).fit(X, y).predict(X_test))


def test_partial_fit_learns_and_replaces_connections(digits):
    X, X_test, y, y_test = digits
    model = small(max_iter=30, update_every=5)
    for _ in range(30):
        model.partial_fit(X, y, classes=range(10))
    assert model.score(X_test, y_test) > 0.9
    assert model.n_iter_ == 30
    replaced = np.array(model.history_["edges_replaced"]).sum(axis=1)
    assert (replaced[1:20] > 0).all()
    assert not replaced[23:].any()  # annealed to nothing at three quarters of max_iter calls
    assert_array_equal(model.classes_, range(10))


def test_partial_fit_after_fit_learns(digits):
    X, _, y, _ = digits
    model = small(learning_rate="cosine", update_every=5).fit(X, y)
    before = model.loss_curve_[-1]
    for _ in range(3):
        model.partial_fit(X, y)
    assert model.loss_curve_[-1] < before
    assert np.sum(model.history_["edges_replaced"][-2:]) > 0


def test_partial_fit_beyond_its_plan_says_that_it_learns_nothing(digits):
    X, _, y, _ = digits
    model = small(learning_rate="cosine", max_iter=2)
    for _ in range(2):
        model.partial_fit(X, y, classes=range(10))
    with pytest.warns(UserWarning, match="learning rate has fallen to 0, .* 2 calls of partial_fit"):
        model.partial_fit(X, y)


def test_a_topology_that_never_changed_is_said(digits):
    X, _, y, _ = digits
    with pytest.warns(UserWarning, match=r"3 epochs \(129 steps\) .* update_every=150, max_iter=3. Lower"):
        small(max_iter=3, update_every=150).fit(X, y)


def test_warm_start_with_another_solver(digits):
    X, X_test, y, y_test = digits
    model = small(warm_start=True, max_iter=20).fit(X, y)
    model.set_params(solver="sgd", learning_rate_init=0.01).fit(X, y)
    model.set_params(solver="adam", learning_rate_init=0.001).fit(X, y)
    assert model.score(X_test, y_test) > 0.9
    assert model.n_iter_ == 60


def test_warm_start_goes_on(digits):
    X, _, y, _ = digits
    model = small(warm_start=True, max_iter=3).fit(X, y)
    loss = model.loss_curve_[-1]
    model.fit(X, y)
    assert model.n_iter_ == 6
    assert model.loss_curve_[3] < loss
    cold = small(max_iter=3).fit(X, y).fit(X, y)
    assert cold.n_iter_ == 3


def test_early_stopping_restores_the_best_epoch(digits):
    X, _, y, _ = digits
    model = small(early_stopping=True, max_iter=60, n_iter_no_change=5, learning_rate_init=0.03).fit(X, y)
    losses, scores = model.history_["validation_loss"], model.history_["validation_score"]
    assert len(losses) == model.n_iter_ < 60
    assert min(losses[-5:]) >= min(losses)
    _, X_val, _, y_val = train_test_split(X, y, test_size=0.1, random_state=model._run.seed, stratify=y)
    assert model.score(X_val, y_val) == pytest.approx(scores[np.argmin(losses)])


def test_ctre_seq_turns_random_after_its_patience(digits):
    X, _, y, _ = digits
    evolution = preset("ctre_seq")
    evolution = replace(evolution, grow=replace(evolution.grow, patience=1), schedule=Constant(update_every="epoch"))
    model = small(evolution=evolution, max_iter=20, early_stopping=True, learning_rate_init=1e-9)
    model.fit(X, y)  # never improves: random from the third epoch on
    always = small(evolution=replace(evolution, grow=evolution.grow.first), max_iter=20, early_stopping=True,
                   learning_rate_init=1e-9).fit(X, y)  # fmt: skip
    replaced = [np.sum(m.history_["edges_replaced"], axis=1) for m in (model, always)]
    assert replaced[0][1] == replaced[1][1]
    assert replaced[0][5] > 2 * replaced[1][5]  # similar pairs that were just pruned return at once; random ones do not


BASE = {"hidden_layer_sizes": (80, 60), "epsilon": 8, "max_iter": 40, "random_state": 0, "update_every": 20}


@pytest.fixture(scope="module")
def base_model(digits):
    return SparseMLPClassifier(**BASE).fit(*digits[::2])


@pytest.mark.parametrize(
    "parameters",
    [
        {"activation": "all_relu"}, {"activation": AllReLU(0.3)}, {"activation": PiecewiseLinear(0.2)},
        {"activation": "tanh"}, {"activation": "logistic", "learning_rate_init": 0.03}, {"activation": "leaky_relu"},
        {"solver": "sgd", "learning_rate_init": 0.1}, {"learning_rate": "step"}, {"learning_rate": "constant"},
        {"learning_rate": Step((0.3,), 0.5)}, {"weight_init": "dense"}, {"weight_init": "glorot"},
        {"weight_init": FanIn(1.0)}, {"topology_init": "erdos_renyi"}, {"dropout": 0.2},
        {"epsilon": None, "density": 0.05},
        {"evolution": replace(preset("cte"), grow_init="zeros")}, {"evolution": replace(preset("cte"), grow_init=0.5)},
        {"evolution": replace(preset("cte"), grow_init=Dense())}, {"shuffle": False}, {"topology_init": "snip"},
        {"evolution": replace(preset("cte"), unit_pruning=ImportancePruning())},
        {"dtype": "float64"}, {"batch_size": 17}, {"batch_size": 10_000, "learning_rate_init": 0.02}, {"alpha": 0.0},
        {"hidden_layer_sizes": 80}, {"hidden_layer_sizes": []}, {"hidden_layer_sizes": np.array([80])},
        {"solver": SGD(0.5, nesterov=False), "learning_rate_init": 0.2}, {"n_jobs": 2},
    ],
    ids=str,
)  # fmt: skip
def test_every_parameter_trains_and_matters(parameters, digits, base_model):
    X, X_test, y, y_test = digits
    model = SparseMLPClassifier(**BASE | parameters).fit(X, y)
    assert model.score(X_test, y_test) > 0.85
    is_equal = np.array_equal(model.predict_proba(X_test), base_model.predict_proba(X_test))
    assert is_equal == (parameters == {"n_jobs": 2})


def test_drop_fraction_and_update_every_override_the_methods_own(digits):
    X, _, y, _ = digits
    model = small(evolution="set", max_iter=2, drop_fraction=1.0, update_every="epoch").fit(X, y)
    assert np.array(model.history_["edges_replaced"][0]).sum() == 0
    # 14 of 28 steps, of an annealing that ends at 21: half of (1 + cos(2π/3)) = a quarter of the weights is dropped.
    # Of the pairs that are absent then, each is grown equally likely, those just dropped included.
    nnz, pairs = np.array([620, 500, 250]), np.array([64 * 60, 60 * 40, 40 * 10])
    dropped = nnz / 4
    expected = dropped * (1 - dropped / (pairs - nnz + dropped))
    assert model.history_["edges_replaced"][1] == pytest.approx(expected.tolist(), abs=12)


def test_own_schedule_without_such_fields(digits):
    X, _, y, _ = digits
    own = Evolution(grow=Random(), schedule=lambda step, epoch_step, total_steps: 0.1 * (step == 3))
    model = small(evolution=own).fit(X, y)
    assert np.sum(model.history_["edges_replaced"]) > 0
    with pytest.raises(ValueError, match="drop_fraction cannot be set"):
        small(evolution=own, drop_fraction=0.2).fit(X, y)


def test_verbose_prints_a_line_per_epoch(digits, capsys):
    X, _, y, _ = digits
    small(verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[2].startswith("epoch    3/5  loss ")
    model = small(verbose=1).fit(X, y)
    capsys.readouterr()
    model.partial_fit(X, y)
    assert capsys.readouterr().out.startswith("epoch    6/6  loss ")
    small().fit(X, y)
    assert capsys.readouterr().out == ""


def test_silent_by_default(digits):
    X, _, y, _ = digits
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small().fit(X, y).predict(X)


def test_threads_of_the_process_are_what_they_were(digits):
    X, _, y, _ = digits
    before = numba.get_num_threads(), [pool["num_threads"] for pool in threadpool_info()]
    small(n_jobs=2).fit(X, y).predict(X)
    assert before == (numba.get_num_threads(), [pool["num_threads"] for pool in threadpool_info()])


def test_attributes_do_not_exist_before_fit():
    model = SparseMLPClassifier()
    for name in ("coefs_", "intercepts_", "n_iter_", "loss_curve_", "history_", "density_", "classes_"):
        assert not hasattr(model, name)
    with pytest.raises(NotFittedError):
        model.predict([[1.0]])


def test_public_names():
    assert set(truesparse.__all__) <= set(dir(truesparse))
    assert truesparse.__version__
    assert isinstance(Evolution().schedule, CosineAnnealing)
