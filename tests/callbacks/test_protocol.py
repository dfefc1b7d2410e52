"""Every event of a training reaches a callback of an estimator, at the right time and with the network."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_classification

from truesparse import SparseMLPClassifier, SparseMLPRegressor, preset
from truesparse.callbacks import Callback, Checkpoint
from truesparse.data import Chunks
from truesparse.evolution import Constant, ImportancePruning
from truesparse.network.mlp import MLP

X, y = make_classification(90, 12, n_informative=6, n_classes=3, random_state=0)
SMALL = {"hidden_layer_sizes": (30, 20), "epsilon": 3, "max_iter": 6, "random_state": 0, "n_iter_no_change": np.inf}
EVOLUTION = replace(preset("set"), schedule=Constant(0.3, update_every=2), unit_pruning=ImportancePruning(every=1))
EVENTS = [name for name in vars(Callback) if name.startswith("on_")]
WITHOUT_NETWORK = {"on_fit_begin", "on_fit_end"}


class Record:
    """Notes every event and what it is given, and what the network was then."""

    def __init__(self):
        self.events = []

    def of(self, event):
        return [arguments for name, arguments, _ in self.events if name == event]

    @property
    def names(self):
        return [name for name, *_ in self.events]


def _noting(event):
    def note(self, *arguments):
        network = arguments[0] if event not in WITHOUT_NETWORK else None
        self.events.append((event, arguments, None if network is None else network.params.copy()))

    return note


for _event in EVENTS:
    setattr(Record, _event, _noting(_event))


@pytest.fixture(params=[SparseMLPClassifier, SparseMLPRegressor])
def kind(request):
    return request.param


def test_every_event_gets_the_network(kind, tmp_path):
    class PowerCut(BaseException):
        pass

    class Cut:
        def on_epoch_end(self, network, record):
            if record.epoch == 2:
                raise PowerCut

    path, record = tmp_path / "checkpoint.npz", Record()
    options = SMALL | {"evolution": EVOLUTION}
    source = Chunks.from_arrays(X, y, rows=20, window=2)
    with pytest.raises(PowerCut):
        kind(**options, callbacks=[Checkpoint(path), Cut()]).fit(source)
    model = kind(**options, callbacks=[record]).fit(source, resume_from=path)
    assert set(record.names) == set(EVENTS)
    for name, arguments, _ in record.events:
        if name not in WITHOUT_NETWORK:
            assert isinstance(arguments[0], MLP)
            assert arguments[0] is model._network
    ((records,),) = [arguments[1:] for arguments in record.of("on_resume")]
    assert [entry.epoch for entry in records] == [1, 2]
    assert [arguments[1].epoch for arguments in record.of("on_epoch_end")] == [3, 4, 5, 6]
    assert [arguments[1] for arguments in record.of("on_chunks")] == [2] * 4


def test_chunks_are_counted_between_the_batch_that_needs_them_and_the_next_update(kind):
    """The last sample of the first 40 is in the second batch of 32; an update before the third comes later."""
    record = Record()
    source = Chunks.from_arrays(X, y, rows=20, window=2)
    schedule = replace(EVOLUTION, schedule=Constant(0.3, update_every=2), unit_pruning=None)
    kind(**SMALL | {"max_iter": 2, "batch_size": 32}, evolution=schedule, callbacks=[record]).fit(source)
    of_epoch = ["on_step", "on_step", "on_chunks", "on_topology_change", "on_step"]
    begun = [name for name in record.names if name not in ("on_fit_begin", "on_train_begin")]
    assert begun[:7] == ["on_epoch_begin", *of_epoch, "on_epoch_end"]
    assert [arguments[1] for arguments in record.of("on_chunks")][:1] == [2]


@pytest.mark.parametrize("batch_size", [1, 32, 90, 1000])
def test_on_step_is_called_once_after_each_step(kind, batch_size):
    record = Record()
    model = kind(**SMALL, batch_size=batch_size, callbacks=[record]).fit(X, y)
    steps = [step for _, step in record.of("on_step")]
    assert steps == list(range(1, 6 * -(-90 // batch_size) + 1))
    assert steps[-1] == model._run.state.progress.step == model._run.state.optimizer_steps
    assert all(network is model._network for network, _ in record.of("on_step"))
    params = [params.tobytes() for name, _, params in record.events if name == "on_step"]
    assert len(set(params)) == len(params)  # each step has changed the network before
    assert params[-1] == model._network.params.tobytes()


def test_steps_are_counted_on_and_epochs_enclose_them(kind):
    record = Record()
    classes = {"classes": [0, 1, 2]} if kind is SparseMLPClassifier else {}
    model = kind(**SMALL | {"max_iter": 2}, warm_start=True, evolution="static", callbacks=[record]).fit(X, y)
    model.fit(X, y).partial_fit(X[:40], y[:40])
    assert [step for _, step in record.of("on_step")] == list(range(1, 3 * 2 * 2 + 2 + 1))
    epoch = ["on_epoch_begin", *["on_step"] * 3, "on_epoch_end"]
    fit = ["on_fit_begin", "on_train_begin", *epoch, *epoch, "on_train_end", "on_fit_end"]
    part = ["on_fit_begin", "on_train_begin", "on_epoch_begin", "on_step", "on_step", "on_epoch_end", "on_train_end"]
    assert record.names == [*fit, *fit, *part, "on_fit_end"]
    alone = Record()
    kind(**SMALL, callbacks=[alone]).partial_fit(X, y, **classes)
    assert alone.names.count("on_step") == 3


def test_a_topology_changes_before_the_step_of_that_number(kind):
    record = Record()
    model = kind(**SMALL, evolution=EVOLUTION, callbacks=[record]).fit(X, y)
    before = [
        (first, second) for first, second in zip(record.events, record.events[1:], strict=False)
        if first[0] == "on_topology_change"
    ]  # fmt: skip
    assert before
    for (_, (_, step, rewirings), _), (name, arguments, _) in before:
        assert name == "on_step"
        assert arguments[1] == step + 1
        assert len(rewirings) == len(model._network.layers)
    replaced = np.zeros(3, dtype=int)
    for _, _, rewirings in record.of("on_topology_change"):
        replaced += [0 if rewiring is None else rewiring.n_replaced for rewiring in rewirings]
    assert replaced.tolist() == np.sum(model.history_["edges_replaced"], axis=0).tolist()


def test_watching_steps_changes_nothing(kind):
    class Steps:
        def on_step(self, network, step):
            seen.append(step)
            return True  # no answer is expected here

    seen = []
    watched, alone = (kind(**SMALL, evolution="set", callbacks=callbacks).fit(X, y) for callbacks in ([Steps()], None))
    assert watched._network.params.tobytes() == alone._network.params.tobytes()
    assert len(seen) == 18


def test_an_error_at_a_step_leaves_the_model_as_it_was(kind):
    class Fails:
        def on_step(self, network, step):
            if step == 4:
                raise OSError("full")

    model = kind(**SMALL, evolution="static").fit(X, y)
    before = vars(model).copy()
    callbacks = [Fails()]
    with pytest.raises(OSError, match="full"):
        model.set_params(callbacks=callbacks).fit(X, y)
    assert vars(model) == before | {"callbacks": callbacks}
