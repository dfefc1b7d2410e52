"""First topologies: every name, a user's own, given ones; and growth that stays within given pairs."""

import copy
import pickle
import re
import warnings
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from helpers import make, random_csr
from numpy.testing import assert_array_equal
from scipy.sparse import coo_array, csc_array, csr_array
from sklearn.base import clone
from streams import Errors, no_subset

from truesparse import SparseMLPClassifier
from truesparse.data import ArraySource
from truesparse.evolution import (
    OMP,
    SNIP,
    AfterStall,
    Balanced,
    Confirmed,
    Constant,
    Cosine,
    Evolution,
    Full,
    Given,
    Gradient,
    GuidedStochastic,
    Magnitude,
    Mixed,
    NeuronGrow,
    PathWeightGrow,
    PathWeightPrune,
    Random,
    SensitivityGrow,
    SensitivityPrune,
    Vacancy,
    evolve,
    neuron_evolution,
    preset,
)
from truesparse.evolution.first import first_patterns, first_weights
from truesparse.evolution.input_removal import InputRemoval
from truesparse.evolution.signals import Signals
from truesparse.network.initial_weights import FanIn, draw
from truesparse.network.losses import SoftmaxCrossEntropy
from truesparse.runtime.plugins import names, resolve
from truesparse.runtime.random_streams import RandomStreams
from truesparse.topology import Pattern
from truesparse.topology.density import erdos_renyi, global_density
from truesparse.training import Recipe, new_network
from truesparse.training.state import Progress

FIRST_TOPOLOGIES = {
    "balanced": Balanced(),
    "erdos_renyi": Random(),
    "snip": SNIP(centred=True, connected=True),
    "full": Full(),
}
SHAPES = [(30, 20), (25, 30), (4, 25)]
STREAMS = RandomStreams(7)


def patterns_of(rule, *, epsilon=None, density=None, signals=None):
    return first_patterns(rule, SHAPES, epsilon=epsilon, density=density, streams=STREAMS, signals=signals or {})


@pytest.fixture
def source(rng):
    X = rng.standard_normal((60, 20)).astype(np.float32)
    return ArraySource(X, rng.integers(4, size=60))


def network_of(topology, source, **options):
    recipe = Recipe(SoftmaxCrossEntropy(), (30, 25), topology, **options)
    return new_network(recipe, source, 4, seed=7)


# The names.


def test_there_are_these_names():
    assert {name: resolve("topology", name) for name in names("topology")} == FIRST_TOPOLOGIES


@pytest.mark.parametrize("name", sorted(FIRST_TOPOLOGIES))
def test_a_name_is_its_rule(name, source, rng):
    X, y = source.X, source.target
    settings = {"hidden_layer_sizes": (30, 25), "evolution": "static", "max_iter": 1, "random_state": 3}
    by_name, by_rule = (
        SparseMLPClassifier(topology_init=first, **settings).fit(X, y) for first in (name, FIRST_TOPOLOGIES[name])
    )
    for one, other in zip(by_name._network.layers, by_rule._network.layers, strict=True):
        assert_array_equal(one.pattern.keys, other.pattern.keys)
        assert_array_equal(one.data, other.data)


@pytest.mark.parametrize("name", sorted(FIRST_TOPOLOGIES))
@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({}, erdos_renyi(SHAPES, 1)),
        ({"epsilon": 2}, erdos_renyi(SHAPES, 2)),
        ({"density": 0.1}, global_density(SHAPES, 0.1)),
    ],
)
def test_how_many_connections_there_are(name, options, counts, source):
    if name == "full":
        if "density" in options:
            with pytest.raises(ValueError, match=r"density=0\.1 contradicts topology_init='full'"):
                network_of(FIRST_TOPOLOGIES[name], source, **options)
            options = {"density": 1}
        counts = [600, 750, 100]
    network = network_of(FIRST_TOPOLOGIES[name], source, **options)
    assert [layer.nnz for layer in network.layers] == counts


@pytest.mark.parametrize("nnz_of", [{"epsilon": 1}, {"epsilon": 5}, {"epsilon": 1e6}, {"density": 0.03}])
def test_random_pairs_on_an_empty_pattern_are_erdos_renyi(nnz_of):
    """The same pairs as a sample of this size from the stream of the layer."""
    counts = erdos_renyi(SHAPES, **nnz_of) if "epsilon" in nnz_of else global_density(SHAPES, **nnz_of)
    for layer, pattern in enumerate(patterns_of(Random(), **nnz_of)):
        expected = Pattern.sample(SHAPES[layer], counts[layer], STREAMS("topology", layer))
        assert_array_equal(pattern.keys, expected.keys)


def test_balanced_gives_all_units_alike():
    for layer, pattern in enumerate(patterns_of(Balanced(), epsilon=2)):
        expected = Pattern.sample(SHAPES[layer], pattern.nnz, STREAMS("topology", layer), balanced=True)
        assert_array_equal(pattern.keys, expected.keys)
        for degrees in (pattern.out_units_fan_in, np.bincount(pattern.indices, minlength=pattern.shape[1])):
            assert np.ptp(degrees) <= 1


@pytest.mark.parametrize("rule", [Balanced(), Random()])
def test_a_layer_does_not_depend_on_the_others(rule):
    """Rules that read no signals are asked about one layer at a time."""
    whole = patterns_of(rule, epsilon=2)
    shapes = [SHAPES[0], (50, 30), (4, 50)]
    other = first_patterns(rule, shapes, epsilon=2, density=None, streams=STREAMS, signals={})
    assert_array_equal(whole[0].keys, other[0].keys)


def test_first_weights_are_the_initializer_s_unless_a_rule_has_its_own(rng):
    pattern = Pattern.sample((30, 20), 50, rng)
    expected = draw(FanIn(), pattern, slice(None), STREAMS("weights", 0))
    for rule in (Random(), Balanced(), Given([pattern]), Given([csr_array((30, 20))])):
        assert_array_equal(first_weights(rule, 0, pattern, FanIn(), STREAMS("weights", 0)), expected)


# A user's own.


@dataclass(frozen=True)
class Diagonal:
    """Pairs near the diagonal; with `share`, fewer than asked for."""

    share: float = 1.0
    needs: ClassVar = ()

    def __call__(self, vacancies, *, rng):
        edges = []
        for vacancy in vacancies:
            fan_out, fan_in = vacancy.pattern.shape
            assert vacancy.pattern.nnz == 0
            rows, columns = np.divmod(np.arange(fan_out * fan_in), fan_in)
            near = np.argsort(np.abs(rows * fan_in - columns * fan_out), kind="stable")
            keys = near[: int(self.share * vacancy.n_grow)]
            edges.append(np.divmod(keys, fan_in))
        return edges


def test_a_grow_rule_of_ones_own_is_a_first_topology(source):
    patterns = patterns_of(Diagonal(), epsilon=1)
    for pattern, (fan_out, fan_in) in zip(patterns, SHAPES, strict=True):
        assert pattern.nnz == fan_out + fan_in
        distance = np.abs(pattern.rows * fan_in - pattern.indices * fan_out)
        absent = np.setdiff1d(np.arange(fan_out * fan_in), pattern.keys)
        rows, columns = np.divmod(absent, fan_in)
        assert distance.max() <= np.abs(rows * fan_in - columns * fan_out).min()
    model = SparseMLPClassifier((30, 25), evolution="static", topology_init=Diagonal(), max_iter=2, random_state=0)
    model.fit(source.X, source.target)
    for layer, pattern in zip(model._network.layers, patterns, strict=True):
        assert_array_equal(layer.pattern.keys, pattern.keys)


def test_where_it_finds_too_few_pairs_random_ones_take_their_places():
    half, whole = patterns_of(Diagonal(0.5), epsilon=2), patterns_of(Diagonal(), epsilon=2)
    for few, all_of_them, (fan_out, fan_in) in zip(half, whole, SHAPES, strict=True):
        assert few.nnz == all_of_them.nnz == min(2 * (fan_out + fan_in), fan_out * fan_in)
        assert np.isin(all_of_them.keys, few.keys).mean() >= 0.5
    assert not np.isin(half[0].keys, whole[0].keys).all()


def test_it_may_say_how_many_and_how_large(source):
    @dataclass(frozen=True)
    class Own(Diagonal):
        def counts(self, shapes, epsilon, density):
            assert (epsilon, density) == (3, None)
            return [10, 20, 30]

        def first_weights(self, layer, pattern, initializer, rng):
            return np.arange(pattern.nnz) + 100 * layer

    network = network_of(Own(), source, epsilon=3)
    assert [layer.nnz for layer in network.layers] == [10, 20, 30]
    for index, layer in enumerate(network.layers):
        assert_array_equal(layer.data, np.arange(layer.nnz) + 100 * index)


def returning(made, needs=()):
    def rule(vacancies, *, rng, **signals):
        return made(vacancies)

    rule.needs = needs
    return rule


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (returning(lambda v: []), "returned results for 0 layers, asked for 1"),
        (returning(lambda v: None), "must return a list with one result per layer"),
        (returning(lambda v: [([0, 0], [1, 1])]), r"returned edges of layer 0 .* twice"),
        (returning(lambda v: [([30], [0])]), r"returned edges of layer 0 .*rows must lie in \[0, 30\)"),
        (returning(lambda v: [np.divmod(np.arange(101), 20)]), r"101 edges, asked for 100"),
        (
            returning(lambda v: [Pattern.full((3, 3))]),
            r"returned a pattern of shape \(3, 3\) for layer 0, .* \(30, 20\)",
        ),
        (returning(lambda v: [], ("activations",)), r"needs the signals \['activations'\]; a first topology has \[\]"),
        (Cosine(), r"topology_init=Cosine.* needs the signals \['activations'\]"),
        (returning(lambda v: [], ("dense_start",)), r"needs the signals \['dense_start'\]"),
    ],
)
def test_what_it_returns_is_checked(rule, message):
    with pytest.raises(ValueError, match=message):
        patterns_of(rule, epsilon=2)


@pytest.mark.parametrize(
    "weights", [np.ones(3), np.ones((50, 1)), 1.0, np.full(50, np.nan), np.full(50, "a"), np.full(50, None)]
)
def test_the_weights_that_it_returns_are_checked(weights, rng):
    class Own(Diagonal):
        def first_weights(self, layer, pattern, initializer, rng):
            return weights

    with pytest.raises(ValueError, match=r"first_weights of .* must return 50 finite numbers for layer 2"):
        first_weights(Own(), 2, Pattern.sample((30, 20), 50, rng), FanIn(), rng)


# Given.


@pytest.fixture
def given_matrices(rng):
    return [random_csr(shape, 0.2, rng).copy() for shape in SHAPES]  # whose indices may be written


@pytest.mark.parametrize("kind", [csr_array, csc_array, coo_array, "lil", "pattern"])
def test_a_given_topology_is_the_one_of_the_network(kind, given_matrices, source):
    if kind == "pattern":
        matrices = [Pattern.from_csr(matrix) for matrix in given_matrices]
    else:
        matrices = [matrix.tolil() if kind == "lil" else kind(matrix) for matrix in given_matrices]
    network = network_of(Given(matrices), source)
    for index, (layer, matrix) in enumerate(zip(network.layers, given_matrices, strict=True)):
        assert_array_equal(layer.pattern.keys, Pattern.from_csr(matrix).keys)
        expected = draw(FanIn(), layer.pattern, slice(None), STREAMS("weights", index))
        assert_array_equal(layer.data, expected.astype(np.float32))


@pytest.mark.parametrize("kind", [csr_array, csc_array, coo_array])
def test_its_values_are_the_first_weights_exactly(kind, given_matrices, source):
    matrices = [kind(matrix) for matrix in given_matrices]
    matrices[0].data[3] = 0  # explicit zeros are connections
    if kind is csr_array:  # the columns of a row may come in any order
        matrix = matrices[1]
        assert matrix.indptr[1] > 1
        for array in (matrix.indices, matrix.data):
            array[[0, 1]] = array[[1, 0]]
        matrix.has_sorted_indices = False
    network = network_of(Given(matrices, values=True), source, dtype="float64")
    for layer, matrix in zip(network.layers, matrices, strict=True):
        assert layer.nnz == matrix.nnz
        assert_array_equal(layer.weight.toarray(), matrix.toarray())


def test_training_begins_with_its_values(given_matrices, source):
    model = SparseMLPClassifier(
        (30, 25), topology_init=Given(given_matrices, values=True), evolution="static", dtype="float64", alpha=0.0,
        learning_rate_init=1e-300, max_iter=1, random_state=0,
    ).fit(source.X.astype(np.float64), source.target)  # fmt: skip
    for coef, matrix in zip(model.coefs_, given_matrices, strict=True):
        assert coef.nnz == matrix.nnz
        assert_array_equal(coef.toarray().T, matrix.toarray())


def test_given_matrices_are_copied(given_matrices, source):
    topology = Given(given_matrices, values=True)
    before = [matrix.data.copy() for matrix in given_matrices]
    for matrix in given_matrices:
        matrix.data[:] = 7
        matrix.indices[:] = 0
    network = network_of(topology, source)
    for layer, data in zip(network.layers, before, strict=True):
        assert_array_equal(layer.data, data.astype(np.float32))


@pytest.mark.parametrize(
    ("hidden", "n_features"), [((30, 24), 20), ((30,), 20), ((30, 25, 25), 20), ((30, 25), 19), ((25, 30), 20)]
)
def test_shapes_that_do_not_fit(hidden, n_features, given_matrices, rng):
    X, y = rng.standard_normal((60, n_features)), rng.integers(4, size=60)
    model = SparseMLPClassifier(hidden, topology_init=Given(given_matrices))
    shapes = re.escape(str(SHAPES))
    with pytest.raises(ValueError, match=rf"topology_init has matrices of shapes {shapes}, but the layers .* must fit"):
        model.fit(X, y)
    assert not hasattr(model, "classes_")


@pytest.mark.parametrize("asked", [{"epsilon": 1}, {"density": 0.1}, {"density": 1}])
def test_a_number_of_connections_contradicts_it(asked, given_matrices, source):
    model = SparseMLPClassifier((30, 25), topology_init=Given(given_matrices), **asked)
    with pytest.raises(ValueError, match=r"epsilon=.* and density=.* must be None with topology_init=Given"):
        model.fit(source.X, source.target)


def damaged():
    matrix = csr_array((2, 3))
    matrix.indptr = np.array([0, 2, 1], dtype=np.int32)
    return matrix


def twice(kind):
    rows, columns = np.array([0, 0, 1]), np.array([1, 1, 2])
    if kind == "coo":
        return coo_array((np.ones(3), (rows, columns)), shape=(2, 3))
    if kind == "csc":
        return csc_array((np.ones(3), rows, np.array([0, 0, 2, 3])), shape=(2, 3))
    return csr_array((np.ones(3), columns, np.array([0, 2, 3])), shape=(2, 3))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (twice("csr"), r"patterns\[1\] cannot be a pattern: .*twice"),
        (twice("csc"), r"patterns\[1\] cannot be a pattern: .*twice"),
        (twice("coo"), r"patterns\[1\] cannot be a pattern: .*twice"),
        (damaged(), r"patterns\[1\] is a damaged sparse matrix: indptr"),
        (csr_array((np.ones(1), [7], [0, 1, 1]), shape=(2, 8)), None),
        (np.ones((2, 3)), r"patterns\[1\] must be a SciPy sparse matrix of shape \(fan_out, fan_in\), got .*ndarray"),
        (None, r"patterns\[1\] must be a SciPy sparse matrix"),
        ("ab", r"patterns\[1\] must be a SciPy sparse matrix"),
        (coo_array(np.ones(3)), r"patterns\[1\] must be a SciPy sparse matrix of shape"),
    ],
)
def test_matrices_that_are_no_patterns(matrix, message):
    good = csr_array(np.ones((2, 3)))
    if message is None:
        matrix.indices[0] = 10**6  # SciPy takes it
        message = r"patterns\[1\] is a damaged sparse matrix: indices must lie in \[0, 8\)"
    with pytest.raises(ValueError, match=message):
        Given([good, matrix])


@pytest.mark.parametrize(
    ("values", "matrix", "message"),
    [
        (True, Pattern.full((2, 3)), r"patterns\[0\] is a Pattern, which has no numbers; values=True needs SciPy"),
        (True, csr_array([[1.0, np.nan]]), r"patterns\[0\] holds NaN or infinity"),
        (True, csr_array([[1.0, np.inf]]), r"patterns\[0\] holds NaN or infinity"),
    ],
)
def test_values_that_are_no_weights(values, matrix, message):
    with pytest.raises(ValueError, match=message):
        Given([matrix], values=values)
    Given([matrix])  # without values, they do not matter


@pytest.mark.parametrize("single", [csr_array((2, 3)), Pattern.full((2, 3))])
def test_one_matrix_is_not_a_list_of_them(single):
    with pytest.raises(ValueError, match="patterns must be a sequence with one matrix per layer, got a single one"):
        Given(single)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_layer_without_connections_is_told_of(layer, given_matrices, source):
    given_matrices[layer] = csr_array(SHAPES[layer])
    model = SparseMLPClassifier((30, 25), topology_init=Given(given_matrices), max_iter=2, evolution="set")
    with pytest.warns(UserWarning, match=rf"The layers \[{layer}\] \(counted from 0\) have no connection"):
        model.fit(source.X, source.target)
    assert model.coefs_[layer].nnz == 0


def test_copies_are_equal_and_others_are_not(given_matrices, source):
    given = Given(given_matrices, values=True)
    pattern_only = Given(given_matrices)
    for copied in (
        pickle.loads(pickle.dumps(given)),
        copy.deepcopy(given),
        copy.copy(given),
        Given(given_matrices, True),
    ):
        assert copied == given
        assert hash(copied) == hash(given)
        assert_array_equal(network_of(copied, source).params, network_of(given, source).params)
    assert pattern_only != given
    assert pattern_only == Given([Pattern.from_csr(matrix) for matrix in given_matrices])
    other_numbers = [2 * matrix for matrix in given_matrices]
    assert Given(other_numbers, values=True) != given
    assert Given(other_numbers) == pattern_only
    assert Given(given_matrices[:2]) != Given(given_matrices)
    assert given != "given"


def test_cloned_and_pickled_estimators_train_alike(given_matrices, source):
    X, y = source.X, source.target
    model = SparseMLPClassifier((30, 25), topology_init=Given(given_matrices, values=True), max_iter=2, random_state=0)
    params = model.fit(X, y)._network.params
    for other in (clone(model), pickle.loads(pickle.dumps(model))):
        assert_array_equal(other.fit(X, y)._network.params, params)
    model.set_params(warm_start=True).fit(X, y)  # the topology of the network that there is, is the same one
    with pytest.raises(
        ValueError,
        match=r"topology_init=Given\(3 patterns, 290 connections, values=True\) cannot change while training goes on",
    ):
        model.set_params(topology_init=Given([2 * m for m in given_matrices], values=True)).fit(X, y)


# Growth within given pairs.


@dataclass(frozen=True)
class Careless:
    """A user's rule that does not look at what may be connected."""

    needs: ClassVar = ()

    def __call__(self, vacancies, *, rng):
        return [vacancy.pattern.sample_absent(vacancy.n_grow, rng) for vacancy in vacancies]


@dataclass(frozen=True)
class Nothing:
    needs: ClassVar = ()

    def __call__(self, vacancies, *, rng):
        return [(np.empty(0, dtype=int),) * 2 for _ in vacancies]


GROW = [
    Random(), Cosine(), Cosine(regrow=False), Cosine(search="exact"), Cosine(search="cells"), OMP(), OMP(regrow=False),
    Gradient(), GuidedStochastic(), GuidedStochastic(regrow=False), SensitivityGrow(), PathWeightGrow(),
    PathWeightGrow(regrow=False), Mixed(Cosine(), OMP()), Mixed(Careless(), GuidedStochastic()), Confirmed(),
    Confirmed(least=1.0), AfterStall(Cosine(), Random(), patience=2), AfterStall(Cosine(), Random(), patience=5),
    Careless(), Nothing(), NeuronGrow(InputRemoval(5)), NeuronGrow(InputRemoval(5), Random()),
]  # fmt: skip
SIZES = (20, 30, 25, 4)


def network_within(within, rng, share=0.5):
    """A network with a random share of the pairs that are allowed."""
    network = make(rng, sizes=SIZES, dense=())
    for index, layer in enumerate(network.layers):
        allowed = within.allowed(index, layer.shape).keys
        keys = np.sort(rng.choice(allowed, max(1, round(share * allowed.size)), replace=False))
        layer.new_pattern = Pattern.from_keys(keys, layer.shape)
    recipe_patterns = [layer.new_pattern for layer in network.layers]
    network = type(network).from_patterns(recipe_patterns, network.activations[0], dtype=np.float64)
    network.params[:] = rng.standard_normal(network.params.size)
    return network


def signals_for(network, rng):
    n_outputs = network.layer_sizes[-1]
    source = ArraySource(rng.standard_normal((300, network.layer_sizes[0])), rng.integers(n_outputs, size=300))
    progress = Progress(step=5, planned_steps=100, longest_stall=3)
    signals = Signals(
        network, SoftmaxCrossEntropy(), source, batch_size=50, streams=STREAMS, progress=progress
    )  # fmt: skip
    return signals.at(5, network.workspace(50))


@pytest.fixture
def within(rng):
    shapes = list(zip(SIZES[1:], SIZES[:-1], strict=True))
    return Given([Pattern.sample(shape, round(0.3 * shape[0] * shape[1]), rng) for shape in shapes])


@pytest.mark.parametrize("grow", GROW, ids=repr)
@pytest.mark.parametrize(("share", "drop_fraction"), [(0.5, 0.3), (0.5, 1.0), (0.9, 0.5), (0.2, 0.9)])
def test_growth_never_leaves_the_pairs_that_are_allowed(grow, share, drop_fraction, within, rng):
    """The number of weights stays; where there is room for fewer, fewer are dropped."""
    network = network_within(within, rng, share)
    evolution = Evolution(grow=grow, within=within)
    rewirings = evolve(network.layers, evolution, drop_fraction, rng, signals_for(network, rng))
    for index, (layer, rewiring) in enumerate(zip(network.layers, rewirings, strict=True)):
        allowed = within.allowed(index, layer.shape).keys
        room = allowed.size - layer.nnz
        asked = min(int(drop_fraction * layer.nnz), room)
        assert (rewiring is None) == (asked == 0)
        if rewiring is None:
            continue
        assert rewiring.pattern.nnz == layer.nnz
        assert np.isin(rewiring.pattern.keys, allowed).all()
        assert rewiring.n_replaced <= asked
        assert np.isin(layer.pattern.keys, rewiring.pattern.keys).sum() >= layer.nnz - asked


@pytest.mark.parametrize("prune", [Magnitude(), PathWeightPrune(), SensitivityPrune()])
def test_a_window_that_is_nearly_full(prune, within, rng):
    """Three pairs are free in the second layer, and none in the third, which rests."""
    network = make(rng, sizes=SIZES, dense=())
    patterns = [within.allowed(i, layer.shape) for i, layer in enumerate(network.layers)]
    patterns[0] = Pattern.from_keys(patterns[0].keys[::2], patterns[0].shape)
    patterns[1] = Pattern.from_keys(np.delete(patterns[1].keys, [4, 50, 90]), patterns[1].shape)
    network = type(network).from_patterns(patterns, network.activations[0], dtype=np.float64)
    network.params[:] = rng.standard_normal(network.params.size)
    evolution = Evolution(prune=prune, grow=Random(), within=within)
    first, second, third = evolve(network.layers, evolution, 0.5, rng, signals_for(network, rng))
    assert first.n_replaced > 3
    assert second.n_replaced <= 3
    assert np.isin(second.pattern.keys, within.patterns[1].keys).all()
    assert third is None


def test_connections_outside_of_it_may_stay_but_not_come_back(within, rng):
    network = make(rng, sizes=SIZES, density=0.2, dense=())
    network.params[: network.n_weights] = np.sign(network.params[: network.n_weights])
    outside = []
    for index, layer in enumerate(network.layers[:2]):
        is_outside = ~np.isin(layer.pattern.keys, within.patterns[index].keys)
        layer.data[is_outside] *= 1e-3  # these go
        outside.append(np.count_nonzero(is_outside))
    rewirings = evolve(network.layers, Evolution(grow=Careless(), within=within), 0.3, rng, {})
    for index, (rewiring, n_before) in enumerate(zip(rewirings[:2], outside, strict=True)):
        n_drop = int(0.3 * network.layers[index].nnz)
        n_outside = np.count_nonzero(~np.isin(rewiring.pattern.keys, within.patterns[index].keys))
        assert n_outside == n_before - n_drop
        assert rewiring.pattern.nnz == network.layers[index].nnz


@pytest.mark.parametrize("rule", [Cosine(search="exact"), OMP(search="exact"), Gradient(), SensitivityGrow()], ids=repr)
def test_all_pairs_given_are_as_good_as_none(rule, rng):
    everything = Given([Pattern.full(shape) for shape in zip(SIZES[1:], SIZES[:-1], strict=True)])
    network = make(rng, sizes=SIZES, density=0.2, dense=())
    found = [
        evolve(network.layers, evolution, 0.5, np.random.default_rng(3), signals_for(network, np.random.default_rng(4)))
        for evolution in (Evolution(grow=rule), Evolution(grow=rule, within=everything))
    ]
    assert found[0][2] is found[1][2] is None  # full
    for one, other in zip(*(rewirings[:2] for rewirings in found), strict=True):
        assert_array_equal(one.pattern.keys, other.pattern.keys)


def test_pairs_without_a_signal_are_chosen_at_random_among_those_allowed(rng):
    """All errors are zero: no pair is better than another, and none is always taken."""
    a, delta = rng.standard_normal((20, 60)), np.zeros((10, 60))
    signals = {"errors": no_subset(Errors([a, delta], [delta])), "activations": no_subset(Errors([a, delta], [delta]))}
    allowed = Pattern.from_keys(np.arange(0, 200, 2), (10, 20))
    vacancy = replace(Vacancy.empty(0, (10, 20), 5), within=allowed)
    for rule in (OMP(), Gradient(), GuidedStochastic(), SensitivityGrow()):
        ((rows, columns),) = rule([vacancy], rng=rng, errors=signals["errors"])
        assert rows.size == columns.size == 0


def test_samples_of_a_vacancy_are_uniform_among_what_is_allowed(rng):
    allowed = Pattern.from_keys(np.arange(0, 40, 4), (4, 10))
    before = Pattern.from_keys(np.array([0, 1, 4]), (4, 10))
    vacancy = Vacancy(0, before, np.array([False, False, True]), 2, allowed)
    assert_array_equal(vacancy.candidates, np.arange(4, 40, 4))
    counts = np.zeros(40, dtype=int)
    for _ in range(600):
        keys = vacancy.sample(3, rng, besides=np.array([36, 8]))
        assert np.unique(keys).size == 3
        counts[keys] += 1
    assert set(np.flatnonzero(counts)) == {4, 12, 16, 20, 24, 28, 32}
    assert counts[counts > 0].min() > 200  # 257 expected


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Given, "within=.* must have a method 'allowed'"),
        (3, "within=3 must have a method 'allowed'"),
        (Random(), r"within=Random\(\) must have a method 'allowed'"),
    ],
)
def test_what_cannot_be_a_window(bad, message):
    with pytest.raises(ValueError, match=message):
        Evolution(within=bad)


def test_a_window_that_does_not_fit_the_network(within, rng):
    network = make(rng, sizes=SIZES, dense=())

    class Wrong:
        def allowed(self, layer, shape):
            return returned

    for returned in (Pattern.full((3, 3)), "all", np.ones((30, 20))):  # noqa: B007
        with pytest.raises(ValueError, match=r"must return a Pattern of shape \(30, 20\) for layer 0"):
            evolve(network.layers, Evolution(grow=Random(), within=Wrong()), 0.5, rng, {})
    with pytest.raises(ValueError, match="within has 1 patterns, but the network has a layer 1 too"):
        evolve(network.layers, Evolution(grow=Random(), within=Given(within.patterns[:1])), 0.5, rng, {})


def test_a_window_that_does_not_fit_is_refused_before_training(within, source):
    evolution = Evolution(grow=Random(), within=Given(within.patterns[:1]))
    model = SparseMLPClassifier((30, 25), evolution=evolution, max_iter=1, update_every=10**6)
    with pytest.raises(ValueError, match="within has 1 patterns, but the network has a layer 1 too"):
        model.fit(source.X, source.target)
    assert not hasattr(model, "_network")


@pytest.mark.parametrize("name", ["set", "cte", "ctre_sim", "gse", "omp", "path_weight", "cht", "chts"])
def test_a_whole_training_stays_within(name, within, source):
    first = Given([Pattern.from_keys(pattern.keys[::2], pattern.shape) for pattern in within.patterns])
    evolution = replace(preset(name), within=within, schedule=Constant(0.5, update_every=2))
    model = SparseMLPClassifier((30, 25), topology_init=first, evolution=evolution, max_iter=10, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "The network predicts the training data")  # so few weights, in ten epochs
        model.fit(source.X, source.target)
    assert np.sum(model.history_["edges_replaced"]) > 50
    for layer, allowed, begun in zip(model._network.layers, within.patterns, first.patterns, strict=True):
        assert layer.nnz == begun.nnz
        assert np.isin(layer.pattern.keys, allowed.keys).all()
    assert not np.array_equal(model._network.layers[0].pattern.keys, first.patterns[0].keys)


def test_inputs_come_and_go_within(within, source):
    evolution = replace(neuron_evolution(8), within=within)
    first = Given([Pattern.from_keys(pattern.keys[::4], pattern.shape) for pattern in within.patterns])
    model = SparseMLPClassifier((30, 25), topology_init=first, evolution=evolution, max_iter=15, random_state=0)
    model.fit(source.X, source.target)
    for layer, allowed in zip(model._network.layers, within.patterns, strict=True):
        assert np.isin(layer.pattern.keys, allowed.keys).all()
