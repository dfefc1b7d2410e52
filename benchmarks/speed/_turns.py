"""Contenders that take turns in one process."""

import time

import numpy as np


def take_turns(contenders, rounds, seconds=0.0):
    """Return what each contender measures, an array with a value per round, by name.

    A contender is a function of the seconds that a measurement should take. Threads of the others fall asleep in the
    pauses.
    """
    times = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            time.sleep(0.2)
            times[name].append(measure(seconds))
    return {name: np.array(values) for name, values in times.items()}


def per_call(function):
    """Return a contender that measures the mean seconds of a call, after a short warm-up."""

    def measure(seconds):
        started = time.perf_counter()
        for _ in range(3):
            function()
        calls = max(3, int(seconds * 3 / (time.perf_counter() - started)))
        started = time.perf_counter()
        for _ in range(calls):
            function()
        return (time.perf_counter() - started) / calls

    return measure


def per_step(peer):
    """Return a contender that measures the mean seconds of a training step of a peer.

    It takes an epoch, or five where the topology is updated, so that updates count.
    """
    epochs = 5 if peer.topology == "updated" else 1
    n_steps = -(-len(peer.task.X) // peer.task.batch)
    return lambda seconds: peer.train(epochs).mean() / n_steps
