from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array

from truesparse.data.source import ArraySource
from truesparse.evolution import (
    CHT,
    MEST,
    OMP,
    AfterStall,
    Confirmed,
    Constant,
    Cosine,
    Evolution,
    Gradient,
    GuidedStochastic,
    Magnitude,
    Mixed,
    PathWeightGrow,
    PathWeightPrune,
    Random,
    SensitivityGrow,
    SensitivityPrune,
    SignedMagnitude,
    SoftMagnitude,
    due_fraction,
    evolve,
)
from truesparse.evolution.rules import Vacancy
from truesparse.evolution.signals import ActivationStream, ErrorStream
from truesparse.network.layers import SparseLinear
from truesparse.network.losses import SoftmaxCrossEntropy
from truesparse.topology import Pattern
from truesparse.training.state import Progress


def signals_of(network, rng):
    """What a trainer hands out."""
    X, target = rng.standard_normal((300, network.layer_sizes[0])), rng.integers(network.layer_sizes[-1], size=300)
    parts = network, SoftmaxCrossEntropy(), ArraySource(X, target), network.workspace(50)

    def activations(n_samples):
        return ActivationStream(*parts, np.arange(min(300, n_samples)), 50)

    def errors(n_samples):
        return ErrorStream(*parts, np.arange(min(300, n_samples)), 50)

    return {
        "activations": activations,
        "errors": errors,
        "gradient": lambda n_samples: errors(n_samples).gradient(),
        "progress": Progress(),
    }


PRUNE = [Magnitude(), SignedMagnitude(), MEST(), SensitivityPrune(), PathWeightPrune(), SoftMagnitude()]
GROW = [
    Random(), Cosine(), Cosine(regrow=False), Gradient(), OMP(), GuidedStochastic(), SensitivityGrow(),
    PathWeightGrow(), CHT(), CHT("ch2_l3"), CHT("ch2_l3n", soft=True), Confirmed(), Mixed(Cosine(), OMP()),
    Mixed(PathWeightGrow(), GuidedStochastic(), 0.9),
]  # fmt: skip


@pytest.mark.parametrize(
    ("prune", "grow"), [*((prune, Random()) for prune in PRUNE), *((Magnitude(), grow) for grow in GROW)]
)
@pytest.mark.parametrize("drop_fraction", [0.1, 0.333, 0.9, 1.0])
def test_invariants(network, prune, grow, drop_fraction, rng):
    before = network.params.copy()
    rewirings = evolve(network.layers, Evolution(prune, grow), drop_fraction, rng, signals_of(network, rng))
    assert_array_equal(network.params, before)
    assert rewirings[2] is None  # full
    for layer, rewiring in zip(network.layers[:2], rewirings[:2], strict=True):
        n_drop = int(drop_fraction * layer.nnz)
        new = rewiring.pattern
        assert new.nnz == layer.nnz
        assert np.all(np.diff(new.keys) > 0)
        assert rewiring.n_replaced <= n_drop
        kept = rewiring.source[~rewiring.grown]
        assert np.unique(kept).size == kept.size
        # What is kept stands at the same pair with the same weight; what is grown was absent.
        assert_array_equal(layer.pattern.keys[kept], new.keys[~rewiring.grown])
        assert_array_equal(layer.data[kept], rewiring.carry(layer.data)[~rewiring.grown])
        assert not np.isin(new.keys[rewiring.grown], layer.pattern.keys).any()
        assert not rewiring.carry(layer.data)[rewiring.grown].any()


def test_nothing_is_changed_by_evolve_itself(network, rng):
    before, keys = network.params.copy(), [layer.pattern.keys for layer in network.layers]
    evolve(network.layers, Evolution(grow=Random()), 0.5, rng, {})
    assert_array_equal(network.params, before)
    for layer, old in zip(network.layers, keys, strict=True):
        assert_array_equal(layer.pattern.keys, old)


def test_drop_fraction_zero_does_nothing(network, rng):
    assert evolve(network.layers, Evolution(grow=Random()), 0.0, rng, {}) == [None, None, None]


def test_a_layer_too_small_for_the_share_stays(network, rng):
    assert evolve(network.layers, Evolution(grow=Random()), 0.016, rng, {})[1] is None  # 0.016 · 61 < 1


@dataclass(frozen=True)
class Fixed:
    """Grows given pairs."""

    edges: tuple
    needs: ClassVar = ()

    def __call__(self, vacancies, *, rng):
        return [tuple(np.array(part) for part in self.edges) for _ in vacancies]


def single_layer(rng):
    layer = SparseLinear(Pattern.from_edges(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3]), (2, 5)))
    layer.bind(np.array([1.0, 2.0, 3.0, 4.0]), np.zeros(2), np.zeros(4), np.zeros(2))
    return layer


def test_by_hand(rng):
    """Weights 1 to 4; half of them goes, the smallest two: pairs (0, 0) and (0, 1). Two named pairs come."""
    layer = single_layer(rng)
    (rewiring,) = evolve([layer], Evolution(grow=Fixed(((1, 0), (0, 4)))), 0.5, rng, {})
    assert_array_equal(rewiring.pattern.rows, [0, 1, 1, 1])
    assert_array_equal(rewiring.pattern.indices, [4, 0, 2, 3])
    assert_array_equal(rewiring.carry(layer.data), [0, 0, 3, 4])


def test_a_pair_pruned_and_picked_again_keeps_its_weight(rng):
    layer = single_layer(rng)
    (rewiring,) = evolve([layer], Evolution(grow=Fixed(((0, 0), (0, 4)))), 0.5, rng, {})
    assert_array_equal(rewiring.pattern.keys, [0, 4, 7, 8])
    assert_array_equal(rewiring.carry(layer.data), [1, 0, 3, 4])
    assert rewiring.n_replaced == 1


def test_missing_picks_are_filled_at_random(rng):
    layer = single_layer(rng)
    seen = np.zeros(10, dtype=int)
    for _ in range(300):
        (rewiring,) = evolve([layer], Evolution(grow=Fixed(((1,), (0,)))), 0.5, rng, {})
        assert rewiring.pattern.nnz == 4
        assert {5, 7, 8} <= set(rewiring.pattern.keys.tolist())
        seen[rewiring.pattern.keys] += 1
    others = np.delete(seen, [5, 7, 8])
    assert others.sum() == 300
    assert others.min() > 20  # 43 expected for each of seven


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (((2,), (0,)), r"rows must lie in \[0, 2\)"),
        (((0,), (-1,)), r"columns must lie in \[0, 5\)"),
        (((0, 0), (4, 4)), "twice"),
        (((1,), (2,)), "already there"),
        (((0, 0, 0), (2, 3, 4)), "3 edges, asked for 2"),
        (((0.0,), (1.0,)), "integers"),
        (((float("nan"),), (1,)), "integers"),
        (((True,), (False,)), "integers"),
        ((("0",), ("1",)), "integers"),
        (((2**64 - 1,), (0,)), r"rows must lie in \[0, 2\)"),
        ((((0,),), ((1,),)), "vectors of one length"),
        ((0, 1), "vectors of one length"),
        (((0, 1), (1,)), "one length"),
        (((0,),), "cannot be grown"),
        ((), "cannot be grown"),
    ],
)
def test_edges_of_a_custom_rule_are_checked(edges, message, rng):
    with pytest.raises(ValueError, match=message):
        evolve([single_layer(rng)], Evolution(grow=Fixed(edges)), 0.5, rng, {})


@pytest.mark.parametrize("edges", [None, 3, csr_array((2, 5)), {0: 1, 1: 2}, "ab", ([0, [1]], [0, 1])])
def test_what_are_no_edges(edges, rng):
    def grow(vacancies, *, rng):
        return [edges]

    grow.needs = ()
    with pytest.raises(ValueError, match=r"grow at .* returned edges of layer 0 that cannot be grown"):
        evolve([single_layer(rng)], Evolution(grow=grow), 0.5, rng, {})


@pytest.mark.parametrize("part", [0, 1])
def test_masked_edges(part, rng):
    def grow(vacancies, *, rng):
        edges = [np.array([1]), np.array([0])]
        edges[part] = np.ma.masked_array(edges[part], mask=True)
        return [edges]

    grow.needs = ()
    with pytest.raises(ValueError, match=r"(rows|columns) has masked entries"):
        evolve([single_layer(rng)], Evolution(grow=grow), 0.5, rng, {})


@pytest.mark.parametrize("place", ["first", "second"])
@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (((0.7,), (4.2,)), "integers"),
        (((0,), (5,)), r"columns must lie in \[0, 5\)"),  # the key is that of the pair (1, 0)
        (((1,), (2,)), "already there"),
        (((1, 1), (0, 0)), "twice"),
        (((0, 0, 0), (2, 3, 4)), "3 edges, asked for"),
    ],
)
def test_rules_that_are_mixed_are_checked_too(place, edges, message, rng):
    rules = {"first": Random(), "second": Random(), place: Fixed(edges)}
    pattern = Pattern.from_edges(np.repeat([0, 1], 4), np.array([0, 1, 2, 3, 0, 1, 2, 3]), (2, 5))
    with pytest.raises(ValueError, match=rf"Fixed\(.* returned edges of layer 0 .*{message}"):
        Mixed(**rules)([Vacancy(0, pattern, np.arange(8) % 4 < 2, 4)], rng=rng)


@pytest.mark.parametrize(("rule", "names"), [(Mixed, ("first", "second")), (AfterStall, ("first", "then"))])
def test_what_is_no_rule_cannot_be_combined(rule, names):
    for name in names:
        for bad, message in ((3, "=3 must be callable"), (Random, "instance"), (lambda v, *, rng: [], "tuple 'needs'")):
            with pytest.raises(ValueError, match=f"{name}=.*{message}|{name}{message}"):
                rule(**{name: bad})


@pytest.mark.parametrize(
    "mask",
    [
        np.ones(4, bool), np.zeros(4, bool), np.array([1, 1, 0, 0]), np.array([True, True]), None, "ab",
        np.array([True, True, False, False], dtype=object), np.array([[True, True, False, False]]),
        [[True], [True, False]], csr_array([[True, True, False, False]]), np.array([1, 1, np.nan, 0]),
    ],
)  # fmt: skip
def test_masks_of_a_custom_rule_are_checked(mask, rng):
    def prune(weights, n_drop):
        return [mask]

    prune.needs = ()
    with pytest.raises(ValueError, match=r"prune at .* exactly 2 True, got"):
        evolve([single_layer(rng)], Evolution(prune=prune, grow=Random()), 0.5, rng, {})


def test_a_masked_mask(rng):
    def prune(weights, n_drop):
        return [np.ma.masked_array([True, True, False, False], mask=[True, False, False, False])]

    prune.needs = ()
    with pytest.raises(ValueError, match=r"prune at .* has masked entries"):
        evolve([single_layer(rng)], Evolution(prune=prune, grow=Random()), 0.5, rng, {})


def test_a_rule_cannot_change_the_weights_it_chooses_from(rng):
    def prune(weights, n_drop):
        weights[0].data[:] = 0

    prune.needs = ()
    layer = single_layer(rng)
    with pytest.raises(ValueError, match="read-only"):
        evolve([layer], Evolution(prune=prune, grow=Random()), 0.5, rng, {})
    layer.data[:] = 1  # the network's own stay writeable


def test_a_mask_may_be_a_list(rng):
    def prune(weights, n_drop):
        return ([True, False, True, False] for _ in weights)

    prune.needs = ()
    (rewiring,) = evolve([single_layer(rng)], Evolution(prune=prune, grow=Fixed(((0, 1), (4, 0)))), 0.5, rng, {})
    assert_array_equal(rewiring.pattern.keys, [1, 4, 5, 8])


@pytest.mark.parametrize("result", [None, 3, []])
def test_a_rule_that_returns_nothing_is_named(result, rng):
    def grow(vacancies, *, rng):
        return result

    grow.needs = ()
    with pytest.raises(ValueError, match=r"grow at .* (one result per layer|results for 0 layers)"):
        evolve([single_layer(rng)], Evolution(grow=grow), 0.5, rng, {})


@pytest.mark.parametrize("fraction", [float("nan"), 1.5, -0.5, None, "x"])
def test_what_a_schedule_returns_is_checked(fraction):
    with pytest.raises(ValueError, match=rf"returned {fraction!r} for step 7; it must return a number in \[0, 1\]"):
        due_fraction(lambda step, epoch_step, total_steps: fraction, 7, 0, 10)
    assert due_fraction(lambda step, epoch_step, total_steps: np.float32(0.5), 7, 0, 10) == 0.5


def test_a_needs_that_is_one_string_is_refused(rng):
    def grow(vacancies, *, rng, activations):
        return []

    grow.needs = "activations"
    with pytest.raises(ValueError, match="tuple 'needs'"):
        Evolution(grow=grow)


def test_a_rule_gets_the_signals_it_names_and_no_other(rng):
    with pytest.raises(
        ValueError, match=r"unknown signals \['activations'\]; there are \['changing', 'layers', 'paths', 'progress'\]"
    ):
        evolve([single_layer(rng)], Evolution(grow=Cosine()), 0.5, rng, {"progress": None})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"grow_init": "ones"}, "grow_init='ones'"),
        ({"grow_init": -1}, "grow_init=-1"),
        ({"grow_init": float("nan")}, "grow_init=nan"),
        ({"grow": 3}, "grow=3 must be callable"),
        ({"grow": Random}, "an instance rather than a class"),
        ({"schedule": Constant}, "an instance rather than a class"),
        ({"prune": lambda weights, n_drop: []}, "tuple 'needs'"),
        ({"grow_init": 10**400}, "grow_init=10+ must be 'zeros', a number in"),
        ({"grow_init": True}, "grow_init=True"),
        ({"prune": Random()}, r"prune=Random\(\) cannot be called as rule\(weights, n_drop\)"),
        ({"prune": Cosine()}, r"prune=Cosine\(.* cannot be called as rule\(weights, n_drop\) with .*'activations'"),
        ({"prune": Mixed()}, r"prune=Mixed\(.* cannot be called"),
        ({"grow": Magnitude()}, r"grow=Magnitude\(\) cannot be called as rule\(vacancies, rng=rng\)"),
        ({"grow": MEST()}, r"grow=MEST\(.* cannot be called"),
        ({"schedule": Magnitude()}, r"schedule=Magnitude\(\) cannot be called as rule\(step, epoch_step, total_steps"),
        ({"schedule": Random()}, r"schedule=Random\(\) cannot be called"),
    ],
)
def test_bad_values_are_named(bad, message):
    with pytest.raises(ValueError, match=message):
        Evolution(**bad)


@pytest.mark.parametrize("rule", [Mixed, AfterStall])
def test_rules_within_rules_must_grow_too(rule):
    with pytest.raises(ValueError, match=r"first=Magnitude\(\) cannot be called as rule\(vacancies, rng=rng\)"):
        rule(first=Magnitude())


def test_rules_with_nothing_but_needs_and_a_call():
    class Own:
        needs = ("activations", "layers")

        def __call__(self, *arguments, **signals):
            return []

    class Compiled(Own):
        __signature__ = "unknown"  # `inspect.signature` refuses that, as it does some compiled code

    for rule in (Own(), Compiled()):
        Evolution(prune=rule, grow=Mixed(rule, AfterStall(rule, rule)), schedule=rule)


def test_evolution_is_a_value():
    assert Evolution() == Evolution()
    assert replace(Evolution(), schedule=Constant()) != Evolution()
