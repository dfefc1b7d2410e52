"""Sources of arrays and of a user's own: what they read, in which order, and that estimators treat them as arrays."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import assert_same_run, random_csr
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array, issparse

from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.data import ArraySource, CSRSource, Source, Transformed, array_source
from truesparse.data.source import Subset, draw_samples, in_batches, without_small_end
from truesparse.evolution import preset
from truesparse.network.losses import SoftmaxCrossEntropy, Weighted
from truesparse.network.workspace import BatchShape, Workspace
from truesparse.training import Recipe, Trainer, new_network

SMALL = {"hidden_layer_sizes": (20, 15), "epsilon": 4, "max_iter": 4, "update_every": 5, "random_state": 0}


class Own(Source):
    """A user's source: nothing but `rows`."""

    def __init__(self, X, target=None):
        self.X, self.target = X, target
        (self.n_samples, self.n_features), self.dtype = X.shape, X.dtype
        self.is_sparse = issparse(X)

    def rows(self, samples):
        return self.X[samples]


@pytest.fixture
def X(rng, dtype):  # noqa: N802
    return random_csr((40, 7), 0.3, rng, dtype)


def kinds(X, target=None):
    """The same samples from every kind of source."""
    dense = X.toarray()
    order = np.random.default_rng(1).permutation(X.shape[0])
    own_order = np.argsort(order)
    sources = [
        ArraySource(dense, target), CSRSource(X, target), Own(dense, target), Own(X, target),
        ArraySource(dense[order]).subset(own_order), CSRSource(X[order]).subset(own_order),
        Subset(Own(dense[order]), own_order), Subset(Own(X[order]), own_order),
        Transformed(ArraySource(dense), lambda batch, rng: batch, lambda: None),
        Transformed(CSRSource(X), lambda batch, rng: batch, lambda: None),
    ]  # fmt: skip
    return [source.with_target(target) for source in sources]


def read(source, samples):
    """What a workspace holds after reading, dense, (n_features, n)."""
    workspace = Workspace([source.n_features, 3], 50, source.dtype, dense_inputs=not source.is_sparse)
    source.read(samples, workspace)
    assert workspace.batch == samples.size
    if not source.is_sparse:
        assert workspace.sparse_inputs is None
        return workspace.x.copy()
    inputs, x = workspace.sparse_inputs, np.zeros((source.n_features, samples.size), dtype=source.dtype)
    x[inputs.features] = inputs.values[:, : samples.size]
    return x


def as_array(rows):
    return rows.toarray() if issparse(rows) else rows


def test_dense_and_csr_hold_the_same(rng, dtype):
    X = random_csr((20, 7), 0.2, rng, dtype)
    dense, sparse = ArraySource(X.toarray()), CSRSource(X)
    workspace = Workspace([7, 3], 16, dtype)
    for samples in (np.array([4, 4, 19]), np.arange(8)):
        dense.read(samples, workspace)
        assert_array_equal(workspace.x, X.toarray()[samples].T)
        inputs = sparse.present(samples, BatchShape.of(16).stride)
        assert_array_equal(inputs.features, np.unique(X[samples].indices))
        assert_array_equal(inputs.values[:, : samples.size], X.toarray()[samples].T[inputs.features])


def test_all_kinds_hold_the_same(X, dtype):
    target = np.arange(40) % 3
    for source in kinds(X, target):
        assert (source.n_samples, source.n_features, source.dtype) == (40, 7, dtype)
        for samples in (np.array([4, 4, 19]), np.arange(40), np.array([39, 0]), np.array([7])):
            rows = source.rows(samples)
            assert issparse(rows) == source.is_sparse
            assert_array_equal(as_array(rows), X.toarray()[samples])
            assert_array_equal(read(source, samples), X.toarray()[samples].T)
            assert_array_equal(source.target[samples], target[samples])


def test_an_epoch_is_every_sample_once_in_the_order_of_a_shuffle(X):
    expected = np.arange(40)
    np.random.default_rng(5).shuffle(expected)
    order = np.random.default_rng(1).permutation(40)
    for source in kinds(X):
        batches = list(source.batches(16, np.random.default_rng(5)))
        assert [batch.size for batch in batches] == [16, 16, 8]
        if isinstance(source, Subset):  # as the other source comes across them
            assert_array_equal(np.concatenate(batches), order[expected])
        else:
            assert_array_equal(np.concatenate(batches), expected)
        in_order = np.concatenate(list(source.batches(7)))
        assert_array_equal(in_order, order if isinstance(source, Subset) else np.arange(40))


def test_batches_are_made_across_the_pieces_of_an_order(rng):
    class InPieces(Own):
        def order(self, rng):
            yield from np.split(np.arange(40), [3, 3, 20, 21])

    batches = list(InPieces(rng.standard_normal((40, 2))).batches(16, rng))
    assert [batch.tolist() for batch in batches] == [[*range(16)], [*range(16, 32)], [*range(32, 40)]]


@pytest.mark.parametrize(
    ("n", "sizes"),
    [(0, []), (3, [3]), (8, [8]), (9, [5, 4]), (11, [6, 5]), (12, [8, 4]), (17, [8, 5, 4]), (24, [8, 8, 8])],
)
def test_no_batch_is_small(n, sizes):
    drawn, batches = [], []
    for batch in without_small_end((drawn.append(batch.size) or batch for batch in in_batches(np.arange(n), 8)), 8, n):
        batches.append(batch)
        ahead = sum(drawn) - sum(batch.size for batch in batches)
        assert ahead == (sizes[-1] if sum(drawn) == n and len(batches) < len(sizes) else 0)
    assert [batch.size for batch in batches] == sizes
    assert_array_equal(np.concatenate([np.arange(0), *batches]), np.arange(n))


def test_in_batches():
    assert [part.tolist() for part in in_batches(np.arange(5), 2)] == [[0, 1], [2, 3], [4]]
    assert list(in_batches(np.arange(0), 2)) == []


def test_draw_samples(rng):
    assert_array_equal(draw_samples(5, None, rng), np.arange(5))
    assert_array_equal(draw_samples(5, 9, rng), np.arange(5))
    drawn = draw_samples(100, 30, rng)
    assert drawn.size == 30
    assert np.all(np.diff(drawn) > 0)


def test_every_kind_draws_alike(X):
    expected = draw_samples(40, 12, np.random.default_rng(5))
    assert not np.array_equal(expected, np.arange(12))
    for source in kinds(X):
        assert_array_equal(source.draw(12, np.random.default_rng(5)), expected)
        for n in (None, 40, 100):
            assert_array_equal(source.draw(n, np.random.default_rng(5)), np.arange(40))
        places, numbers = source.locate(expected)
        assert_array_equal(places, np.arange(12))
        assert_array_equal(numbers, expected)


@pytest.mark.parametrize("target", [None, np.arange(40) % 3, Weighted(np.arange(40) % 3, np.arange(40.0))])
def test_a_subset_shares_memory_and_reads_as_a_copy(X, target):
    chosen, of_chosen = np.array([30, 2, 2 + 15, 8, 39]), np.array([4, 1, 0])
    for source in kinds(X, target):
        whole, part = source, source.subset(chosen)
        again = part.subset(of_chosen)
        for some, samples in ((part, chosen), (again, chosen[of_chosen])):
            assert (some.n_samples, some.n_features, some.dtype) == (samples.size, 7, whole.dtype)
            assert_array_equal(as_array(some.rows(np.arange(samples.size))), X.toarray()[samples])
            assert_array_equal(read(some, np.arange(samples.size)[::-1]), X.toarray()[samples[::-1]].T)
            if target is None:
                assert some.target is None
            elif isinstance(target, Weighted):
                assert_array_equal(some.target.values, target.values[samples])
                assert_array_equal(some.target.weights, target.weights[samples])
            else:
                assert_array_equal(some.target, target[samples])
            if isinstance(source, ArraySource):
                assert some.X is source.X
    dense = X.toarray()
    assert np.shares_memory(ArraySource(dense).subset(chosen).X, dense)
    assert np.shares_memory(CSRSource(X).subset(chosen).X.data, X.data)


def test_other_targets_change_only_a_copy(X):
    for source in kinds(X, np.arange(40)):
        other = source.with_target(np.arange(40) * 2)
        assert_array_equal(source.target, np.arange(40))
        assert_array_equal(other.target, np.arange(40) * 2)
        assert_array_equal(read(other, np.arange(9)), read(source, np.arange(9)))
        assert type(other) is type(source)


def test_rows_are_copies(X):
    for source in kinds(X):
        if isinstance(source, Own):
            continue
        rows = source.rows(np.arange(40))
        (rows.data if issparse(rows) else rows)[...] = 7
        assert_array_equal(read(source, np.arange(40)), X.toarray().T)


def test_transformed_batches_come_in_the_order_of_the_source_that_is_transformed(rng):
    class Backwards(Own):
        def batches(self, batch_size, rng=None):
            yield from in_batches(np.arange(self.n_samples)[::-1], batch_size)

    source = Transformed(Backwards(rng.standard_normal((5, 2))), lambda batch, rng: 2 * batch, lambda: None)
    assert [batch.tolist() for batch in source.batches(2, rng)] == [[4, 3], [2, 1], [0]]


# A user's own source.


@pytest.fixture
def samples(rng):
    X = (rng.standard_normal((90, 6)) * (rng.random((90, 6)) < 0.7)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] > 0).astype(int)


@pytest.mark.parametrize("kind", [np.asarray, csr_array])
def test_a_source_of_ones_own_trains_as_an_array(kind, samples):
    X, y = samples
    recipe = Recipe(
        SoftmaxCrossEntropy(), (20, 15), epsilon=4, evolution=preset("cte"), dropout=0.2, batch_size=16, n_epochs=4
    )
    schedule = replace(recipe.evolution.schedule, update_every=5)
    recipe = replace(recipe, evolution=replace(recipe.evolution, schedule=schedule))
    params = []
    for make in (array_source, Own):
        source = make(kind(X), y)
        trainer = Trainer(new_network(recipe, source, 2, seed=3), recipe, source, seed=3)
        trainer.train()
        assert any(sum(record.edges_replaced) for record in trainer.state.history)
        params.append(trainer.network.params.tobytes())
    assert params[0] == params[1]


@pytest.mark.parametrize("evolution", ["cte", "omp", "gse"])
@pytest.mark.parametrize("make", [array_source, Own])
@pytest.mark.parametrize("kind", [np.asarray, csr_array])
def test_fit_of_a_source_is_fit_of_its_arrays(kind, make, evolution, samples):
    X, y = samples
    labels = np.array(["no", "yes"])[y]
    model = SparseMLPClassifier(**SMALL, evolution=evolution).fit(kind(X), labels)
    assert any(map(sum, model.history_["edges_replaced"]))
    other = SparseMLPClassifier(**SMALL, evolution=evolution).fit(make(kind(X), labels))
    assert_same_run(model, other)
    assert_array_equal(other.classes_, ["no", "yes"])
    assert_array_equal(model.predict(X), other.predict(X))
    assert other.n_features_in_ == 6


@pytest.mark.parametrize("first", ["snip", "full"])
def test_first_topologies_of_a_source(first, samples):
    X, y = samples
    settings = SMALL | {"evolution": "static", "topology_init": first}
    models = [SparseMLPClassifier(**settings).fit(*data) for data in ((X, y), (Own(X, y),))]
    assert_same_run(*models)


@pytest.mark.parametrize("weighted", [False, True])
def test_validation_and_weights_of_a_source(weighted, samples, rng):
    X, y = samples
    weights = rng.uniform(0, 2, 90) * (rng.random(90) < 0.8) if weighted else None
    target = Weighted(y, weights) if weighted else y
    for options in ({"early_stopping": True}, {"early_stopping": True, "class_weight": "balanced"}):
        model = SparseMLPClassifier(**SMALL, **options).fit(X, y, sample_weight=weights)
        assert_same_run(model, SparseMLPClassifier(**SMALL, **options).fit(ArraySource(X, target)))
    given = SparseMLPClassifier(**SMALL).fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    first, last = np.arange(60), np.arange(60, 90)
    for make in (array_source, Own):
        source = make(X, y)
        other = SparseMLPClassifier(**SMALL).fit(make(X[:60], y[:60]), X_val=source.subset(last))
        assert_same_run(given, other)
    assert_same_run(given, SparseMLPClassifier(**SMALL).fit(X[:60], y[:60], X_val=ArraySource(X, y).subset(last)))
    assert_same_run(
        given, SparseMLPClassifier(**SMALL).fit(ArraySource(X, y).subset(first), X_val=X[60:], y_val=y[60:])
    )


def test_partial_fit_and_regression(samples, rng):
    X, y = samples
    model, other = (SparseMLPClassifier(**SMALL) for _ in range(2))
    for part in (slice(0, 50), slice(50, 90)):
        model.partial_fit(X[part], y[part], classes=[0, 1])
        other.partial_fit(ArraySource(X[part], y[part]), None, classes=[0, 1])
    assert_same_run(model, other)
    numbers = (3 * X[:, :2] + 5).astype(np.float64)
    settings = SMALL | {"early_stopping": True}
    model = SparseMLPRegressor(**settings).fit(X, numbers)
    assert_same_run(model, SparseMLPRegressor(**settings).fit(ArraySource(X, numbers)))


def test_a_source_brings_its_own_targets(samples):
    X, y = samples
    source = ArraySource(X, y)
    model = SparseMLPClassifier(**SMALL)
    for arguments in ({"y": y}, {"sample_weight": np.ones(90)}):
        with pytest.raises(ValueError, match="y and sample_weight must be None where X is a Source"):
            model.fit(source, **arguments)
    with pytest.raises(ValueError, match="y_val and sample_weight_val must be None where X_val is a Source"):
        model.fit(X, y, X_val=source, y_val=y)
    with pytest.raises(ValueError, match="The source X has no targets, which SparseMLPClassifier needs"):
        model.fit(ArraySource(X))
    assert not hasattr(model, "classes_")


def test_what_does_not_fit_is_refused_in_words(samples):
    X, y = samples
    with pytest.raises(ValueError, match=r"source X has dtype float64, but the estimator has dtype='float32'"):
        SparseMLPClassifier(**SMALL).fit(ArraySource(X.astype(np.float64), y))
    with pytest.raises(ValueError, match=r"source X has dtype float32, but the estimator has dtype='float64'"):
        SparseMLPClassifier(**SMALL, dtype="float64").fit(ArraySource(X, y))
    narrow = ArraySource(np.ascontiguousarray(X[:, :5]), y)
    model = SparseMLPClassifier(**SMALL, warm_start=True).fit(X, y)
    for call in (
        lambda: model.fit(narrow),
        lambda: model.partial_fit(narrow, None),
        lambda: model.fit(X, y, X_val=narrow),
    ):
        with pytest.raises(ValueError, match="X has 5 features, but SparseMLPClassifier is expecting 6 features"):
            call()
    with pytest.raises(ValueError, match="at least two classes"):
        SparseMLPClassifier(**SMALL).fit(ArraySource(X, np.zeros(90, dtype=int)))
    with pytest.raises(ValueError, match="The source X has no samples"):
        SparseMLPClassifier(**SMALL).fit(ArraySource(X[:0], y[:0]))
    with pytest.raises(ValueError, match=r"The source X has 90 samples, but targets of shape \(89,\)"):
        SparseMLPClassifier(**SMALL).fit(ArraySource(X, y[:89]))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda rows: rows[:-1], r"Own\.rows must return a dense array of shape \(16, 6\) .* of shape \(15, 6\)"),
        (lambda rows: rows[:, :5], r"of shape \(16, 6\) and of real numbers, got ndarray of shape \(16, 5\)"),
        (lambda rows: csr_array(rows), "must return a dense array"),
        (lambda rows: rows + 1j, "real numbers, got .* dtype complex"),
        (lambda rows: rows * np.nan, r"Own\.rows returned numbers that are infinite or NaN"),
        (lambda rows: rows.astype(np.float64) * 1e300, r"Own\.rows returned numbers that are infinite or NaN"),
        (lambda rows: np.ma.masked_array(rows, mask=rows > 0), r"What Own\.rows returned has masked entries"),
        (lambda rows: None, "got NoneType"),
    ],
)
@pytest.mark.parametrize("first", ["balanced", "snip"])
def test_rows_that_no_kernel_may_see(first, returned, message, samples):
    class Wrong(Own):
        def rows(self, chosen):
            return returned(super().rows(chosen)) if chosen.size == 16 else super().rows(chosen)

    X, y = samples
    Wrong.__name__ = "Own"
    with pytest.raises(ValueError, match=message):
        SparseMLPClassifier(**SMALL, batch_size=16, evolution="static", topology_init=first).fit(Wrong(X, y))


def test_csr_rows_that_no_kernel_may_see(samples):
    class Damaged(Own):
        def rows(self, chosen):
            rows = super().rows(chosen)
            rows.indices[0] = 10**6
            return rows

    X, y = samples
    for first in ("balanced", "snip"):
        model = SparseMLPClassifier(**SMALL, topology_init=first)
        with pytest.raises(ValueError, match=r"What Damaged\.rows returned is a damaged sparse matrix"):
            model.fit(Damaged(csr_array(X), y))


def test_rows_of_another_dtype_are_converted(samples):
    class Wide(Own):
        def rows(self, chosen):
            return np.asfortranarray(super().rows(chosen).astype(np.float64))

    X, y = samples
    models = [SparseMLPClassifier(**SMALL).fit(*data) for data in ((X, y), (Wide(X, y),))]
    assert_same_run(*models)
