"""Transforms as functions of a batch: cut, mixed and masked samples, and what all of them do."""

import copy
import pickle

import numpy as np
import pytest
from every_transform import ALL, SHAPE, called
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

import truesparse.transforms
from truesparse.kernels.jit import threads
from truesparse.network.losses import MixedTargets, Weighted, values_and_weights
from truesparse.transforms import (
    Compose,
    Crop,
    CutMix,
    CutOut,
    FeatureMask,
    GaussianNoise,
    MixUp,
    mix_targets,
)


def batch_of(n=40, dtype=np.float32):
    return np.random.default_rng(0).standard_normal((n, 72)).astype(dtype)


@pytest.mark.parametrize("name", ALL)
def test_the_same_generator_gives_the_same_bytes_on_one_and_two_threads(name, dtype):
    X, y = batch_of(dtype=dtype), np.arange(40) % 3

    def run(n_threads, seed):
        with threads(n_threads):
            changed, target = called(ALL[name], X.copy(), y, np.random.default_rng(seed))
        assert changed.dtype == dtype
        assert changed.shape == X.shape
        parts = target.parts if isinstance(target, MixedTargets) else [Weighted(target, np.empty(0))]
        return changed.tobytes() + b"".join(part.values.tobytes() + part.weights.tobytes() for part in parts)

    first = run(1, 1)
    assert run(1, 1) == run(2, 1) == first
    assert run(1, 2) != first


@pytest.mark.parametrize("name", ALL)
def test_one_sample_and_none_are_batches_too(name):
    for n in (1, 0):
        X, _ = called(ALL[name], batch_of(n), np.arange(n), np.random.default_rng(0))
        assert X.shape == (n, 72)


@pytest.mark.parametrize("name", ALL)
def test_arrays_that_cannot_be_changed_are_copied(name):
    """Read-only, not contiguous, or integers: the result is that for a copy, and the array stays as it is."""
    X, y = batch_of(), np.arange(40) % 3
    expected, _ = called(ALL[name], X.copy(), y, np.random.default_rng(1))
    read_only, wide = X.copy(), np.repeat(X, 2, axis=1)
    read_only.flags.writeable = False
    for given in (read_only, np.asfortranarray(X), wide[:, ::2]):
        before = given.copy()
        assert_array_equal(called(ALL[name], given, y, np.random.default_rng(1))[0], expected)
        assert_array_equal(given, before)
    assert called(ALL[name], np.ones((4, 72), dtype=int), y[:4], np.random.default_rng(1))[0].dtype == np.float32


@pytest.mark.parametrize("name", ALL)
def test_copies_are_equal_and_can_be_pickled(name):
    for other in (copy.deepcopy(ALL[name]), pickle.loads(pickle.dumps(ALL[name]))):
        assert other == ALL[name]
        assert hash(other) == hash(ALL[name])
    assert eval(repr(ALL[name]), vars(truesparse.transforms)) == ALL[name]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("X", "message"),
    [
        (csr_array(np.eye(72)), r"X of \w+ must be a dense array"),
        (np.ma.masked_array(np.eye(72), mask=np.eye(72) > 0), r"X of \w+ has masked entries"),
        (np.ones(72), r"X of \w+ must be \(n_samples, n_features\)"),
        (np.ones((2, 72), dtype=complex), "dtype complex128"),
    ],
)
def test_unsuitable_batches_are_refused(name, X, message):
    with pytest.raises(ValueError, match=message):
        called(ALL[name], X, np.zeros(len(X) if X.ndim == 1 else X.shape[0], dtype=int), np.random.default_rng(0))


@pytest.mark.parametrize("name", [name for name in ALL if hasattr(ALL[name], "image_shape")])
def test_images_of_another_size_are_refused(name):
    with pytest.raises(ValueError, match=r"image_shape=\(6, 6, 2\) of \w+ has 72 features, but X has 64"):
        called(ALL[name], np.zeros((2, 64)), np.zeros(2, dtype=int), np.random.default_rng(0))


@pytest.mark.parametrize("shape", [(7, 9, 3), (9, 2)])
def test_cutout_sets_a_square_around_any_pixel(shape, rng):
    height, width, channels = (1, *shape)[-3:]
    for size in (1, 3, 4, 50):
        cut = CutOut(shape, size, value=-7)(np.ones((500, height * width * channels)), rng)
        holes = (cut.reshape(500, height, width, channels) == -7).all(axis=3)
        assert ((cut == -7).reshape((*holes.shape, channels)) == holes[..., None]).all()
        begins = set()
        for hole in holes:
            rows, columns = np.nonzero(hole.any(axis=1))[0], np.nonzero(hole.any(axis=0))[0]
            assert hole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
            for places, side in ((rows, height), (columns, width)):
                inside = places[0] > 0 and places[-1] < side - 1
                assert len(places) == size if inside else len(places) <= size
            begins.add((rows[0], columns[0]))
        if size == 1:
            assert len(begins) == height * width


def test_mixup_averages_features_and_numbers():
    X, y = batch_of(), np.random.default_rng(1).standard_normal((40, 2))
    together = np.concatenate([X, y], axis=1)
    changed, target = MixUp(1.0)(X.copy(), y, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    partner, share = rng.permutation(40), rng.beta(1.0, 1.0, 40)[:, None]
    expected = share * together + (1 - share) * together[partner]
    assert_allclose(changed, expected[:, :72], rtol=1e-5, atol=1e-6)
    assert_allclose(target, expected[:, 72:])


@pytest.mark.parametrize("alpha", [0.1, 1, 100])
def test_shares_of_mixup_have_a_beta_distribution(alpha):
    n = 20_000
    X, _ = MixUp(alpha)(np.eye(1, n).T.astype(np.float64) * 0 + 1, np.zeros(n, dtype=int), np.random.default_rng(0))
    assert_allclose(X, 1)  # shares add up to 1
    _, target = MixUp(alpha)(np.ones((n, 1)), np.zeros(n, dtype=int), np.random.default_rng(0))
    share = target.parts[0].weights
    assert_allclose(share + target.parts[1].weights, 1)
    assert abs(share.mean() - 0.5) < 0.02
    assert_allclose(share.var(), 1 / (4 * (2 * alpha + 1)), rtol=0.05)


@pytest.mark.parametrize("shape", [(7, 9, 3), (1, 9, 2), (9, 1, 2), (40, 2)])
def test_cutmix_pastes_boxes_and_mixes_targets_by_area(shape):
    n, n_features = 300, int(np.prod(shape))
    X = np.repeat(np.arange(n, dtype=np.float64)[:, None], n_features, axis=1)  # every image has its number
    images, target = CutMix(shape)(X.copy(), X[:, :1].copy(), np.random.default_rng(0))
    own = images == X
    share = own.mean(axis=1)
    for sample in range(n):
        assert len(set(images[sample][~own[sample]])) <= 1  # of one other image
    assert_allclose(target[:, 0], images.mean(axis=1), rtol=1e-12)
    assert share.min() < 0.3
    assert share.max() == 1
    assert 0.4 < share.mean() < 0.85  # boxes are cut off at the edge
    boxes = ~own.reshape(n, *(1, *shape)[-3:])[..., 0]
    for box in boxes[boxes.any(axis=(1, 2))]:
        rows, columns = np.nonzero(box.any(axis=1))[0], np.nonzero(box.any(axis=0))[0]
        assert box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()


def test_cutmix_of_one_row_or_column_takes_intervals_of_a_series():
    X = np.repeat(np.arange(2000.0)[:, None], 40, axis=1)
    series, row, column = (
        CutMix(shape)(X.copy(), X[:, :1].copy(), np.random.default_rng(0))[0]
        for shape in ((40, 1), (1, 40, 1), (40, 1, 1))
    )
    assert_array_equal(row, series)
    assert abs((column == X).mean() - (series == X).mean()) < 0.02


def test_noise_has_the_scale(rng):
    noise = GaussianNoise(0.5)(np.full((1000, 20), 3, dtype=np.float32), rng) - 3
    assert noise.dtype == np.float32
    assert abs(noise.std() - 0.5) < 0.02
    assert abs(noise.mean()) < 0.02


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 1.0])
def test_masked_features(share, rng):
    X = np.arange(1.0, 8001).reshape(200, 40)  # all are different
    zeros, samples = FeatureMask(share)(X.copy(), rng), FeatureMask(share, fill="samples")(X.copy(), rng)
    assert ((zeros == X) | (zeros == 0)).all()
    assert abs((zeros == 0).mean() - share) < 0.02
    assert ((samples - 1) % 40 == np.arange(40)).all()  # a feature has values of the same feature
    assert abs((samples != X).mean() - share * (1 - 1 / 200)) < 0.02
    if share == 1:
        sources = ((samples - 1) // 40).astype(int)
        assert len(set(sources[0])) > 20  # drawn anew for each feature
        counts = np.bincount(sources.ravel(), minlength=200)
        assert counts.min() > 15
        assert counts.max() < 75


def test_mixed_classes_have_two_weights_and_mixing_again_four(rng):
    y, share = np.array([0, 1, 2]), np.array([0.25, 1, 0.5])
    partner = np.array([2, 0, 1])
    target = mix_targets(y, y[partner], share)
    assert [part.values.tolist() for part in target.parts] == [[0, 1, 2], [2, 0, 1]]
    assert [part.weights.tolist() for part in target.parts] == [[0.25, 1, 0.5], [0.75, 0, 0.5]]
    weighted = Weighted(y, np.array([1.0, 2, 4]))
    parts = mix_targets(weighted, weighted[partner], share).parts
    assert [part.weights.tolist() for part in parts] == [[0.25, 2, 2], [3, 0, 1]]
    again = mix_targets(target, target[partner], np.full(3, 0.5))
    assert len(again.parts) == 4
    assert_allclose(sum(part.weights for part in again.parts), 1)
    assert_array_equal(again[1:].parts[3].values, y[partner][partner][1:])


@pytest.mark.parametrize("share", [0.5, [0.5], [0.5] * 4, [0.5, 2, 0.5], [0.5, -0.1, 0.5], [0.5, np.nan, 0.5]])
@pytest.mark.parametrize("target", [np.arange(3), np.ones((3, 1)), Weighted(np.arange(3), np.ones(3))])
def test_shares_that_are_none_are_refused(target, share):
    for first in (target, mix_targets(target, target, np.ones(3))):
        with pytest.raises(ValueError, match=r"share of mix_targets must be numbers in \[0, 1\] of shape \(3,\), got"):
            mix_targets(first, first, share)


def test_weights_of_numbers_are_averaged(rng):
    y, weights, share = rng.standard_normal((3, 2)), np.array([1.0, 2, 6]), np.array([0.25, 1, 0.5])
    partner = np.array([2, 0, 1])
    target = mix_targets(Weighted(y, weights), Weighted(y, weights)[partner], share)
    values, mean_weights = values_and_weights(target)
    assert_allclose(values, share[:, None] * y + (1 - share[:, None]) * y[partner])
    assert_allclose(mean_weights, [0.25 + 0.75 * 6, 2, 3 + 1])
    assert mix_targets(y.astype(np.float32), y.astype(np.float32), share).dtype == np.float32


def test_compose_applies_one_after_the_other(rng):
    X, y = batch_of(), np.arange(40) % 3
    parts = [FeatureMask(), lambda X, rng: X + 1, CutOut(SHAPE, 2), Compose([MixUp(), GaussianNoise()]), Crop(SHAPE)]
    composed = Compose(parts)
    assert composed.changes_targets
    together, target = composed(X.copy(), y, np.random.default_rng(3))
    rng, expected, labels = np.random.default_rng(3), X.copy(), y
    for part in parts:
        expected, labels = called(part, expected, labels, rng)
    assert_array_equal(together, expected)
    assert_array_equal(target.parts[0].weights, labels.parts[0].weights)
    with pytest.raises(TypeError, match=r"Compose\(.*\) takes \(X_batch, target_batch, rng\), got 2 arguments"):
        composed(X, rng)
    alone = Compose([Crop(SHAPE)])
    assert not alone.changes_targets
    assert alone(X.copy(), y, rng)[1] is y
    with pytest.raises(TypeError, match=r"takes \(X_batch, rng\), got 1 arguments"):
        alone(X)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Compose([]), "transforms"),
        (lambda: Compose(Crop(SHAPE)), "transforms"),
        (lambda: Compose([Crop]), "transforms"),
        (lambda: Compose([Crop(SHAPE), None]), "transforms"),
        (lambda: CutOut(SHAPE, 0), "size"),
        (lambda: CutOut(SHAPE, 2.5), "size"),
        (lambda: CutOut(SHAPE, 2, value=np.inf), "value"),
        (lambda: CutOut((6, 6, 2, 1), 2), "image_shape"),
        (lambda: MixUp(0), "alpha"),
        (lambda: CutMix(SHAPE, -1), "alpha"),
        (lambda: CutMix(None), "image_shape"),
        (lambda: Crop(SHAPE, 2, fill=None), "fill"),
        (lambda: FeatureMask(1.1), "share"),
        (lambda: FeatureMask(fill="zero"), "fill"),
        (lambda: GaussianNoise(-1), "scale"),
    ],
)
def test_wrong_parameters_are_named(make, name):
    with pytest.raises(ValueError, match=f"{name}="):
        make()
