"""Numbers of weights that fall while a network trains."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from truesparse.data.source import ArraySource
from truesparse.evolution import (
    MEST,
    OMP,
    Confirmed,
    Constant,
    Cosine,
    Cubic,
    Evolution,
    Given,
    Gradient,
    GuidedStochastic,
    ImportancePruning,
    Magnitude,
    Mixed,
    PathWeightGrow,
    PathWeightPrune,
    Random,
    SensitivityGrow,
    SensitivityPrune,
    Sigmoid,
    SignedMagnitude,
    evolve,
)
from truesparse.evolution.density_decay import WeightCounts
from truesparse.evolution.evolve import Due, due_update
from truesparse.evolution.signals import ActivationStream, ErrorStream
from truesparse.network.layers import DenseLinear, SparseLinear
from truesparse.network.losses import SoftmaxCrossEntropy
from truesparse.topology import Pattern
from truesparse.topology.pattern import not_among

PRUNE = [Magnitude(), SignedMagnitude(), MEST(), SensitivityPrune(), PathWeightPrune()]
GROW = [
    Random(), Cosine(), Cosine(regrow=False), Gradient(), OMP(), GuidedStochastic(), SensitivityGrow(),
    PathWeightGrow(), Confirmed(), Mixed(Cosine(), OMP()),
]  # fmt: skip


def signals_of(network, rng):
    X, target = rng.standard_normal((300, 20)), rng.integers(4, size=300)
    parts = network, SoftmaxCrossEntropy(), ArraySource(X, target), network.workspace(50)
    samples = np.arange(300), 50
    return {
        "activations": lambda n_samples: ActivationStream(*parts, *samples),
        "errors": lambda n_samples: ErrorStream(*parts, *samples),
        "gradient": lambda n_samples: ErrorStream(*parts, *samples).gradient(),
    }


def test_a_cubic_by_hand():
    decay = Cubic(start=3, begin=0.2, end=0.6)
    assert [decay.to_go(step, 100) for step in (0, 20, 30, 40, 50, 60, 99)] == [
        1, 1, 0.75**3, 0.5**3, pytest.approx(0.25**3), 0, 0,
    ]  # fmt: skip
    assert Cubic(start=3, begin=20, end=60).to_go(30, 100) == 0.75**3  # in steps


@pytest.mark.parametrize("steepness", [1e-3, 1, 6, 100, 500])
def test_a_sigmoid_runs_from_one_to_zero_and_is_symmetric(steepness):
    decay = Sigmoid(start=2, begin=0, end=50, steepness=steepness)
    values = np.array([decay.to_go(step, 100) for step in range(51)])
    assert values[[0, 25, 50]] == pytest.approx([1, 0.5, 0])
    assert np.all(np.diff(values) <= 0)
    np.testing.assert_allclose(values + values[::-1], 1, atol=1e-9)
    if steepness == 6:  # k of the paper: in the middle the slope is k / 4, stretched by the ends that are cut off
        ends = 1 / (1 + math.exp(3))
        assert (values[24] - values[26]) / 2 * 50 == pytest.approx(6 / 4 / (1 - 2 * ends), rel=1e-2)


@pytest.mark.parametrize("decay", [Cubic(2), Cubic(2, end=1.0), Cubic(2, end=0), Sigmoid(2, begin=0.5), Cubic(2, 5, 5)])
@pytest.mark.parametrize("total", [1, 2, 3, 10, 1000])
def test_the_final_number_is_reached_before_the_last_step(decay, total):
    shares = [decay.to_go(step, total) for step in range(total)]
    assert shares[-1] == 0
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cubic(1), r"start=1 must be a number in \(1"),
        (lambda: Cubic(0.5), "start=0.5"),
        (lambda: Cubic("2"), "start='2'"),
        (lambda: Cubic(math.inf), "start=inf"),
        (lambda: Cubic(2, begin=1.5), "begin=1.5"),
        (lambda: Cubic(2, end=-1), "end=-1"),
        (lambda: Cubic(2, end=1), r"end=1 means after one step; end=1\.0 is the end of the training"),
        (lambda: Cubic(2, begin=0.8), r"begin=0.8 must not be after end=0.75"),
        (lambda: Cubic(2, begin=9, end=8), "begin=9 must not be after end=8"),
        (lambda: Sigmoid(2, steepness=0), "steepness=0"),
        (lambda: Sigmoid(2, steepness=1e-17), r"steepness=1e-17 must be a number in \[0.001, 500\]"),
        (lambda: Evolution(density=0.5), "density=0.5 must have a number 'start'"),
        (lambda: Evolution(density=Cubic), "must have a number 'start'"),
        (lambda: Evolution(density=Cubic(2), unit_pruning=ImportancePruning()), "cannot be combined"),
    ],
)
def test_bad_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_counts_of_layers():
    shapes = [(10, 20), (10, 10), (2, 10)]
    counts = WeightCounts.of(Cubic(3.3), None, shapes, [35, 50, 20])
    assert (counts.first, counts.final) == ([116, 100, 20], [35, 50, 20])  # 115.5; all pairs; all pairs
    within = Given(
        [Pattern.sample(shape, n, np.random.default_rng(0)) for shape, n in zip(shapes, (60, 40, 20), strict=True)]
    )
    assert WeightCounts.of(Cubic(3.3), within, shapes, [35, 50, 20]).first == [60, 50, 20]


def layer_of(nnz, shape=(10, 20)):
    return SparseLinear(Pattern.sample(shape, nnz, np.random.default_rng(0)))


def test_updates_are_due_on_the_grid_while_the_number_falls_and_at_its_end():
    counts = WeightCounts(Cubic(4, end=45), [4000], [1000])
    evolution = Evolution(schedule=Constant(0.0, update_every=10), density=counts.decay)
    due, layer = {}, layer_of(4000, (100, 200))
    for step in range(100):
        update = due_update(evolution, counts, [layer], step, step % 7, 100)
        if update is not None:
            assert update.drop_fraction == 0
            due[step] = update.counts[0]
            layer = layer_of(update.counts[0], (100, 200))
    expected = {step: 1000 + math.floor(3000 * (1 - step / 45) ** 3) for step in (10, 20, 30, 40)}
    assert due == expected | {45: 1000}


def test_the_number_falls_at_updates_of_the_schedule_also_off_the_grid():
    @dataclass(frozen=True)
    class At33:
        """A schedule without update_every."""

        def __call__(self, step, epoch_step, total_steps):
            return 0.2 if step == 33 else 0.0

    counts = WeightCounts(Cubic(4, end=45), [160], [40])
    evolution = Evolution(schedule=At33(), density=counts.decay)
    assert due_update(evolution, counts, [layer_of(100)], 33, 0, 100) == Due(0.2, [42])
    assert due_update(evolution, counts, [layer_of(100)], 34, 0, 100) is None
    assert due_update(evolution, counts, [layer_of(100)], 50, 0, 100) == Due(0.0, [40])  # auto: every 25 steps
    assert due_update(evolution, counts, [layer_of(40)], 33, 0, 100) == Due(0.2, [40])
    assert due_update(evolution, counts, [layer_of(30)], 33, 0, 100) == Due(0.2, [30])  # never more than there are
    assert due_update(evolution, counts, [layer_of(40)], 50, 0, 100) is None


def test_an_own_decay_must_return_shares():
    @dataclass(frozen=True)
    class Own:
        start: float = 2

        def to_go(self, step, total_steps):
            return 1.5

    Evolution(density=Own())
    with pytest.raises(ValueError, match=r"returned 1.5 for step 25; it must return a number in \[0, 1\]"):
        WeightCounts(Own(), [20], [10]).due([layer_of(20)], "auto", 25, 0, 100)


def test_a_full_layer_on_blas_keeps_its_weights():
    counts = WeightCounts(Cubic(4), [200], [40])
    assert not counts.is_falling([DenseLinear((10, 20))])
    assert counts.at([DenseLinear((10, 20))], 99, 100) == [200]


@pytest.mark.parametrize(
    ("prune", "grow"), [*((prune, Random()) for prune in PRUNE), *((Magnitude(), grow) for grow in GROW)]
)
@pytest.mark.parametrize("drop_fraction", [0.0, 0.3, 1.0])
def test_invariants(network, prune, grow, drop_fraction, rng):
    """Layer 0 falls from 100 to 60, layer 1 stays, as in test_evolve."""
    before, counts = network.params.copy(), [60, 61, 100]
    rewirings = evolve(network.layers, Evolution(prune, grow), drop_fraction, rng, signals_of(network, rng), counts)
    assert_array_equal(network.params, before)
    assert rewirings[2] is None
    assert (rewirings[1] is None) == (drop_fraction == 0)
    for layer, rewiring, n in zip(network.layers[:2], rewirings[:2], counts, strict=False):
        if rewiring is None:
            continue
        new = rewiring.pattern
        assert new.nnz == n
        assert rewiring.n_replaced <= int(drop_fraction * n)
        kept = rewiring.source[~rewiring.grown]
        assert np.unique(kept).size == kept.size
        assert_array_equal(layer.pattern.keys[kept], new.keys[~rewiring.grown])
        assert not np.isin(new.keys[rewiring.grown], layer.pattern.keys).any()


def test_without_a_share_the_smallest_weights_go(network, rng):
    layer = network.layers[0]
    rewiring, *others = evolve(network.layers, Evolution(), 0.0, rng, {}, [60, 61, 100])  # no signals are needed
    assert others == [None, None]
    assert_array_equal(rewiring.source, np.sort(np.argsort(np.abs(layer.data), kind="stable")[40:]))


def test_growth_stays_within(network, rng):
    within = Given(
        [Pattern.sample(layer.shape, layer.nnz, rng) for layer in network.layers[:2]] + [Pattern.full((4, 25))]
    )
    evolution = Evolution(grow=Random(), within=within)
    rewirings = evolve(network.layers, evolution, 0.9, rng, {}, [60, 30, 100])
    for rewiring, allowed, n in zip(rewirings[:2], within.patterns, [60, 30], strict=False):
        assert rewiring.pattern.nnz == n
        assert np.isin(rewiring.pattern.keys_at(rewiring.grown), allowed.keys).all()


def test_a_surplus_makes_room_within_full_windows(network, rng):
    """What decay drops can be grown: of 61 connections that are all the allowed pairs, 30 stay and 10 are grown."""
    within = Given([Pattern.full((30, 20)), network.layers[1].pattern, Pattern.full((4, 25))])
    evolution = Evolution(grow=Random(), within=within)
    assert network.layers[1].nnz == 61
    rewiring = evolve(network.layers, evolution, 1 / 3, rng, {}, [100, 30, 100])[1]
    assert rewiring.pattern.nnz == 30
    dropped = not_among(network.layers[1].pattern.keys, rewiring.pattern.keys)
    assert dropped.size == 31
    assert evolve(network.layers, evolution, 1 / 3, rng, {}, [100, 61, 100])[1] is None


class Recorded(Magnitude):
    """Magnitude, with the numbers that it was asked to drop."""

    asked: ClassVar[list] = []

    def __call__(self, weights, n_drop):
        self.asked.append(n_drop)
        return super().__call__(weights, n_drop)


def test_a_surplus_outside_of_what_is_allowed_makes_no_room(network, rng):
    allowed = Pattern.from_keys(network.layers[1].pattern.keys[:20], (25, 30))
    evolution = Evolution(grow=Random(), within=Given([Pattern.full((30, 20)), allowed, Pattern.full((4, 25))]))
    evolution, asked = replace(evolution, prune=Recorded()), Recorded.asked
    for left, n_drop in ((30, 31), (15, 46 + 5)):  # 41 are outside, so that 46 that are dropped leave at least 5 pairs
        assert evolve(network.layers, evolution, 0.9, rng, {}, [100, left, 100])[1].pattern.nnz == left
        assert asked.pop()[1] == n_drop


def test_parameters_and_moments_follow_into_shorter_vectors(network, rng):
    moments, before = rng.standard_normal(network.params.size), network.params.copy()
    biases = before[network.n_weights :]
    rewirings = evolve(network.layers, Evolution(grow=Random()), 0.3, rng, {}, [60, 61, 100])
    slots = network.weight_slices()
    expected = [r.carry(before[s]) if r else before[s] for s, r in zip(slots, rewirings, strict=True)]
    of_moments = [r.carry(moments[s]) if r else moments[s] for s, r in zip(slots, rewirings, strict=True)]
    carried = network.carried(rewirings, moments)
    network.rewire(rewirings)
    assert_array_equal(network.params, np.concatenate([*expected, biases]))
    assert_array_equal(carried, np.concatenate([*of_moments, moments[-biases.size :]]))
    assert network.n_weights == 60 + 61 + 100 == sum(layer.nnz for layer in network.layers)
    assert network.gradient.size == network.params.size
    for layer, data in zip(network.layers, expected, strict=True):
        assert np.shares_memory(layer.data, network.params)
        assert_array_equal(layer.data, data)
    again = network.params
    network.rewire(evolve(network.layers, Evolution(grow=Random()), 0.3, rng, {}))
    assert network.params is again  # in place where no number changes


def test_a_restriction_is_checked_at_the_start_and_not_asked_where_nothing_grows(network, rng):
    class Asked:
        layers: ClassVar[list] = []

        def allowed(self, layer, shape):
            self.layers.append(layer)
            return Pattern.full((shape[0], shape[1] + (layer == 1)))

    shapes = [layer.shape for layer in network.layers]
    with pytest.raises(ValueError, match=r"must return a Pattern of shape \(25, 30\) for layer 1"):
        WeightCounts.of(Cubic(start=2), Asked(), shapes, [100, 61, 100])
    Asked.layers.clear()
    evolve(network.layers, Evolution(within=Asked()), 0.0, rng, {}, [90, 50, 100])
    assert not Asked.layers
