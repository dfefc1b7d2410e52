import re
import warnings
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pytest
from helpers import loss_and_gradient, make
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from truesparse.data.batches import BatchReader

from truesparse import SparseMLPClassifier
from truesparse.evolution import Constant as EveryStep
from truesparse.evolution import Evolution, Random, preset
from truesparse.network.initial_weights import Dense, FanIn
from truesparse.network.losses import SoftmaxCrossEntropy, SquaredError
from truesparse.runtime.random_streams import RandomStreams
from truesparse.training.lr_schedules import Constant, Cosine
from truesparse.training.optimizers import SGD, Adam
from truesparse.training.state import Progress, TrainingState
from truesparse.training.trainer import Trainer, Validation


def trainer_for(network, **changes):
    settings = {
        "optimizer": Adam(), "learning_rate": 0.01, "lr_schedule": Constant(), "evolution": None,
        "initializer": FanIn(), "batch_size": 16, "shuffle": True, "streams": RandomStreams(3),
    }  # fmt: skip
    return Trainer(network, SoftmaxCrossEntropy(), **{**settings, **changes})


@pytest.fixture
def data(rng):
    X = rng.standard_normal((50, 6))
    return X, (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


def test_learns(data, rng):
    network = make(rng, sizes=(6, 50, 50, 3))
    trainer = trainer_for(network)
    trainer.train(*data, n_epochs=100)
    losses = [record.train_loss for record in trainer.state.history]
    assert losses[-1] < 0.1 < losses[0]


def test_an_epoch_is_forward_loss_backward_step_on_each_batch(data, rng):
    """The loop once more, by hand and without shuffling."""
    network, twin = make(np.random.default_rng(1)), make(np.random.default_rng(1))
    trainer = trainer_for(network, shuffle=False, lr_schedule=Cosine())
    trainer.train(*data, n_epochs=1)
    optimizer, state, losses = Adam(), Adam().init(twin.params), []
    X, y = data
    for step, start in enumerate(range(0, 50, 16)):
        batch = slice(start, min(start + 16, 50))
        loss, _ = loss_and_gradient(twin, SoftmaxCrossEntropy(), np.ascontiguousarray(X[batch].T), y[batch])
        losses.append(loss * (batch.stop - batch.start))
        optimizer.step(
            twin.params, twin.gradient, state, learning_rate=0.01 * Cosine().factor(step, 4),
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
    trainer = trainer_for(make(rng), evolution=evolution)
    trainer.train(*data, n_epochs=4)
    assert [step for step, _, _ in rule.seen] == [4, 8, 12]  # four steps an epoch; nothing after the last
    assert rule.seen[0][1:] == ([(6, 16), (9, 16)], 20)
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
    trainer = trainer_for(network, evolution=evolution)
    trainer.train(X, np.zeros(16, dtype=int), n_epochs=1)
    trainer.state.progress.planned_steps = 3
    trainer._evolve(BatchReader(X), network.workspace(16), np.zeros(16, dtype=int), 16, [])
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
    trainer = trainer_for(network, evolution=evolution)

    def score(predictions, target):
        snapshots.append((network.params.copy(), network.layers[0].pattern.keys))
        moments.append((trainer.state.optimizer_state["mean"].copy(), trainer.state.optimizer_steps))
        return next(scores)

    trainer.train(*data, n_epochs=5, validation=Validation(*data, score))
    assert_array_equal(network.params, snapshots[1][0])  # the first of the two best
    assert_array_equal(network.layers[0].pattern.keys, snapshots[1][1])
    assert_array_equal(trainer.state.optimizer_state["mean"], moments[1][0])  # in the order of that pattern
    assert trainer.state.optimizer_steps == moments[1][1] == 8
    assert [record.validation_score for record in trainer.state.history] == [0.1, 0.5, 0.3, 0.5, 0.2]
    assert np.isfinite([record.validation_loss for record in trainer.state.history]).all()


def test_stops_when_validation_has_stalled(data, rng):
    scores = iter([0.1, 0.5, 0.5005, 0.5, 0.4, 0.9])
    trainer = trainer_for(make(rng))
    trainer.train(*data, n_epochs=6, validation=Validation(*data, lambda p, t: next(scores)), patience=3, tol=1e-3)
    assert len(trainer.state.history) == 5
    assert trainer.state.progress.longest_stall == 3


def test_training_loss_stops_training_only_once_the_topology_rests(data, rng):
    """A learning rate of nothing: no epoch improves, but connections are replaced until the fifth."""
    schedule = EveryStep(drop_fraction=0.3, update_every="epoch", end_step=20)
    for evolution, n_epochs in ((None, 4), (replace(preset("set"), schedule=schedule), 8)):
        trainer = trainer_for(make(rng), learning_rate=1e-30, evolution=evolution)
        trainer.train(*data, n_epochs=30, patience=3, tol=10.0)
        assert len(trainer.state.history) == n_epochs


def test_progress_counts_stalls():
    progress = Progress()
    for value in (1, 2, 2, 1, 3, 3, 3, 3):
        progress.observe(value, tol=0.5)
    assert (progress.best, progress.stall, progress.longest_stall) == (3, 3, 3)


@pytest.mark.parametrize("evolution", [None, preset("set"), preset("cte")])
def test_two_calls_that_go_on_equal_one(evolution, data):
    results = []
    for parts in ((6,), (2, 4)):
        network = make(np.random.default_rng(1), dropout=0.2)
        changed = evolution and replace(evolution, schedule=replace(evolution.schedule, update_every=3))
        trainer = trainer_for(network, evolution=changed)
        for n_epochs in parts:
            trainer.train(*data, n_epochs=n_epochs, planned_epochs=6)
        results.append(network)
    assert_array_equal(results[0].params, results[1].params)


def test_calls_that_go_on_after_a_training_of_its_own_begin_a_plan(data, rng):
    """Else a learning rate that has fallen to nothing would stay there."""
    trainer = trainer_for(make(rng), lr_schedule=Cosine())
    trainer.train(*data, n_epochs=3)
    for _ in range(2):
        trainer.train(*data, n_epochs=1, planned_epochs=2)
    rates = [record.learning_rate for record in trainer.state.history]
    assert rates[3] > rates[2]
    assert 0 < rates[4] < rates[3]


def test_stalls_are_counted_over_calls_that_go_on(data, rng):
    trainer = trainer_for(make(rng), learning_rate=1e-30)
    for _ in range(5):
        trainer.train(*data, n_epochs=1, planned_epochs=10, tol=10.0)
    assert trainer.state.progress.longest_stall == 4
    trainer.train(*data, n_epochs=1)
    assert trainer.state.progress.longest_stall == 0


def test_parts_of_changing_sizes_follow_one_plan(data, rng):
    X, y = data
    rule = Recorder()
    evolution = Evolution(grow=rule, schedule=EveryStep(drop_fraction=0.5, update_every="epoch", end_step=0.5))
    trainer = trainer_for(make(rng), evolution=evolution)
    for call in range(8):
        n = 50 if call % 2 else 20  # four steps, or two
        trainer.train(X[:n], y[:n], n_epochs=1, planned_epochs=8)
    assert trainer.state.progress.step == 24
    assert [step for step, _, _ in rule.seen] == [2, 6, 8]  # at the start of the second, third and fourth call


def test_a_callback_may_ask_to_stop(data, rng):
    class Stop:
        def on_epoch_end(self, record):
            return record.epoch == 2

    trainer = trainer_for(make(rng))
    trainer.train(*data, n_epochs=5, callbacks=[Stop()])
    assert len(trainer.state.history) == 2


def test_schedules_begin_anew_for_each_training_of_its_own(data, rng):
    trainer = trainer_for(make(rng), lr_schedule=Cosine(), evolution=replace(preset("set"), schedule=EveryStep()))
    for _ in range(2):
        trainer.train(*data, n_epochs=3)
    rates = [record.learning_rate for record in trainer.state.history]
    assert rates[:3] == rates[3:]
    assert rates[0] > rates[2]
    assert [record.epoch for record in trainer.state.history] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("what", "n_samples", "learning_rate"), [("training loss", 50, 1e200), ("weights", 16, 1e308)])
def test_non_finite_training_is_an_error_that_says_where_and_what_to_do(what, n_samples, learning_rate, data, rng):
    """With one batch an epoch, the weights are infinite while every loss so far was finite."""
    X, y = data
    trainer = trainer_for(make(rng), optimizer=SGD(alpha=10), learning_rate=learning_rate)
    message = rf"The {what} became infinite or NaN in epoch \d+, step \d+.*Lower learning_rate_init"
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message):
        trainer.train(X[:n_samples], y[:n_samples], n_epochs=50)


def test_weights_that_are_not_finite_never_meet_a_rule(data, rng):
    """The loss of a step was finite, its update was not, and the topology changes before the next one."""
    evolution = replace(preset("cte"), schedule=EveryStep(drop_fraction=0.3, update_every=1))
    trainer = trainer_for(make(rng), optimizer=SGD(), learning_rate=1e308, evolution=evolution)
    X, y = data
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="The weights became infinite or NaN in epoch 1"):
        trainer.train(10 * X, y, n_epochs=5)  # gradients above 1, so that the first step overflows


def test_moments_that_have_overflowed_are_an_error(data, rng):
    """Adam divides by the infinite root of the mean square: nothing is learnt, while every loss is finite."""
    X, _ = data
    network = make(rng, sizes=(6, 9, 1))
    network.params = network.params.astype(np.float32)
    network._bind()
    trainer = trainer_for(network)
    trainer.loss = SquaredError()
    with pytest.raises(ValueError, match="The solver's moments became infinite or NaN in epoch 1"):
        trainer.train(X.astype(np.float32), np.full((50, 1), 1e25, dtype=np.float32), n_epochs=1)


def test_a_validation_loss_that_is_not_finite_is_an_error(data, rng):
    X, y = data
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="The validation loss became infinite or NaN"):
        trainer_for(make(rng)).train(X, y, n_epochs=1, validation=Validation(X * 1e308, y, lambda p, t: 0.0))


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), -1, "1", None, 1j, np.array([0.3]), np.ones(2)])
def test_learning_rate_schedules_are_checked(factor, data, rng):
    class Broken:
        def factor(self, step, total_steps):
            return factor

    message = (
        rf"Broken object .* returned the factor {re.escape(repr(factor))}; it must be a finite number, not below 0"
    )
    with pytest.raises(ValueError, match=message):
        trainer_for(make(rng), lr_schedule=Broken()).train(*data, n_epochs=1)


def test_moments_of_another_solver_start_anew_and_so_does_their_count(rng):
    network = make(rng)
    state = TrainingState(Adam().init(network.params), optimizer_steps=10_000)
    changed = trainer_for(network, optimizer=SGD(), state=state).state
    assert set(changed.optimizer_state) == {"velocity"}
    assert changed.optimizer_steps == 0
    velocity = SGD().init(network.params)
    kept = trainer_for(network, optimizer=SGD(), state=TrainingState(velocity)).state.optimizer_state
    assert kept is velocity


def test_callbacks_see_every_epoch(data, rng):
    class Collect(list):
        def on_epoch_end(self, record):
            self.append(record)

    seen = Collect()
    trainer = trainer_for(make(rng))
    trainer.train(*data, n_epochs=3, callbacks=[seen])
    assert seen == trainer.state.history
    assert set(trainer.state.history.as_dict()) == {
        "epoch", "train_loss", "validation_loss", "validation_score", "learning_rate", "nnz", "edges_replaced",
        "seconds",
    }  # fmt: skip


def test_batches_that_would_not_fit_are_refused_before_anything_is_changed(data, rng, monkeypatch):
    trainer = trainer_for(make(rng, dropout=0.1))
    before, progress = trainer.network.params.copy(), replace(trainer.state.progress)
    batch = trainer.batch_size
    needed = trainer.network.bytes_needed(batch)
    workspace = trainer.network.workspace(batch)
    trainer.network.backward(trainer.network.forward(data[0][:batch].T, workspace, rng), workspace)
    arrays = workspace.a, workspace.masks, workspace.factors, workspace.scratch(8)  # the inputs of the full layer
    assert needed == sum(array.nbytes for array in arrays)
    monkeypatch.setattr("truesparse.training.trainer.available_bytes", lambda: needed - 1)
    message = f"batch_size={batch} needs {needed} bytes .* more than the {needed - 1} bytes"
    with pytest.raises(ValueError, match=message):
        trainer.train(*data, n_epochs=1)
    assert_array_equal(trainer.network.params, before)
    assert trainer.state.progress == progress
    monkeypatch.setattr("truesparse.training.trainer.available_bytes", lambda: needed)
    trainer.train(*data, n_epochs=1)


@pytest.mark.parametrize("kind", [np.asarray, csr_array])
def test_batch_transform_takes_the_place_of_training_batches_only(kind, data):
    """Doubling features in training equals training on doubled features; validation data stay as they are."""
    X, y = data
    seen = []

    def doubled(batch, rng):
        seen.append(rng.random())
        batch *= 2
        return batch

    validation = Validation(kind(X), y, lambda predictions, target: 0.0)
    networks = [make(np.random.default_rng(1)) for _ in range(2)]
    trainer = trainer_for(networks[0], batch_transform=doubled)
    trainer.train(kind(X), y, n_epochs=3, validation=validation)
    plain = trainer_for(networks[1])
    plain.train(kind(2 * X), y, n_epochs=3, validation=validation)
    assert_array_equal(networks[0].params, networks[1].params)
    losses = [[record.validation_loss for record in one.state.history] for one in (trainer, plain)]
    assert_array_equal(*losses)
    assert_array_equal(X, data[0])
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
    trainer = trainer_for(make(rng), batch_transform=lambda batch, rng: returned(batch))
    with pytest.raises(ValueError, match=f"(?s)batch_transform=.*{message}"):
        trainer.train(*data, n_epochs=1)


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
    X, y = data
    trainer = trainer_for(make(rng), batch_transform=lambda batch, rng: returned(batch))
    with pytest.raises(ValueError, match=f"(?s)batch_transform=.*{message}"):
        trainer.train(csr_array(X), y, n_epochs=1)


@pytest.mark.parametrize("answer", ["no", 1, 0.0, float("nan"), np.array([True, False])])
def test_a_callback_that_answers_neither_yes_nor_no(answer, data, rng):
    class Odd:
        def on_epoch_end(self, record):
            return answer

    with pytest.raises(ValueError, match=r"on_epoch_end of a callback returned .*; True, which asks to stop"):
        trainer_for(make(rng)).train(*data, n_epochs=1, callbacks=[Odd()])


def test_hooks_are_called_in_order_and_all_are_optional(data, rng):
    events = []

    class Watch:
        def on_train_begin(self, network):
            events.append(("begin", network))

        def on_topology_change(self, step, rewirings):
            events.append((step, [rewiring is None for rewiring in rewirings]))

    evolution = replace(preset("set"), schedule=EveryStep(0.3, update_every=3))
    network = make(rng)
    trainer_for(network, evolution=evolution).train(*data, n_epochs=2, callbacks=[Watch(), object()])
    assert events == [("begin", network), (3, [False, False, True]), (6, [False, False, True])]


@pytest.mark.parametrize("evolution", ["cte", "omp", "rigl", "gse", "sensitivity"])
def test_activations_that_overflow_in_an_update_are_reported_in_words(evolution):
    X = np.random.default_rng(0).standard_normal((20, 5)).astype(np.float32)
    model = SparseMLPClassifier((70, 66), evolution=evolution, epsilon=3, update_every=1, learning_rate_init=1e30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="became infinite or NaN"):
            model.fit(X, np.arange(20) % 2)
