import math
import re
import warnings
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pytest
from helpers import loss_and_gradient, make
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from truesparse import SparseMLPClassifier
from truesparse.data.source import ArraySource, array_source
from truesparse.evolution import Constant as EveryStep
from truesparse.evolution import Evolution, Random, preset
from truesparse.network.initial_weights import Dense, FanIn
from truesparse.network.losses import SoftmaxCrossEntropy, SquaredError
from truesparse.runtime.random_streams import Draws
from truesparse.training.lr_schedules import Constant, Cosine
from truesparse.training.optimizers import SGD, Adam
from truesparse.training.recipe import Recipe
from truesparse.training.state import Progress, Start, TrainingState
from truesparse.training.trainer import Trainer
from truesparse.training.validation import Validation


def trainer_for(network, source, *, state=None, validation=None, callbacks=(), **changes):
    settings = {
        "loss": SoftmaxCrossEntropy(), "optimizer": Adam(), "learning_rate": 0.01, "lr_schedule": Constant(),
        "alpha": 0.0, "initializer": FanIn(), "batch_size": 16, "dropout": network.dropout, "n_epochs": 1,
        "patience": math.inf, "tol": 0.0,
    }  # fmt: skip
    recipe = Recipe(**{**settings, **changes})
    return Trainer(network, recipe, source, seed=3, state=state, validation=validation, callbacks=callbacks)


@pytest.fixture
def data(rng):
    X = rng.standard_normal((50, 6))
    return ArraySource(X, (X[:, 0] > 0).astype(int) + (X[:, 1] > 0))


def test_learns(data, rng):
    network = make(rng, sizes=(6, 50, 50, 3))
    trainer = trainer_for(network, data, n_epochs=100)
    trainer.train()
    losses = [record.train_loss for record in trainer.state.history]
    assert losses[-1] < 0.1 < losses[0]


def test_an_epoch_is_forward_loss_backward_step_on_each_batch(data, rng):
    """The loop once more, by hand and without shuffling."""
    network, twin = make(np.random.default_rng(1)), make(np.random.default_rng(1))
    trainer = trainer_for(network, data, shuffle=False, lr_schedule=Cosine())
    trainer.train()
    optimizer, state, losses = Adam(), Adam().init(twin.params), []
    X, y = data.X, data.target
    for step, start in enumerate(range(0, 50, 16)):
        batch = slice(start, min(start + 16, 50))
        loss, _ = loss_and_gradient(twin, SoftmaxCrossEntropy(), np.ascontiguousarray(X[batch].T), y[batch])
        losses.append(loss * (batch.stop - batch.start))
        optimizer.step(
            twin.params, twin.gradient, state, learning_rate=0.01 * Cosine().factor(step, 4), alpha=0.0,
            n_weights=twin.n_weights, n_steps=step + 1,
        )  # fmt: skip
    assert_allclose(network.params, twin.params, rtol=1e-12, atol=1e-14)
    assert_allclose(trainer.state.history[0].train_loss, sum(losses) / 50)


@dataclass(frozen=True)
class Recorder:
    """Grows at random, and notes what it saw."""

    seen: list = field(default_factory=list)
    needs: ClassVar = ("activations", "progress")

    def __call__(self, vacancies, *, rng, activations, progress):
        stream = activations(20)
        self.seen.append((progress.step, [a.shape for batch in stream for a in batch][:2], stream.n_samples))
        return Random()(vacancies, rng=rng)


def test_topology_changes_before_the_step_that_follows_the_schedule(data, rng):
    rule = Recorder()
    evolution = Evolution(grow=rule, schedule=EveryStep(drop_fraction=0.5, update_every="epoch"))
    trainer = trainer_for(make(rng), data, evolution=evolution, n_epochs=4)
    trainer.train()
    assert [step for step, _, _ in rule.seen] == [4, 8, 12]  # four steps an epoch; nothing after the last
    assert rule.seen[0][1:] == ([(6, 20), (9, 20)], 20)
    replaced = np.array([record.edges_replaced for record in trainer.state.history])
    assert not replaced[0].any()
    assert (replaced[1:, :2] > 0).all()
    assert not replaced[:, 2].any()  # the full layer
    assert all(record.nnz == trainer.state.history[0].nnz for record in trainer.state.history)


@pytest.mark.parametrize(
    ("grow_init", "bounds"),
    [("zeros", lambda p: 0 * FanIn().bounds(p)), (1.0, FanIn().bounds), (0.5, lambda p: 0.5 * FanIn().bounds(p)),
     (Dense(), Dense().bounds)],
)  # fmt: skip
def test_values_and_moments_of_grown_weights(grow_init, bounds, data, rng):
    network = make(rng, sizes=(30, 60, 60, 3), density=0.1)
    X = rng.standard_normal((16, 30))
    before = {}

    def grow(vacancies, *, rng):
        before["patterns"] = [layer.pattern for layer in network.layers]
        before["params"] = network.params.copy()
        return Random()(vacancies, rng=rng)

    grow.needs = ()
    evolution = Evolution(grow=grow, grow_init=grow_init, schedule=EveryStep(drop_fraction=0.3, update_every=1))
    trainer = trainer_for(network, ArraySource(X, np.zeros(16, dtype=int)), evolution=evolution)
    trainer.train()
    trainer.state.progress.planned_steps = 3
    trainer._evolve()
    for layer, old, slots in zip(network.layers[:2], before["patterns"], network.weight_slices(), strict=False):
        grown = ~np.isin(layer.pattern.keys, old.keys)
        assert grown.sum() > 20
        limit = bounds(layer.pattern)[layer.pattern.rows[grown]]
        assert np.all(np.abs(layer.data[grown]) <= limit)
        if grow_init != "zeros":
            assert np.max(np.abs(layer.data[grown]) / limit) > 0.9
        for moment in trainer.state.optimizer_state.values():
            assert not moment[slots][grown].any()
            assert moment[slots][~grown].any()
        kept = np.isin(old.keys, layer.pattern.keys)
        assert_array_equal(layer.data[~grown], before["params"][slots][kept])


def test_best_validation_epoch_is_restored(data, rng):
    scores = iter([0.1, 0.5, 0.3, 0.5, 0.2])
    network = make(rng)
    snapshots, moments = [], []
    evolution = replace(preset("set"), schedule=EveryStep(drop_fraction=0.3, update_every=1))

    def score(predictions, target):
        snapshots.append((network.params.copy(), network.layers[0].pattern.keys))
        moments.append((trainer.state.optimizer_state["mean"].copy(), trainer.state.optimizer_steps))
        return next(scores)

    trainer = trainer_for(network, data, evolution=evolution, n_epochs=5, validation=Validation(data, score))
    trainer.train()
    assert_array_equal(network.params, snapshots[1][0])  # the first of the two best
    assert_array_equal(network.layers[0].pattern.keys, snapshots[1][1])
    assert_array_equal(trainer.state.optimizer_state["mean"], moments[1][0])  # in the order of that pattern
    assert trainer.state.optimizer_steps == moments[1][1] == 8
    assert [record.validation_score for record in trainer.state.history] == [0.1, 0.5, 0.3, 0.5, 0.2]
    assert np.isfinite([record.validation_loss for record in trainer.state.history]).all()


def test_stops_when_validation_has_stalled(data, rng):
    scores = iter([0.1, 0.5, 0.5005, 0.5, 0.4, 0.9])
    validation = Validation(data, lambda p, t: next(scores))
    trainer = trainer_for(make(rng), data, n_epochs=6, validation=validation, patience=3, tol=1e-3)
    trainer.train()
    assert len(trainer.state.history) == 5
    assert trainer.state.progress.longest_stall == 3


def test_training_loss_stops_training_only_once_the_topology_rests(data, rng):
    """A learning rate of nothing: no epoch improves, but connections are replaced until the fifth."""
    schedule = EveryStep(drop_fraction=0.3, update_every="epoch", end_step=20)
    for evolution, n_epochs in ((None, 4), (replace(preset("set"), schedule=schedule), 8)):
        trainer = trainer_for(
            make(rng), data, learning_rate=1e-30, evolution=evolution, n_epochs=30, patience=3, tol=10.0
        )
        trainer.train()
        assert len(trainer.state.history) == n_epochs


def test_progress_counts_stalls():
    progress = Progress()
    for value in (1, 2, 2, 1, 3, 3, 3, 3):
        progress.observe(value, tol=0.5)
    assert (progress.best, progress.stall, progress.longest_stall) == (3, 3, 3)


@pytest.mark.parametrize("evolution", [None, preset("set"), preset("cte")])
def test_calls_that_go_on_equal_one(evolution, data):
    results = []
    for starts in ([Start.NEW], [Start.PART] * 6):
        network = make(np.random.default_rng(1), dropout=0.2)
        changed = evolution and replace(evolution, schedule=replace(evolution.schedule, update_every=3))
        trainer = trainer_for(network, data, evolution=changed, n_epochs=6)
        for start in starts:
            trainer.train(start)
        assert trainer.state.progress.epoch == 6
        results.append(network)
    assert_array_equal(results[0].params, results[1].params)


def test_calls_that_go_on_after_a_training_of_its_own_begin_a_plan(data, rng):
    """Else a learning rate that has fallen to nothing would stay there."""
    trainer = trainer_for(make(rng), data, lr_schedule=Cosine(), n_epochs=3)
    trainer.train()
    trainer.recipe = replace(trainer.recipe, n_epochs=2)
    for _ in range(2):
        trainer.train(Start.PART)
    rates = [record.learning_rate for record in trainer.state.history]
    assert rates[3] > rates[2]
    assert 0 < rates[4] < rates[3]


def test_stalls_are_counted_over_calls_that_go_on(data, rng):
    trainer = trainer_for(make(rng), data, learning_rate=1e-30, n_epochs=10, tol=10.0)
    for _ in range(5):
        trainer.train(Start.PART)
    assert trainer.state.progress.longest_stall == 4
    trainer.recipe = replace(trainer.recipe, n_epochs=1, tol=0.0)
    trainer.train()
    assert trainer.state.progress.longest_stall == 0


def test_parts_of_changing_sizes_follow_one_plan(data, rng):
    rule = Recorder()
    evolution = Evolution(grow=rule, schedule=EveryStep(drop_fraction=0.5, update_every="epoch", end_step=0.5))
    network, state = make(rng), None
    for call in range(8):
        part = data.subset(np.arange(50 if call % 2 else 20))  # four steps, or two
        trainer = trainer_for(network, part, state=state, evolution=evolution, n_epochs=8)
        trainer.train(Start.PART)
        state = trainer.state
    assert trainer.state.progress.step == 24
    assert [step for step, _, _ in rule.seen] == [2, 6, 8]  # at the start of the second, third and fourth call


def test_a_callback_may_ask_to_stop(data, rng):
    class Stop:
        def on_epoch_end(self, network, record):
            return record.epoch == 2

    trainer = trainer_for(make(rng), data, n_epochs=5, callbacks=[Stop()])
    trainer.train()
    assert len(trainer.state.history) == 2


def test_schedules_begin_anew_for_each_training_of_its_own(data, rng):
    evolution = replace(preset("set"), schedule=EveryStep())
    trainer = trainer_for(make(rng), data, lr_schedule=Cosine(), evolution=evolution, n_epochs=3)
    for start in (Start.NEW, Start.WARM):
        trainer.train(start)
    rates = [record.learning_rate for record in trainer.state.history]
    assert rates[:3] == rates[3:]
    assert rates[0] > rates[2]
    assert [record.epoch for record in trainer.state.history] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("what", "n_samples", "learning_rate"), [("training loss", 50, 1e200), ("weights", 16, 1e308)])
def test_non_finite_training_is_an_error_that_says_where_and_what_to_do(what, n_samples, learning_rate, data, rng):
    """With one batch an epoch, the weights are infinite while every loss so far was finite."""
    part = data.subset(np.arange(n_samples))
    trainer = trainer_for(make(rng), part, optimizer=SGD(), alpha=10, learning_rate=learning_rate, n_epochs=50)
    message = rf"The {what} became infinite or NaN in epoch \d+, step \d+.*Lower learning_rate_init"
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message):
        trainer.train()


def test_weights_that_are_not_finite_never_meet_a_rule(data, rng):
    """The loss of a step was finite, its update was not, and the topology changes before the next one."""
    evolution = replace(preset("cte"), schedule=EveryStep(drop_fraction=0.3, update_every=1))
    source = ArraySource(10 * data.X, data.target)  # gradients above 1, so that the first step overflows
    trainer = trainer_for(
        make(rng), source, optimizer=SGD(), learning_rate=1e308, evolution=evolution, n_epochs=5
    )  # fmt: skip
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="The weights became infinite or NaN in epoch 1"):
        trainer.train()


def test_moments_that_have_overflowed_are_an_error(data, rng):
    """Adam divides by the infinite root of the mean square: nothing is learnt, while every loss is finite."""
    network = make(rng, sizes=(6, 9, 1), dtype=np.float32)
    source = ArraySource(data.X.astype(np.float32), np.full((50, 1), 1e25, dtype=np.float32))
    trainer = trainer_for(network, source, loss=SquaredError())
    with pytest.raises(ValueError, match="The solver's moments became infinite or NaN in epoch 1"):
        trainer.train()


def test_a_validation_loss_that_is_not_finite_is_an_error(data, rng):
    with np.errstate(over="ignore"):
        validation = Validation(ArraySource(data.X * 1e308, data.target), lambda p, t: 0.0)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="The validation loss became infinite or NaN"):
        trainer_for(make(rng), data, validation=validation).train()


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), -1, "1", None, 1j, np.array([0.3]), np.ones(2)])
def test_learning_rate_schedules_are_checked(factor, data, rng):
    class Broken:
        def factor(self, step, total_steps):
            return factor

    message = (
        rf"Broken object .* returned the factor {re.escape(repr(factor))}; it must be a finite number, not below 0"
    )
    with pytest.raises(ValueError, match=message):
        trainer_for(make(rng), data, lr_schedule=Broken()).train()


def test_moments_of_another_solver_start_anew_and_so_does_their_count(data, rng):
    network = make(rng)
    state = TrainingState(Adam().init(network.params), optimizer_steps=10_000)
    changed = trainer_for(network, data, optimizer=SGD(), state=state).state
    assert set(changed.optimizer_state) == {"velocity"}
    assert changed.optimizer_steps == 0
    velocity = SGD().init(network.params)
    kept = trainer_for(network, data, optimizer=SGD(), state=TrainingState(velocity)).state.optimizer_state
    assert kept is velocity


def test_callbacks_see_every_epoch(data, rng):
    class Collect(list):
        def on_epoch_end(self, network, record):
            assert network is trainer.network
            self.append(record)

    seen = Collect()
    trainer = trainer_for(make(rng), data, n_epochs=3, callbacks=[seen])
    trainer.train()
    assert seen == trainer.state.history
    assert set(trainer.state.history.as_dict()) == {
        "epoch", "train_loss", "validation_loss", "validation_score", "learning_rate", "nnz", "edges_replaced",
        "seconds",
    }  # fmt: skip


def test_batches_that_would_not_fit_are_refused_before_anything_is_changed(data, rng, monkeypatch):
    trainer = trainer_for(make(rng, dropout=0.1), data)
    before, progress = trainer.network.params.copy(), replace(trainer.state.progress)
    batch = trainer.recipe.batch_size
    needed = trainer.network.bytes_needed(batch)
    workspace = trainer.network.workspace(batch)
    data.read(np.arange(batch), workspace)
    trainer.network.forward(workspace, Draws(1, 1))
    trainer.network.backward(workspace)
    arrays = workspace.a, workspace.masks, workspace.kept, workspace.scratch(8)  # the inputs of the full layer
    assert needed == sum(array.nbytes for array in arrays)
    monkeypatch.setattr("truesparse.training.checks.available_bytes", lambda: needed - 1)
    message = f"batch_size={batch} needs {needed} bytes .* more than the {needed - 1} bytes"
    with pytest.raises(ValueError, match=message):
        trainer.train()
    assert_array_equal(trainer.network.params, before)
    assert trainer.state.progress == progress
    monkeypatch.setattr("truesparse.training.checks.available_bytes", lambda: needed)
    trainer.train()


@pytest.mark.parametrize("kind", [np.asarray, csr_array])
def test_batch_transform_takes_the_place_of_training_batches_only(kind, data):
    """Doubling features in training equals training on doubled features; validation data stay as they are."""
    X, y = data.X.copy(), data.target
    seen = []

    def doubled(batch, rng):
        seen.append(rng.random())
        batch *= 2
        return batch

    validation = Validation(array_source(kind(X), y), lambda predictions, target: 0.0)
    networks = [make(np.random.default_rng(1)) for _ in range(2)]
    options = {"n_epochs": 3, "validation": validation}
    trainer = trainer_for(networks[0], array_source(kind(X), y), batch_transform=doubled, **options)
    trainer.train()
    plain = trainer_for(networks[1], array_source(kind(2 * X), y), **options)
    plain.train()
    assert_array_equal(networks[0].params, networks[1].params)
    losses = [[record.validation_loss for record in one.state.history] for one in (trainer, plain)]
    assert_array_equal(*losses)
    assert_array_equal(X, data.X)
    assert len(set(seen)) == 12  # a generator of its own for every step


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (
            lambda batch: batch[:, :-1],
            r"a dense array of shape \(16, 6\) and of real .*, got ndarray of shape \(16, 5\)",
        ),
        (lambda batch: None, "a dense array of shape .* got NoneType"),
        (lambda batch: [[1], [1, 2]], "a dense array of shape .* got list"),
        (lambda batch: csr_array(batch), "must return a dense array"),
        (lambda batch: batch + 1j, "real numbers, got .* dtype complex128"),
        (lambda batch: batch.astype(str), "real numbers, got .* dtype <U"),
        (lambda batch: batch.astype(object), "real numbers, got .* dtype object"),
        (lambda batch: np.ma.masked_array(batch, mask=batch > 1), "has masked entries"),
        (lambda batch: batch * np.nan, "infinite or NaN"),
        (lambda batch: np.where(batch > 0, np.inf, -np.inf), "infinite or NaN"),
    ],
)
def test_a_bad_batch_transform_is_named(returned, message, data, rng):
    trainer = trainer_for(make(rng), data, batch_transform=lambda batch, rng: returned(batch))
    with pytest.raises(ValueError, match=f"(?s)batch_transform=.*{message}"):
        trainer.train()


def damaged(batch):
    columns = batch.tocsc()
    columns.indptr[2] = 10**6
    return columns


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda batch: batch.toarray(), r"must return a CSR array of shape \(16, 6\) .*, got ndarray"),
        (lambda batch: batch[:3], r"must return a CSR array of shape \(16, 6\) .* of shape \(3, 6\)"),
        (lambda batch: batch.astype(complex), "real numbers, got .* dtype complex128"),
        (lambda batch: batch * np.inf, "infinite or NaN"),
        (damaged, "returned is a damaged sparse matrix: indptr"),
    ],
)
def test_a_bad_batch_transform_of_sparse_data_is_named(returned, message, data, rng):
    source = array_source(csr_array(data.X), data.target)
    trainer = trainer_for(make(rng), source, batch_transform=lambda batch, rng: returned(batch))
    with pytest.raises(ValueError, match=f"(?s)batch_transform=.*{message}"):
        trainer.train()


@pytest.mark.parametrize("answer", ["no", 1, 0.0, float("nan"), np.array([True, False])])
def test_a_callback_that_answers_neither_yes_nor_no(answer, data, rng):
    class Odd:
        def on_epoch_end(self, network, record):
            return answer

    with pytest.raises(ValueError, match=r"on_epoch_end of a callback returned .*; True, which asks to stop"):
        trainer_for(make(rng), data, callbacks=[Odd()]).train()


def test_hooks_are_called_in_order_and_all_are_optional(data, rng):
    events, steps = [], []

    class Watch:
        def on_train_begin(self, network):
            events.append(("begin", network))

        def on_step(self, network, step):
            steps.append(step)

        def on_topology_change(self, network, step, rewirings):
            events.append((step, [rewiring is None for rewiring in rewirings]))

    evolution = replace(preset("set"), schedule=EveryStep(0.3, update_every=3))
    network = make(rng)
    trainer_for(network, data, evolution=evolution, n_epochs=2, callbacks=[Watch(), object()]).train()
    assert steps == [1, 2, 3, 4, 5, 6, 7, 8]
    assert events == [("begin", network), (3, [False, False, True]), (6, [False, False, True])]


@pytest.mark.parametrize("evolution", ["cte", "omp", "rigl", "gse", "sensitivity"])
def test_activations_that_overflow_in_an_update_are_reported_in_words(evolution):
    X = np.random.default_rng(0).standard_normal((20, 5)).astype(np.float32)
    model = SparseMLPClassifier((70, 66), evolution=evolution, epsilon=3, update_every=1, learning_rate_init=1e30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="became infinite or NaN"):
            model.fit(X, np.arange(20) % 2)
