"""Does a process that trains for hours keep its memory, threads and files?

One process fits, goes on with partial_fit, predicts, saves, loads, and fits again from a checkpoint, over and over,
with networks, methods, solvers and data drawn at random; every result is compared with what it must equal, and fits
that fail or are interrupted are among them. A row per minute says what the process holds. In the end, the growth of
the resident memory since the warm-up, the first tenth of the time: of the straight line through it, and its range, as
shares of the mean. Fails if one of them is beyond 2 %, if threads or file descriptors grew, or if a result was wrong.

    python benchmarks/stress/soak.py [--minutes 120] [--csv FILE] [--quick] [--no-trim]

So that the figure is that of the program, not of the allocator, glibc is told to use one arena (MALLOC_ARENA_MAX=1) and
before a row is taken, garbage is collected and free pages are given back (malloc_trim). --no-trim leaves both out.
What is alive is not touched by either.
"""

import argparse
import ctypes
import gc
import itertools
import os
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
from _models import settings_of
from scipy.sparse import csr_array

import truesparse
from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.callbacks import Checkpoint
from truesparse.estimators.persistence import ModelFormatError
from truesparse.evolution import PRESETS, ImportancePruning

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _result_table import Table

METHODS = sorted([*PRESETS, "snip", "dense"])
WARM_UP = 0.1  # of the time
FLAT = 0.02  # of the mean
COLUMNS = {"minute": 7, "resident MB": 11, "Python threads": 14, "threads": 7, "files": 5, "iterations": 10, "wrong": 5}


# What is done.


def make_data():
    """Pairs of X and y for each kind of estimator, dense and CSR; made once, so that they do not count as growth."""
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((160, 24))
    sparse = csr_array(np.where(rng.random((160, 24)) < 0.3, dense, 0))
    scores = dense @ rng.standard_normal((24, 3))
    labels = np.array(["first", "second", "third"])[scores.argmax(axis=1)]
    return {
        SparseMLPClassifier: [(dense, labels), (sparse, labels), (dense, (scores > 0).astype(int))],
        SparseMLPRegressor: [(dense, scores[:, 0]), (sparse, scores)],
    }


def draw_parameters(rng, dtypes, most_threads, method=None):
    """Parameters of a small network, of a method that is drawn too if none is given."""
    parameters = {
        "hidden_layer_sizes": tuple(int(size) for size in rng.integers(8, 60, size=rng.integers(1, 4))),
        "evolution": str(rng.choice(METHODS)),
        "epsilon": float(rng.uniform(1, 4)),
        "activation": str(rng.choice(["relu", "all_relu", "tanh", "srelu"])),
        "solver": str(rng.choice(["adam", "sgd"])),
        "learning_rate_init": 0.003,
        "batch_size": int(rng.choice([16, 32])),
        "dropout": float(rng.choice([0, 0.1])),
        "dtype": str(rng.choice(dtypes)),
        "max_iter": int(rng.integers(2, 6)),
        "update_every": int(rng.integers(2, 6)),
        "early_stopping": bool(rng.integers(2)),
        "n_jobs": most_threads if rng.random() < 0.02 else 1,
        "random_state": int(rng.integers(1000)),
    }
    method = method or parameters["evolution"]
    removes_units = rng.random() < 0.2 and method != "dense"
    return parameters | settings_of(method, ImportancePruning(fraction=0.2, every=1) if removes_units else None)


class Interrupt:
    """A callback that ends a fit after some epochs, as a user at the keyboard would."""

    def __init__(self, epochs):
        self.left = epochs

    def on_epoch_end(self, network, record):
        """Interrupt, if it is time."""
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def iterate(cls, X, y, parameters, folder):
    """One model through all that can be done with it; returns how many results were wrong."""
    path, checkpoint = folder / "model.npz", folder / "checkpoint.npz"
    model = cls(**parameters).fit(X, y)
    expected = model.predict(X)
    truesparse.save(model, path)
    loaded = truesparse.load(path)
    wrong = not np.array_equal(loaded.predict(X), expected)

    model.partial_fit(X, y)
    loaded.partial_fit(X, y)
    wrong += not np.array_equal(loaded.predict(X), model.predict(X))

    interrupted = cls(**parameters, callbacks=[Checkpoint(checkpoint), Interrupt(1)])
    try:
        interrupted.fit(X, y)
        wrong += 1
    except KeyboardInterrupt:
        interrupted.set_params(callbacks=[Checkpoint(checkpoint)])
        interrupted.fit(X, y, resume_from=checkpoint)
        wrong += not np.array_equal(interrupted.predict(X), expected)

    path.write_bytes(path.read_bytes()[:-100])
    wrong += not _fails(ModelFormatError, truesparse.load, path)
    wrong += not _fails(ValueError, model.fit, X, y[:-1])
    wrong += not _fails(OSError, truesparse.save, model, folder / "no such folder" / "model.npz")
    return int(wrong)


def _fails(kind, function, *arguments):
    try:
        function(*arguments)
    except kind:
        return True
    return False


def warm_up(data, folder, dtypes, most_threads, *, thoroughly):
    """Load the kernels, so that the clock starts with all code in memory."""
    rng = np.random.default_rng(0)
    choices = itertools.product(METHODS, dtypes, (16, 32), range(1, most_threads + 1), data.items())
    for method, dtype, batch_size, n_jobs, (cls, sets) in choices:
        chosen = {"dtype": dtype, "batch_size": batch_size, "n_jobs": n_jobs}
        for X, y in sets if thoroughly else sets[:1]:
            iterate(cls, X, y, draw_parameters(rng, dtypes, 1, method) | chosen, folder)


# What is measured.


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def sample(trim):
    """What the process holds now."""
    gc.collect()
    if trim:
        ctypes.CDLL(None).malloc_trim(0)
    return (
        resident_bytes(),
        threading.active_count(),
        len(os.listdir("/proc/self/task")),
        len(os.listdir("/proc/self/fd")),
    )


def growth(minutes, values):
    """What the straight line gains from the first to the last, and the range; shares of the mean."""
    slope = np.polyfit(minutes, values, 1)[0]
    mean = np.mean(values)
    return slope * (minutes[-1] - minutes[0]) / mean, (max(values) - min(values)) / mean


def soak(seconds, every, seed, csv, *, trim, thoroughly):
    """Iterate for so long, with a row every so many seconds or so; returns whether everything stayed as it was."""
    rng = np.random.default_rng(seed)
    data = make_data()
    classes = list(data)
    # One thread and several have kernels of their own, as dtypes have: fewer are to be loaded where time is short.
    dtypes, most_threads = (["float32", "float64"], 2) if thoroughly else (["float32"], 1)
    rows, n_iterations, n_wrong = [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        warm_up(data, folder, dtypes, most_threads, thoroughly=thoroughly)
        table = Table(COLUMNS, csv)
        started = time.monotonic()
        minute = 0
        while 60 * minute < seconds:
            until = time.monotonic() + every
            while time.monotonic() < until:
                cls = classes[rng.integers(len(classes))]
                X, y = data[cls][rng.integers(len(data[cls]))]
                n_wrong += iterate(cls, X, y, draw_parameters(rng, dtypes, most_threads), folder)
                n_iterations += 1
            minute, held = (time.monotonic() - started) / 60, sample(trim)
            rows.append((minute, *held))
            values = f"{minute:.2f}", f"{held[0] / 1e6:.2f}", *held[1:], n_iterations, n_wrong
            table.row(**dict(zip(COLUMNS, values, strict=True)))
    measured = [row for row in rows if row[0] >= WARM_UP * rows[-1][0]]
    minutes, memory, *counts = zip(*measured, strict=True)
    line, spread = growth(minutes, memory)
    grown = [counted[-1] - counted[0] for counted in counts]
    print(
        f"{len(measured)} rows after the warm-up, {np.mean(memory) / 1e6:.0f} MB: line {line:+.2%}, range {spread:.2%};"
        " growth of Python threads, threads, files: {}, {}, {}; {} results were wrong".format(*grown, n_wrong)
    )
    return abs(line) <= FLAT and spread <= FLAT and not any(n > 0 for n in grown) and not n_wrong


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv")
    parser.add_argument("--quick", action="store_true", help="20 seconds, a row a second, float32 and one thread")
    parser.add_argument("--no-trim", action="store_true", help="leave the allocator as it is")
    options = parser.parse_args(arguments)
    if not options.no_trim and os.environ.get("MALLOC_ARENA_MAX") != "1":
        # Read by glibc before Python starts.
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"MALLOC_ARENA_MAX": "1"})
    seconds, every = (20, 1) if options.quick else (60 * options.minutes, 60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # runs are too short for some methods, as they say
        thoroughly = not options.quick
        return not soak(seconds, every, options.seed, options.csv, trim=not options.no_trim, thoroughly=thoroughly)


if __name__ == "__main__":
    sys.exit(main())
