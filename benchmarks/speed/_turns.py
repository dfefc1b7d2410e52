"""Contenders that take turns in one process, and the density up to which one of them wins."""

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


def best_of(function, seconds=0.05):
    """Seconds of the fastest of the calls that fill some time: what the code can do when nothing disturbs it."""
    function()
    times, until = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < until:
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def per_step(peer):
    """Return a contender that measures the mean seconds of a training step of a peer.

    It takes an epoch, or five where the topology is updated, so that updates count.
    """
    epochs = 5 if peer.topology == "updated" else 1
    n_steps = -(-len(peer.task.X) // peer.task.batch)
    return lambda seconds: peer.train(epochs).mean() / n_steps


def break_even(densities, ratios):
    """Say up to which of the densities, in ascending order, a network is faster than dense PyTorch, by its ratios."""
    if min(ratios) >= 1:
        return f"faster than dense PyTorch up to density {densities[-1]} at least"
    after = next(i for i, ratio in enumerate(ratios) if ratio < 1)
    if after == 0:
        return f"slower than dense PyTorch from density {densities[0]} on"
    logs, between = (np.log(values[after - 1 : after + 1]) for values in (ratios, densities))
    return f"break-even density: {np.exp(np.interp(0, -logs, between)):.2f}"
