"""The grow rules that read errors or weights, each against the dense matrix of its scores."""

import tracemalloc
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from helpers import dense_of, make
from numpy.testing import assert_allclose
from streams import Errors, Stream, best_keys, keys_of, no_subset, similarity, vacancies_for, with_dropped

from truesparse import SparseMLPClassifier
from truesparse.evolution import (
    OMP,
    Confirmed,
    Cosine,
    Gradient,
    GuidedStochastic,
    Mixed,
    PathWeightGrow,
    Random,
    SensitivityGrow,
    grow,
)
from truesparse.evolution.paths import path_weights
from truesparse.evolution.rules import Vacancy
from truesparse.topology import Pattern


@pytest.fixture
def layers(rng):
    """Activations of three layers of units; one unit of each is constant, one is silent."""
    layers = [np.maximum(rng.standard_normal((n, 330)) + rng.standard_normal((n, 1)), 0) for n in (30, 40, 20)]
    for layer in layers:
        layer[3], layer[5] = 2.5, 0
    return [layer.astype(np.float32) for layer in layers]


@pytest.fixture
def errors(layers, rng):
    """Errors of very different size; those of one unit of each layer are zero."""
    errors = [
        rng.standard_normal((len(z), 330)) * 10 ** rng.uniform(-3, -1, (len(z), 1)) * (rng.random((len(z), 330)) < 0.7)
        for z in layers[1:]
    ]
    for error in errors:
        error[7] = 0
    return [error.astype(np.float32) for error in errors]


def gradients(a, delta):
    return np.abs(delta.astype(np.float64) @ a.astype(np.float64).T)


def omp_scores(a, delta):
    a = a.astype(np.float64)
    a = a - a.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(a, axis=1, keepdims=True)
    return gradients(np.divide(a, norms, out=np.zeros_like(a), where=norms > 1e-9), delta)


def mean_products(a, delta):
    return np.outer(np.abs(delta).mean(axis=1, dtype=np.float64), np.abs(a).mean(axis=1, dtype=np.float64))


RULES = [
    (Gradient(n_samples=None), gradients),
    (OMP(search="exact", n_samples=None), omp_scores),
    (OMP(search="sketch", width=64, candidates=100, n_samples=None), omp_scores),
    (OMP(search="cells", width=64, candidates=100, n_samples=None), omp_scores),
    (SensitivityGrow(n_samples=None), mean_products),
    (GuidedStochastic(candidates=1000, n_samples=None), gradients),  # so many that no pair is missed
]


@pytest.mark.parametrize(("rule", "scores"), RULES)
@pytest.mark.parametrize("batch_size", [32, 300])
def test_the_best_absent_pairs_are_grown(rule, scores, batch_size, layers, errors, rng):
    vacancies = vacancies_for(layers, rng)
    stream = Errors(layers, errors, batch_size)
    for vacancy, found in zip(vacancies, rule(vacancies, rng=rng, errors=no_subset(stream)), strict=True):
        expected = scores(layers[vacancy.layer], errors[vacancy.layer])
        assert keys_of(found, vacancy) == best_keys(expected, vacancy, 25)


@pytest.mark.parametrize(("rule", "scores"), RULES)
@pytest.mark.parametrize("sizes", [(1, 60), (60, 1), (2, 300)])
def test_layers_with_one_tiny_side(rule, scores, sizes, rng):
    a = rng.standard_normal((sizes[0], 200)).astype(np.float32)
    delta = rng.standard_normal((sizes[1], 200)).astype(np.float32)
    vacancy = Vacancy(0, Pattern.sample(sizes[::-1], 10, rng), np.zeros(10, dtype=bool), 6)
    stream = Errors([a, delta], [delta])
    found = rule([vacancy], rng=rng, errors=no_subset(stream))[0]
    assert keys_of(found, vacancy) == best_keys(scores(a, delta), vacancy, 6)


@pytest.mark.parametrize(("rule", "scores"), RULES)
def test_units_without_a_signal_are_never_grown(rule, scores, layers, errors, rng):
    vacancies = vacancies_for(layers, rng, n_grow=600)
    for vacancy, (rows, columns) in zip(
        vacancies, rule(vacancies, rng=rng, errors=no_subset(Errors(layers, errors))), strict=True
    ):
        usable = scores(layers[vacancy.layer], errors[vacancy.layer])
        usable[vacancy.pattern.rows, vacancy.pattern.indices] = 0
        assert 7 not in rows
        assert 5 not in columns
        assert rows.size == min(600, np.count_nonzero(usable))


@pytest.mark.parametrize(("rule", "scores"), RULES)
@pytest.mark.parametrize("silent", ["inputs", "outputs", "both"])
def test_sides_without_any_signal(rule, scores, silent, layers, errors, rng):
    """Dead units or empty data are nothing to choose by; `evolve` fills such places at random."""
    if silent != "outputs":
        layers[0][:] = 0
    if silent != "inputs":
        errors[0][:] = 0
    first, second = rule(vacancies_for(layers, rng), rng=rng, errors=no_subset(Errors(layers, errors)))
    assert first[0].size == first[1].size == 0
    assert second[0].size == 25


@pytest.mark.parametrize("n_features", [8, 60])
def test_a_network_whose_units_die_grows_on(n_features):
    """A learning rate at which ReLUs die, and features that are all zero."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, n_features)), rng.integers(3, size=60)
    for seed, data in enumerate((X, X, X, X * 0)):
        SparseMLPClassifier(
            (30, 20), epsilon=1, evolution="gse", max_iter=20, update_every=3, learning_rate_init=0.5, alpha=0.1,
            dropout=0, random_state=seed,
        ).fit(data, y)  # fmt: skip


@pytest.mark.parametrize(
    "rule",
    [
        GuidedStochastic(1e12),
        GuidedStochastic(1e38),
        GuidedStochastic(np.float16(60000)),
        OMP(width=64, candidates=2**40),
    ],
)
def test_more_candidates_than_pairs(rule, layers, errors, rng):
    """Room for all candidates would be 480 TiB."""
    vacancies = vacancies_for(layers, rng)
    scores = omp_scores if isinstance(rule, OMP) else gradients
    rule = replace(rule, n_samples=None)
    for vacancy, found in zip(
        vacancies, rule(vacancies, rng=rng, errors=no_subset(Errors(layers, errors))), strict=True
    ):
        assert keys_of(found, vacancy) == best_keys(scores(layers[vacancy.layer], errors[vacancy.layer]), vacancy, 25)


@pytest.mark.parametrize("rule", [rule for rule, _ in RULES] + [PathWeightGrow()])
def test_without_regrow_pairs_just_dropped_are_left_out(rule, layers, errors, rng):
    vacancies = vacancies_for(layers, rng)
    network = network_like(vacancies, rng)
    signals = {"errors": no_subset(Errors(layers, errors)), "paths": partial(path_weights, network.layers)}
    signals = {name: signals[name] for name in rule.needs}
    if isinstance(rule, PathWeightGrow):
        for layer in network.layers:  # no ties, so that both calls pick the same
            layer.data[:] = rng.random(layer.nnz)
        vacancies = vacancies[1:]
    picked = [keys_of(edges, v) for edges, v in zip(rule(vacancies, rng=rng, **signals), vacancies, strict=True)]
    dropped = [np.array(sorted(keys)[:10]) for keys in picked]
    vacancies = [with_dropped(v, keys) for v, keys in zip(vacancies, dropped, strict=True)]
    again = rule(vacancies, rng=rng, **signals)
    assert [keys_of(e, v) for e, v in zip(again, vacancies, strict=True)] == picked
    others = replace(rule, regrow=False)(vacancies, rng=rng, **signals)
    for edges, vacancy, keys, gone in zip(others, vacancies, picked, dropped, strict=True):
        assert keys_of(edges, vacancy) == keys - set(gone.tolist())


def network_like(vacancies, rng):
    """A network whose hidden layers have the patterns of the vacancies."""
    sizes = [vacancies[0].pattern.shape[1], *(vacancy.pattern.shape[0] for vacancy in vacancies), 3]
    network = make(rng, sizes=sizes, density=0.1)
    for layer, vacancy in zip(network.layers, vacancies, strict=False):
        assert layer.shape == vacancy.pattern.shape
    return network


def test_samples_are_asked_for(layers, errors, rng):
    asked = []

    def signal(n_samples):
        asked.append(n_samples)
        return Errors(layers, errors)

    for rule in (Gradient(), OMP(), GuidedStochastic(), SensitivityGrow()):
        rule(vacancies_for(layers, rng), rng=rng, errors=signal)
        replace(rule, n_samples=7)(vacancies_for(layers, rng), rng=rng, errors=signal)
    assert asked == [100, 7, 500, 7, 100, 7, 1000, 7]


def test_guided_exploration_takes_the_best_of_what_it_drew(layers, errors, rng, monkeypatch):
    drawn, draw = [], grow._draw

    def noting(weights, n, rng):
        drawn.append(draw(weights, n, rng))
        return drawn[-1]

    monkeypatch.setattr(grow, "_draw", noting)
    vacancy = vacancies_for(layers, rng, n_grow=10)[0]
    rule = GuidedStochastic(candidates=0.5)
    found = rule([vacancy], rng=rng, errors=no_subset(Errors(layers, errors)))[0]
    rows, columns = drawn
    assert rows.size == columns.size == 50  # half of 100 weights
    candidates = np.setdiff1d(rows * 30 + columns, vacancy.pattern.keys)
    scores = gradients(layers[0], errors[0]).ravel()[candidates]
    assert keys_of(found, vacancy) == set(candidates[np.argsort(-scores)[:10]].tolist())


def test_units_are_drawn_in_proportion_to_their_weights(rng):
    weights = np.array([0.0, 3.0, 1.0, 0.0, 6.0, 0.0])
    counts = np.bincount(grow._draw(weights, 100_000, rng), minlength=6)
    assert not counts[[0, 3, 5]].any()
    assert_allclose(counts / 100_000, weights / 10, atol=0.006)  # four standard deviations


def test_pairs_are_drawn_by_activation_times_error(rng):
    """Few candidates, many updates: how often each pair is grown if every candidate is."""
    a, delta = np.diag([1.0, 2.0, 5.0]).astype(np.float32), np.diag([3.0, 1.0, 0.0]).astype(np.float32)
    vacancy = Vacancy(0, Pattern.sample((3, 3), 0, rng), np.zeros(0, dtype=bool), 1)
    rule, stream = GuidedStochastic(), Errors([a, delta], [delta])
    counts = np.zeros((3, 3))
    for _ in range(4000):
        rows, columns = rule([vacancy], rng=rng, errors=no_subset(stream))[0]
        counts[rows, columns] += 1
    assert_allclose(counts / 4000, np.outer([0.75, 0.25, 0], [0.125, 0.25, 0.625]), atol=0.035)


def test_path_weight_grows_between_heavy_paths(rng):
    network = make(rng, sizes=(6, 9, 8, 7, 3), density=0.3, dense=(3,))
    dense = [np.abs(dense_of(layer)) for layer in network.layers]
    vacancies = [Vacancy(i, network.layers[i].pattern, np.zeros(network.layers[i].nnz, bool), 6) for i in (1, 2)]
    edges = PathWeightGrow()(vacancies, rng=rng, paths=partial(path_weights, network.layers))
    for vacancy, found in zip(vacancies, edges, strict=True):
        into, out_of = np.ones(6), np.ones(3)
        for matrix in dense[: vacancy.layer]:
            into = matrix @ into
        for matrix in reversed(dense[vacancy.layer + 1 :]):
            out_of = out_of @ matrix
        assert keys_of(found, vacancy) == best_keys(np.outer(out_of, into), vacancy, 6)


def test_path_weight_treats_features_alike(rng):
    """All features begin paths of weight one: which of them a unit gets is left to chance."""
    network = make(rng, sizes=(50, 9, 3), density=0.1)
    vacancy = Vacancy(0, network.layers[0].pattern, np.zeros(network.layers[0].nnz, bool), 10)
    columns = np.concatenate(
        [PathWeightGrow()([vacancy], rng=rng, paths=partial(path_weights, network.layers))[0][1] for _ in range(100)]
    )  # fmt: skip
    assert np.bincount(columns, minlength=50).max() < 60


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("second", [OMP(search="exact"), Random()])
def test_mixed_picks_a_share_by_each_rule(share, second, layers, errors, rng):
    vacancies = vacancies_for(layers, rng)
    first = Cosine(search="exact")
    signals = {"activations": no_subset(Stream(layers)), "errors": no_subset(Errors(layers, errors))}
    rule = Mixed(first, second, share)
    edges = rule(vacancies, rng=rng, **{name: signals[name] for name in rule.needs})
    n_first = round(share * 25)
    for vacancy, found in zip(vacancies, edges, strict=True):
        keys = keys_of(found, vacancy)
        assert len(keys) == found[0].size == 25
        assert not keys & set(vacancy.pattern.keys.tolist())
        cosines = similarity(layers[vacancy.layer], layers[vacancy.layer + 1], True)
        by_first = best_keys(cosines, vacancy, n_first)
        assert by_first <= keys
        if isinstance(second, OMP):
            scores = omp_scores(layers[vacancy.layer], errors[vacancy.layer])
            scores.ravel()[list(by_first)] = -1
            assert keys == by_first | best_keys(scores, vacancy, 25 - n_first)


def test_mixed_knows_what_was_dropped(layers, rng):
    """The first rule grows dropped pairs again; the second must neither pick these nor, without regrow, the others."""
    vacancies = [with_dropped(v, v.pattern.sample_absent(20, rng)[0] * 0 + np.arange(20)) for v in empty(layers, rng)]

    class Dropped:
        needs = ()

        def __call__(self, vacancies, *, rng):
            return [np.divmod(v.dropped_keys[: v.n_grow], v.pattern.shape[1]) for v in vacancies]

    rule = Mixed(Dropped(), Cosine(search="exact", regrow=False), 0.4)
    edges = rule(vacancies, rng=rng, activations=no_subset(Stream(layers)))
    for vacancy, found in zip(vacancies, edges, strict=True):
        keys = keys_of(found, vacancy)
        assert len(keys) == found[0].size
        assert keys & set(range(20)) == set(range(10))  # 0.4 · 25


def empty(layers, rng):
    return [
        Vacancy(i, Pattern.sample((len(layers[i + 1]), len(layers[i])), 0, rng), np.zeros(0, bool), 25)
        for i in range(len(layers) - 1)
    ]


def test_mixed_fills_up_what_the_first_rule_does_not_find(rng):
    """Three units, of which only one pair has a gradient."""
    a, delta = np.array([[1, 0], [0, 0], [0, 0]], np.float32), np.array([[1, 0], [0, 0], [0, 0]], np.float32)
    vacancy = Vacancy(0, Pattern.sample((3, 3), 0, rng), np.zeros(0, bool), 6)
    edges = Mixed(Gradient(), Random(), 0.5)([vacancy], rng=rng, errors=no_subset(Errors([a, delta], [delta])))[0]
    keys = keys_of(edges, vacancy)
    assert len(keys) == 6
    assert 0 in keys


@pytest.mark.parametrize("doubtful", [(), (0,), (1,), (0, 1)])
def test_picks_that_other_samples_do_not_confirm_are_the_other_rule_s(doubtful, layers, errors, rng):
    """Every other sample is a copy of the one before; in the doubtful layers, with the opposite error."""
    for array in (*layers, *errors):
        array[:, 1::2] = array[:, ::2]
    for index in doubtful:
        errors[index][:, 1::2] *= -1
    vacancies = vacancies_for(layers, rng)
    rule = Confirmed(OMP(search="exact"), Cosine(search="exact"))
    signals = {"activations": no_subset(Stream(layers)), "errors": no_subset(Errors(layers, errors))}
    assert rule.needs == ("errors", "activations")
    for index, (vacancy, edges) in enumerate(zip(vacancies, rule(vacancies, rng=rng, **signals), strict=True)):
        if index in doubtful:
            scores = similarity(layers[index], layers[index + 1], True)
        else:
            scores = omp_scores(layers[index][:, ::2], errors[index][:, ::2])
        assert keys_of(edges, vacancy) == best_keys(scores, vacancy, 25)


@pytest.mark.parametrize(("least", "confirmed"), [(0.0, True), (0.49, True), (0.51, False), (1.0, False)])
def test_the_share_that_is_confirmed_decides(least, confirmed, layers, errors, rng):
    """The other samples ask for half of the step."""
    for array in (*layers, *errors):
        array[:, 1::2] = array[:, ::2]
    for delta in errors:
        delta[:, 1::2] /= 2
    (vacancy, _), signals = vacancies_for(layers, rng), {"activations": no_subset(Stream(layers))}
    rule = Confirmed(OMP(search="exact"), Cosine(search="exact"), least)
    (edges,) = rule([vacancy], rng=rng, errors=no_subset(Errors(layers, errors)), **signals)
    by_errors = best_keys(omp_scores(layers[0][:, ::2], errors[0][:, ::2]), vacancy, 25)
    assert (keys_of(edges, vacancy) == by_errors) == confirmed


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        (Confirmed, {"least": 1.5}),
        (Confirmed, {"n_samples": 0}),
        (Confirmed, {"n_samples": True}),
        (Gradient, {"n_samples": 0}),
        (OMP, {"search": "fast"}),
        (OMP, {"width": 0}),
        (GuidedStochastic, {"candidates": 0}),
        (GuidedStochastic, {"candidates": float("inf")}),
        (GuidedStochastic, {"n_samples": -1}),
        (SensitivityGrow, {"n_samples": 1.5}),
        (Mixed, {"share": 1.5}),
        (Mixed, {"share": 10**400}),
        (GuidedStochastic, {"candidates": 10**400}),
        (Gradient, {"n_samples": True}),
    ],
)
def test_bad_values_are_named(rule, bad):
    ((name, value),) = bad.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        rule(**bad)


@pytest.mark.parametrize(
    ("rule", "n_samples"), [(Gradient(), 50), (OMP(), 150), (GuidedStochastic(), 100), (SensitivityGrow(), 100)]
)
def test_peak_memory_between_wide_layers(rule, n_samples, rng):
    """20,000 × 20,000 pairs would take 1.6 GB as float32 and 400 MB as a mask; 20,000 units × 100 samples take 8 MB."""
    n, n_weights = 20_000, 40_000
    a = rng.standard_normal((n, n_samples), dtype=np.float32)
    stream = Errors([a, a], [a[::-1]], batch_size=100)
    pattern = Pattern.sample((n, n), n_weights, rng)
    dropped = np.arange(n_weights) < 8000
    small = Pattern.sample((50, 50), 100, rng)
    compiled = Errors([a[:50], a[:50]], [a[:50]], batch_size=100)
    rule([Vacancy(0, small, np.zeros(100, bool), 5)], rng=rng, errors=no_subset(compiled))
    tracemalloc.start()
    (edges,) = rule([Vacancy(0, pattern, dropped, 8000)], rng=rng, errors=no_subset(stream))
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    print(f"{rule}: {peak:.0f} MB")
    assert edges[0].size == 8000
    assert peak < 100
