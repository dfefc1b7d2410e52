"""Estimators that are fitted to a source: the same as to arrays, and checked as those."""

import numpy as np
import pytest
from helpers import assert_same_run
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

import truesparse
from truesparse import SparseFeatureSelector, SparseMLPClassifier, SparseMLPRegressor
from truesparse.callbacks import Checkpoint
from truesparse.data import ArraySource, Chunks, CSRSource, Source
from truesparse.network.losses import Weighted

X, y = make_classification(240, 12, n_informative=6, n_classes=3, random_state=0)
X = X.astype(np.float32)
X_val, y_val, X, y = X[:60], y[:60], X[60:], y[60:]
WEIGHTS = np.random.default_rng(0).uniform(0.1, 5, size=180)
SMALL = {"hidden_layer_sizes": (30, 20), "epsilon": 3, "max_iter": 6, "update_every": 4, "random_state": 0}


@pytest.fixture(params=[SparseMLPClassifier, SparseMLPRegressor])
def kind(request):
    return request.param


class Rows(Source):
    """A source of a user's own, which has what it must have and no more."""

    def __init__(self, X, target=None):
        self.n_samples, self.n_features, self.dtype, self.target = len(X), X.shape[1], X.dtype, target
        self.X, self.n_read = X, 0

    def rows(self, samples):
        self.n_read += 1
        return self.X[samples]


def chunks(X, y, n=40, **options):
    return Chunks([(X[start : start + n], y[start : start + n]) for start in range(0, len(X), n)], **options)


def csr(X, y):
    return CSRSource(csr_array(X), y)


SOURCES = {"array": ArraySource, "csr": csr, "own": Rows, "chunks": chunks}


# The same as arrays.


@pytest.mark.parametrize("make", [ArraySource, csr, Rows, lambda X, y: chunks(X, y, n=180)])
@pytest.mark.parametrize("settings", [{}, {"evolution": "rigl"}, {"evolution": "static", "topology_init": "snip"}])
def test_a_source_trains_as_the_array(kind, make, settings):
    """Also chunks, if there is but one."""
    model = kind(**SMALL | settings).fit(make(X, y))
    assert_same_run(model, kind(**SMALL | settings).fit(X, y))
    assert model.n_features_in_ == 12
    assert model.score(X, y) == kind(**SMALL | settings).fit(X, y).score(X, y)


def best_score(model):
    """The validation score of the epoch whose network is kept."""
    return model.history_["validation_score"][np.argmin(model.history_["validation_loss"])]


def test_chunks_are_learnt(kind):
    """The samples of a window are shuffled, so that the steps are others."""
    model = kind(**SMALL | {"max_iter": 60, "epsilon": 8}).fit(chunks(X, y, window=2))
    assert model.score(X, y) > 0.8
    assert np.sum(model.history_["edges_replaced"]) > 0


def test_several_outputs_labels_and_text():
    numbers = np.column_stack([y, -y, X[:, 0]])
    assert_same_run(SparseMLPRegressor(**SMALL).fit(Rows(X, numbers)), SparseMLPRegressor(**SMALL).fit(X, numbers))
    labels = np.eye(3, dtype=int)[y]
    assert_same_run(SparseMLPClassifier(**SMALL).fit(Rows(X, labels)), SparseMLPClassifier(**SMALL).fit(X, labels))
    text = np.array(["ant", "bee", "cow"])[y]
    model = SparseMLPClassifier(**SMALL).fit(chunks(X, text, n=180))
    assert_same_run(model, SparseMLPClassifier(**SMALL).fit(X, text))
    assert_array_equal(model.classes_, ["ant", "bee", "cow"])
    assert set(model.predict(X)) <= {"ant", "bee", "cow"}


def test_the_users_source_is_left_as_it_was(kind):
    source, target = Rows(X, 3 * y), 3 * y
    kind(**SMALL).fit(source, X_val=source)
    assert_array_equal(source.target, target)
    assert source.n_samples == 180


def test_a_warm_start_and_parts_take_sources(kind):
    models = []
    for data in ((Rows(X, y),), (X, y)):
        model = kind(**SMALL, warm_start=True).fit(*data).fit(*data)
        models.append(model.partial_fit(*data) if len(data) == 2 else model.partial_fit(*data, None))
    assert_same_run(*models)
    assert models[0].n_iter_ == 13


def test_names_of_features_are_those_of_the_last_table(kind):
    pandas = pytest.importorskip("pandas")
    model = kind(**SMALL).fit(pandas.DataFrame(X, columns=[f"x{i}" for i in range(12)]), y)
    assert hasattr(model, "feature_names_in_")
    assert not hasattr(model.fit(ArraySource(X, y)), "feature_names_in_")


def test_a_batch_transform_gets_batches_of_a_source(kind):
    def noise(batch, rng):
        batch += rng.normal(0, 0.1, batch.shape).astype(batch.dtype)
        return batch

    settings = SMALL | {"batch_transform": noise}
    assert_same_run(kind(**settings).fit(Rows(X, y)), kind(**settings).fit(X, y))
    assert_array_equal(X[:60], Rows(X).rows(np.arange(60)))


# Validation.


@pytest.mark.parametrize("name", SOURCES)
def test_validation_data_may_be_a_source(kind, name):
    settings = SMALL | {"early_stopping": True, "learning_rate_init": 0.05, "max_iter": 20}
    expected = kind(**settings).fit(X, y, X_val=X_val, y_val=y_val)
    of_source = SOURCES[name](X_val, y_val)
    for data in ((X, y), (Rows(X, y),)):
        model = kind(**settings).fit(*data, X_val=of_source)
        assert_same_run(model, expected)
    assert_allclose(model.score(X_val, y_val), best_score(model), rtol=1e-6)
    arrays_for_a_source = kind(**settings).fit(Rows(X, y), X_val=X_val, y_val=y_val)
    assert_same_run(arrays_for_a_source, expected)


@pytest.mark.parametrize("make", [ArraySource, csr])
def test_a_part_of_a_source_is_set_aside(kind, make):
    settings = SMALL | {"early_stopping": True, "n_iter_no_change": 4, "max_iter": 30}
    model = kind(**settings).fit(make(X, y))
    assert_same_run(model, kind(**settings).fit(X, y))
    assert not np.isnan(model.history_["validation_score"]).any()


def test_a_part_of_a_users_source_is_the_part_of_an_array_in_the_order_of_the_whole():
    settings = SMALL | {"early_stopping": True, "shuffle": False, "max_iter": 20, "evolution": "set"}
    model = SparseMLPClassifier(**settings).fit(Rows(X, y))
    kept, aside = train_test_split(np.arange(180), test_size=0.1, random_state=model._run.seed, stratify=y)
    kept.sort()
    expected = SparseMLPClassifier(**settings).fit(X[kept], y[kept], X_val=X[aside], y_val=y[aside])
    assert_same_run(model, expected)


def test_a_part_of_chunks_is_set_aside(kind):
    settings = SMALL | {"early_stopping": True, "validation_fraction": 0.25, "max_iter": 20}
    model = kind(**settings).fit(chunks(X, y, window=2))
    assert not np.isnan(model.history_["validation_score"]).any()
    again = kind(**settings).fit(chunks(X, y, window=2))
    assert_same_run(again, model)


@pytest.mark.parametrize("scoring", ["loss", "neg_mean_squared_error"])
def test_scorers_see_the_samples_of_a_source(kind, scoring):
    settings = SMALL | {"early_stopping": True, "scoring": scoring}
    model = kind(**settings).fit(chunks(X, y, n=180), X_val=chunks(X_val, y_val))
    assert_same_run(model, kind(**settings).fit(X, y, X_val=X_val, y_val=y_val))


# Checkpoints.


class PowerCut(BaseException):
    pass


class CutAfter:
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, network, record):
        if record.epoch == self.epoch:
            raise PowerCut


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_fit_to_a_source_goes_on_from_its_checkpoint(kind, name, early_stopping, tmp_path):
    def fit(callbacks=None, **options):
        data, aside = SOURCES[name](X, y), SOURCES[name](X_val, y_val)
        model = kind(**SMALL, early_stopping=early_stopping, dropout=0.2, callbacks=callbacks)
        return model.fit(data, X_val=aside, **options)

    path = tmp_path / "checkpoint.npz"
    whole = fit()
    with pytest.raises(PowerCut):
        fit([Checkpoint(path), CutAfter(2)])
    assert truesparse.load(path).n_iter_ == 2
    with pytest.raises(PowerCut):
        fit([Checkpoint(path), CutAfter(4)], resume_from=path)
    assert_same_run(fit(resume_from=path), whole)


def test_a_checkpoint_of_a_source_is_one_of_the_same_array_and_of_no_other_data(kind, tmp_path):
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(PowerCut):
        kind(**SMALL, callbacks=[Checkpoint(path), CutAfter(2)]).fit(Rows(X, y))
    assert_same_run(kind(**SMALL).fit(X, y, resume_from=path), kind(**SMALL).fit(X, y))
    for other in (
        Rows(X + 1, y),
        Rows(X, np.roll(y, 1)),
        Rows(X[:-1], y[:-1]),
        Rows(X, Weighted(y, WEIGHTS)),
        csr(X, y),
    ):
        model = kind(**SMALL)
        with pytest.raises(ValueError, match="checkpoint of a fit with other data"):
            model.fit(other, resume_from=path)
        assert not hasattr(model, "coefs_")


# Weights.


@pytest.mark.parametrize("make", [ArraySource, csr, Rows])
def test_weights_of_a_source_are_sample_weights(kind, make):
    weighted = kind(**SMALL).fit(make(X, Weighted(y, WEIGHTS)))
    assert_same_run(weighted, kind(**SMALL).fit(X, y, sample_weight=WEIGHTS))
    assert weighted._network.params.tobytes() != kind(**SMALL).fit(X, y)._network.params.tobytes()
    equal = kind(**SMALL).fit(make(X, Weighted(y, np.full(180, 0.3))))
    assert_same_run(equal, kind(**SMALL).fit(X, y))


def test_samples_of_weight_zero_are_left_out_of_a_source(kind):
    weights = np.where(np.arange(180) % 3, WEIGHTS, 0)
    kept = weights > 0
    settings = SMALL | {"shuffle": False}  # a part is read in the order of the whole, which is shuffled
    model = kind(**settings).fit(Rows(np.where(kept[:, None], X, np.nan), Weighted(y, weights)))
    assert_same_run(model, kind(**settings).fit(X[kept], y[kept], sample_weight=weights[kept]))


def test_weights_of_validation_data_and_of_classes():
    settings = SMALL | {"early_stopping": True, "learning_rate_init": 0.05, "max_iter": 20}
    w = WEIGHTS[:60]
    model = SparseMLPRegressor(**settings).fit(Rows(X, y), X_val=Rows(X_val, Weighted(y_val, w)))
    assert_same_run(model, SparseMLPRegressor(**settings).fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=w))
    assert_allclose(model.score(X_val, y_val, w), best_score(model), rtol=1e-6)
    by_class = SparseMLPClassifier(**SMALL, class_weight={0: 3.0, 1: 0.5}).fit(Rows(X, Weighted(y, WEIGHTS)))
    factors = np.array([3.0, 0.5, 1.0])[y]
    assert_same_run(by_class, SparseMLPClassifier(**SMALL).fit(X, y, sample_weight=WEIGHTS * factors))


# What is refused.


BAD = {
    "y as well": (lambda: ((ArraySource(X, y), y), {}), "y and sample_weight must be None where X is a Source"),
    "weights as well": (
        lambda: ((ArraySource(X, y),), {"sample_weight": WEIGHTS}), "y and sample_weight must be None where X is a",
    ),
    "y_val as well": (
        lambda: ((X, y), {"X_val": ArraySource(X, y), "y_val": y}), "y_val and sample_weight_val must be None where",
    ),
    "no targets": (lambda: ((ArraySource(X),), {}), "The source X has no targets, which SparseMLP.* needs"),
    "no targets to validate by": (
        lambda: ((X, y), {"X_val": ArraySource(X)}), "X_val, y_val: The source X has no targets",
    ),
    "another dtype": (
        lambda: ((ArraySource(X.astype(float), y),), {}), "X has dtype float64, but the estimator has dtype='float32'",
    ),
    "fewer features": (
        lambda: ((X, y), {"X_val": ArraySource(X[:, :5].copy(), y)}), "X_val, y_val: X has 5 features, .* expecting 12",
    ),
    "fewer targets": (lambda: ((ArraySource(X, y[:-1]),), {}), r"has 180 samples, but targets of shape \(179,\)"),
    "no samples": (lambda: ((ArraySource(X[:0], y[:0]),), {}), "The source X has no samples"),
    "NaN": (lambda: ((ArraySource(X, np.where(y > 1, np.nan, y)),), {}), "NaN"),
    "masked": (lambda: ((ArraySource(X, np.ma.masked_equal(y, 1)),), {}), "y has masked entries"),
    "sparse": (lambda: ((ArraySource(X, csr_array(np.eye(180))),), {}), "y must be a dense array"),
    "negative weights": (
        lambda: ((ArraySource(X, Weighted(y, -WEIGHTS)),), {}), "sample_weight must hold numbers that are not below 0",
    ),
    "fewer weights": (
        lambda: ((ArraySource(X, Weighted(y, WEIGHTS[1:])),), {}), r"sample_weight must have the shape \(180,\)",
    ),
    "NaN in features": (lambda: ((Rows(np.where(X > 2, np.nan, X), y),), {}), r"Rows\.rows returned .*finite"),
    "the class": (lambda: ((ArraySource,), {}), "y"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_in_words(kind, name):
    make, match = BAD[name]
    arguments, options = make()
    model = kind(**SMALL | {"max_iter": 2}).fit(X, y)
    before = vars(model).copy()
    with pytest.raises(ValueError, match=f"(?s){match}"):
        model.fit(*arguments, **options)
    assert vars(model) == before


def test_a_source_that_fails_in_the_middle_leaves_the_model_as_it_was(kind):
    class Fails(Rows):
        def rows(self, samples):
            if self.n_read == 20:
                raise OSError("the disk is gone")
            return super().rows(samples)

    model = kind(**SMALL, warm_start=True).fit(X, y)
    before, params = vars(model).copy(), model._network.params.copy()
    with pytest.raises(OSError, match="the disk is gone"):
        model.fit(Fails(X, y))
    assert vars(model) == before
    assert_array_equal(model._network.params, params)


def test_only_fit_takes_a_source(kind):
    model = kind(**SMALL).fit(X, y)
    for call in (
        lambda: model.predict(ArraySource(X)),
        lambda: model.score(ArraySource(X), y),
        lambda: SparseFeatureSelector(3).fit(ArraySource(X, y), y),
    ):
        with pytest.raises(ValueError, match=r"X=.* is a Source, which only fit takes; give an array or a SciPy"):
            call()
