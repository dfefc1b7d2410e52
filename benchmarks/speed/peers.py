"""How fast is truesparse beside other libraries that can train the same sparse network?

Each library is used through its public interface (`_peers/`), with the same patterns, data, batch size, dropout, L2
penalty and Adam. Tables (`--only` picks one):

- `memory`: peak memory of a fresh process, and its parts: after the import; after training a tiny network, which loads
  or compiles what the library needs; and what an epoch of 20 steps with the network of the row adds;
- `step`: milliseconds of a training step, mean over 150 steps, for an evolving topology over 750 with two updates;
- `epoch`: seconds of an epoch of all 60,000 training images of MNIST;
- `predict`: milliseconds to predict the probabilities of one row and of 10,000;
- `accuracy`: seconds of training until the test accuracy on MNIST is 97.5 %. It is tested after each epoch, outside of
  the clock for all but ours. Median over seeds. The schedules of the estimator's defaults are planned for 200 epochs;
  "truesparse, 10 epochs" has `max_iter=10`.

Training and prediction take turns in one process, with pauses in which the threads of the others fall asleep. Each row
of the memory has processes of its own. `--threads` is for all libraries. "truesparse, cte" is the estimator with its
defaults, updates of the topology included; "truesparse, static" has the others' settings. `times ours` divides a median
by that of "truesparse, static": below 1, the other library is ahead. The data are MNIST if it is there, else noise; for
memory they are noise.

    python benchmarks/speed/peers.py [--only step] [--threads 2] [--rounds 5] [--csv PREFIX] [--quick]

A library that is not installed is left out. The extra `truesparse[benchmark]` has PyTorch and JAX; SparseProp is
`pip install sparseprop`, which needs a C++ compiler.
"""

import argparse
import json
import os
import pickle
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np
from joblib import cpu_count
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from truesparse.data import datasets

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _networks import STEPS, WIDE, data, task_of
from _peers import OURS, PEERS, PLANNED, installed
from _result_table import Table
from _turns import per_call, per_step, take_turns

N_STEPS = 150  # of an epoch in the table of steps
TO_ACCURACY = [(WIDE, {"epsilon": 20}, 128)]
DEFAULTS = [(WIDE, {"epsilon": 1}, 32)]  # of the estimator; with a static topology the goal is out of reach
GOAL = 0.975
QUICK = [((784, 100, 10), {"epsilon": 5}, 32)]
TINY = (784, 20, 10), {"density": 0.5}
HEAD = {"network": 21, "density": 7, "weights": 7, "batch": 5, "threads": 7, "library": 21, "topology": 8, "dropout": 7}


@cache
def mnist():
    """Training images and classes, test images and classes; None if they are not there."""
    try:
        loaded = datasets.load("mnist")
    except OSError:
        return None
    X, X_test = (np.ascontiguousarray(part, dtype=np.float32) for part in (loaded.X_train, loaded.X_test))
    return X, loaded.y_train.astype(np.int64), X_test, loaded.y_test.astype(np.int64)


def samples(n):
    """So many images and classes, or noise."""
    return data(n, 784) if mnist() is None else [part[:n] for part in mnist()[:2]]


def describe(task, name, peer):
    """The columns that say what is measured."""
    n_weights = task.n_weights if peer.sparse else task.n_pairs
    return {
        "network": "-".join(map(str, task.sizes)),
        "density": f"{n_weights / task.n_pairs:.4f}",
        "weights": n_weights,
        "batch": task.batch,
        "threads": task.threads,
        "library": name,
        "topology": peer.topology,
        "dropout": task.dropout if peer.dropout else "none",
    }


def shown(seconds, factor=1.0):
    """Median and range, for example ``0.550 (0.52-0.61)``."""
    return f"{np.median(seconds) * factor:.3f} ({seconds.min() * factor:.3g}-{seconds.max() * factor:.3g})"


def times_ours(times, name):
    """Return how many times as long as ours a peer takes, or nothing without ours."""
    return f"{np.median(times[name]) / np.median(times[OURS]):.2f}" if OURS in times else ""


def compare_memory(arguments, path):
    columns = {"after import, MB": 16, "after tiny network, MB": 22, "training adds, MB": 17, "peak, MB": 8}
    table = Table(HEAD | columns, path)
    command = [sys.executable, str(Path(__file__).with_name("_peak_memory.py"))]
    for sizes, spread, batch in arguments.networks:
        tasks = [task_of(*shape, batch, arguments.threads, *data(20 * batch, 784)) for shape in (TINY, (sizes, spread))]
        for name, peer in list(arguments.peers.items())[: 1 if arguments.quick else None]:
            given, runs = pickle.dumps((name, tasks)), []
            for _ in range(1 if arguments.quick else 3):
                output = subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True).stdout
                runs.append(json.loads(output.splitlines()[-1]))
            imported, tiny, peak = np.median(runs, axis=0) / 1e6
            figures = f"{imported:.0f}", f"{tiny:.0f}", f"{peak - tiny:.1f}", f"{peak:.0f}"
            table.row(**describe(tasks[1], name, peer), **dict(zip(columns, figures, strict=True)))


def compare_steps(arguments, path):
    table = Table(HEAD | {"ms a step (range)": 22, "times ours": 10}, path)
    for sizes, spread, batch in arguments.networks:
        X, y = samples((10 if arguments.quick else N_STEPS) * batch)
        task = task_of(sizes, spread, batch, arguments.threads, X, y)
        contenders = {name: per_step(peer(task)) for name, peer in arguments.peers.items()}
        take_turns(contenders, 1)  # compiles
        times = take_turns(contenders, arguments.rounds)
        for name, peer in arguments.peers.items():
            figures = {"ms a step (range)": shown(times[name], 1e3), "times ours": times_ours(times, name)}
            table.row(**describe(task, name, peer), **figures)


def compare_epochs(arguments, path):
    table = Table(HEAD | {"samples": 7, "s an epoch (range)": 22, "times ours": 10}, path)
    X, y = samples(640 if arguments.quick else 60_000)
    for sizes, spread, batch in arguments.networks:
        task = task_of(sizes, spread, batch, arguments.threads, X, y)
        peers = {name: peer(task) for name, peer in arguments.peers.items()}
        for peer in peers.values():
            peer.prepare()
        contenders = {name: lambda _, peer=peer: peer.train(1).mean() for name, peer in peers.items()}
        times = take_turns(contenders, min(arguments.rounds, 3))
        for name, peer in peers.items():
            figures = {"s an epoch (range)": shown(times[name]), "times ours": times_ours(times, name)}
            table.row(**describe(task, name, peer), samples=len(X), **figures)


def compare_predictions(arguments, path):
    columns = {"1 row, ms (range)": 22, "times ours": 10, "10,000 rows, ms (range)": 23, "times ours.": 11}
    table = Table(HEAD | columns, path)
    X, y = samples(10_000)
    for sizes, spread, batch in arguments.networks:
        task = task_of(sizes, spread, batch, arguments.threads, X[: 10 * batch], y[: 10 * batch])
        peers = {name: peer(task) for name, peer in arguments.peers.items()}
        for peer in peers.values():
            peer.train(1)
        both = []
        for rows in (X[:1], X):
            contenders = {
                name: per_call(lambda peer=peer, rows=rows: peer.predict_proba(rows)) for name, peer in peers.items()
            }
            both.append(take_turns(contenders, arguments.rounds, arguments.seconds))
        for name, peer in peers.items():
            figures = [figure for times in both for figure in (shown(times[name], 1e3), times_ours(times, name))]
            table.row(**describe(task, name, peer), **dict(zip(columns, figures, strict=True)))


def compare_accuracy(arguments, path):
    if mnist() is None:
        print("-- MNIST is not there, left out")
        return
    columns = {"s to 97.5 %": 11, "epochs": 6, "best accuracy": 13, "each seed": 35}
    table, n_seeds = Table(HEAD | columns, path), 1 if arguments.quick else 3
    X, y, X_test, y_test = mnist()
    if arguments.quick:
        X, y = X[:640], y[:640]
    for sizes, spread, batch in QUICK if arguments.quick else TO_ACCURACY + DEFAULTS:
        tiny = task_of(*TINY, batch, arguments.threads, X[:batch], y[:batch])
        for name, peer in arguments.peers.items():
            if (sizes, spread, batch) in DEFAULTS and peer.topology == "static":
                continue
            peer(tiny).train(1)  # loads what the library needs
            runs = []
            for seed in range(n_seeds):
                task = task_of(sizes, spread, batch, arguments.threads, X, y, seed=seed)
                runs.append(peer(task).train_until(GOAL, X_test, y_test, arguments.cap))
                if 2 * sum(best < GOAL for *_, best in runs) > n_seeds:
                    break  # the median is not reached, whatever the other seeds do
            seconds, epochs, best = np.array(runs).T
            median = np.median(np.where(best >= GOAL, seconds, np.inf))
            each = [f"{s:.1f}" if b >= GOAL else f"not in {s:.0f}" for s, b in zip(seconds, best, strict=True)]
            figures = ("not reached" if np.isinf(median) else f"{median:.1f}", f"{np.median(epochs):.0f}",
                       f"{np.median(best):.4f}", ", ".join(each))  # fmt: skip
            table.row(**describe(task, name, peer), **dict(zip(columns, figures, strict=True)))


QUESTIONS = {
    "memory": compare_memory,
    "step": compare_steps,
    "epoch": compare_epochs,
    "predict": compare_predictions,
    "accuracy": compare_accuracy,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=QUESTIONS)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), help="all if left out")
    parser.add_argument("--threads", type=int, default=cpu_count(), help="of each library; all cores if left out")
    parser.add_argument("--rounds", type=int, default=5, help="at most 3 for epochs")
    parser.add_argument("--seconds", type=float, default=0.3, help="of a measurement of predictions")
    parser.add_argument("--cap", type=float, default=600, help="seconds of training after which an accuracy is missed")
    parser.add_argument("--csv", metavar="PREFIX", help="writes PREFIX_step.csv and so on")
    parser.add_argument("--quick", action="store_true", help="a small network, one round")
    arguments = parser.parse_args()
    os.environ["NPROC"] = str(arguments.threads)  # JAX reads it when it is imported, here and in child processes
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.simplefilter("ignore", UserWarning)
    arguments.networks = STEPS
    if arguments.quick:
        arguments.networks, arguments.rounds, arguments.seconds, arguments.cap = QUICK, 1, 0.02, 0.2
    chosen = installed(arguments.peers)
    for name, compare in QUESTIONS.items():
        if arguments.only in (None, name):
            print(f"== {name}")
            arguments.peers = {key: peer for key, peer in chosen.items() if key != PLANNED or name == "accuracy"}
            with threadpool_limits(arguments.threads):
                compare(arguments, arguments.csv and f"{arguments.csv}_{name}.csv")


if __name__ == "__main__":
    main()
