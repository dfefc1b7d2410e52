"""Does a network that starts from a random topology find out that pixels have neighbours?

python benchmarks/study/locality.py [--epochs 60] [--csv FILE] [--quick]
python benchmarks/study/locality.py --plot FILE --png FILE

Networks of 3072-2048-1024-512-10 with as many weights as `local_static` of `cifar10.py`, on CIFAR-10. After every fifth
epoch: the share of the first layer's connections, each counted by its absolute weight, that lie in the window of 9 × 9
pixels around the middle of their unit's connections. The middle is the pixel whose row and column are the medians, so
that a random topology has more than 9²/32². Units with fewer than four connections are left out.
"""

import argparse
import csv
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from _cifar10_runs import LOCAL, WHOLE_WINDOWS
from cifar10 import is_missing, load_images

from truesparse import SparseMLPClassifier, preset
from truesparse.evolution import CosineAnnealing
from truesparse.topology.density import layer_shapes

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _result_table import Table

METHODS = ("cte", "omp", "rigl", "set", "chts")
COLUMNS = {"method": 14, "seed": 4, "epoch": 5, "share_in_window": 15, "train_loss": 10, "test_accuracy": 13}
REACH = 4  # pixels on each side


def share_in_window(weight):
    """Share of a first layer's weights, (fan_out, 3072) CSR, near the middle of their units' connections."""
    pixels = weight.indices // 3
    places = np.stack([pixels // 32, pixels % 32])  # (2, nnz)
    inside, size = 0.0, 0.0
    for unit in np.flatnonzero(np.diff(weight.indptr) >= 4):
        own = slice(*weight.indptr[unit : unit + 2])
        # Rounded: a median between two pixels would leave windows of 8.
        middle = np.rint(np.median(places[:, own], axis=1, keepdims=True))
        distance = np.abs(places[:, own] - middle).max(axis=0)
        strength = np.abs(weight.data[own])
        inside, size = inside + strength[distance <= REACH].sum(), size + strength.sum()
    return inside / size


class Locality:
    """A callback that keeps the shares after every fifth epoch."""

    def __init__(self):
        self.rows = []

    def on_train_begin(self, network):
        """Keep that of the first topology."""
        self.rows.append((0, share_in_window(network.layers[0].weight), np.nan))

    def on_epoch_end(self, network, record):
        """Keep it if the epoch is due."""
        if record.epoch % 5 == 0:
            self.rows.append((record.epoch, share_in_window(network.layers[0].weight), record.train_loss))


def run(name, topology, evolution, images, epochs, seed, table):
    """Train one network and add its rows to the table."""
    X, y, X_test, y_test = images
    sizes, locality = WHOLE_WINDOWS.hidden_layer_sizes, Locality()
    settings = LOCAL | {"hidden_layer_sizes": sizes, "topology_init": topology, "evolution": evolution}
    shapes = layer_shapes([X.shape[1], *sizes, 10])
    n_weights = sum(WHOLE_WINDOWS.counts(shapes, epsilon=None, density=None))
    density = None if topology is WHOLE_WINDOWS else n_weights / sum(map(math.prod, shapes))
    model = SparseMLPClassifier(
        **settings, density=density, max_iter=epochs, n_iter_no_change=np.inf, random_state=seed, callbacks=[locality]
    ).fit(X, y)
    accuracy = model.score(X_test, y_test)
    for epoch, share, loss in locality.rows:
        table.row(
            method=name,
            seed=seed,
            epoch=epoch,
            share_in_window=f"{share:.4f}",
            train_loss=f"{loss:.4f}",
            test_accuracy=f"{accuracy:.4f}",
        )


def plot(path, png):
    """Draw the shares against the epoch."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
    for name in dict.fromkeys(row["method"] for row in rows):
        own = [(int(row["epoch"]), 100 * float(row["share_in_window"])) for row in rows if row["method"] == name]
        accuracy = next(float(row["test_accuracy"]) for row in rows if row["method"] == name)
        ax.plot(*np.array(own).T, label=f"{name}: test accuracy {100 * accuracy:.1f} %")
    ax.set(xlabel="epoch", ylabel="weights near the middle of their unit, %", ylim=(0, 105), title="CIFAR-10")
    ax.legend(loc="upper right", bbox_to_anchor=(1, 0.9))
    figure.savefig(png, dpi=100)
    print(f"The picture is in {png}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv")
    parser.add_argument("--quick", action="store_true", help="five epochs on 2,000 images, static and one method")
    parser.add_argument("--plot", metavar="CSV", help="draw these results in place of training")
    parser.add_argument("--png", default="locality.png")
    arguments = parser.parse_args()
    if arguments.plot:
        plot(arguments.plot, arguments.png)
        return
    if arguments.quick and is_missing("cifar10"):
        return
    epochs, n_images, methods = (5, 2000, METHODS[1:2]) if arguments.quick else (arguments.epochs, None, METHODS)
    images = load_images("cifar10", n_images, by_channel=True, validation=False)
    runs = [("local, static", WHOLE_WINDOWS, "static")]
    for name in methods:
        schedule = CosineAnnealing(drop_fraction=0.2, update_every="epoch")
        runs.append((name, "balanced", replace(preset(name), schedule=schedule)))
    table = Table(COLUMNS, arguments.csv)
    for name, topology, evolution in runs:
        run(name, topology, evolution, images, epochs, arguments.seed, table)


if __name__ == "__main__":
    main()
