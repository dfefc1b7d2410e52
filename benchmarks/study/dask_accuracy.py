"""Is a network that two Dask workers train in rounds as accurate as one of a single process? MNIST, with all defaults.

python benchmarks/study/dask_accuracy.py [--seeds 3] [--epochs 25] [--csv FILE] [--quick]
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from truesparse import SparseMLPClassifier
from truesparse.data import datasets
from truesparse.distributed import DaskSparseMLPClassifier

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _result_table import Table

N_PARTITIONS = 10
COLUMNS = {"training": 34, "test accuracy in %, mean (each seed)": 36, "seconds a fit": 13}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--csv")
    parser.add_argument("--quick", action="store_true", help="one seed, 3,000 images, two epochs, one number of steps")
    arguments = parser.parse_args()
    import dask.array as da
    from dask.distributed import Client, LocalCluster

    data, seeds = datasets.load("mnist"), range(1 if arguments.quick else arguments.seeds)
    n_train, epochs = (3000, 2) if arguments.quick else (len(data.X_train), arguments.epochs)
    X, y = data.X_train[:n_train], data.y_train[:n_train]
    table = Table(COLUMNS, arguments.csv)

    def row(name, fit):
        accuracies, started = [], time.monotonic()
        for seed in seeds:
            accuracies.append(100 * fit(seed).score(data.X_test, data.y_test))
        seconds = (time.monotonic() - started) / len(seeds)
        each = " ".join(f"{accuracy:.2f}" for accuracy in accuracies)
        table.row(**dict(zip(COLUMNS, (name, f"{np.mean(accuracies):.2f} ({each})", f"{seconds:.0f}"), strict=True)))

    def chunked(order):
        size = n_train // N_PARTITIONS
        return da.from_array(X[order], chunks=(size, -1)), da.from_array(y[order], chunks=size)

    def on_dask(order, local_steps):
        samples = chunked(order)
        return lambda seed: DaskSparseMLPClassifier(
            max_iter=epochs, random_state=seed, local_steps=local_steps
        ).fit(*samples).to_local()  # fmt: skip

    row("one process", lambda seed: SparseMLPClassifier(max_iter=epochs, random_state=seed).fit(X, y))
    as_given, by_class = np.arange(n_train), np.argsort(y, kind="stable")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster),
    ):
        for local_steps in [250] if arguments.quick else [50, 250, 1000]:
            row(f"Dask, {local_steps} steps a round", on_dask(as_given, local_steps))
        for local_steps in [] if arguments.quick else [50, 250, 1000]:
            row(f"Dask, sorted by class, {local_steps}", on_dask(by_class, local_steps))


if __name__ == "__main__":
    main()
