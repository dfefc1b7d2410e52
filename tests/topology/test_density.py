import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from truesparse.network.architecture import Architecture
from truesparse.topology.density import convolution_counts, erdos_renyi, global_density, layer_shapes

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


CONVOLUTIONS, _ = Architecture((8, 8, 3), depth=8, width=4).layers(n_outputs=10)
PAIRS = [out * columns for (out, columns), *_ in CONVOLUTIONS]


@pytest.mark.parametrize("density", [0.01, 0.1, 0.5, 1.0])
def test_kernels_get_weights_in_proportion_to_channels_and_window(density):
    """nnz = epsilon · (channels in + channels out + 2 window), at most all, and all together what was asked for."""
    counts = convolution_counts(CONVOLUTIONS, density, "erdos_renyi_kernel")
    assert sum(counts) == round(density * sum(PAIRS))
    sizes = [out + columns // window**2 + 2 * window for (out, columns), _, window, _ in CONVOLUTIONS]
    free = [n / size for n, size, most in zip(counts, sizes, PAIRS, strict=True) if n < most]
    assert not free or max(free) - min(free) <= 1.5 / min(sizes)  # rounded to whole weights
    full = [n == most for n, most in zip(counts, PAIRS, strict=True)]
    assert all(full) == (density == 1)


def test_uniform_and_given_densities_of_convolutions():
    assert convolution_counts(CONVOLUTIONS, 0.25, "uniform") == [round(0.25 * n) for n in PAIRS]
    densities = np.linspace(0.1, 1, len(PAIRS))
    expected = [int(share * n + 0.5) for share, n in zip(densities, PAIRS, strict=True)]
    assert convolution_counts(CONVOLUTIONS, 0.9, densities) == expected


@pytest.mark.parametrize(
    ("density", "distribution", "message"),
    [
        (0.1, [0.5], "must hold a density for each of the 10 layers"),
        (0.001, "uniform", r"0.001 leaves layer 0 of shape \(4, 27\) without a single connection; .* at least 0.00463"),
        (1e-4, "erdos_renyi_kernel", "density=0.0001 leaves a layer without a single connection"),
    ],
)
def test_densities_of_convolutions_that_are_refused(density, distribution, message):
    with pytest.raises(ValueError, match=message):
        convolution_counts(CONVOLUTIONS, density, distribution)
