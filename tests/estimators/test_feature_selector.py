import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.estimators import GaussianNoise, SparseFeatureSelector, denoising_autoencoder
from truesparse.estimators.autoencoder import standardised
from truesparse.evolution import Confirmed, Evolution

SMALL = {"hidden_layer_sizes": (40,), "epsilon": 2, "evolution": Evolution(grow=Confirmed()), "update_every": 10}
CLASSIFIER = SparseMLPClassifier(**SMALL, max_iter=100)
REGRESSOR = SparseMLPRegressor(**SMALL, max_iter=100)
TELLING = [2, 11, 19]


@pytest.fixture
def data(rng):
    X = rng.standard_normal((300, 20))
    return X, X[:, TELLING].sum(axis=1)


@pytest.mark.parametrize("strategy", ["strength", "neuron_evolution"])
@pytest.mark.parametrize("kind", ["classes", "words", "labels", "numbers", "several numbers"])
def test_the_features_that_tell_are_selected(strategy, kind, data):
    X, z = data
    labels = (X[:, TELLING] > 0).astype(int)
    targets = {
        "classes": (z > 0).astype(int), "words": np.where(z > 0, "yes", "no"), "labels": labels,
        "numbers": 1000 * z + 5000, "several numbers": 0.001 * X[:, TELLING],
    }  # fmt: skip
    estimator = clone(REGRESSOR if "numbers" in kind else CLASSIFIER)
    selector = SparseFeatureSelector(3, strategy=strategy, estimator=estimator, random_state=0)
    selector.fit(X, targets[kind])
    assert_array_equal(selector.get_support(indices=True), TELLING)
    assert_array_equal(selector.transform(X), X[:, TELLING])


def test_ranking_and_scores_belong_together(data):
    X, z = data
    selector = SparseFeatureSelector(5, estimator=REGRESSOR, random_state=0).fit(X, z)
    assert_array_equal(np.sort(selector.ranking_), np.arange(1, 21))
    assert np.all(np.diff(selector.scores_[np.argsort(selector.ranking_)]) <= 0)
    assert_array_equal(selector.scores_, selector.estimator_.feature_importances_)
    assert_array_equal(selector.get_support(), selector.ranking_ <= 5)


def test_equal_scores_are_ranked_in_the_order_of_the_features(data):
    X, z = data
    selector = SparseFeatureSelector(3, strategy="neuron_evolution", estimator=REGRESSOR, random_state=0).fit(X, z)
    out = np.flatnonzero(selector.scores_ == 0)
    assert out.size == 17
    assert_array_equal(selector.ranking_[out], np.arange(4, 21))


@pytest.mark.parametrize(
    ("wanted", "n"), [(1, 1), (7, 7), (20, 20), (0.5, 10), (0.001, 1), (1.0, 20), (np.int64(3), 3)]
)
def test_a_number_or_a_share(wanted, n, data):
    selector = SparseFeatureSelector(wanted, estimator=clone(CLASSIFIER).set_params(max_iter=2))
    selector.fit(data[0], data[1] > 0)
    assert selector.n_features_to_select_ == np.count_nonzero(selector.get_support()) == n


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        ([0, 1, 2] * 4, SparseMLPClassifier), (["a", "b"] * 6, SparseMLPClassifier),
        ([0.5, 1.5, 2] * 4, SparseMLPRegressor),
        ([[0, 1], [1, 1]] * 6, SparseMLPClassifier), ([[0.5, 1], [1, 1.5]] * 6, SparseMLPRegressor),
        (None, SparseMLPRegressor),
    ],
)  # fmt: skip
def test_the_kind_of_target_decides_on_the_estimator(y, kind):
    assert type(SparseFeatureSelector()._make_estimator(y)) is kind


def test_parameters_reach_the_estimator_and_leave_the_given_one_alone(data):
    X, z = data
    given = SparseMLPClassifier((10,), max_iter=3, random_state=5, n_jobs=1)
    own = SparseFeatureSelector(estimator=given).fit(X, z > 0).estimator_
    assert (own.random_state, own.n_jobs) == (5, 1)
    other = SparseFeatureSelector(estimator=given, random_state=7, n_jobs=2).fit(X, z > 0).estimator_
    assert (other.random_state, other.n_jobs) == (7, 2)
    assert not hasattr(given, "coefs_")
    assert given.random_state == 5


def test_the_same_seed_gives_the_same_scores(data):
    X, z = data
    selector = SparseFeatureSelector(strategy="neuron_evolution", estimator=CLASSIFIER, random_state=3)
    scores = [clone(selector).fit(x, z > 0).scores_ for x in (X, X, csr_array(X))]
    assert_array_equal(scores[0], scores[1])
    assert_array_equal(scores[0], scores[2])


def autoencoder():
    return denoising_autoencoder().set_params(hidden_layer_sizes=(20,), epsilon=2, learning_rate_init=0.1, max_iter=60)


def test_without_targets_the_scale_of_a_feature_does_not_count(rng):
    X = rng.standard_normal((100, 20))
    selector = SparseFeatureSelector(5, estimator=autoencoder().set_params(max_iter=5), random_state=0)
    scores = clone(selector).fit(X).scores_
    assert_allclose(clone(selector).fit(X * 10.0 ** rng.integers(-3, 4, size=20) + 5).scores_, scores, rtol=1e-3)


def test_without_targets_sparse_and_dense_are_the_same(rng):
    X = rng.standard_normal((50, 12)) * (rng.random((50, 12)) < 0.3)
    twice = csr_array(X)
    twice = csr_array((np.repeat(twice.data / 2, 2), np.repeat(twice.indices, 2), 2 * twice.indptr), shape=X.shape)
    selector = SparseFeatureSelector(0.5, estimator=autoencoder().set_params(max_iter=3), random_state=0)
    scores = [clone(selector).fit(x).scores_ for x in (X, csr_array(X), twice)]
    assert_allclose(scores[1], scores[0], rtol=1e-4)
    assert_array_equal(scores[2], scores[1])


def test_noise_is_added_unless_the_regressor_has_its_own(rng):
    X = rng.standard_normal((20, 5))
    plain = SparseFeatureSelector(2, estimator=clone(REGRESSOR).set_params(max_iter=1))
    assert plain.fit(X).estimator_.batch_transform == GaussianNoise(0.2)
    assert plain.fit(X, X[:, 0]).estimator_.batch_transform is None
    own = SparseFeatureSelector(2, estimator=clone(REGRESSOR).set_params(max_iter=1, batch_transform=GaussianNoise(1)))
    assert own.fit(X).estimator_.batch_transform == GaussianNoise(1)


def test_noise_has_the_scale_it_says(rng):
    noisy = GaussianNoise(0.5)(np.full((1000, 20), 3, dtype=np.float32), rng)
    assert noisy.dtype == np.float32
    assert abs(noisy.mean() - 3) < 0.02
    assert abs(noisy.std() - 0.5) < 0.02


def test_standardised_columns(rng):
    values = np.column_stack([1e4 + 1e3 * rng.standard_normal(100), np.full(100, 7.0)])
    scaled = standardised(values)
    assert_allclose(scaled.mean(axis=0), 0, atol=1e-9)
    assert_allclose(scaled.std(axis=0), [1, 0], atol=1e-9)
    assert_allclose(standardised(csr_array(values)), scaled)


def test_in_a_pipeline_with_names(data):
    pd = pytest.importorskip("pandas")
    X, z = data
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(20)])
    selector = (
        SparseFeatureSelector(3, estimator=REGRESSOR, random_state=0).set_output(transform="pandas").fit(frame, z)
    )
    assert list(selector.transform(frame)) == list(selector.get_feature_names_out()) == ["f2", "f11", "f19"]
    model = make_pipeline(clone(selector).set_output(transform="default"), clone(REGRESSOR).set_params(max_iter=60))
    assert model.fit(X, z / z.std()).score(X, z / z.std()) > 0.8


def test_sparse_features_stay_sparse(data):
    X, z = data
    selector = SparseFeatureSelector(3, estimator=CLASSIFIER, random_state=0).fit(csr_array(X), z > 0)
    assert selector.transform(csr_array(X)).shape == (300, 3)


@pytest.mark.parametrize(
    ("selector", "y", "message"),
    [
        (SparseFeatureSelector(21), "classes", "n_features_to_select=21 is more than the 20 features of X"),
        (SparseFeatureSelector(0), "classes", "'n_features_to_select' parameter"),
        (SparseFeatureSelector(1.5), "classes", "'n_features_to_select' parameter"),
        (SparseFeatureSelector(strategy="gradient"), "classes", "'strategy' parameter"),
        (SparseFeatureSelector(estimator="mlp"), "classes", "'estimator' parameter"),
        (SparseFeatureSelector(estimator=CLASSIFIER), None, "y=None, but estimator=SparseMLPClassifier"),
        (
            SparseFeatureSelector(strategy="neuron_evolution"),
            None,
            "y=None, but strategy='neuron_evolution' needs targets",
        ),
        (SparseFeatureSelector(estimator=REGRESSOR), "sparse", "y must be a dense array"),
        (SparseFeatureSelector(estimator=REGRESSOR), "short", "inconsistent numbers of samples"),
        (SparseFeatureSelector(estimator=CLASSIFIER), "masked", "y has masked entries"),
    ],
)
def test_what_is_not_allowed_is_named_and_changes_nothing(selector, y, message, data):
    X, z = data
    targets = {
        "classes": z > 0, None: None, "sparse": csr_array(z[:, None]), "short": z[:-1],
        "masked": np.ma.masked_array(z > 0, z > 1),
    }  # fmt: skip
    fitted = clone(selector)
    vars(fitted).update(ranking_="untouched")
    before = vars(fitted).copy()
    with pytest.raises(ValueError, match=message):
        fitted.fit(X, targets[y])
    assert vars(fitted) == before


def test_not_fitted(data):
    with pytest.raises(NotFittedError):
        SparseFeatureSelector().transform(data[0])


def test_neuron_evolution_with_a_full_first_layer_warns_that_it_removed_nothing():
    X, y = np.random.default_rng(0).standard_normal((60, 8)), np.arange(60) % 2
    for settings in ({"topology_init": "full"}, {"density": 1.0}):
        network = SparseMLPClassifier((10,), **settings, max_iter=5)
        with pytest.warns(UserWarning, match="strategy='neuron_evolution' removed none of the 8 features: the first"):
            SparseFeatureSelector(2, strategy="neuron_evolution", estimator=network, random_state=0).fit(X, y)
