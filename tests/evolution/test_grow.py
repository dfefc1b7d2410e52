from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import random_csr
from numpy.testing import assert_array_equal
from streams import Stream, best_keys, keys_of, no_subset, similarity, vacancies_for, with_dropped

from truesparse.evolution import AfterStall, Cosine, Random, search
from truesparse.evolution.rules import Vacancy
from truesparse.topology import Pattern


@pytest.fixture
def layers(rng):
    """Activations of three layers of units with a common cause, shifted, and one constant unit in each."""
    cause = rng.standard_normal((5, 700))
    layers = [np.maximum(rng.standard_normal((n, 5)) @ cause + 0.5, 0) + 1 for n in (30, 40, 20)]
    for layer in layers:
        layer[3] = 2.5
    return [layer.astype(np.float32) for layer in layers]


@pytest.mark.parametrize("centred", [True, False])
def test_exact_search_finds_the_most_similar_absent_pairs(layers, centred, rng):
    vacancies = vacancies_for(layers, rng)
    rule = Cosine(centred=centred, search="exact", n_samples=None)
    edges = rule(vacancies, rng=rng, activations=no_subset(Stream(layers)))
    for vacancy, found in zip(vacancies, edges, strict=True):
        scores = similarity(layers[vacancy.layer], layers[vacancy.layer + 1], centred)
        assert keys_of(found, vacancy) == best_keys(scores, vacancy, 25)


@pytest.mark.parametrize("search", ["auto", "sketch", "cells"])
@pytest.mark.parametrize("centred", [True, False])
def test_sketched_search_with_enough_candidates_is_exact(layers, centred, search, rng):
    """The second stage scores exactly: if all pairs are candidates, the sketch decides nothing."""
    vacancies = vacancies_for(layers, rng)
    rule = Cosine(centred=centred, width=64, candidates=100, n_samples=None, search=search)
    edges = rule(vacancies, rng=rng, activations=no_subset(Stream(layers)))
    for vacancy, found in zip(vacancies, edges, strict=True):
        scores = similarity(layers[vacancy.layer], layers[vacancy.layer + 1], centred)
        assert keys_of(found, vacancy) == best_keys(scores, vacancy, 25)


@pytest.mark.parametrize("search", ["sketch", "cells"])
def test_sketched_search_finds_strong_pairs_among_noise(search, rng):
    """Twenty inputs cause twenty outputs; 200 × 300 pairs, recall of the planted ones."""
    a = rng.standard_normal((300, 2000)).astype(np.float32)
    z = rng.standard_normal((200, 2000)).astype(np.float32)
    z[:20] = a[:20] * -3 + 0.5 * rng.standard_normal((20, 2000)) + 7
    vacancy = Vacancy(0, Pattern.sample((200, 300), 0, rng), np.array([], dtype=bool), 20)
    rule = Cosine(n_samples=None, search=search)
    rows, columns = rule([vacancy], rng=rng, activations=no_subset(Stream([a, z])))[0]
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {(i, i) for i in range(20)}


def test_constant_units_are_never_grown_when_centred(layers, rng):
    vacancies = vacancies_for(layers, rng, n_grow=600)
    for name in ("sketch", "cells", "exact"):
        rule = Cosine(search=name, n_samples=None)
        edges = rule(vacancies, rng=rng, activations=no_subset(Stream(layers)))
        for rows, columns in edges:
            assert 3 not in rows
            assert 3 not in columns


def test_large_means_do_not_cancel_the_digits(rng):
    """Features such as years: the mean is a thousand times the deviation, in float32."""
    signal = rng.standard_normal(1000)
    a = (2000 + rng.standard_normal((50, 1000))).astype(np.float32)
    a[7] = 2000 + signal
    z = (signal + 0.1 * rng.standard_normal((1, 1000))).astype(np.float32)
    vacancy = Vacancy(0, Pattern.sample((1, 50), 0, rng), np.array([], dtype=bool), 1)
    _, columns = Cosine(n_samples=None, candidates=50)([vacancy], rng=rng, activations=no_subset(Stream([a, z])))[0]
    assert columns.tolist() == [7]


@pytest.mark.parametrize("search", ["sketch", "cells", "exact"])
def test_without_regrow_pairs_just_dropped_are_left_out(layers, search, rng):
    vacancies = vacancies_for(layers, rng)
    call = partial(Cosine(search=search, candidates=100, n_samples=None), activations=no_subset(Stream(layers)))
    picked = [keys_of(edges, v) for edges, v in zip(call(vacancies, rng=rng), vacancies, strict=True)]
    dropped = [np.array(sorted(keys)[:10]) for keys in picked]
    vacancies = [with_dropped(v, keys) for v, keys in zip(vacancies, dropped, strict=True)]
    assert [keys_of(e, v) for e, v in zip(call(vacancies, rng=rng), vacancies, strict=True)] == picked
    sim = Cosine(search=search, candidates=100, n_samples=None, regrow=False)
    edges = sim(vacancies, rng=rng, activations=no_subset(Stream(layers)))
    for found, vacancy, keys, before in zip(edges, vacancies, dropped, picked, strict=True):
        assert keys_of(found, vacancy) == before - set(keys.tolist())  # fewer: evolve fills up at random


def test_cells_grow_nearly_the_pairs_that_all_sketches_grow(rng):
    """1500 × 1200 units that mix two of sixty causes."""
    cause = rng.standard_normal((60, 400))
    layers = []
    for n in (1200, 1500):
        units = cause[rng.integers(60, size=n)] + 0.3 * cause[rng.integers(60, size=n)]
        layers.append(np.maximum(units, 0).astype(np.float32))
    vacancies = [Vacancy(0, Pattern.sample((1500, 1200), 5000, rng), np.zeros(5000, dtype=bool), 3000)]
    found = {}
    for name in ("sketch", "cells"):
        rule = Cosine(search=name, n_samples=None, width=32)
        edges = rule(vacancies, rng=np.random.default_rng(1), activations=no_subset(Stream(layers)))
        found[name] = keys_of(edges[0], vacancies[0])
    assert len(found["cells"]) == 3000
    assert len(found["cells"] & found["sketch"]) > 0.95 * 3000


def test_auto_goes_by_the_shape_of_the_layer(layers, rng, monkeypatch):
    narrow = [(1000, 1000), (20_000, 20_000), (784, 1_000_000), (10, 10**9)]
    wide = [(20_001, 20_000), (100_000, 100_000), (5000, 200_000)]
    assert [search.uses_cells("auto", shape) for shape in narrow + wide] == [False] * len(narrow) + [True] * len(wide)
    assert search.uses_cells("cells", (10, 10))
    for name in ("sketch", "exact"):
        assert not search.uses_cells(name, (10**6, 10**6))
    monkeypatch.setattr(search, "_WIDE_PAIRS", 1000)  # 40 × 30 is wide, 20 × 40 is not
    monkeypatch.setattr(search, "_WIDE_SIDE", 1)
    searched = []

    def noting(name, find):
        def call(rows, columns, *arguments, **options):
            searched.append((name, (len(rows), len(columns))))
            return find(rows, columns, *arguments, **options)

        return call

    for name in ("top_absent_pairs", "top_absent_pairs_in_cells"):
        monkeypatch.setattr(search, name, noting(name, getattr(search, name)))
    Cosine()(vacancies_for(layers, rng), rng=rng, activations=no_subset(Stream(layers)))
    assert searched == [("top_absent_pairs_in_cells", (40, 30)), ("top_absent_pairs", (20, 40))]


def test_samples_are_asked_for(layers, rng):
    asked = []

    def activations(n_samples):
        asked.append(n_samples)
        return Stream(layers)

    Cosine(n_samples=123)(vacancies_for(layers, rng), rng=rng, activations=activations)
    assert asked == [123]


def test_random_picks_absent_pairs(rng):
    pattern = Pattern.from_csr(random_csr((6, 5), 0.5, rng))
    vacancy = Vacancy(0, pattern, np.zeros(pattern.nnz, dtype=bool), 7)
    rows, columns = Random()([vacancy], rng=rng)[0]
    assert rows.size == 7
    assert not np.isin(rows * 5 + columns, pattern.keys).any()


def test_after_stall_changes_the_rule_for_good():
    def rule(name, *needs):
        def call(vacancies, *, rng, **signals):
            assert tuple(signals) == needs
            return name

        call.needs = needs
        return call

    both = AfterStall(first=rule("first", "activations"), then=rule("then"), patience=40)
    assert both.needs == ("progress", "activations")
    for stall, expected in ((0, "first"), (39, "first"), (40, "then"), (90, "then")):
        progress = SimpleNamespace(longest_stall=stall, stall=0)
        assert both([], rng=None, progress=progress, activations=None) == expected


@pytest.mark.parametrize(
    "bad", [{"search": "fast"}, {"n_samples": 0}, {"width": 0}, {"candidates": -1}, {"width": 1.5}, {"n_samples": True}]
)
def test_bad_values_are_named(bad):
    ((name, value),) = bad.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        Cosine(**bad)
    for patience in (0, True):
        with pytest.raises(ValueError, match=f"patience={patience}"):
            AfterStall(patience=patience)


def test_signature_of_ones_matches_a_unit_that_is_one(rng):
    """Centring subtracts mean · signature(1): a shifted copy must have the same direction as the original."""
    a = rng.standard_normal((1, 300))
    units = search.observe(Stream([np.concatenate([a, a + 5])]), {0}, 32, rng)[0]
    units.prepare(search.Vectors(centred=True, normalised=True))
    np.testing.assert_allclose(*units.signature, atol=1e-10)
    assert_array_equal(units.shift(search.Vectors(normalised=True)), [0, 0])
