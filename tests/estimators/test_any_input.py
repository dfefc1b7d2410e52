"""Whatever is given to an estimator: it works, or says in words why not, and stays as it was.

The profile "nightly" (``HYPOTHESIS_PROFILE=nightly``) tries 5,000 examples in place of 200.
"""

import io
import warnings
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning

import truesparse
from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.evolution import PRESETS, Evolution, ImportancePruning, Linear, Magnitude, Mixed, Random, preset
from truesparse.network.activations import AllReLU
from truesparse.network.initial_weights import FanIn
from truesparse.training import SGD, Adam

DOCUMENTED = (ValueError, TypeError)

VALUES = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "counts": lambda rng, shape: rng.poisson(0.7, shape),
    "zeros": lambda rng, shape: np.zeros(shape),
    "constant": lambda rng, shape: np.full(shape, 3.0),
    "large": lambda rng, shape: rng.standard_normal(shape) * 1e6,
    "huge": lambda rng, shape: rng.standard_normal(shape) * 1e38,
    "beyond float32": lambda rng, shape: rng.standard_normal(shape) * 1e300,
    "subnormal": lambda rng, shape: rng.standard_normal(shape) * 1e-41,
    "with NaN": lambda rng, shape: np.where(rng.random(shape) < 0.1, np.nan, 1.0),
    "with infinity": lambda rng, shape: np.where(rng.random(shape) < 0.1, -np.inf, 1.0),
}
DTYPES = ["f4", "f8", "f2", ">f8", "i8", "u1", "bool", "O", "c8", "U5"]


def read_only(X):
    X = np.array(X)
    X.flags.writeable = False
    return X


def wide_indices(X):
    X = sp.csr_array(X)
    return sp.csr_array((X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), shape=X.shape)


def unsorted_with_duplicates(X):
    X = sp.coo_array(X)
    order = np.arange(X.nnz)[::-1]
    twice = np.concatenate([order, order])
    halves = sp.coo_array((X.data[twice] / 2, (X.row[twice], X.col[twice])), shape=X.shape)
    return sp.csr_array((halves.data, halves.col, _indptr(halves.row, X.shape[0])), shape=X.shape)


def _indptr(rows, n_rows):
    return np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_rows))])


FORMS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=0)[::2],
    "read-only": read_only,
    "list": lambda X: X.tolist(),
    "masked": lambda X: np.ma.masked_array(X, mask=np.zeros(X.shape, bool)),
    "csr": sp.csr_array,
    "csr_matrix": sp.csr_matrix,
    "csc": sp.csc_array,
    "coo": sp.coo_array,
    "int64 indices": wide_indices,
    "unsorted": unsorted_with_duplicates,
    "1d": np.ravel,
    "3d": lambda X: X[None],
}


def often(usual, all_of_them):
    """In half of the cases the usual one, else any."""
    return st.one_of(st.just(usual), st.sampled_from([*all_of_them]))


@st.composite
def data(draw, n_features=None):
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    n, p = draw(often(20, range(30))), n_features or draw(st.integers(1, 12))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X = VALUES[draw(often("normal", VALUES))](rng, (n, p)).astype(draw(often("f4", DTYPES)))
        try:
            return FORMS[draw(often("C", FORMS))](X), n
        except DOCUMENTED:  # what SciPy itself cannot hold
            return X, n


@st.composite
def targets(draw, n):
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    n = draw(st.sampled_from([*[n] * 14, n + 1, max(n - 1, 0)]))
    classes = rng.integers(0, draw(st.integers(1, 4)), n)
    kinds = {
        "classes": lambda: classes,
        "negative": lambda: -3 * classes,
        "text": lambda: np.array(["a", "b", "cc", "ddd"])[classes],
        "objects": lambda: np.array(["a", "b", "cc", "ddd"], dtype=object)[classes],
        "booleans": lambda: classes > 0,
        "list": classes.tolist,
        "labels": lambda: rng.integers(0, 2, (n, 3)),
        "numbers": lambda: rng.standard_normal(n),
        "column": lambda: rng.standard_normal((n, 1)),
        "outputs": lambda: rng.standard_normal((n, 2)),
        "huge": lambda: rng.standard_normal(n) * 1e30,
        "NaN": lambda: np.full(n, np.nan),
        "none": lambda: None,
        "mixed": lambda: np.array([1, "a", None] * n, dtype=object)[:n],
        "sparse": lambda: sp.csr_array(np.eye(max(n, 1))),
    }
    return kinds[draw(often("classes", kinds))]()


ALLOWED = {
    "hidden_layer_sizes": [(8,), (6, 5), (), 7, [4, 3, 2], (1,), (70, 66)],
    "evolution": [
        *PRESETS,
        None,
        Evolution(Magnitude(), Mixed(), Linear(0.4, update_every=2)),
        *(
            replace(preset("cte"), **changes)
            for changes in (
                {"unit_pruning": ImportancePruning()},
                {"grow_init": "zeros"},
                {"grow_init": 1.0},
                {"grow_init": FanIn()},
            )
        ),
    ],
    "epsilon": [None, 1, 3, 20],
    "density": [None, 0.1, 1.0],
    "drop_fraction": [None, 0, 0.3, 1.0],
    "update_every": [None, 1, 2, "epoch"],
    "topology_init": ["balanced", "erdos_renyi", "snip", "full", Random()],
    "weight_init": [None, "fan_in", "dense", FanIn(0.0), FanIn(1e30)],
    "activation": [None, "relu", "all_relu", "srelu", "tanh", "logistic", "identity", AllReLU(1e5)],
    "solver": ["adam", "sgd", SGD(0), SGD(0.5, nesterov=False), Adam(beta1=0.5)],
    "alpha": [0, 1e-4, 1e10],
    "batch_size": [1, 3, 200],
    "learning_rate": ["constant", "cosine", "step", "linear", "warm_up"],
    "learning_rate_init": [0.01, 1e-300, 1e30],
    "dropout": [None, 0, 0.5, 0.99],
    "max_iter": [1, 3],
    "shuffle": [True, False],
    "random_state": [0, 1],
    "tol": [0, 1e-4],
    "warm_start": [True, False],
    "early_stopping": [True, False],
    "validation_fraction": [0.1, 0.5, 0.99],
    "n_iter_no_change": [1, 5, np.inf],
    "dtype": ["float32", "float64"],
}
REFUSED = {
    "hidden_layer_sizes": [(0,), "ten", (2.5,)],
    "evolution": ["none such", 3, "snip"],
    "epsilon": [1e-9, 0, -1, np.nan],
    "density": [0.0, 2],
    "update_every": [0],
    "activation": ["none such"],
    "batch_size": [0],
    "dropout": [1.0],
    "random_state": ["none such"],
    "dtype": ["float16"],
}


@st.composite
def parameters(draw):
    """Some set to what is allowed; in one of eight cases, one to what is not."""
    names = draw(st.lists(st.sampled_from([*ALLOWED]), max_size=4, unique=True))
    drawn = {name: draw(st.sampled_from(ALLOWED[name])) for name in names}
    if draw(st.integers(0, 7)) == 7:
        name = draw(st.sampled_from([*REFUSED]))
        drawn[name] = draw(st.sampled_from(REFUSED[name]))
    if drawn.get("density") is None:
        drawn = {"epsilon": 3} | drawn
    return {"hidden_layer_sizes": (6, 5), "max_iter": 2, "update_every": 2, "random_state": 0} | drawn


def attempt(model, method, *args, **options):
    """The result, or None where the estimator refused; what it was before must have stayed then."""
    before = vars(model).copy()
    try:
        with warnings.catch_warnings():
            for category in (UserWarning, DataConversionWarning, ConvergenceWarning, FutureWarning):
                warnings.simplefilter("ignore", category)
            # scikit-learn's own: its check of what kind of target y is, and R² of huge predictions
            warnings.filterwarnings("ignore", "invalid value encountered in cast", RuntimeWarning)
            if method == "score":
                warnings.filterwarnings("ignore", "overflow encountered", RuntimeWarning)
            return getattr(model, method)(*args, **options)
    except DOCUMENTED as error:
        event(f"{method}: {type(error).__name__}")
        assert str(error)  # noqa: PT017 (either outcome is right, but not without a word)
        assert vars(model).keys() == before.keys()
        assert all(value is before[name] for name, value in vars(model).items())
        return None


@settings(
    max_examples=max(200, settings().max_examples),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(examples=st.data())
def test_any_input(examples):
    kind = examples.draw(st.sampled_from([SparseMLPClassifier, SparseMLPRegressor]), label="kind")
    model = kind(**examples.draw(parameters(), label="parameters"))
    X, n = examples.draw(data(), label="X")
    y = examples.draw(targets(n), label="y")
    first = examples.draw(st.sampled_from(["fit", "fit", "partial_fit"]), label="first")
    options = {"classes": np.arange(4)} if kind is SparseMLPClassifier and first == "partial_fit" else {}
    if attempt(model, first, X, y, **options) is None:
        return
    event(f"{first}: done")
    predictions = attempt(model, "predict", X)
    if predictions is None:  # the last step left weights so large that outputs overflow
        assert np.abs(model._network.params).max() > 1e3 or _is_large(X)
        return
    assert len(predictions) == n
    assert predictions.dtype.kind != "f" or np.isfinite(predictions).all()
    other, m = examples.draw(data(examples.draw(st.sampled_from([None, model.n_features_in_]))), label="other X")
    attempt(model, "predict", other)
    if kind is SparseMLPClassifier:
        probabilities = model.predict_proba(X)
        assert probabilities.shape == (n, model.classes_.size)
        assert ((probabilities >= 0) & (probabilities <= 1 + 1e-5)).all()
    second = examples.draw(st.sampled_from(["fit", "partial_fit", "score"]), label="second")
    if attempt(model, second, other, examples.draw(targets(m), label="other y")) is not None:
        event(f"{second} after {first}: done")
    file = io.BytesIO()
    truesparse.save(model, file)
    loaded, predictions = truesparse.load(file), attempt(model, "predict", other)
    if predictions is not None:
        np.testing.assert_array_equal(loaded.predict(other), predictions)


def _is_large(X):
    values = np.asarray(X.data if sp.issparse(X) else X).astype(float)
    return values.size > 0 and np.abs(values).max() > 1e5
