"""Bad input is refused by name, before anything is trained, and a fitted estimator stays as it was."""

import pickle
import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csc_matrix, csr_matrix

from truesparse import Evolution, SparseMLPClassifier, SparseMLPRegressor
from truesparse.callbacks import EpochPrinter
from truesparse.evolution import ImportancePruning, Random
from truesparse.evolution.snip import SNIP
from truesparse.network.activations import Tanh
from truesparse.network.initial_weights import FanIn
from truesparse.network.losses import SoftmaxCrossEntropy, SquaredError
from truesparse.training import SGD, Adam
from truesparse.training.lr_schedules import Step

PARAMETERS = {
    "hidden_layer_sizes": [0, (10, 0), (10, -1), (10, 2.5), (True, 3), "wide", None],
    "evolution": ["ctre", 3, Random()],
    "epsilon": [0, -1, float("nan"), "1"],
    "density": [0, -0.1, 1.1, "a"],
    "drop_fraction": [-0.1, 1.5, "half"],
    "update_every": [0, -1, 1.5, "step"],
    "topology_init": ["random", SNIP],
    "weight_init": ["he", 3, FanIn],
    "activation": ["gelu", 1, Tanh],
    "solver": ["lbfgs", None, SGD, Adam],
    "alpha": [-1, None],
    "batch_size": [0, -5, 1.5, "auto"],
    "learning_rate": ["adaptive", 0.1, Step],
    "learning_rate_init": [0, -0.1],
    "dropout": [1, -0.1],
    "batch_transform": ["flip", 1],
    "max_iter": [0, -1, 1.5],
    "shuffle": ["no"],
    "random_state": ["seed", -1],
    "tol": [-1],
    "verbose": ["loud"],
    "warm_start": [2.5],
    "early_stopping": ["never"],
    "scoring": ["accurate", 3, ["accuracy"]],
    "validation_fraction": [0, 1],
    "n_iter_no_change": [0, 2.5],
    "n_jobs": [1.5, "all", 0],
    "dtype": ["float16", "int"],
    "callbacks": ["print", 3, [None], [EpochPrinter]],
}
OF_CLASSIFIER = {"class_weight": ["even", [1, 2], 2.0], "label_smoothing": [-0.1, 1.0, "some", np.nan]}
OF_REGRESSOR = {"loss": ["deviance", 3, None, SquaredError, SoftmaxCrossEntropy()]}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.standard_normal((40, 5)), rng.integers(3, size=40)


@pytest.fixture
def fitted(data):
    return SparseMLPClassifier((10,), epsilon=5, max_iter=2, random_state=0).fit(*data)


def assert_unchanged(model, do, match):
    """`do` raises, and nothing that was learnt has changed."""
    before = {name: value for name, value in vars(model).items() if name not in model.get_params()}
    bytes_before = pickle.dumps(before)
    with pytest.raises((ValueError, TypeError), match=match):
        do()
    after = {name: value for name, value in vars(model).items() if name not in model.get_params()}
    assert pickle.dumps(after) == bytes_before


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        *((Evolution, "grow_init", value) for value in ("ones", -1, FanIn)),
        *((Evolution, "unit_pruning", value) for value in ("importance", 0.1, ImportancePruning)),
        *((SGD, "momentum", value) for value in (1, -0.1)),
        (SGD, "nesterov", "yes"),
    ],
)
def test_fields_of_what_is_given_as_an_object(make, name, value):
    with pytest.raises(ValueError, match=rf"{name}={re.escape(repr(value))}"):
        make(**{name: value})


def test_every_parameter_is_covered():
    assert {*PARAMETERS, *OF_CLASSIFIER} == set(SparseMLPClassifier().get_params())
    assert {*PARAMETERS, *OF_REGRESSOR} == set(SparseMLPRegressor().get_params())


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in OF_REGRESSOR.items() for value in values]
)
def test_parameters_of_the_regressor(name, value, data):
    fitted = SparseMLPRegressor((10,), epsilon=5, max_iter=2, random_state=0).fit(*data)
    fitted.set_params(**{name: value})
    assert_unchanged(fitted, lambda: fitted.fit(*data), rf"{name}.*{re.escape(repr(value))}")


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in (PARAMETERS | OF_CLASSIFIER).items() for value in values]
)
def test_parameters(name, value, data, fitted):
    fitted.set_params(**{name: value})
    try:
        shown = re.escape(repr(value))
    except TypeError:
        shown = ""
    if name == "random_state" and value == -1:
        shown = ""  # NumPy's own message: "Seed must be between 0 and 2**32 - 1"
    assert_unchanged(fitted, lambda: fitted.fit(*data), f"(?s)({name}.*{shown}|Seed must be between)")
    assert fitted.classes_.size == 3


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda X, y: (np.where(X > 1, np.nan, X), y), "NaN"),
        (lambda X, y: (np.where(X > 1, np.inf, X), y), "infinity"),
        (lambda X, y: (X * 1e300, y), "infinity or a value too large"),
        (lambda X, y: (X[:0], y[:0]), "0 sample"),
        (lambda X, y: (X[:, :0], y), "0 feature"),
        (lambda X, y: (X, y[:-1]), "inconsistent numbers of samples"),
        (lambda X, y: (X, np.zeros_like(y)), r"at least two classes, got only one class: \[0\]"),
        (lambda X, y: (X, y + 0.5), "continuous"),
        (lambda X, y: (X[:, 0], y), "2D"),
        (lambda X, y: (X.astype(complex), y), "Complex"),
        (lambda X, y: (np.full(X.shape, "a"), y), "convert"),
        (lambda X, y: (X, None), "y"),
    ],
)
def test_data(change, match, data, fitted):
    assert_unchanged(fitted, lambda: fitted.fit(*change(*data)), match)


def one_masked(array):
    return np.ma.masked_array(array, mask=np.arange(array.size).reshape(array.shape) == 0)


def damaged_columns(X):
    """Converted to CSR, this matrix would write outside of arrays."""
    matrix = csc_matrix(X)
    matrix.indptr[2] = 10**6
    return matrix


def rows_without_end(X):
    """SciPy takes a matrix whose last pointer is 0 for empty, and checks nothing."""
    matrix = csr_matrix(X)
    matrix.indptr[-1] = 0
    return matrix


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (one_masked, "X has masked entries"),
        (damaged_columns, "X is a damaged sparse matrix: indptr"),
        (rows_without_end, "X is a damaged sparse matrix: indptr"),
        (lambda X: csr_matrix(X * 1e300), "infinity or a value too large"),
        (lambda X: 10**400 * np.ones(X.shape, dtype=object), "X or y holds an integer that dtype=float32 cannot"),
    ],
)
def test_matrices_in_every_method(change, match, data, fitted):
    X, y = data
    bad = change(X)
    for method in (fitted.fit, fitted.partial_fit, fitted.score):
        assert_unchanged(fitted, lambda method=method: method(bad, y), match)
    for method in (fitted.predict, fitted.predict_proba, fitted.predict_log_proba):
        assert_unchanged(fitted, lambda method=method: method(bad), match)


def test_masked_targets(data, fitted):
    X, y = data
    for targets in (one_masked(y), one_masked(np.eye(3, dtype=int)[y])):
        assert_unchanged(fitted, lambda targets=targets: fitted.fit(X, targets), "y has masked entries")
    assert_unchanged(fitted, lambda: fitted.partial_fit(X, one_masked(y)), "y has masked entries")
    with pytest.raises(ValueError, match="y has masked entries"):
        SparseMLPRegressor((10,), epsilon=5).fit(X, one_masked(X[:, 0]))


def test_predict_with_another_number_of_features(data, fitted):
    X, _ = data
    for method in (fitted.predict, fitted.predict_proba):
        assert_unchanged(fitted, lambda method=method: method(X[:, :4]), "X has 4 features, but .* expecting 5")


def test_partial_fit(data, fitted):
    X, y = data
    with pytest.raises(ValueError, match="classes=None: the first call"):
        SparseMLPClassifier().partial_fit(X, y)
    unseen = r"y holds the classes \[3\], which are not among \[0, 1, 2\]"
    assert_unchanged(fitted, lambda: fitted.partial_fit(X, y + 1), unseen)
    assert_unchanged(fitted, lambda: fitted.partial_fit(X, y, classes=[0, 1]), r"classes=\[0, 1\] differ")
    assert_unchanged(fitted, lambda: fitted.partial_fit(X[:, :3], y), "X has 3 features")
    assert_unchanged(fitted, lambda: fitted.partial_fit(X, np.eye(3, dtype=int)[y]), "y changed between classes")
    with pytest.raises(ValueError, match=r"classes must hold at least two classes, got only one class: \[1\]"):
        SparseMLPClassifier().partial_fit(X, y, classes=[1])
    first = SparseMLPClassifier((10,), epsilon=5)
    with pytest.raises(ValueError, match=r"y holds the classes \[2\]"):
        first.partial_fit(X, y, classes=[0, 1])
    assert not hasattr(first, "classes_")


@pytest.mark.parametrize(
    "classes",
    [
        [0, 1, 2, np.nan], [0, 1, 2, np.inf], [0, "a", None], [[0, 1], [2, 3]], [[0], [1, 2]], {0, 1, 2}, 3, "abc",
        csr_matrix([[0, 1, 2]]),
    ],
)  # fmt: skip
def test_classes_that_are_no_labels(classes, data, fitted):
    X, y = data
    match = "classes=.* must be a vector of labels"
    assert_unchanged(fitted, lambda: fitted.partial_fit(X, y, classes=classes), f"(?s){match}")
    first = SparseMLPClassifier((10,), epsilon=5)
    with pytest.raises(ValueError, match=f"(?s){match}"):
        first.partial_fit(X, y, classes=classes)
    assert not hasattr(first, "classes_")


def test_masked_classes(data, fitted):
    X, y = data
    masked = np.ma.masked_array([0, 1, 2], mask=[False, False, True])
    assert_unchanged(fitted, lambda: fitted.partial_fit(X, y, classes=masked), "classes has masked entries")


def test_the_message_shows_only_some_of_many_classes(data):
    X, _ = data
    with pytest.raises(ValueError, match=r"not among \[0, 1, .*, 19\] and 99980 others") as error:
        SparseMLPClassifier((10,), epsilon=5).partial_fit(X, np.full(40, -1), classes=np.arange(100_000))
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("name", ["epsilon", "density"])
def test_a_layer_without_connections_names_the_smallest_value_that_works(name, data):
    with pytest.raises(ValueError, match=f"{name}=1e-06 leaves a layer without a single connection") as error:
        SparseMLPClassifier((10, 10), **{name: 1e-6}).fit(*data)
    smallest = float(re.search(r"at least ([0-9.e-]+)\.$", str(error.value)).group(1))
    model = SparseMLPClassifier((10, 10), **{name: smallest}, max_iter=1).fit(*data)
    assert min(coef.nnz for coef in model.coefs_) == 1


@pytest.mark.parametrize("partial", [False, True])
def test_a_training_that_explodes_leaves_the_model_as_it_was(partial, data, fitted):
    X, y = data
    fitted.set_params(learning_rate_init=1e30, solver="sgd", batch_size=5)
    before = fitted.predict_proba(X)
    with np.errstate(all="ignore"):
        assert_unchanged(
            fitted,
            lambda: fitted.partial_fit(X, y) if partial else fitted.fit(X, y),
            "became infinite or NaN in epoch .* Lower learning_rate_init",
        )
    assert_array_equal(fitted.predict_proba(X), before)


@pytest.mark.parametrize("target", [1e25, 1e30, 1e38])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_targets_whose_gradients_overflow(target, solver, early_stopping, data):
    X, y = np.repeat(data[0], 10, axis=0), np.repeat(data[1], 10)  # so many that their scale is settled
    fitted = SparseMLPRegressor((10,), epsilon=5, max_iter=2, warm_start=True, random_state=0).fit(X, y)
    fitted.set_params(solver=solver, early_stopping=early_stopping, learning_rate_init=1.0)  # the scale is that of y
    before = fitted.predict(X)
    with np.errstate(all="ignore"):
        assert_unchanged(fitted, lambda: fitted.fit(X, y * target), "became infinite or NaN in epoch .* Lower learn")
    assert_array_equal(fitted.predict(X), before)


def test_samples_that_overflow_in_the_network(data):
    X, y = data
    fitted = SparseMLPClassifier((10,), epsilon=5, max_iter=1, random_state=0, weight_init=FanIn(50.0)).fit(X, y)
    huge = np.full_like(X, 3e38)
    message = r"X holds values from 3e\+38 to 3e\+38, for which the outputs are infinite or NaN"
    for method in (fitted.predict, fitted.predict_proba):
        assert_unchanged(fitted, lambda method=method: method(huge), message)


def test_a_rule_that_fails_in_the_middle_leaves_the_model_as_it_was(data):
    fitted = SparseMLPClassifier((30,), epsilon=1, max_iter=10, random_state=0).fit(*data)

    def grow(vacancies, *, rng):
        raise ZeroDivisionError

    grow.needs = ()
    fitted.set_params(evolution=Evolution(grow=grow), update_every=1, warm_start=True)
    before = fitted.predict_proba(data[0])
    with pytest.raises(ZeroDivisionError):
        fitted.fit(*data)
    assert_array_equal(fitted.predict_proba(data[0]), before)
    assert fitted.n_iter_ == 10


def test_regression_targets(data):
    X, y = data
    for target, match in (
        (np.where(y > 1, np.nan, y), "NaN"),
        (y[:-1], "inconsistent"),
        (np.full(40, "a"), "convert"),
        (y * 1e39, r"y must hold numbers that dtype='float32' can, got 0\.0 to 2e\+39"),
    ):
        model = SparseMLPRegressor((10,), epsilon=5).partial_fit(X, np.tile([-1.0, 1.0], 20))  # not scaled from then on
        assert_unchanged(model, lambda model=model, target=target: model.partial_fit(X, target), match)
        if not match.startswith("y must"):
            with pytest.raises(ValueError, match=match):
                SparseMLPRegressor((10,), epsilon=5).fit(X, target)
    for target in (y * 1e200, 8e307 * y + 1e307):  # their variance is infinite, or even their sum
        with pytest.raises(ValueError, match="y must hold numbers that dtype='float32' can"):
            SparseMLPRegressor((10,), epsilon=5).fit(X, target)


@pytest.mark.parametrize("values", [(-1, 1), (0, 2), (1, 2)])
def test_labels_other_than_0_and_1(values, data):
    X, y = data
    Y = np.array(values)[np.column_stack([y > 0, y > 1]).astype(int)]
    with pytest.raises(ValueError, match="y must hold 0 and 1 only when it holds labels"):
        SparseMLPClassifier((10,), epsilon=5).fit(X, Y)


def test_sparse_targets(data):
    X, y = data
    for model in (SparseMLPClassifier((10,), epsilon=5), SparseMLPRegressor((10,), epsilon=5)):
        with pytest.raises(ValueError, match="y must be a dense array, got a sparse one of type csr_matrix"):
            model.fit(X, csr_matrix(np.eye(3)[y]))


@pytest.mark.parametrize(
    ("name", "value"),
    [("hidden_layer_sizes", (11,)), ("epsilon", 4), ("density", 0.5), ("activation", "tanh"), ("dtype", "float64"),
     ("topology_init", "erdos_renyi")],
)  # fmt: skip
def test_what_shapes_a_network_cannot_change_while_training_goes_on(name, value, data, fitted):
    if name == "density":
        fitted.set_params(epsilon=None, density=0.3).fit(*data)
    fitted.set_params(**{name: value}, warm_start=True)
    match = re.escape(f"{name}={value!r}") + " cannot change"
    assert_unchanged(fitted, lambda: fitted.fit(*data), match)
    assert_unchanged(fitted, lambda: fitted.partial_fit(*data), match)
    fitted.set_params(warm_start=False).fit(*data)


def test_a_validation_part_without_a_score(data):
    X, y = data
    with pytest.raises(ValueError, match=r"validation_fraction=0\.01 sets 1 of 40 samples aside; .* at least 2"):
        SparseMLPRegressor((10,), epsilon=5, early_stopping=True, validation_fraction=0.01).fit(X, y)
    with pytest.raises(
        ValueError, match=r"early_stopping=True cannot set validation_fraction=0\.01 of 40 samples aside"
    ):
        SparseMLPClassifier((10,), epsilon=5, early_stopping=True, validation_fraction=0.01).fit(X, y)


def test_validation_part_too_small_for_its_classes(data):
    X, y = data
    rare = np.where(np.arange(40) == 0, 3, y)
    message = r"sample of each class \(there is a single one of \[3\]\) must be .* or X_val and y_val"
    with pytest.raises(ValueError, match=message):
        SparseMLPClassifier((10,), epsilon=5, early_stopping=True).fit(X, rare)
