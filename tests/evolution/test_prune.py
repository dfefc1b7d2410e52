from functools import partial

import numpy as np
import pytest
from helpers import dense_of, loss_and_gradient, make
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array

from truesparse.data.source import ArraySource
from truesparse.evolution import MEST, Magnitude, PathWeightPrune, SensitivityPrune, SignedMagnitude
from truesparse.evolution.paths import path_weights
from truesparse.evolution.signals import ErrorStream
from truesparse.kernels import reference
from truesparse.network.losses import SoftmaxCrossEntropy


def row(*values):
    """One CSR row that stores all values, zeros included."""
    n = len(values)
    return csr_array((np.array(values, dtype=float), np.arange(n), np.array([0, n])), shape=(1, n))


def dropped(rule, n, *values):
    return np.flatnonzero(rule([row(*values)], [n])[0]).tolist()


def test_magnitude_drops_the_smallest():
    assert dropped(Magnitude(), 2, 0.5, -0.1, 0.3, -2, 0.2) == [1, 4]


def test_magnitude_with_ties_drops_exactly_as_many_as_asked():
    assert dropped(Magnitude(), 2, 1, 1, -1, 1) == [0, 1]


def test_signed_drops_both_signs_in_proportion():
    # Six positive, two negative: of four, three smallest positive and one largest negative.
    assert dropped(SignedMagnitude(), 4, 1, 2, 3, 4, 5, 6, -10, -9) == [0, 1, 2, 7]


def test_signed_drops_zeros_first():
    assert dropped(SignedMagnitude(), 1, 1, 0, -1) == [1]
    assert dropped(SignedMagnitude(), 2, 0, 0, 0, -1) == [0, 1]
    assert dropped(SignedMagnitude(), 3, 1, 0, 2, -1, -2) == [0, 1, 3]


@pytest.mark.parametrize("rule", [Magnitude(), SignedMagnitude()])
@given(st.data())
def test_exactly_as_many_as_asked_whatever_the_weights(rule, data):
    values = data.draw(st.lists(st.sampled_from([0.0, 0.1, -0.1, 1.0, -1.0, 2.0, -3.0]), min_size=1, max_size=40))
    n = data.draw(st.integers(0, len(values)))
    assert len(dropped(rule, n, *values)) == n


def test_two_hundred_of_a_thousand_keep_both_signs(rng):
    """A well-known library drops 900 of 1000 here and keeps only negative weights."""
    weight = row(*rng.standard_normal(1000))
    mask = SignedMagnitude()([weight], [200])[0]
    kept = weight.data[~mask]
    assert mask.sum() == 200
    assert abs((kept > 0).sum() - 0.8 * (weight.data > 0).sum()) <= 1
    for sign in (1, -1):
        assert (sign * weight.data[mask & (sign * weight.data > 0)]).max() < (sign * kept[sign * kept > 0]).min()


def test_layers_are_independent():
    masks = Magnitude()([row(1, 2), row(4, 3)], [1, 1])
    assert_array_equal(masks, [[True, False], [False, True]])


def test_sensitivity_is_the_mean_over_single_samples(rng):
    """The gradient of each sample by itself, which the batches never make."""
    network, X, target = make(rng), rng.standard_normal((30, 6)), rng.integers(3, size=30)
    stream = ErrorStream(
        network, SoftmaxCrossEntropy(), ArraySource(X, target), network.workspace(7), np.arange(30), 7
    )  # fmt: skip
    gradients = [
        loss_and_gradient(network, SoftmaxCrossEntropy(), X[[s]].T, target[[s]])[1][: network.n_weights]
        for s in range(30)
    ]
    importance = np.abs(network.params[: network.n_weights]) * np.mean(np.abs(gradients), axis=0)
    changing, n_drop, asked = [0, 1], [9, 12], []

    def errors(n_samples):
        asked.append(n_samples)
        return stream

    masks = SensitivityPrune(n_samples=30)(
        [network.layers[i].weight for i in changing], n_drop, errors=errors, changing=changing
    )
    assert asked == [30]
    for layer, n, mask in zip(changing, n_drop, masks, strict=True):
        assert_array_equal(mask, reference.k_smallest(importance[network.weight_slices()[layer]], n))


def test_mest_adds_the_gradient(rng):
    network = make(rng)
    gradients = [rng.standard_normal(layer.nnz) for layer in network.layers]
    weights = [network.layers[1].weight]
    mask = MEST(factor=0.5)(weights, [10], gradient=lambda n_samples: gradients, changing=[1])[0]
    assert_array_equal(mask, reference.k_smallest(np.abs(weights[0].data) + 0.5 * np.abs(gradients[1]), 10))
    mask = MEST(factor=0)(weights, [10], gradient=lambda n_samples: gradients, changing=[1])[0]
    assert_array_equal(mask, Magnitude()(weights, [10])[0])


def test_path_weight_counts_all_paths_through_a_weight(rng):
    """Over four layers, one of them full, by the product of all matrices below and all above."""
    network = make(rng, sizes=(6, 9, 8, 7, 3), dense=(3,))
    dense = [np.abs(dense_of(layer)) for layer in network.layers]
    masks = PathWeightPrune()(
        [network.layers[i].weight for i in (0, 1, 2)],
        [8, 9, 10],
        paths=partial(path_weights, network.layers),
        changing=[0, 1, 2],
    )
    for index, n in enumerate((8, 9, 10)):
        below, above = np.eye(dense[index].shape[1]), np.eye(dense[index].shape[0])
        for matrix in reversed(dense[:index]):
            below = below @ matrix
        for matrix in dense[index + 1 :]:
            above = matrix @ above
        paths = np.einsum("oj,ji,if->ji", above, dense[index], below)
        pattern = network.layers[index].pattern
        expected = reference.k_smallest(paths[pattern.rows, pattern.indices], n)
        assert_array_equal(masks[index], expected)


def test_a_weight_on_no_path_goes_first(rng):
    network = make(rng)
    network.layers[0].data[:] = 100
    network.layers[1].data[:] = 1
    network.layers[1].data[network.layers[1].pattern.indices == 4] = 0  # unit 4 of the first layer has no way out
    mask = PathWeightPrune()(
        [network.layers[0].weight], [2], paths=partial(path_weights, network.layers), changing=[0]
    )[0]
    assert set(network.layers[0].pattern.rows[mask]) == {4}


@pytest.mark.parametrize(
    "bad",
    [
        {"factor": -1},
        {"factor": float("nan")},
        {"factor": 10**400},
        {"n_samples": True},
        {"n_samples": 0},
        {"n_samples": 1.5},
    ],
)
def test_bad_values_are_named(bad):
    ((name, value),) = bad.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        MEST(**bad)
    if name == "n_samples":
        with pytest.raises(ValueError, match=f"{name}={value!r}"):
            SensitivityPrune(**bad)
