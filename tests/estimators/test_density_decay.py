"""Estimators whose density decays: numbers at every update, resuming, best epochs, memory, files."""

import io
import math
import tracemalloc
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from helpers import assert_same_run
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.datasets import make_classification

import truesparse
from truesparse import Evolution, SparseMLPClassifier, SparseMLPRegressor, preset
from truesparse.callbacks import Checkpoint, EarlyStopping
from truesparse.evolution import (
    PRESETS,
    Constant,
    Cubic,
    Given,
    Random,
    Sigmoid,
    neuron_evolution,
)
from truesparse.evolution.snip import SNIP
from truesparse.inspection import TopologyRecorder
from truesparse.network.layers import DenseLinear
from truesparse.topology.density import erdos_renyi

X, y = make_classification(120, 12, n_informative=6, n_classes=3, random_state=0)
X = X.astype(np.float32)
SHAPES = [(30, 12), (20, 30), (3, 20)]
FINAL = erdos_renyi(SHAPES, 1.5)
SMALL = {
    "hidden_layer_sizes": (30, 20), "epsilon": 1.5, "max_iter": 8, "batch_size": 20, "update_every": 4,
    "random_state": 0, "n_iter_no_change": np.inf,
}  # fmt: skip
TOTAL = 8 * 6


def decaying(method="set", decay=None, **fields):
    evolution = preset(method) or Evolution(schedule=Constant(0.0))
    return replace(evolution, density=decay or Cubic(3, end=0.7), **fields)


class Watch:
    """Notes the number of weights of every layer at each step."""

    def __init__(self):
        self.sizes = []

    def on_step(self, network, step):
        self.sizes.append([layer.nnz for layer in network.layers])
        assert network.params.size == network.gradient.size
        assert network.n_weights == sum(self.sizes[-1])


def counts_at(step, decay, update_every=4, final=FINAL):
    """By the formula: the numbers that the last update before a step has left."""
    first = [min(math.prod(shape), math.floor(decay.start * n + 0.5)) for n, shape in zip(final, SHAPES, strict=True)]
    end = decay.end * TOTAL
    grid = [t for t in range(1, step + 1) if t % update_every == 0 or t == math.ceil(end)]
    to_go = decay.to_go(grid[-1], TOTAL) if grid else 1.0
    return [n + math.floor((most - n) * to_go) for n, most in zip(final, first, strict=True)]


@pytest.mark.parametrize("decay", [Cubic(3, end=0.7), Cubic(1.4, begin=0.25, end=0.52), Sigmoid(2.5, end=1.0)])
@pytest.mark.parametrize("method", PRESETS)
def test_numbers_at_every_step(method, decay):
    watch = Watch()
    settings = SMALL if PRESETS[method] else SMALL | {"update_every": None}
    evolution = decaying(method, decay)
    if PRESETS[method] is None:
        evolution = replace(evolution, schedule=Constant(0.0, update_every=4))
    model = SparseMLPClassifier(**settings, evolution=evolution, callbacks=[watch]).fit(X, y)
    end = min(decay.end * TOTAL, TOTAL - 1)
    expected = [counts_at(step, replace(decay, end=end / TOTAL)) for step in range(TOTAL)]
    assert watch.sizes == expected
    assert [coef.nnz for coef in model.coefs_] == FINAL
    assert model.history_["nnz"] == [watch.sizes[6 * epoch + 5] for epoch in range(8)]
    assert model.weight_steps_ == sum(map(sum, watch.sizes))
    assert f"{model.weight_steps_:,} weights × steps" in model.summary()


def test_compiled_steps_and_single_steps_give_the_same_bytes():
    models = [
        SparseMLPClassifier(**SMALL, evolution=decaying("cte"), callbacks=callbacks, n_jobs=n_jobs).fit(X, y)
        for callbacks, n_jobs in ((None, 1), ([Watch()], 1), (None, 2))
    ]
    for model in models[1:]:
        assert_same_run(model, models[0])


def test_gradual_pruning_grows_nothing():
    evolution = Evolution(schedule=Constant(0.0), density=Cubic(2))
    recorder = TopologyRecorder()
    model = SparseMLPClassifier(**SMALL, evolution=evolution, callbacks=[recorder]).fit(X, y)
    assert not np.any(model.history_["edges_replaced"])
    assert recorder.n_explored == [counts_at(0, Cubic(2))[layer] for layer in range(3)]
    assert len(recorder.updates) > 3


def test_a_start_with_all_pairs_falls_too_and_is_explored():
    evolution, recorder, watch = decaying("set", Cubic(100)), TopologyRecorder(), Watch()
    model = SparseMLPClassifier((80, 70), epsilon=1, evolution=evolution, callbacks=[recorder, watch], max_iter=8,
                                random_state=0, update_every=4).fit(X, y)  # fmt: skip
    assert watch.sizes[0] == [80 * 12, 70 * 80, 3 * 70]
    assert not any(isinstance(layer, DenseLinear) for layer in model._network.layers)
    assert [coef.nnz for coef in model.coefs_] == erdos_renyi([(80, 12), (70, 80), (3, 70)], 1)
    assert recorder.exploration_rate == 1
    model.set_params(warm_start=True).fit(X, y)
    assert recorder.exploration_rate == 1


def test_a_layer_that_stays_full_stays_on_blas():
    wide = np.random.default_rng(0).standard_normal((len(y), 1000))
    model = SparseMLPClassifier((80, 70), epsilon=39, evolution=decaying(), max_iter=2, random_state=0).fit(wide, y)
    assert [layer.in_kernels for layer in model._network.layers] == [True, False, True]
    assert [coef.nnz for coef in model.coefs_] == [39 * 1080, 80 * 70, 3 * 70]


@pytest.mark.parametrize("topology", ["balanced", "erdos_renyi", "snip", SNIP(), Random()])
def test_first_topologies(topology):
    watch = Watch()
    SparseMLPClassifier(**SMALL, evolution=decaying(), topology_init=topology, callbacks=[watch]).fit(X, y)
    assert watch.sizes[0] == counts_at(0, Cubic(3))
    assert watch.sizes[-1] == FINAL


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"topology_init": "full", "epsilon": None}, "nothing to lower"),
        ({"epsilon": 1000}, "nothing to lower"),
        ({"topology_init": SNIP(per_layer=False)}, r"topology_init=SNIP\(.*made layers of .* begins with"),
        (
            {"topology_init": Given([csr_array(np.tri(*shape)) for shape in SHAPES]), "epsilon": None},
            r"topology_init=Given\(.*made layers of .* begins with",
        ),
    ],
)
def test_first_topologies_that_cannot_have_more_weights_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        SparseMLPClassifier(**SMALL | parameters, evolution=decaying()).fit(X, y)


def test_a_start_that_does_not_fit_into_memory_is_refused(monkeypatch):
    from truesparse.training import checks

    monkeypatch.setattr(checks, "available_bytes", lambda: 9_000)
    with pytest.raises(ValueError, match=r"start=3.* begins with \d+ weights, which need at least"):
        SparseMLPClassifier(**SMALL, evolution=decaying()).fit(X, y)


def test_growth_within_a_topology():
    rng = np.random.default_rng(0)
    within = Given([csr_array(rng.random(shape) < 0.5) for shape in SHAPES])
    watch = Watch()
    model = SparseMLPClassifier(**SMALL, evolution=decaying(within=within), callbacks=[watch]).fit(X, y)
    most = [pattern.nnz for pattern in within.patterns]
    assert watch.sizes[0] == [max(n, min(3 * n, limit)) for n, limit in zip(FINAL, most, strict=True)]
    assert [coef.nnz for coef in model.coefs_] == FINAL


def test_inputs_are_removed_while_the_density_falls():
    evolution = replace(neuron_evolution(4), density=Cubic(2))
    model = SparseMLPClassifier(**SMALL | {"max_iter": 30, "update_every": None}, evolution=evolution).fit(X, y)
    assert [coef.nnz for coef in model.coefs_] == FINAL
    assert np.count_nonzero(model.feature_importances_) <= 6


class PowerCut(BaseException):
    """No error that somebody might handle."""


@dataclass
class CutAfter:
    """Ends a training after so many epochs."""

    epoch: int

    def on_epoch_end(self, network, record):
        if record.epoch == self.epoch:
            raise PowerCut


@pytest.mark.parametrize("options", [
    {}, {"evolution": decaying("cte", Sigmoid(2)), "solver": "sgd"}, {"early_stopping": True},
    {"evolution": decaying("rigl", Cubic(50)), "hidden_layer_sizes": (70, 66)},
    {"evolution": decaying("static"), "activation": "srelu", "dtype": "float64"},
])  # fmt: skip
@pytest.mark.parametrize("epoch", [1, 3, 7])
def test_a_resumed_fit_ends_with_the_same_bytes(options, epoch, tmp_path):
    path, parameters = tmp_path / "checkpoint.npz", SMALL | {"evolution": decaying()} | options
    whole = SparseMLPClassifier(**parameters).fit(X, y)
    with pytest.raises(PowerCut):
        SparseMLPClassifier(**parameters, callbacks=[Checkpoint(path), CutAfter(epoch)]).fit(X, y)
    resumed = SparseMLPClassifier(**parameters).fit(X, y, resume_from=path)
    assert_same_run(resumed, whole)
    with pytest.raises(ValueError, match="is a checkpoint of a fit with evolution="):
        SparseMLPClassifier(**parameters | {"evolution": decaying("set", Cubic(9))}).fit(X, y, resume_from=path)


def test_only_epochs_with_the_final_number_count_as_best():
    model = SparseMLPClassifier(
        **SMALL | {"max_iter": 12, "learning_rate_init": 0.05, "n_iter_no_change": 2},
        evolution=decaying("set", Cubic(6, end=0.75)), early_stopping=True, scoring="loss",
    ).fit(X, y)  # fmt: skip
    reached = next(i for i, sizes in enumerate(model.history_["nnz"], start=1) if sizes == FINAL)
    assert model.n_iter_ >= reached  # patience does not run out before
    assert model.best_epoch_ >= reached
    losses = model.history_["validation_loss"]
    assert model.best_epoch_ == reached + int(np.argmin(losses[reached - 1 :]))
    assert [coef.nnz for coef in model.coefs_] == FINAL


def test_a_callback_that_ends_the_fall_is_told():
    with pytest.warns(UserWarning, match=r"ended with \d+ weights, before their number fell to the"):
        SparseMLPClassifier(
            **SMALL, evolution=decaying(), callbacks=[EarlyStopping("train_loss", patience=1, min_delta=10)]
        ).fit(X, y)


def test_a_warm_start_keeps_the_number_and_goes_on_with_an_interrupted_fall():
    stop = EarlyStopping("train_loss", patience=1, min_delta=10)
    with pytest.warns(UserWarning, match="before their number fell"):
        model = SparseMLPClassifier(**SMALL, evolution=decaying(), callbacks=[stop], warm_start=True).fit(X, y)
    between = [coef.nnz for coef in model.coefs_]
    assert FINAL != between != counts_at(0, Cubic(3))
    model.set_params(callbacks=None).fit(X, y)
    assert [coef.nnz for coef in model.coefs_] == FINAL
    assert max(model.history_["nnz"][2]) <= max(between)
    steps = model.weight_steps_
    model.fit(X, y)
    assert model.history_["nnz"][-8:] == [FINAL] * 8
    assert model.weight_steps_ == steps + TOTAL * sum(FINAL)


def test_partial_fit_plans_over_calls():
    model = SparseMLPClassifier(**SMALL, evolution=decaying())
    for _ in range(8):
        model.partial_fit(X, y, classes=[0, 1, 2])
    sizes = [sum(nnz) for nnz in model.history_["nnz"]]
    assert sizes == sorted(sizes, reverse=True)
    assert model.history_["nnz"][-1] == FINAL
    model.partial_fit(X, y)
    assert model.history_["nnz"][-1] == FINAL


def test_files_hold_the_decay_and_the_weight_steps():
    model = SparseMLPRegressor(**SMALL, evolution=decaying("cte", Sigmoid(2, steepness=8.0))).fit(X, y)
    file = io.BytesIO()
    truesparse.save(model, file)
    file.seek(0)
    loaded = truesparse.load(file)
    assert loaded.evolution == model.evolution
    assert loaded.weight_steps_ == model.weight_steps_
    assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.set_params(warm_start=True).fit(X, y).history_["nnz"] == [
        *model.history_["nnz"],
        *model.history_["nnz"][-1:] * 8,
    ]


def test_a_fit_of_unknown_length_falls_too():
    model = SparseMLPClassifier((20,), epsilon=2, evolution=decaying(), random_state=0).fit(X, y)
    assert [coef.nnz for coef in model.coefs_] == erdos_renyi([(20, 12), (3, 20)], 2)


@pytest.mark.parametrize("n_samples", [3, 30])
def test_even_the_shortest_training_ends_with_the_final_number(n_samples):
    for max_iter in (1, 2):
        model = SparseMLPClassifier((30, 20), epsilon=1.5, evolution=decaying("static"), max_iter=max_iter)
        model.fit(X[:n_samples], np.arange(n_samples) % 3)
        assert [coef.nnz for coef in model.coefs_] == FINAL


@dataclass(frozen=True)
class AsksForNothing:
    """A rule that must not be asked."""

    needs: ClassVar = ()

    def __call__(self, vacancies, *, rng):
        raise AssertionError


def test_a_grow_rule_is_not_asked_for_nothing():
    evolution = Evolution(grow=AsksForNothing(), schedule=Constant(0.0), density=Cubic(3))
    model = SparseMLPClassifier(**SMALL, evolution=evolution).fit(X, y)
    assert [coef.nnz for coef in model.coefs_] == FINAL


def test_memory_is_that_of_the_start():
    """An update needs no more than one that leaves the first number of weights as it is."""
    wide, classes = np.random.default_rng(0).standard_normal((200, 1000), dtype=np.float32), np.arange(200) % 10

    def peak(density, **settings):
        evolution = Evolution(preset("set").prune, Random(), Constant(0.3, update_every=3), density=density)
        model = SparseMLPClassifier((1000, 1000), evolution=evolution, max_iter=2, random_state=0, **settings)
        tracemalloc.start()
        try:
            model.fit(wide, classes)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(None, epsilon=40)
    constant, falling = peak(None, epsilon=200), peak(Cubic(2), epsilon=100)
    print(f"{constant:,} {falling:,}")
    assert falling < 1.05 * constant
