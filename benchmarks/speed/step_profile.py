"""Where does the time of a training step go, and what is the floor of each part?

The whole step is an epoch of `SparseMLPClassifier.fit` divided by its steps. The parts are the calls that a step
consists of where it is not compiled as a whole, timed one by one with their data in the caches as a step leaves them.
The whole step takes less where many steps are one call, which `rest` shows as a negative number. Floors: products at
the rate of sgemm on as many cores; reading, loss and update as one pass over their arrays at the rate at which arrays
of this size are copied. Everything is a median, in microseconds. The estimator has its defaults, among them Adam and a
dropout of 0.1, but the topology is static.

    python benchmarks/speed/step_profile.py [--threads 2] [--csv FILE] [--quick]
"""

import argparse
import sys
import time
from itertools import count
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from truesparse.data import ArraySource
from truesparse.estimators.recipes import make_recipe
from truesparse.network.losses import SoftmaxCrossEntropy
from truesparse.runtime.random_streams import Draws
from truesparse.runtime.threads import threads
from truesparse.training import new_network

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _networks import STEPS, data, iterate, patterns_of, static_classifier_of
from _result_table import Table


def median_of(function, calls):
    """Median microseconds of a call."""
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return np.median(times) * 1e6


def sgemm_rate():
    """Operations per microsecond of a dense product on one core."""
    rng = np.random.default_rng(0)
    w, x = (rng.standard_normal((1000, n), dtype=np.float32) for n in (1000, 128))
    with threadpool_limits(1):
        return 2 * w.size * 128 / median_of(lambda: w @ x, 100)


def copy_rate(n_bytes):
    """Bytes read and written per microsecond by a copy of so many."""
    source, target = np.ones(n_bytes, dtype=np.uint8), np.empty(n_bytes, dtype=np.uint8)
    return 2 * n_bytes / median_of(lambda: np.copyto(target, source), 100)


def step_seconds(model, X, y):
    """Seconds of a step in each epoch of a fit but the first."""
    return np.array(model.fit(X, y).history_["seconds"][1:]) / -(-len(X) // model.batch_size)


def profile(sizes, spread, batch, n_threads, calls):
    """Microseconds of each part of a step and their floors."""
    patterns = patterns_of(sizes, **spread)
    X, y = data(60 * batch, sizes[0])
    model = static_classifier_of(patterns, batch, n_threads, max_iter=-(-calls // 60) + 1)
    source, recipe = ArraySource(X, y), make_recipe(model.get_params(deep=False), SoftmaxCrossEntropy())
    network, optimizer = new_network(recipe, source, n_outputs=sizes[-1], seed=0), recipe.optimizer
    state = optimizer.init(network.params)
    workspace, batches = network.workspace(batch), iterate(len(X), batch)
    samples, steps = next(batches), count()

    def update():
        optimizer.step(
            network.params, network.gradient, state,
            learning_rate=1e-9, alpha=recipe.alpha, n_weights=network.n_weights, n_steps=1,
        )  # fmt: skip

    parts = {"step": np.median(step_seconds(model, X, y)) * 1e6}
    with threads(n_threads):
        parts["read"] = median_of(lambda: source.read(next(batches), workspace), calls)
        source.read(samples, workspace)
        parts["forward"] = median_of(lambda: network.forward(workspace, Draws(0, next(steps))), calls)
        z = workspace.z
        parts["loss"] = median_of(lambda: recipe.loss(z, y[samples], z), calls)
        parts["backward"] = median_of(lambda: network.backward(workspace), calls)
        parts["update"] = median_of(update, calls)
    parts["rest"] = parts["step"] - sum(part for name, part in parts.items() if name != "step")
    weights, below = network.n_weights, patterns[0].nnz
    products, size = 2 * batch / sgemm_rate() / n_threads, network.params.nbytes
    floors = {
        "read": 2 * 4 * sizes[0] * batch / copy_rate(4 * sizes[0] * batch) / n_threads,
        "forward": weights * products,
        "loss": 2 * 4 * sizes[-1] * batch / copy_rate(4 * sizes[-1] * batch),
        "backward": (2 * weights - below) * products,
        "update": 7 * size / copy_rate(size) / n_threads,
        "rest": 0.0,
    }
    return parts, {"step": sum(floors.values()), **floors}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--csv")
    parser.add_argument("--quick", action="store_true", help="one network, few calls")
    arguments = parser.parse_args()
    names = ["read", "forward", "loss", "backward", "update", "rest", "step"]
    table = Table({"network": 21, "weights": 7, "batch": 5, "threads": 7, "µs": 6, **dict.fromkeys(names, 8)},
                  arguments.csv)  # fmt: skip
    calls, rounds = (10, 1) if arguments.quick else (300, arguments.rounds)
    for sizes, spread, batch in STEPS[-1:] if arguments.quick else STEPS:
        for n_threads in sorted({1, arguments.threads}):
            measured = [profile(sizes, spread, batch, n_threads, calls) for _ in range(rounds)]
            for kind, which in (("is", 0), ("floor", 1)):
                table.row(
                    **{
                        "network": "-".join(map(str, sizes)),
                        "weights": sum(pattern.nnz for pattern in patterns_of(sizes, **spread)),
                        "batch": batch,
                        "threads": n_threads,
                        "µs": kind,
                        **{name: f"{np.median([run[which][name] for run in measured]):.0f}" for name in names},
                    }
                )


if __name__ == "__main__":
    main()
