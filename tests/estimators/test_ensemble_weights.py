"""Weights of methods: the greedy selection against its definition, and the loss that it lowers against scikit-learn."""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import log_loss, mean_poisson_deviance, mean_squared_error

from truesparse.estimators.ensemble_weights import HeldOut, greedy
from truesparse.network.losses import BinaryCrossEntropy, Poisson, SoftmaxCrossEntropy, SquaredError, Weighted


def test_a_selection_worked_out_by_hand():
    """Predictions 0, 4 and 9 of a target 1, squared error.

    Round 1 takes 0 (loss 1; the others 9 and 64). Round 2: the means with one more are 0, 2 and 4.5, so that 0 and 2
    have the loss 1; the first is taken. Round 3: 0, 4/3 and 3 have 1, 1/9 and 4: the second. Round 4: 1, 2 and 13/4
    have 0, 1 and 81/16: the first, and no later round is better.
    """
    rounds = []

    def loss(weights):
        rounds.append(weights.tolist())
        return (weights @ [0.0, 4.0, 9.0] - 1) ** 2

    assert greedy(loss, 3).tolist() == [0.75, 0.25, 0]
    assert rounds[:4] == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert_allclose(rounds[9:12], [[3 / 4, 1 / 4, 0], [1 / 2, 1 / 2, 0], [1 / 2, 1 / 4, 1 / 4]])  # after 0, 0, 4


def selected(loss, n, n_rounds):
    """The definition, with lists of the methods that were taken."""
    taken, found = [], []
    for _ in range(n_rounds):
        shares = [np.bincount([*taken, m], minlength=n) / (len(taken) + 1) for m in range(n)]
        losses = [loss(share) for share in shares]
        taken.append(losses.index(min(losses)))
        found.append((min(losses), len(taken), shares[taken[-1]]))
    return min(found, key=lambda entry: entry[:2])[2]


@pytest.mark.parametrize("seed", range(20))
def test_the_selection_against_its_definition_and_against_all_weights(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    predictions, target = rng.standard_normal((n, 30)), rng.standard_normal(30)

    def loss(weights):
        return float(np.mean((weights @ predictions - target) ** 2))

    weights = greedy(loss, n, 20)
    assert_array_equal(weights, selected(loss, n, 20))
    assert weights.sum() == pytest.approx(1)
    every = [np.array(counts) / 20 for counts in product(range(21), repeat=n) if sum(counts) == 20]
    least = min(map(loss, every))
    assert loss(weights) <= min(loss(alone) for alone in np.eye(n))
    assert loss(weights) <= least + 0.01 * loss(np.zeros(n))


def held_out(loss, predictions, target, weights=None, scale=1.0, shift=0.0, dtype=np.float64):
    """`HeldOut` of predictions (n_methods, n_samples, n_outputs) and an encoded target."""
    n_outputs = predictions.shape[2]
    target = target if weights is None else Weighted(target, weights / weights.mean())
    scale, shift = np.full(n_outputs, scale), np.full(n_outputs, shift)
    return HeldOut(predictions.transpose(0, 2, 1), target, loss, scale=scale, shift=shift, dtype=np.dtype(dtype))


MIX = np.array([0.2, 0.5, 0.3])


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_are_those_of_scikit_learn(rng, weighted):
    weights = rng.random(40) if weighted else None
    p = rng.dirichlet(np.ones(4), size=(3, 40))
    y = rng.integers(4, size=40)
    found = held_out(SoftmaxCrossEntropy(), p, y, weights).loss_of(MIX)
    assert found == pytest.approx(log_loss(y, np.tensordot(MIX, p, 1), sample_weight=weights))

    p, y = rng.random((3, 40, 2)), rng.integers(2, size=(40, 2))
    found = held_out(BinaryCrossEntropy(), p, y.astype(np.float64), weights).loss_of(MIX)
    mixed = np.tensordot(MIX, p, 1)
    each = [log_loss(y[:, k], mixed[:, k], sample_weight=weights) for k in range(2)]
    assert found == pytest.approx(sum(each))

    p, y = 5 + 3 * rng.standard_normal((3, 40, 2)), 5 + 3 * rng.standard_normal((40, 2))
    found = held_out(SquaredError(), p, (y - 5) / 3, weights, 3, 5).loss_of(MIX)
    mixed = np.tensordot(MIX, p, 1)
    assert found == pytest.approx(mean_squared_error(y, mixed, sample_weight=weights) * 2 / 2 / 9)

    p, y = rng.random((3, 40, 1)) + 1, rng.poisson(2, size=(40, 1))
    found = held_out(Poisson(), p, y / 2, weights, 2).loss_of(MIX)
    mixed = np.tensordot(MIX, p, 1)
    assert found == pytest.approx(mean_poisson_deviance(y, mixed, sample_weight=weights) / 2 / 2)


def test_a_probability_of_zero_is_no_infinite_loss():
    for loss, y in ((SoftmaxCrossEntropy(), np.zeros(3, dtype=int)), (BinaryCrossEntropy(), np.eye(3)[:, :2])):
        for p in (np.tile([0.0, 1.0], (1, 3, 1)), np.tile([1.0, 0.0], (1, 3, 1))):
            assert np.isfinite(held_out(loss, p, y, dtype=np.float32).loss_of(np.ones(1)))


def test_standings():
    p = np.array([[[1.0], [1.0]], [[3.0], [3.0]], [[9.0], [9.0]]])
    of = held_out(SquaredError(), p, np.full((2, 1), 2.0))
    first, second, third = of.standings(["a", "b", "c"], np.array([0.5, 0.5, 0]), 5)
    assert (first.name, first.n_members, first.weight, first.loss, first.loss_without) == ("a", 5, 0.5, 0.5, 0.5)
    assert (second.loss, second.loss_without) == (0.5, 0.5)
    assert (third.n_members, third.loss, third.loss_without) == (0, 24.5, 0)
    (alone,) = held_out(SquaredError(), p[:1], np.full((2, 1), 2.0)).standings(["a"], np.ones(1), 1)
    assert np.isnan(alone.loss_without)
