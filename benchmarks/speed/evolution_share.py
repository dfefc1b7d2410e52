"""What part of an epoch goes into the changes of the topology?

Two tables:

- Whole fits of `SparseMLPClassifier(max_iter=200)` with nothing else set, on MNIST and Madelon (noise if they are not
  there): their seconds, and the share of them that updates take.
- 784-1000-1000-1000-10, epsilon 20, 60,000 samples (MNIST or noise), batch 128: seconds of an epoch and the share of it
  that updates take, with one update per epoch, as published, with one every 150 steps, and with one every 50. The
  estimator has each method's defaults but for the columns, and the share of connections that an update replaces is not
  annealed. Median over epochs.

    python benchmarks/speed/evolution_share.py [--threads 2] [--epochs 5] [--csv PREFIX] [--quick]
"""

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from truesparse import SparseMLPClassifier, preset
from truesparse.data import datasets
from truesparse.evolution import Constant, CosineAnnealing

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _networks import WIDE, classifier_of, data
from _result_table import Table


def samples(name, n_samples, n_features):
    """Name of the data, samples and classes."""
    try:
        loaded = datasets.load(name)
    except OSError:
        return "noise", *data(n_samples, n_features)
    return name, np.ascontiguousarray(loaded.X_train[:n_samples], dtype=np.float32), loaded.y_train[:n_samples]


class Updates:
    """A callback that takes the seconds of each update, a list for each epoch."""

    def __init__(self):
        self.seconds, self.started = [], 0.0

    def on_epoch_begin(self, network, epoch):
        """Begin a list."""
        self.seconds.append([])

    def on_topology_change(self, network, step, rewirings):
        """Note the seconds since the schedule asked for the update."""
        self.seconds[-1].append(time.perf_counter() - self.started)


@dataclass(frozen=True)
class Clocked:
    """A schedule that says when an update begins."""

    schedule: Constant
    updates: Updates

    def __call__(self, step, epoch_step, total_steps):
        """Return what the schedule returns."""
        self.updates.started = time.perf_counter()
        return self.schedule(step, epoch_step, total_steps)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--csv", metavar="PREFIX", help="writes PREFIX_fits.csv and PREFIX_epochs.csv")
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples, one epoch")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.epochs = 1
    share_of_fits(arguments)
    share_of_epochs(arguments)


def share_of_fits(arguments):
    table = Table({"data": 8, "samples": 7, "threads": 7, "updates": 7, "ms an update": 12, "s a fit": 8,
                   "share of updates": 16}, arguments.csv and f"{arguments.csv}_fits.csv")  # fmt: skip
    for asked, n_samples, n_features in (("madelon", 2000, 500), ("mnist", 60_000, 784)):
        name, X, y = samples(asked, n_samples // 10 if arguments.quick else n_samples, n_features)
        for n_threads in (1,) if arguments.quick else (1, arguments.threads):
            updates = Updates()
            evolution = replace(preset("cte"), schedule=Clocked(CosineAnnealing(), updates))
            model = SparseMLPClassifier(evolution=evolution, n_jobs=n_threads, callbacks=[updates], random_state=0)
            model.set_params(max_iter=5 if arguments.quick else 200)
            for _ in range(2):  # the first fit compiles
                updates.seconds.clear()
                model.fit(X, y)
            seconds, of_updates = sum(model.history_["seconds"]), np.concatenate(updates.seconds)
            table.row(
                **{
                    "data": name,
                    "samples": len(X),
                    "threads": n_threads,
                    "updates": of_updates.size,
                    "ms an update": f"{np.median(of_updates) * 1e3:.1f}",
                    "s a fit": f"{seconds:.2f}",
                    "share of updates": f"{of_updates.sum() / seconds:.1%}",
                }
            )


def share_of_epochs(arguments):
    name, X, y = samples("mnist", 6000 if arguments.quick else 60_000, 784)
    table = Table({"data": 5, "method": 8, "epsilon": 7, "batch": 5, "dropout": 7, "update every": 12, "threads": 7,
                   "updates": 7, "ms an update": 12, "s an epoch": 10, "share of updates": 16},
                  arguments.csv and f"{arguments.csv}_epochs.csv")  # fmt: skip
    for method in ("set", "cte", "ctre_sim"):
        for every in ("epoch", 50) if arguments.quick else ("epoch", 150, 50):
            evolution, watching = preset(method), Updates()
            schedule = Constant(evolution.schedule.drop_fraction, update_every=every)
            model = classifier_of(
                WIDE[1:-1], 128, arguments.threads,
                evolution=replace(evolution, schedule=Clocked(schedule, watching)), callbacks=[watching], epsilon=20,
                max_iter=arguments.epochs + 1,
            ).fit(X, y)  # fmt: skip
            # The first epoch compiles, and begins without an update.
            seconds, updates = np.array(model.history_["seconds"][1:]), watching.seconds[1:]
            table.row(
                **{
                    "data": name,
                    "method": method,
                    "epsilon": 20,
                    "batch": 128,
                    "dropout": 0.1,
                    "update every": every,
                    "threads": arguments.threads,
                    "updates": sum(map(len, updates)),
                    "ms an update": f"{np.median(np.concatenate(updates)) * 1e3:.1f}",
                    "s an epoch": f"{np.median(seconds):.3f}",
                    "share of updates": f"{np.median([sum(u) / s for u, s in zip(updates, seconds, strict=True)]):.1%}",
                }
            )


if __name__ == "__main__":
    main()
