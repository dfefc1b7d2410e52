"""The face of residual networks: data, parameters, errors, and what is learnt."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits

from truesparse import Evolution, SparseFeatureSelector, SparseResNetClassifier, preset
from truesparse.callbacks import Checkpoint
from truesparse.data import ArraySource
from truesparse.data.source import array_source
from truesparse.evolution import PRESETS, Constant, Cubic, Given, ImportancePruning, neuron_evolution
from truesparse.inspection import ConnectivityRecorder, layer_degrees, layer_flops, layer_summaries, total
from truesparse.topology import LocalFields
from truesparse.training.inference import forward_all
from truesparse.transforms import Crop

SMALL = {"depth": 8, "width": 4, "density": 0.3, "batch_size": 64, "max_iter": 3, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return data.images / 8 - 1, data.target


@pytest.fixture(scope="module")
def fitted(digits):
    X, y = digits
    return SparseResNetClassifier(**SMALL).fit(X[:400], y[:400])


def test_it_learns(digits):
    X, y = digits
    model = SparseResNetClassifier(**SMALL | {"width": 8, "max_iter": 8}).fit(X[:1200], y[:1200])
    assert model.score(X[1200:], y[1200:]) > 0.9
    assert model.history_["train_loss"][-1] < 0.3


def test_images_and_rows_of_pixels_are_the_same(digits, fitted):
    X, y = digits
    rows = X.reshape(len(X), -1)
    shaped = X[..., None]
    expected = fitted.predict_proba(X[400:440])
    assert_array_equal(fitted.predict_proba(rows[400:440]), expected)
    assert_array_equal(fitted.predict_proba(shaped[400:440]), expected)
    of_rows = SparseResNetClassifier((8, 8, 1), **SMALL).fit(rows[:400], y[:400])
    assert_array_equal(of_rows.predict_proba(X[400:440]), expected)
    of_source = SparseResNetClassifier((8, 8, 1), **SMALL).fit(ArraySource(rows[:400].astype(np.float32), y[:400]))
    assert_array_equal(of_source.predict_proba(X[400:440]), expected)
    assert fitted.image_shape_ == of_rows.image_shape_ == (8, 8, 1)


def test_nested_lists_and_single_images(digits, fitted):
    X, y = digits
    assert_array_equal(fitted.predict_proba(X[400:440].tolist()), fitted.predict_proba(X[400:440]))
    of_lists = SparseResNetClassifier(**SMALL).fit(X[:400].tolist(), y[:400])
    assert_array_equal(of_lists.predict_proba(X[400:440]), fitted.predict_proba(X[400:440]))
    for image in (X[0], X[0][..., None]):
        with pytest.raises(ValueError, match=r"is a single image; pass X\[np.newaxis\]"):
            fitted.predict(image)
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        fitted.predict(X[:0])
    with pytest.raises(ValueError, match="X must hold images of one shape"):
        fitted.predict([X[0].tolist(), X[1, :5].tolist()])


def test_a_small_last_batch_shares_the_samples_of_the_one_before(digits):
    """A step along the gradient of a single image, in the statistics of this image, would undo what was learnt."""
    X, y = digits
    sizes = []

    def remembers(X_batch, rng):
        sizes.append(len(X_batch))
        return X_batch

    model = SparseResNetClassifier(**SMALL | {"batch_size": 64, "max_iter": 2}, batch_transform=remembers)
    model.fit(X[:129], y[:129])
    assert sizes == [64, 33, 32] * 2
    assert len(model.history_["train_loss"]) == 2


def test_channels_are_side_by_side(digits):
    """A network of two channels, of which the second is zero, sees what the first one is."""
    X, y = digits
    two = np.stack([X, np.zeros_like(X)], axis=-1)
    model = SparseResNetClassifier(**SMALL).fit(two[:400], y[:400])
    assert model.image_shape_ == (8, 8, 2)
    changed = two.copy()
    changed[..., 0] = 0
    assert (model.predict_proba(changed[:20]) == model.predict_proba(changed[:1])).all()


@pytest.mark.parametrize("method", sorted(PRESETS))
def test_every_method_trains(method, digits):
    X, y = digits
    evolution = replace(preset(method), schedule=Constant(0.2, update_every=2)) if method != "static" else "static"
    model = SparseResNetClassifier(**SMALL | {"evolution": evolution, "max_iter": 2}).fit(X[:200], y[:200])
    before = SparseResNetClassifier(**SMALL | {"evolution": "static", "max_iter": 1}).fit(X[:200], y[:200])
    assert model._network.n_weights == before._network.n_weights
    changed = any(
        (new.indices != old.indices).any() or (new.indptr != old.indptr).any()
        for new, old in zip(model.coefs_, before.coefs_, strict=True)
    )
    assert changed == (method != "static")


def test_density_decay(digits):
    X, y = digits
    evolution = Evolution(schedule=Constant(0.0, update_every=1), density=Cubic(start=2))
    model = SparseResNetClassifier(**SMALL | {"evolution": evolution, "density": 0.2}).fit(X[:400], y[:400])
    counts = [sum(nnz) for nnz in model.history_["nnz"]]
    n_pairs = sum(np.prod(coef.shape) for coef in model.coefs_)
    assert counts[-1] == round(0.2 * n_pairs)
    assert counts[0] > counts[-1]


def test_the_density_is_met_as_it_is_spread(digits):
    X, y = digits
    for distribution, expected in (
        ("uniform", [0.25] * 10),
        ([1.0, *[0.5] * 8, 0.1], [1.0, *[0.5] * 8, 0.1]),
    ):
        settings = SMALL | {"density": 0.25, "max_iter": 1, "distribution": distribution}
        model = SparseResNetClassifier(**settings).fit(X[:100], y[:100])
        assert_allclose([coef.nnz / np.prod(coef.shape) for coef in model.coefs_], expected, atol=0.02)
    model = SparseResNetClassifier(**SMALL | {"max_iter": 1}).fit(X[:100], y[:100])
    shares = [layer.density for layer in layer_summaries(model)]
    assert shares[0] == shares[5] == 1  # few channels
    assert shares[7] < 0.3 < shares[1]
    assert_allclose(model.density_, 0.3, atol=1e-3)


def test_topologies_that_say_how_many_weights_there_are(digits, fitted):
    X, y = digits
    full = SparseResNetClassifier(**SMALL | {"topology_init": "full", "max_iter": 1}).fit(X[:100], y[:100])
    assert full.density_ == 1
    given = Given([coef.T for coef in fitted.coefs_], values=True)
    model = SparseResNetClassifier(**SMALL | {"topology_init": given, "max_iter": 1, "evolution": "static"})
    model.fit(X[:100], y[:100])
    for new, old in zip(model.coefs_, fitted.coefs_, strict=True):
        assert_array_equal(new.indices, old.indices)


def test_images_that_are_not_scaled_are_named_by_channel(digits):
    X, y = digits
    raw = np.stack([X, 1000 + X], axis=-1)
    with pytest.warns(UserWarning, match=r"Channels of the images are not scaled: 1 \(mean 1e\+03"):
        SparseResNetClassifier(**SMALL | {"max_iter": 1, "learning_rate_init": 1e-6}).fit(raw[:100], y[:100])


def test_tables_and_pictures_of_the_topology(fitted):
    assert [row.in_degrees.sum() for row in layer_degrees(fitted)] == [coef.nnz for coef in fitted.coefs_]
    assert fitted.n_layers_ == len(fitted.coefs_) + 1


def test_it_neither_ranks_features_nor_trains_on_several_processes(digits):
    X, y = digits
    selector = SparseFeatureSelector(estimator=SparseResNetClassifier((8, 8, 1), **SMALL))
    with pytest.raises(ValueError, match="cannot rank features"):
        selector.fit(X.reshape(len(X), -1), y)


def test_operations_of_a_sample(fitted):
    rows = layer_flops(fitted)
    assert [row.inference for row in rows] == [
        2 * layer.nnz * places
        for layer, places in zip(fitted._network.layers, [64] * 3 + [16] * 3 + [4] * 3 + [1], strict=True)
    ]
    assert f"{total(rows).inference:,} operations" in fitted.summary()


def test_parameters_are_those_that_are_trained(fitted):
    n_channels = sum(coef.shape[1] for coef in fitted.coefs_)
    assert fitted.n_parameters_ == sum(coef.nnz for coef in fitted.coefs_) + n_channels + (n_channels - 10)


def test_same_seed_same_bytes_on_one_and_two_threads(digits, fitted):
    X, y = digits
    again = SparseResNetClassifier(**SMALL, n_jobs=2).fit(X[:400], y[:400])
    assert_array_equal(again._network.params, fitted._network.params)
    other = SparseResNetClassifier(**SMALL | {"random_state": 1}).fit(X[:400], y[:400])
    assert (other._network.params[:50] != fitted._network.params[:50]).any()


def test_resumed_training_has_the_same_bytes(digits, tmp_path):
    X, y = digits
    settings = SMALL | {"batch_transform": Crop((8, 8, 1), padding=1)}
    whole = SparseResNetClassifier(**settings).fit(X[:300], y[:300])

    class Stop:
        def on_epoch_end(self, network, record):
            return record.epoch == 2

    path = tmp_path / "checkpoint.npz"
    with_callbacks = SparseResNetClassifier(**settings, callbacks=[Checkpoint(path), Stop()])
    with_callbacks.fit(X[:300], y[:300])
    resumed = SparseResNetClassifier(**settings).fit(X[:300], y[:300], resume_from=path)
    assert_array_equal(resumed._network.params, whole._network.params)
    assert resumed.n_iter_ == 3


def test_files_pickles_and_clones(digits, fitted, tmp_path):
    import truesparse

    X, _ = digits
    truesparse.save(fitted, tmp_path / "model.npz")
    for copied in (truesparse.load(tmp_path / "model.npz"), pickle.loads(pickle.dumps(fitted))):
        assert_array_equal(copied.predict_proba(X[:50]), fitted.predict_proba(X[:50]))
        assert copied.image_shape_ == (8, 8, 1)
    assert clone(fitted).get_params() == fitted.get_params()


@pytest.mark.parametrize(("name", "value"), [("depth", 14), ("width", [4]), ("image_shape", [4, 16, 1])])
def test_files_whose_parameters_are_those_of_another_network(name, value, fitted):
    from truesparse.estimators.storing import restore, store
    from truesparse.storage import ModelFormatError

    metadata, arrays = store(fitted)
    assert restore(metadata, arrays, {"SparseResNetClassifier": SparseResNetClassifier})
    metadata, arrays = store(fitted)
    metadata["fitted"]["shape"][name] = value
    with pytest.raises(ModelFormatError, match="not of the image_shape, depth and width"):
        restore(metadata, arrays, {"SparseResNetClassifier": SparseResNetClassifier})


def test_validation_data_and_early_stopping(digits):
    X, y = digits
    model = SparseResNetClassifier(**SMALL).fit(X[:300], y[:300], X_val=X[300:400], y_val=y[300:400])
    assert len(model.validation_scores_) == 3
    assert_allclose(model.validation_scores_[-1], model.score(X[300:400], y[300:400]))
    stopped = SparseResNetClassifier(**SMALL, early_stopping=True).fit(X[:300], y[:300])
    assert 1 <= stopped.best_epoch_ <= 3


def test_training_goes_on(digits):
    X, y = digits
    model = SparseResNetClassifier(**SMALL, warm_start=True).fit(X[:300], y[:300])
    model.fit(X[:300], y[:300])
    assert model.n_iter_ == 6
    model.partial_fit(X[:300], y[:300])
    assert model.n_iter_ == 7
    model.set_params(image_shape=(4, 16, 1))
    with pytest.raises(ValueError, match=r"image_shape=\(4, 16, 1\) cannot change while training goes on"):
        model.fit(X[:300], y[:300])
    assert model.set_params(image_shape=None).score(X[:300], y[:300]) > 0.2


def test_labels(digits):
    X, y = digits
    labels = np.stack([y % 2, y > 4], axis=1)
    model = SparseResNetClassifier(**SMALL).fit(X[:300], labels[:300])
    assert model.predict(X[300:310]).shape == (10, 2)


def test_masked_images_are_refused(digits, fitted):
    X = np.ma.masked_array(digits[0][:10], mask=digits[0][:10] > 0)
    for call in (fitted.predict, lambda X: SparseResNetClassifier(**SMALL).fit(X, digits[1][:10])):
        with pytest.raises(ValueError, match="X has masked entries"):
            call(X)


def test_a_single_image_is_not_trained_on(digits):
    X, y = digits
    with pytest.raises(ValueError, match="X holds a single image; batch norm needs two or more"):
        SparseResNetClassifier(**SMALL).partial_fit(X[:1], y[:1], classes=range(10))


def test_what_it_does_not_have(fitted):
    for name in ("feature_importances_", "activation_params_"):
        with pytest.raises(AttributeError, match=name):
            getattr(fitted, name)
    assert not hasattr(fitted, "feature_importances_")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"depth": 21}, r"depth=21 must be 6 n \+ 2, .* 20 is nearest"),
        ({"depth": 7}, "'depth' parameter of SparseResNetClassifier must be an int in the range"),
        ({"image_shape": (8, 8, 3)}, r"X holds images of shape \(8, 8\), but the network takes \(8, 8, 3\)"),
        ({"image_shape": (8, 8)}, r"image_shape=\(8, 8\) must be \(height, width, channels\); all"),
        ({"image_shape": (8, 0, 1)}, r"image_shape=\(8, 0, 1\) must be \(height, width, channels\); all"),
        ({"image_shape": 8}, "'image_shape' parameter .* must be an array-like or None"),
        ({"distribution": [0.1, 0.2]}, "must hold a density for each of the 10 layers"),
        ({"distribution": [0.1] * 9 + [2]}, r"distribution\[9\]=2 must"),
        ({"distribution": "erk"}, r"'distribution' parameter .* \['erdos_renyi_kernel', 'uniform'\]"),
        ({"distribution": "uniform", "density": 1e-3}, r"leaves layer 0 of shape \(4, 9\) without a single connection"),
        ({"density": 1e-4}, "leaves a layer without a single connection"),
        ({"topology_init": "snip"}, "topology_init=SNIP.* is for multilayer perceptrons"),
        ({"topology_init": LocalFields((8, 8, 1), [(8, 8, 2)], 3)}, "topology_init=.* is for multilayer perceptrons"),
        ({"evolution": neuron_evolution(5)}, "neuron_evolution removes features of multilayer perceptrons"),
        ({"evolution": Evolution(unit_pruning=ImportancePruning())}, "channels cannot be removed"),
        ({"evolution": "nothing"}, "'evolution' parameter"),
        ({"max_iter": None}, "'max_iter' parameter"),
        ({"batch_size": 1}, r"'batch_size' parameter .* int in the range \[3, inf\)"),
        ({"width": True}, "width=True must be a positive integer"),
    ],
)
def test_bad_parameters(parameters, message, digits):
    X, y = digits
    with pytest.raises(ValueError, match=message):
        SparseResNetClassifier(**SMALL | parameters).fit(X[:50], y[:50])


def test_sparse_images_are_refused_after_a_prediction_of_dense_ones(digits, fitted):
    """A workspace that is kept would let them pass, and predict the images that it still holds."""
    from scipy.sparse import csr_array

    rows = digits[0][:5].reshape(5, -1)
    fitted.predict(rows)
    with pytest.raises(TypeError, match="Sparse data was passed for X"):
        fitted.predict(csr_array(rows))
    source = array_source(csr_array(rows.astype(np.float32)))
    with pytest.raises(ValueError, match="The source X is sparse, but SparseResNetClassifier takes dense samples"):
        SparseResNetClassifier((8, 8, 1)).fit(source.with_target(digits[1][:5]))
    with (
        pytest.raises(ValueError, match="takes no sparse matrix"),
        fitted._network.lent_workspace(5, dense_inputs=False),
    ):
        pass


def test_predictions_of_few_images_share_one_workspace(digits, fitted):
    images = digits[0]
    network = pickle.loads(pickle.dumps(fitted._network))
    for n in (1, 2, 31, 32, 40, 100):
        forward_all(network, ArraySource(images[:n].reshape(n, -1).astype(np.float32)))
    assert [len(idle) for idle in network._idle_workspaces.values()] == [1]


@pytest.mark.parametrize(("n_threads", "tiles"), [(1, 4), (2, 4), (3, 6), (8, 8), (64, 16)])
def test_predictions_have_as_many_tiles_for_each_thread(n_threads, tiles, digits, fitted, monkeypatch):
    network, sizes, read = fitted._network, [], ArraySource.read

    def read_and_note(source, samples, workspace):
        sizes.append(samples.size)
        read(source, samples, workspace)

    X = np.tile(digits[0][:100].reshape(100, -1), (6, 1)).astype(np.float32)
    expected = forward_all(network, ArraySource(X))
    monkeypatch.setattr(ArraySource, "read", read_and_note)
    monkeypatch.setattr("truesparse.training.inference.current_threads", lambda: n_threads)
    assert_array_equal(forward_all(network, ArraySource(X)), expected)
    assert sizes[0] == 32 * tiles
    least = int(fitted.summary().split("from batch_size=")[1].split()[0])
    assert least > 32  # a tile is for one thread


def test_what_a_recipe_of_a_residual_network_cannot_have():
    from truesparse.network.architecture import Architecture
    from truesparse.network.losses import SoftmaxCrossEntropy
    from truesparse.training import Recipe

    residual = Architecture((8, 8, 1), 8, 4)
    for options, message in (
        ({}, "epsilon=None and density=None: a residual network needs a density"),
        ({"epsilon": 2.0}, "epsilon=2.0 and density=None"),
        ({"density": 0.1, "evolution": Evolution(unit_pruning=ImportancePruning())}, "channels cannot be removed"),
    ):
        with pytest.raises(ValueError, match=message):
            Recipe(SoftmaxCrossEntropy(), residual=residual, **options)


def test_connections_of_pixels_are_not_recorded(digits):
    X, y = digits
    with pytest.raises(TypeError, match="holds a convolutional network; this function needs a multilayer perceptron"):
        SparseResNetClassifier(**SMALL, callbacks=[ConnectivityRecorder()]).fit(X[:50], y[:50])


def test_images_of_another_shape_than_the_network_are_refused_without_an_estimator(digits):
    from truesparse.network.architecture import Architecture
    from truesparse.network.losses import SoftmaxCrossEntropy
    from truesparse.training import Recipe, new_network

    source = ArraySource(digits[0][:5].reshape(5, -1).astype(np.float32))
    recipe = Recipe(SoftmaxCrossEntropy(), residual=Architecture((8, 7, 1), 8, 4), density=0.3)
    with pytest.raises(ValueError, match=r"image_shape=\(8, 7, 1\) has 56 values, but the samples have 64 features"):
        new_network(recipe, source, 10, seed=0)


def test_bad_data(digits, fitted):
    from scipy.sparse import csr_array

    X, y = digits
    rows = X.reshape(len(X), -1)
    with pytest.raises(ValueError, match="image_shape=None: X must then be an array"):
        SparseResNetClassifier(**SMALL).fit(rows[:50], y[:50])
    with pytest.raises(ValueError, match=r"image_shape=\(7, 8, 1\) stands for 56 features, but X has 64"):
        SparseResNetClassifier((7, 8, 1), **SMALL).fit(rows[:50], y[:50])
    with pytest.raises(ValueError, match=r"X holds images of shape \(7, 8\), but the network takes \(8, 8, 1\)"):
        fitted.predict(X[:5, :7])
    with pytest.raises(ValueError, match="at least 4 rows and columns"):
        SparseResNetClassifier((2, 32, 1), **SMALL).fit(rows[:50], y[:50])
    with pytest.raises((TypeError, ValueError), match=r"[Ss]parse"):
        SparseResNetClassifier((8, 8, 1), **SMALL).fit(csr_array(rows[:50]), y[:50])
    with pytest.raises(ValueError, match="NaN"):
        fitted.predict(np.full((2, 8, 8), np.nan))


def test_too_little_memory_is_said_before_training(digits, monkeypatch):
    X, y = digits
    monkeypatch.setattr("truesparse.training.checks.available_bytes", lambda: 10**5)
    with pytest.raises(ValueError, match=r"batch_size=64 needs .* bytes for the activations of this network"):
        SparseResNetClassifier(**SMALL).fit(X[:100], y[:100])


def test_a_rule_of_ones_own_sees_patches(digits):
    seen = []

    class SeesPatches:
        needs = ("activations",)

        def __call__(self, vacancies, *, rng, activations):
            for batch in activations(100):
                seen.extend(len(batch[vacancy.layer]) == vacancy.pattern.shape[1] for vacancy in vacancies)
            return [vacancy.pattern.sample_absent(vacancy.n_grow, rng) for vacancy in vacancies]

    X, y = digits
    evolution = Evolution(grow=SeesPatches(), schedule=Constant(0.2, update_every=2))
    SparseResNetClassifier(**SMALL | {"evolution": evolution}).fit(X[:200], y[:200])
    assert seen
    assert all(seen)
