"""Transforms as `batch_transform`: targets that change, losses of mixed targets, files, and several processes."""

import threading

import numpy as np
import pytest
from every_transform import ALL, called
from helpers import assert_same_run, loss_and_gradient, make
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification

import truesparse
from truesparse import SparseMLPClassifier, SparseMLPEnsembleClassifier, SparseMLPRegressor
from truesparse.callbacks import Checkpoint
from truesparse.data import ArraySource, Shard, Transformed, array_source
from truesparse.data.transformed import changes_targets
from truesparse.estimators.persistence import ModelFormatError
from truesparse.network.losses import (
    AbsoluteError,
    BinaryCrossEntropy,
    Huber,
    MixedTargets,
    Poisson,
    SoftmaxCrossEntropy,
    SquaredError,
    Weighted,
    mix_targets,
)
from truesparse.runtime.random_streams import RandomStreams
from truesparse.training import Recipe, Trainer, new_network
from truesparse.transforms import Compose, Crop, CutMix, FeatureMask, MixUp

SMALL = {
    "hidden_layer_sizes": (30, 20), "epsilon": 3, "max_iter": 4, "update_every": 3, "random_state": 0,
    "batch_size": 32, "n_iter_no_change": np.inf,
}  # fmt: skip
X = np.random.default_rng(0).standard_normal((90, 72)).astype(np.float32)
y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


def soft_cross_entropy(z, target, smoothing):
    """Loss and gradient of targets (batch, n_classes) that are no single classes, in plain NumPy."""
    log_p = z - z.max(axis=0)
    log_p -= np.log(np.exp(log_p).sum(axis=0))
    smoothed = (1 - smoothing) * target + smoothing * target.sum(axis=1, keepdims=True) / len(z)
    losses = -(target.T * log_p).sum(axis=0)
    gradient = np.exp(log_p) * target.sum(axis=1) - smoothed.T
    return losses.mean(), gradient / z.shape[1]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_mixed_classes_is_that_of_dense_targets(weighted, smoothing, dtype, rng):
    z, classes = (3 * rng.standard_normal((5, 40))).astype(dtype), rng.integers(5, size=40)
    partner, share = rng.permutation(40), rng.beta(0.4, 0.4, 40)
    weights = rng.uniform(0, 3, 40) if weighted else np.ones(40)
    target = Weighted(classes, weights) if weighted else classes
    dense = (share * weights)[:, None] * np.eye(5)[classes]
    dense += ((1 - share) * weights[partner])[:, None] * np.eye(5)[classes[partner]]
    expected, expected_gradient = soft_cross_entropy(z.astype(np.float64), dense, smoothing)
    gradient = np.full_like(z, np.nan)
    value = SoftmaxCrossEntropy(smoothing)(z, mix_targets(target, target[partner], share), gradient)
    assert_allclose(value, expected, rtol=1e-5)
    assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-6)
    in_place = SoftmaxCrossEntropy(smoothing)(z, mix_targets(target, target[partner], share), z)
    assert in_place == value
    assert_array_equal(z, gradient)


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), SquaredError(), AbsoluteError(), Huber(0.5), Poisson()])
def test_any_loss_takes_targets_with_several_parts(loss, rng):
    z, first, second = rng.standard_normal((3, 8)), rng.integers(2, size=(8, 3)) * 1.0, rng.random((8, 3))
    weights, gradients, values = rng.random((2, 8)), np.empty((2, 3, 8)), []
    for values_of_part, of_part, gradient in zip((first, second), weights, gradients, strict=True):
        values.append(loss(z, Weighted(values_of_part, of_part), gradient))
    gradient = np.empty_like(z)
    target = MixedTargets((Weighted(first, weights[0]), Weighted(second, weights[1])))
    assert_allclose(loss(z, target, gradient), sum(values))
    assert_allclose(gradient, gradients.sum(axis=0))


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), SquaredError()])
def test_averaged_labels_have_the_gradient_of_two_losses(loss, rng):
    """Exactly so for losses that are linear in the target but for a constant."""
    z, target, share = rng.standard_normal((3, 8)), rng.integers(2, size=(8, 3)) * 1.0, rng.random(8)
    partner = rng.permutation(8)
    averaged, of_two = np.empty_like(z), np.empty_like(z)
    loss(z, mix_targets(target, target[partner], share), averaged)
    loss(z, MixedTargets((Weighted(target, share), Weighted(target[partner], 1 - share))), of_two)
    assert_allclose(averaged, of_two, atol=1e-12)


def test_a_step_with_mixup_is_one_on_dense_targets(rng):
    """One step by hand: the trainer's generator, the mixed batch, the loss of dense targets."""
    network, twin = make(np.random.default_rng(1)), make(np.random.default_rng(1))
    features, labels = rng.standard_normal((16, 6)), rng.integers(3, size=16)
    recipe = Recipe(
        SoftmaxCrossEntropy(), dtype="float64", batch_size=16, n_epochs=1, shuffle=False, alpha=0.0, patience=np.inf,
        batch_transform=MixUp(0.5),
    )  # fmt: skip
    trainer = Trainer(network, recipe, ArraySource(features, labels), seed=3)
    trainer.train()
    generator = RandomStreams(3)("batch transform", 0, 0)
    partner, share = generator.permutation(16), generator.beta(0.5, 0.5, 16)
    dense = share[:, None] * np.eye(3)[labels] + (1 - share[:, None]) * np.eye(3)[labels[partner]]
    inputs = share[:, None] * features + (1 - share[:, None]) * features[partner]

    def loss(z, target, gradient):
        value, gradient[:] = soft_cross_entropy(z.copy(), target, 0.0)
        return value

    value, gradient = loss_and_gradient(twin, loss, inputs.T, dense)
    assert_allclose(trainer.state.history[0].train_loss, value)
    state = recipe.optimizer.init(twin.params)
    recipe.optimizer.step(
        twin.params, gradient, state, learning_rate=recipe.learning_rate, alpha=0.0, n_weights=twin.n_weights, n_steps=1
    )
    assert_allclose(network.params, twin.params, rtol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_a_model_is_saved_and_goes_on_with_its_transform(name, tmp_path):
    model = SparseMLPClassifier(**SMALL, batch_transform=ALL[name], warm_start=True).fit(X, y)
    truesparse.save(model, tmp_path / "model.npz")
    loaded = truesparse.load(tmp_path / "model.npz")
    assert loaded.batch_transform == ALL[name]
    assert_same_run(loaded.fit(X, y), model.fit(X, y))
    assert clone(loaded).batch_transform == ALL[name]


@pytest.mark.parametrize("name", ALL)
def test_a_fit_is_resumed_with_its_transform(name, tmp_path):
    class CutAfterTwo:
        def on_epoch_end(self, network, record):
            if record.epoch == 2:
                raise KeyboardInterrupt

    path, settings = tmp_path / "fit.npz", SMALL | {"batch_transform": ALL[name]}
    whole = SparseMLPClassifier(**settings).fit(X, y)
    with pytest.raises(KeyboardInterrupt):
        SparseMLPClassifier(**settings, callbacks=[Checkpoint(path), CutAfterTwo()]).fit(X, y)
    assert_same_run(SparseMLPClassifier(**settings).fit(X, y, resume_from=path), whole)
    with pytest.raises(ValueError, match="is a checkpoint of a fit with batch_transform="):
        SparseMLPClassifier(**settings | {"batch_transform": Crop((6, 6, 2), 1)}).fit(X, y, resume_from=path)


@pytest.mark.parametrize("name", ALL)
def test_fits_on_one_and_two_threads_give_the_same_bytes(name, share_all_work):
    settings = SMALL | {"batch_transform": ALL[name], "hidden_layer_sizes": (200, 100), "max_iter": 2}
    one, two = (SparseMLPClassifier(**settings, n_jobs=n).fit(X, y) for n in (1, 2))
    assert_same_run(one, two)


def test_files_with_a_transform_that_is_none_are_refused():
    from truesparse.estimators.storing import make as make_estimator

    stored = {"type": "batch_transform.Crop", "fields": {"image_shape": {"type": "tuple", "items": [6, 6, 2]}}}
    assert make_estimator(SparseMLPClassifier, {"batch_transform": stored}).batch_transform == Crop((6, 6, 2))
    for name, content in (
        ("batch_transform", {"type": "topology.Full", "fields": {}}),
        ("batch_transform", {"type": "batch_transform.Crop", "fields": {"image_shape": [0]}}),
        ("batch_transform", {"type": "batch_transform.Crop", "fields": {"image_shape": "aaa"}}),
        ("batch_transform", {"type": "batch_transform.Compose", "fields": {"transforms": [1]}}),
        ("scoring", {"type": "batch_transform.MixUp", "fields": {}}),
    ):
        with pytest.raises(ModelFormatError):
            make_estimator(SparseMLPClassifier, {name: content})


def test_own_functions_in_a_compose_are_only_named(tmp_path):
    def own(batch, rng):
        return batch

    model = SparseMLPClassifier(**SMALL, batch_transform=Compose([Crop((6, 6, 2)), own])).fit(X, y)
    truesparse.save(model, tmp_path / "model.npz")
    with pytest.warns(UserWarning, match=r"could only name batch_transform"):
        loaded = truesparse.load(tmp_path / "model.npz")
    assert loaded.predict(X).tobytes() == model.predict(X).tobytes()
    with pytest.raises(ValueError, match="batch_transform="):
        loaded.partial_fit(X, y)


def test_a_class_in_place_of_a_transform_is_refused():
    with pytest.raises(ValueError, match=r"batch_transform=.*Crop.* is a class"):
        SparseMLPClassifier(batch_transform=Crop).fit(X, y)


def test_which_transforms_change_targets():
    class Declares:
        changes_targets = True

        def __call__(self, *args):
            return args[:2]

    def optional(batch, rng, scale=1):
        return batch

    assert changes_targets(lambda batch, target, rng: (batch, target))
    assert changes_targets(Declares())
    assert not changes_targets(lambda batch, rng: batch)
    assert not changes_targets(optional)
    assert not changes_targets(np.multiply)
    assert [name for name in ALL if changes_targets(ALL[name])] == ["MixUp", "CutMix", "Compose"]


def swap(batch, target, rng):
    """Give all samples of class 0 the class 1."""
    return batch, np.where(target == 0, 1, target)


def test_a_transform_of_three_arguments_changes_targets():
    """Training on swapped classes equals training on data with these classes."""
    given = SparseMLPClassifier(**SMALL, batch_transform=lambda batch, rng: batch)
    given.partial_fit(X, np.where(y == 0, 1, y), classes=[0, 1, 2])
    part = SparseMLPClassifier(**SMALL, batch_transform=swap).partial_fit(X, y, classes=[0, 1, 2])
    assert part._network.params.tobytes() == given._network.params.tobytes()


def test_sample_weights_count_in_mixed_losses():
    seen = []

    def watch(batch, target, rng):
        seen.append(target)
        return MixUp(0.3)(batch, target, rng)

    weights = np.where(y == 0, 3.0, 1.0)
    watched = SparseMLPClassifier(**SMALL, batch_transform=watch).fit(X, y, sample_weight=weights)
    plain = SparseMLPClassifier(**SMALL, batch_transform=MixUp(0.3)).fit(X, y, sample_weight=weights)
    assert_same_run(watched, plain)
    assert all(isinstance(target, Weighted) for target in seen)
    assert_allclose(np.unique(seen[0].weights)[1] / np.unique(seen[0].weights)[0], 3)
    unweighted = SparseMLPClassifier(**SMALL, batch_transform=MixUp(0.3)).fit(X, y)
    assert plain._network.params.tobytes() != unweighted._network.params.tobytes()


def test_mixing_works_for_numbers_labels_and_ensembles():
    regressor = SparseMLPRegressor(**SMALL, batch_transform=MixUp()).fit(X, np.stack([X[:, 0], X[:, 1] * 5], axis=1))
    assert np.isfinite(regressor.loss_curve_).all()
    X_labels, labels = make_multilabel_classification(60, 72, random_state=0)
    SparseMLPClassifier(**SMALL, batch_transform=Compose([MixUp(), CutMix((6, 6, 2))])).fit(X_labels, labels)
    ensemble = SparseMLPEnsembleClassifier(
        SparseMLPClassifier(**SMALL, batch_transform=MixUp(1.0)), evolution=["set", "cte"], n_folds=2, random_state=0
    )
    assert ensemble.fit(X, y).predict(X).shape == y.shape


def test_the_history_has_the_loss_of_mixed_targets():
    settings = SMALL | {"max_iter": 100, "epsilon": 20}
    losses = [
        SparseMLPClassifier(**settings, dropout=0, batch_transform=transform).fit(X, y).loss_curve_[-1]
        for transform in (None, MixUp(10.0))
    ]
    assert losses[0] < 0.1
    assert losses[1] > 0.3  # the entropy of shares near one half


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda X, t: X, r"changes targets, so it must return \(X_batch, target_batch\), got ndarray"),
        (lambda X, t: (X, t, t), r"must return \(X_batch, target_batch\), got tuple"),
        (lambda X, t: (t, X), r"must return a dense array of shape \(32, 72\)"),
        (lambda X, t: (X, None), r"must return targets of shape \(32,\) that are classes, .* got NoneType"),
        (lambda X, t: (X, t[1:]), r"targets of shape \(32,\) .* got ndarray of shape \(31,\)"),
        (lambda X, t: (X, np.eye(3)[t]), r"of shape \(32,\) .* of shape \(32, 3\) .*truesparse.transforms.mix_targets"),
        (lambda X, t: (X, t * 1.0), "classes, integers, got ndarray .* dtype float64"),
        (lambda X, t: (X, t == 0), "classes, integers, got ndarray .* dtype bool"),
        (lambda X, t: (X, t + 1), r"Classes that batch_transform=.* must lie in \[0, 3\), got 1 to 3"),
        (lambda X, t: (X, t - 1), r"must lie in \[0, 3\), got -1 to 1"),
        (lambda X, t: (X, np.ma.masked_array(t, mask=t == 0)), "has masked entries"),
        (lambda X, t: (X, [[1], [1, 2]]), "must return targets of shape"),
        (lambda X, t: (X, mix_targets(t + 1, t, np.ones(32))), r"must lie in \[0, 3\)"),
        (lambda X, t: (X, Weighted(t, np.full(32, -1.0))), "weights of shape .* that are not below 0"),
        (lambda X, t: (X, Weighted(t, np.full(32, np.nan))), "weights of shape .* that are not below 0"),
        (lambda X, t: (X, Weighted(t, np.full(32, np.inf))), "must return finite weights"),
        (lambda X, t: (X, Weighted(t, np.ones(31))), r"weights of shape \(32,\) .* got shape \(31,\)"),
        (lambda X, t: (X, MixedTargets((t,))), r"with weights, truesparse.network.losses.Weighted, .* got ndarray"),
        (lambda X, t: (X, MixedTargets(())), "MixedTargets without parts"),
        (lambda X, t: (X, t.__iadd__(5)), r"must lie in \[0, 3\), got 5 to 7"),
    ],
)
def test_bad_targets_of_a_transform_are_named(returned, message):
    model = SparseMLPClassifier(**SMALL, batch_transform=lambda batch, target, rng: returned(batch, target))
    with pytest.raises(ValueError, match=f"(?s)batch_transform=.*{message}|{message}"):
        model.fit(X, y)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda t: t * np.nan, "targets that are infinite or NaN"),
        (lambda t: t + 1j, "that are real numbers, got .* dtype complex64"),
        (lambda t: t.ravel(), r"of shape \(32, 1\) that are real numbers, got ndarray of shape \(32,\)"),
    ],
)
def test_bad_numbers_of_a_transform_are_named(returned, message):
    model = SparseMLPRegressor(**SMALL, batch_transform=lambda batch, target, rng: (batch, returned(target)))
    with pytest.raises(ValueError, match=f"(?s)batch_transform=.*{message}"):
        model.fit(X, X[:, 0])


def test_weights_cannot_get_lost():
    def forgets(batch, target, rng):
        return batch, target.values

    with pytest.raises(ValueError, match=r"must return targets with weights, .*Weighted, as it was given; got ndarray"):
        SparseMLPClassifier(**SMALL, batch_transform=forgets).fit(X, y, sample_weight=1.0 + y)


def test_a_transformed_source_returns_changed_targets(rng):
    network = make(rng, sizes=(72, 9, 3))
    source = Transformed(ArraySource(X.astype(float), y), MixUp(), lambda: np.random.default_rng(5), n_outputs=3)
    samples = np.arange(20, 40)
    workspace = network.workspace(20)
    target = source.read_batch(samples, workspace)
    expected, expected_target = called(MixUp(), X[samples].astype(float), y[samples], np.random.default_rng(5))
    assert_array_equal(workspace.features[:, :20], expected.T)
    assert_array_equal(target.parts[1].values, expected_target.parts[1].values)
    assert_array_equal(source.rows(samples), expected)
    without = Transformed(ArraySource(X.astype(float)), FeatureMask(), lambda: np.random.default_rng(5))
    assert without.rows(samples).shape == (20, 72)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_two_processes_mix_what_each_holds(dropout):
    """Both end with the same network, and the loss is that of all samples."""
    recipe = Recipe(
        SoftmaxCrossEntropy(), (30,), epsilon=3, dropout=dropout, batch_size=30, n_epochs=20, batch_transform=MixUp(0.2)
    )
    parts, barrier, trainers, errors = [None, None], threading.Barrier(2, timeout=60), [None, None], []

    def work(place):
        def reduce(array):
            parts[place] = np.array(array)
            barrier.wait()
            total = parts[0] + parts[1]
            barrier.wait()
            return total

        try:
            held = array_source(X[:40] if place == 0 else X[40:])
            source = Shard(held, first=40 * place, n_samples=90, target=y, reduce=reduce)
            with truesparse.runtime.threads.threads(1):
                trainers[place] = Trainer(new_network(recipe, source, 3, seed=1), recipe, source, seed=1)
                trainers[place].train()
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    workers = [threading.Thread(target=work, args=(place,)) for place in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors
    first, second = trainers
    assert_array_equal(first.network.params, second.network.params)
    losses = [record.train_loss for record in first.state.history]
    assert losses == [record.train_loss for record in second.state.history]
    assert losses[-1] < 0.95 * losses[0]
