"""All libraries of `benchmarks/speed/peers.py` train the same network."""

import numpy as np
import pytest
from helpers import benchmark_modules
from numpy.testing import assert_allclose

_networks, _peers = benchmark_modules("speed", "_networks", "_peers")

OTHERS = {"truesparse, cte", _peers.PLANNED, "torch, dense", "scikit-learn"}
SAME = [name for name in _peers.PEERS if name not in OTHERS]


def peer_of(name, **settings):
    """A peer of a small network whose batch is all samples, so that their order does not matter."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((64, 20), dtype=np.float32), rng.integers(3, size=64)
    found = _peers.installed([name])
    if not found:
        pytest.skip("its library is not installed")
    return found[name](_networks.task_of((20, 30, 30, 3), {"density": 0.3}, 64, 1, X, y, **settings))


@pytest.mark.parametrize("name", SAME)
@pytest.mark.filterwarnings("ignore")
def test_all_make_the_same_steps_from_the_same_weights(name):
    peer, ours = (peer_of(which, dropout=0.0, alpha=0.1, learning_rate=0.01) for which in (name, _peers.OURS))
    before = peer.predict_proba(peer.task.X) if name != _peers.OURS else 1 / 3
    peer.train(7 if name == _peers.OURS else 8)  # ours makes an epoch more
    ours.train(7)
    assert abs(ours.predict_proba(peer.task.X) - before).max() > 0.1
    assert_allclose(peer.predict_proba(peer.task.X), ours.predict_proba(peer.task.X), atol=1e-3)


@pytest.mark.parametrize("name", [name for name in _peers.PEERS if name != _peers.PLANNED])
@pytest.mark.filterwarnings("ignore")
def test_all_learn_until_an_accuracy(name):
    peer = peer_of(name, learning_rate=0.01)
    seconds, n_epochs, best = peer.train_until(0.9, peer.task.X, peer.task.y, cap=20)
    assert best >= 0.9
    assert 0 < seconds < 20
    assert n_epochs > 1
    assert_allclose(peer.predict_proba(peer.task.X).sum(axis=1), 1, rtol=1e-5)


def test_what_is_not_installed_is_left_out_with_a_line(monkeypatch, capsys):
    monkeypatch.setitem(_peers.PEERS, "absent", ("with_absent", "Absent"))
    assert list(_peers.installed([_peers.OURS, "absent"])) == [_peers.OURS]
    assert "-- absent: left out" in capsys.readouterr().out
