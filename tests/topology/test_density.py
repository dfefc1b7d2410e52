import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truesparse.topology.density import erdos_renyi, global_density, layer_shapes

MNIST = layer_shapes([784, 1000, 1000, 1000, 10])
shapes = st.lists(st.integers(1, 60), min_size=2, max_size=5).map(layer_shapes)


def n_pairs(shapes):
    return sum(a * b for a, b in shapes)


def test_layer_shapes_are_fan_out_by_fan_in():
    assert layer_shapes([4, 3, 2]) == [(3, 4), (2, 3)]


def test_erdos_renyi_by_hand():
    # 20 · 1784, 20 · 2000 twice, and 20 · 1010 > 10,000 = full: the "about 125,000 weights" of the MNIST network.
    assert erdos_renyi(MNIST, 20) == [35680, 40000, 40000, 10000]
    assert sum(erdos_renyi(MNIST, 20)) == 125_680


@pytest.mark.parametrize("epsilon", [1e6, 1e308])
def test_huge_epsilon_is_full(epsilon):
    assert erdos_renyi([(3, 4), (2, 3)], epsilon) == [12, 6]


def test_epsilon_one_has_a_weight_per_unit_of_both_sides():
    assert erdos_renyi(layer_shapes([500, 1000, 1000, 1000, 2]), 1) == [1500, 2000, 2000, 1002]


@given(shapes, st.floats(0.001, 1))
def test_global_density_spends_the_budget_exactly(shapes, density):
    budget = round(density * n_pairs(shapes))
    try:
        counts = global_density(shapes, density)
    except ValueError:
        return
    assert sum(counts) == budget
    assert all(0 < count <= fan_out * fan_in for count, (fan_out, fan_in) in zip(counts, shapes, strict=True))


def test_global_density_is_spread_as_erdos_renyi():
    counts = global_density(MNIST, sum(erdos_renyi(MNIST, 20)) / n_pairs(MNIST))
    assert counts == erdos_renyi(MNIST, 20)


def test_full_density_is_full():
    assert global_density([(3, 4), (2, 3)], 1.0) == [12, 6]


def smallest_in(message):
    return float(re.search(r"at least ([0-9.e-]+)\.$", str(message)).group(1))


@pytest.mark.parametrize("rule", [erdos_renyi, global_density])
@pytest.mark.parametrize("sizes", [[784, 1000, 1000, 1000, 10], [3, 2, 50, 1], [500, 20, 2], [7, 7, 7, 7]])
def test_a_layer_without_connections_is_refused_with_the_smallest_value_that_works(rule, sizes):
    shapes = layer_shapes(sizes)
    with pytest.raises(ValueError, match="without a single connection") as error:
        rule(shapes, 1e-9)
    smallest = smallest_in(error.value)
    assert min(rule(shapes, smallest)) == 1
    below = smallest - 1 / n_pairs(shapes) if rule is global_density else smallest * (1 - 1e-9)
    with pytest.raises(ValueError, match="without a single connection"):
        rule(shapes, below)
