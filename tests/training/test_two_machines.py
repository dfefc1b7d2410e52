"""Two threads as two machines: each holds half of the samples, and together they train the network of all of them."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from truesparse.data import Shard, array_source
from truesparse.evolution import (
    MEST,
    SNIP,
    AfterStall,
    Confirmed,
    Constant,
    Cosine,
    Cubic,
    Evolution,
    Mixed,
    Random,
    preset,
)
from truesparse.network.activations import AllReLU
from truesparse.network.losses import SoftmaxCrossEntropy
from truesparse.runtime.threads import threads
from truesparse.training import SGD, Recipe, Trainer, new_network

N, SEED, SECONDS = 330, 7, 60
EVERY_TWO_STEPS = Constant(drop_fraction=0.2, update_every=2, end_step=41)


def data(kind=np.asarray):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, 12)) * (rng.random((N, 12)) < 0.7)
    return kind(X), (X[:, 0] > 0).astype(int) + (X[:, 1] * X[:, 2] > 0)


def recipe_for(evolution, **changes):
    """Twenty updates in 44 steps of 32 samples; the last of every epoch has fewer."""
    evolution = replace(evolution, schedule=EVERY_TWO_STEPS)
    settings = {
        "hidden_layer_sizes": (40, 30), "epsilon": 2, "activation": AllReLU(0.25), "dtype": "float64",
        "learning_rate": 0.01, "batch_size": 32, "n_epochs": 4, "patience": np.inf, "evolution": evolution,
    }  # fmt: skip
    return Recipe(SoftmaxCrossEntropy(), **{**settings, **changes})


class Sum:
    """Adds the arrays of several threads up, always in the same order; each call waits for all."""

    def __init__(self, n):
        self.parts, self.calls, self.barrier = [None] * n, 0, threading.Barrier(n, timeout=SECONDS)

    def of(self, place):
        def reduce(array):
            self.parts[place] = np.array(array)
            self.barrier.wait()
            assert len({(part.shape, part.dtype) for part in self.parts}) == 1
            total = sum(self.parts[1:], start=self.parts[0])
            self.calls += place == 0
            self.barrier.wait()  # nobody overwrites a part before all have read it
            return total

        return reduce


def trained(recipe, source):
    """The trainer, and all topologies that its network had."""
    topologies = []

    class Watch:
        def on_topology_change(self, network, step, rewirings):
            topologies.append([layer.pattern.keys for layer in network.layers])

    with threads(1):
        network = new_network(recipe, source, 3, seed=SEED)
        topologies.append([layer.pattern.keys for layer in network.layers])
        trainer = Trainer(network, recipe, source, seed=SEED, callbacks=[Watch()])
        trainer.train()
    return trainer, topologies


def trained_by_several(recipe, X, y, sizes):
    """The same of every machine, each a thread with as many samples as `sizes` says."""
    n, ends = len(sizes), np.cumsum(sizes)
    total, results, errors = Sum(n), [None] * n, []

    def work(place):
        try:
            held, first = array_source(X[ends[place] - sizes[place] : ends[place]]), ends[place] - sizes[place]
            shard = Shard(held, first=first, n_samples=N, target=y, reduce=total.of(place))
            results[place] = trained(recipe, shard)
        except BaseException as error:
            errors.append(error)
            total.barrier.abort()

    workers = [threading.Thread(target=work, args=(place,), daemon=True) for place in range(n)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=2 * SECONDS)
        assert not worker.is_alive()
    errors = [error for error in errors if not isinstance(error, threading.BrokenBarrierError)] or errors
    if errors:
        raise errors[0]
    assert total.calls > 0
    return results


def check(recipe, X, y, sizes=(165, 165)):
    alone, expected = trained(recipe, Shard(array_source(X), first=0, n_samples=N, target=y))
    assert len(expected) == 1 + 20
    changed = [np.setdiff1d(new, old).size for new, old in zip(expected[-1], expected[0], strict=True)]
    assert min(changed[:2]) > 0
    machines = trained_by_several(recipe, X, y, sizes)
    for trainer, topologies in machines:
        assert len(topologies) == len(expected)
        for step, (found, wanted) in enumerate(zip(topologies, expected, strict=True)):
            for layer, (keys, keys_of_all) in enumerate(zip(found, wanted, strict=True)):
                assert_array_equal(keys, keys_of_all, err_msg=f"update {step}, layer {layer}")
        assert trainer.network.params.tobytes() == machines[0][0].network.params.tobytes()
        assert_allclose(trainer.network.params, alone.network.params, rtol=0, atol=1e-9)
        for record, record_of_all in zip(trainer.state.history, alone.state.history, strict=True):
            assert_allclose(record.train_loss, record_of_all.train_loss, rtol=1e-9)
            assert record.edges_replaced == record_of_all.edges_replaced
    return machines


METHODS = {
    name: preset(name)
    for name in ("cte", "ctre_sim", "omp", "rigl", "set", "gse", "sensitivity", "path_weight", "cht", "chts")
} | {
    # Sketches of the samples, of which there are more than numbers in a sketch; and all samples side by side.
    "cte_sketch": Evolution(grow=Cosine(n_samples=None, search="sketch", width=64)),
    "cte_exact": Evolution(grow=Cosine(n_samples=None, search="exact")),
    "omp_sketch": replace(preset("omp"), grow=replace(preset("omp").grow, n_samples=200, width=64)),
    "omp_exact": replace(preset("omp"), grow=replace(preset("omp").grow, n_samples=100, search="exact")),
    "cte_cells": Evolution(grow=Cosine(n_samples=200, search="cells", width=64)),
    "ctre_seq": Evolution(grow=AfterStall(first=Cosine(), then=Random(), patience=1)),
    "confirmed": Evolution(grow=Confirmed(n_samples=200)),
    "mixed": Evolution(grow=Mixed(Cosine(), preset("gse").grow)),
    "falling": replace(preset("omp"), density=Cubic(2, end=40)),
    "mest": Evolution(prune=MEST(n_samples=200), grow=Random()),
}  # fmt: skip


@pytest.mark.parametrize("method", ["cte", "cte_sketch", "omp", "rigl", "sensitivity", "confirmed"])
def test_features_that_occur_on_one_machine_only(method):
    X, y = data()
    wide = np.zeros((N, 60))
    wide[:, ::5] = X
    wide[165:, 5] = wide[:165, 10] = 0
    check(recipe_for(METHODS[method]), csr_array(wide), y)


@pytest.mark.parametrize("method", METHODS)
def test_two_machines_grow_the_topology_of_one(method):
    recipe = recipe_for(METHODS[method])
    if method == "ctre_seq":  # it stalls, so that both rules are used
        recipe = replace(recipe, tol=0.2)
    machines = check(recipe, *data())
    if method == "ctre_seq":
        assert machines[0][0].state.progress.longest_stall >= 1


@pytest.mark.parametrize("method", ["cte", "omp", "rigl"])
def test_sparse_features(method):
    check(recipe_for(METHODS[method]), *data(csr_array))


@pytest.mark.parametrize(
    "first", [SNIP(), SNIP(n_samples=100, centred=True, connected=True), SNIP(per_layer=False), SNIP(n_samples=None)]
)
@pytest.mark.parametrize("kind", [np.asarray, csr_array])
def test_snip_as_the_first_topology(first, kind):
    check(recipe_for(preset("cte"), topology=first), *data(kind))


@pytest.mark.parametrize("sizes", [(3, 327), (160, 170), (100, 130, 100), (165, 0, 165)])
@pytest.mark.parametrize("method", ["cte_sketch", "omp_exact", "sensitivity"])
def test_however_the_samples_are_shared(sizes, method):
    """Also if one machine has only three samples, so none of most batches, or none at all."""
    check(recipe_for(METHODS[method], topology=SNIP()), *data(), sizes)


@pytest.mark.parametrize("sizes", [(165, 165), (3, 327), (101, 129, 100)])
def test_dropout_silences_the_same_units(sizes):
    """Wherever in a batch the samples of a machine are."""
    check(recipe_for(METHODS["cte"], dropout=0.3), *data(), sizes)


def test_other_optimisers_and_schedules():
    recipe = recipe_for(preset("cte"), optimizer=SGD(), learning_rate=0.05, alpha=1e-2)
    check(recipe, *data())


def test_the_sum_is_what_makes_them_agree():
    """Without it, each machine would follow its own half."""
    X, y = data()
    recipe = recipe_for(preset("cte"))
    _, expected = trained(recipe, Shard(array_source(X), first=0, n_samples=N, target=y))
    _, alone = trained(recipe, Shard(array_source(X[:165]), first=0, n_samples=N, target=y, reduce=np.copy))
    assert not np.array_equal(expected[-1][0], alone[-1][0])
