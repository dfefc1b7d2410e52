"""Growth by paths of length three as a rule, and soft removal."""

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array, random_array

from truesparse import SparseMLPClassifier, preset
from truesparse.evolution import CHT, Cubic, Given, Magnitude, Sigmoid, SoftMagnitude
from truesparse.evolution.rules import Vacancy
from truesparse.runtime.plugins import resolve
from truesparse.topology import Pattern
from truesparse.training.state import Progress


def vacancy_of(shape, nnz, n_drop, n_grow, rng, within=None):
    pattern = Pattern.sample(shape, nnz, rng)
    dropped = np.zeros(nnz, dtype=bool)
    dropped[rng.choice(nnz, n_drop, replace=False)] = True
    return Vacancy(0, pattern, dropped, n_grow, within)


@pytest.mark.parametrize("rule", [CHT(), CHT("ch2_l3"), CHT("ch2_l3n", soft=True), CHT(regrow=False)])
def test_picks_are_absent_after_pruning(rule, rng):
    vacancy = vacancy_of((20, 30), 150, 40, 40, rng)
    ((rows, columns),) = rule([vacancy], rng=rng)
    keys = rows.astype(np.int64) * 30 + columns
    assert not np.isin(keys, vacancy.pattern.keys).any()
    assert keys.size <= 40
    if rule.regrow:
        assert keys.size == 40
    else:
        assert not np.isin(keys, vacancy.dropped_keys).any()


def test_a_pair_that_was_dropped_can_come_back(rng):
    vacancy = vacancy_of((20, 30), 400, 40, 200, rng)
    ((rows, columns),) = CHT()([vacancy], rng=rng)
    assert np.isin(rows.astype(np.int64) * 30 + columns, vacancy.dropped_keys).any()


def test_without_paths_nothing_is_picked(rng):
    ((rows, _),) = CHT()([Vacancy.empty(0, (5, 6), 10)], rng=rng)
    assert rows.size == 0


def test_short_names():
    assert resolve("grow", "cht") == CHT()
    assert resolve("grow", "chts") == CHT("ch2_l3n", soft=True)
    assert resolve("prune", "soft_magnitude") == SoftMagnitude()
    assert (preset("cht").prune, preset("cht").grow) == (Magnitude(), CHT())
    assert (preset("chts").prune, preset("chts").grow) == (SoftMagnitude(), CHT("ch2_l3n", soft=True))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CHT("ch4"), r"score='ch4' must be one of \['ch3_l3'"),
        (lambda: CHT(["ch3_l3"]), "must be one of"),
        (lambda: CHT(np.array(["ch3_l3"])), "must be one of"),
        (lambda: CHT(soft=1), "soft=1"),
        (lambda: CHT(regrow="no"), "regrow='no'"),
        (lambda: SoftMagnitude(1.0), r"strictness=1.0 must be a number in \[0, 1\)"),
        (lambda: SoftMagnitude(final=-0.1), "final=-0.1"),
        (lambda: SoftMagnitude(relative=2), "relative=2"),
    ],
)
def test_bad_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def share_kept(rule, weight, n_drop, rng, progress=None, n=4000):
    """How often each weight is kept."""
    kept, progress = np.zeros(weight.nnz), progress or Progress()
    for _ in range(n):
        (mask,) = rule([weight], [n_drop], progress=progress, rng=rng)
        assert np.count_nonzero(mask) == n_drop
        kept += ~mask
    return kept / n


@pytest.mark.parametrize("delta", [0.0, 0.5, 0.8])
def test_one_weight_is_kept_with_the_probability_of_the_formula(delta, rng):
    weight = csr_array(np.array([[1.0, -2.0, 0.0], [0.5, 0.0, 3.0]]))
    p = np.abs(weight.data) ** (delta / (1 - delta))
    shares = share_kept(SoftMagnitude(delta, delta), weight, weight.nnz - 1, rng)
    np.testing.assert_allclose(shares, p / p.sum(), atol=0.04)


def test_weights_relative_to_row_and_column(rng):
    dense = np.array([[1.0, -2.0, 0.0], [0.5, 0.0, 3.0]])
    weight, size = csr_array(dense), np.abs(dense)
    relative = (size / size.sum(axis=1, keepdims=True) + size / size.sum(axis=0))[dense != 0]
    shares = share_kept(SoftMagnitude(0.5, 0.5, relative=True), weight, weight.nnz - 1, rng)
    np.testing.assert_allclose(shares, relative / relative.sum(), atol=0.04)


def test_strictness_rises_along_the_plan(rng):
    weight = csr_array(np.arange(1.0, 9.0)[None])
    rule, shares = SoftMagnitude(0.0, 0.99), []
    for step in (0, 50, 100):
        shares.append(share_kept(rule, weight, 4, rng, Progress(step=step, planned_steps=100), n=1000))
    np.testing.assert_allclose(shares[0], 0.5, atol=0.08)
    assert shares[0][-1] < shares[1][-1] <= shares[2][-1]
    np.testing.assert_allclose(shares[2], np.arange(1, 9) > 4, atol=0.01)  # as good as Magnitude


@pytest.mark.parametrize("relative", [False, True])
def test_zeros_go_first_and_no_number_is_too_small(relative, rng):
    weight = csr_array(np.ones((2, 3), dtype=np.float32))
    weight.data[:] = [0, 1e-38, 0, 1, 2, 0]
    for delta in (0.0, 0.5, 0.99):
        (mask,) = SoftMagnitude(delta, delta, relative)([weight], [3], progress=Progress(), rng=rng)
        if delta:
            assert_array_equal(mask, weight.data == 0)
    (mask,) = SoftMagnitude(relative=relative)([weight * 0], [2], progress=Progress(), rng=rng)
    assert mask.sum() == 2


@pytest.mark.parametrize("name", ["cht", "chts"])
def test_digits(name, digits):
    X_train, X_test, y_train, y_test = digits
    for evolution in (name, replace(preset(name), density=Sigmoid(3)), replace(preset(name), density=Cubic(2))):
        model = SparseMLPClassifier((100, 100), epsilon=5, evolution=evolution, max_iter=20, random_state=0)
        assert model.fit(X_train, y_train).score(X_test, y_test) > 0.93


def test_growth_within_a_topology(digits):
    X, _, y, _ = digits
    rng, shapes = np.random.default_rng(0), [(50, 64), (10, 50)]
    within = Given([csr_array(rng.random(shape) < 0.4) for shape in shapes])
    evolution = replace(preset("chts"), within=within)
    grown = []

    class Watch:
        def on_topology_change(self, network, step, rewirings):
            for allowed, rewiring in zip(within.patterns, rewirings, strict=True):
                if rewiring is not None:
                    grown.append(np.isin(rewiring.pattern.keys_at(rewiring.grown), allowed.keys))

    SparseMLPClassifier((50,), epsilon=3, evolution=evolution, max_iter=4, callbacks=[Watch()]).fit(X, y)
    assert np.concatenate(grown).size
    assert np.concatenate(grown).all()


@pytest.mark.parametrize("rule", [CHT(), CHT("ch2_l3n", soft=True)])
def test_memory_is_not_that_of_all_pairs(rule):
    rng = np.random.default_rng(0)
    matrix = csr_array(random_array((4000, 4000), density=0.002, format="csr", rng=rng))
    vacancy = Vacancy(0, Pattern.from_csr(matrix), np.zeros(matrix.nnz, dtype=bool), 3000)
    rule([vacancy], rng=rng)
    tracemalloc.start()
    try:
        rule([vacancy], rng=rng)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60 * matrix.nnz + 40 * 8000 + 16 * 80_000  # 4 MB, where a byte for each pair would be 16
    assert math.prod(matrix.shape) > 3 * peak
