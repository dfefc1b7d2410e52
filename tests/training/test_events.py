"""When a fit calls what, and that a callback of one method is enough."""

import subprocess
import sys
from dataclasses import replace

import pytest
from sklearn.datasets import load_iris

import truesparse.callbacks
from truesparse import SparseMLPClassifier
from truesparse.callbacks import Callback, Checkpoint, TopologyRecorder
from truesparse.evolution import ImportancePruning, preset

X, y = load_iris(return_X_y=True)
SMALL = {"hidden_layer_sizes": (20, 10), "epsilon": 5, "max_iter": 3, "update_every": 7, "random_state": 0}
EVENTS = [name for name in vars(Callback) if name.startswith("on_")]


class Watch:
    """Notes all events."""

    def __init__(self):
        self.events = []

    def __getattr__(self, name):
        if name not in EVENTS:
            raise AttributeError(name)
        return lambda *args: self.events.append(name)


def test_the_order_of_events():
    watch = Watch()
    SparseMLPClassifier(**SMALL, callbacks=[watch]).fit(X, y)  # 5 steps an epoch; updates before steps 7 and 14
    assert watch.events == [
        "on_fit_begin", "on_train_begin",
        "on_epoch_begin", *["on_step"] * 5, "on_epoch_end",
        "on_epoch_begin", "on_step", "on_step", "on_topology_change", *["on_step"] * 3, "on_epoch_end",
        "on_epoch_begin", *["on_step"] * 5, "on_epoch_end",
        "on_train_end", "on_fit_end",
    ]  # fmt: skip


def test_resuming_and_removing_units_are_events_too(tmp_path):
    watch, path = Watch(), tmp_path / "checkpoint.npz"
    options = SMALL | {"evolution": replace(preset("cte"), unit_pruning=ImportancePruning()), "max_iter": 20}
    SparseMLPClassifier(**options, callbacks=[watch, Checkpoint(path, every=15)]).fit(X, y)
    events = [event for event in watch.events if event != "on_step"]
    place = events.index("on_units_removed")
    assert events[place - 1] == "on_epoch_begin"
    assert events[place + 1] in ("on_topology_change", "on_epoch_end")
    watch.events.clear()
    SparseMLPClassifier(**options, callbacks=[watch]).fit(X, y, resume_from=path)
    assert watch.events[:3] == ["on_fit_begin", "on_train_begin", "on_resume"]
    assert watch.events.count("on_epoch_end") == 5


def test_every_event_of_a_training_gets_the_network_first():
    class Watch:
        def __getattr__(self, name):
            if name not in EVENTS or name in ("on_fit_begin", "on_fit_end"):
                raise AttributeError(name)
            return lambda network, *args: seen.setdefault(name, []).append((network, args))

    seen = {}
    evolution = replace(preset("cte"), unit_pruning=ImportancePruning(begin=0.1, every=1))
    model = SparseMLPClassifier(**SMALL | {"max_iter": 4, "evolution": evolution}, callbacks=[Watch()]).fit(X, y)
    assert seen.keys() == set(EVENTS) - {"on_chunks", "on_fit_begin", "on_fit_end", "on_resume"}
    assert all(network is model._network for calls in seen.values() for network, _ in calls)
    assert [args for _, args in seen["on_step"]] == [(step,) for step in range(1, 21)]
    assert [args for _, args in seen["on_epoch_begin"]] == [(1,), (2,), (3,), (4,)]
    assert [args for _, args in seen["on_epoch_end"]] == [(record,) for record in model._run.state.history]


def test_what_was_done_before_a_checkpoint_is_told(tmp_path):
    class Resumes:
        def on_resume(self, network, records):
            seen.extend(records)

    seen, path = [], tmp_path / "checkpoint.npz"
    model = SparseMLPClassifier(**SMALL, warm_start=True).fit(X, y)
    model.set_params(callbacks=[Checkpoint(path, every=5), Resumes()]).fit(X, y)
    assert not seen
    model.fit(X, y, resume_from=path)
    assert [record.epoch for record in seen] == [4, 5]  # of this fit, not of the one before
    assert seen == model._run.state.history[3:5]


@pytest.mark.parametrize("answer", [True, False, None])
def test_a_resumed_fit_may_be_told_to_do_no_more(answer, tmp_path):
    class Resumes:
        def on_resume(self, network, records):
            return answer

    path = tmp_path / "checkpoint.npz"
    SparseMLPClassifier(**SMALL, callbacks=[Checkpoint(path, every=2)]).fit(X, y)
    model = SparseMLPClassifier(**SMALL, callbacks=[Resumes()]).fit(X, y, resume_from=path)
    assert model.n_iter_ == (2 if answer else 3)


def test_an_odd_answer_is_named(tmp_path):
    class Resumes:
        def on_resume(self, network, records):
            return "no"

    path = tmp_path / "checkpoint.npz"
    SparseMLPClassifier(**SMALL, callbacks=[Checkpoint(path)]).fit(X, y)
    with pytest.raises(ValueError, match="on_resume of a callback returned 'no'"):
        SparseMLPClassifier(**SMALL, callbacks=[Resumes()]).fit(X, y, resume_from=path)


def test_the_network_at_the_end_is_that_of_the_model():
    class Ends:
        def on_train_end(self, network):
            seen.append((network, network.params.tobytes()))

    seen = []
    model = SparseMLPClassifier(**SMALL | {"max_iter": 8}, early_stopping=True, callbacks=[Ends()]).fit(X, y)
    assert seen == [(model._network, model._network.params.tobytes())]  # the best one, restored


def test_the_recorder_is_found_here_too():
    recorder = TopologyRecorder()
    SparseMLPClassifier(**SMALL, callbacks=[recorder]).fit(X, y)
    assert [update.step for update in recorder.updates] == [7]


def test_optional_packages_are_imported_late():
    code = "import sys, truesparse; print({'torch', 'tensorboardX', 'mlflow'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_all_names_are_there():
    assert all(hasattr(truesparse.callbacks, name) for name in truesparse.callbacks.__all__)


def test_an_error_at_the_end_costs_no_training():
    class Gone:
        def on_fit_end(self):
            raise OSError("the server is gone")

    ended = []

    class After:
        def on_fit_end(self):
            ended.append(True)

    model = SparseMLPClassifier(**SMALL, callbacks=[After(), Gone()])
    with pytest.warns(UserWarning, match="on_fit_end of .*Gone.* failed: OSError.'the server is gone'"):
        model.fit(X, y)
    assert model.n_iter_ == 3
    assert ended == [True]
