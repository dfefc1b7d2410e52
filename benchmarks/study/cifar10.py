"""SET on CIFAR-10 as published, and what comes after it: 3072-4000-1000-4000-10, test accuracy after every epoch.

python benchmarks/study/cifar10.py --run NAME [--epochs 1000] [--csv FILE] [--checkpoint FILE] [--seed 0] [--threads 1]
                             [--limit IMAGES] [--quick]
python benchmarks/study/cifar10.py --run NAME --anneal CHECKPOINT --epochs 60 [--csv FILE]
python benchmarks/study/cifar10.py --plot FILE.csv ... --png FILE

A run that was killed goes on from its checkpoint when the same command is given again, and ends with the same weights
as one that never stopped. Every pixel of every channel is standardised by its own mean and deviation over the training
images, before they are augmented.

The published run (D. C. Mocanu et al., "Scalable training of artificial neural networks with adaptive sparse
connectivity inspired by network science", Nature Communications 9, 2018, and the log beside its code) evaluates on the
test images after every epoch and reports the best of 1,000 epochs. So that figures compare, so do we; the last epoch
is what such a network can be expected to reach on other images.
"""

import argparse
import csv
import os
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from truesparse import Evolution, SparseMLPClassifier, load
from truesparse.callbacks import Checkpoint
from truesparse.data import ArraySource, datasets
from truesparse.evolution import OMP, Constant, CosineAnnealing, Magnitude, Random, SignedMagnitude
from truesparse.network.activations import AllReLU
from truesparse.network.initial_weights import FanIn
from truesparse.training import SGD
from truesparse.training.inference import forward_all
from truesparse.transforms import Compose, Flip, Rotate, Shift

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _provenance import commit, machine

IMAGE = (32, 32, 3)

# The published settings of SET on these images. First weights are scaled as in a dense network, for so they were drawn
# before all but a few were masked; grown ones start at zero for the same reason. At this epsilon the output layer is
# full, as it was there, and full layers do not evolve.
PUBLISHED_SET = {
    "hidden_layer_sizes": (4000, 1000, 4000),
    "evolution": Evolution(
        prune=SignedMagnitude(),
        grow=Random(),
        schedule=Constant(drop_fraction=0.3, update_every="epoch"),
        grow_init="zeros",
    ),
    "epsilon": 20,
    "topology_init": "erdos_renyi",
    "weight_init": "glorot",
    "activation": "srelu",
    "dropout": 0.3,
    "solver": SGD(momentum=0.9, nesterov=False),
    "learning_rate": "constant",
    "learning_rate_init": 0.01,
    "alpha": 0.0,
    "batch_size": 100,
    "batch_transform": Compose([Rotate(IMAGE, degrees=10.0), Shift(IMAGE, share=0.1), Flip(IMAGE)]),
}

# What did best in trials of 8 and of 40 epochs: weights scaled for the inputs that a unit has, slopes on both sides,
# Adam with a falling learning rate, less dropout, and growth where the error asks for it.
OMP_SETTINGS = PUBLISHED_SET | {
    "evolution": Evolution(
        prune=Magnitude(),
        grow=OMP(),
        schedule=CosineAnnealing(drop_fraction=0.3, update_every="epoch"),
        grow_init="zeros",
    ),
    "topology_init": "balanced",
    "weight_init": FanIn(1.0),
    "activation": AllReLU(0.25),
    "dropout": 0.15,
    "solver": "adam",
    "learning_rate": "cosine",
    "learning_rate_init": 0.002,
}

# Parameters of the estimator by the name of the run.
RUNS = {
    "set": PUBLISHED_SET,
    "omp": OMP_SETTINGS,
    "omp_small": OMP_SETTINGS | {"epsilon": 11, "dropout": 0.1},  # 40 % fewer weights
}

CHECKPOINT_EVERY = 10  # epochs

COLUMNS = (
    "run",
    "seed",
    "epoch",
    "test_accuracy",
    "train_loss",
    "learning_rate",
    "weights",
    "edges_replaced",
    "seconds_of_training",
    "seconds_total",
    "threads",
    "machine",
    "commit",
)

# Epoch and test accuracy in the published log, and the levels that it gives for the others.
PUBLISHED_POINTS = ((100, 0.608), (140, 0.632), (500, 0.703), (982, 0.7385))
PUBLISHED_LEVELS = {"static, published": 0.692, "dense, published": 0.709}


def load_images(limit):
    """Standardised images in two parts, the first `limit` of the training part only; None takes all."""
    data = datasets.load("cifar10")
    X, X_test = data.X_train[:limit], data.X_test
    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32)
    scale = X.std(axis=0, dtype=np.float64).astype(np.float32)
    scale[scale == 0] = 1
    for images in (X, X_test):  # in place: a copy of the training images takes 0.6 GB
        images -= mean
        images /= scale
    return X, data.y_train[:limit], X_test, data.y_test


def train(run, parameters, data, *, epochs, seed, threads, csv_path, checkpoint):
    """Train one network, or go on with it; a row per epoch."""
    X, y, X_test, y_test = data
    resumed = checkpoint is not None and Path(checkpoint).exists()
    done = load(checkpoint).n_iter_ if resumed else 0
    if resumed:
        print(f"{run}: goes on after epoch {done}", flush=True)
    print(machine())
    with _rows_after(csv_path, run, seed, done) as (seconds, write):
        watching = _TestAccuracy(X_test, y_test, _printed(write, run, seed, threads), seconds)
        checkpoints = [Checkpoint(checkpoint, CHECKPOINT_EVERY)] if checkpoint else []
        model = SparseMLPClassifier(
            **parameters,
            max_iter=epochs,
            n_iter_no_change=np.inf,
            random_state=seed,
            n_jobs=threads,
            callbacks=[watching, *checkpoints],
        )
        return model.fit(X, y, resume_from=checkpoint if resumed else None)


def _printed(write, run, seed, threads):
    """A function that completes a row, writes and prints it."""
    fixed = {"run": run, "seed": seed, "threads": threads, "machine": machine(), "commit": commit()}

    def add_row(row):
        row = fixed | row
        write(row)
        print("  ".join(f"{name} {row[name]}" for name in COLUMNS[:10]), flush=True)

    return add_row


class _TestAccuracy:
    """A callback that adds a row for every epoch."""

    def __init__(self, images, labels, add_row, seconds):
        self.images, self.labels, self.add_row, self.seconds = ArraySource(images), labels, add_row, seconds

    def on_train_begin(self, network):
        self.started = time.perf_counter()

    def on_epoch_end(self, network, record):
        predicted = forward_all(network, self.images).argmax(axis=0)
        row = {
            "epoch": record.epoch,
            "test_accuracy": f"{np.mean(predicted == self.labels):.4f}",
            "train_loss": f"{record.train_loss:.6f}",
            "learning_rate": f"{record.learning_rate:.8g}",
            "weights": sum(record.nnz),
            "edges_replaced": sum(record.edges_replaced),
            "seconds_of_training": f"{record.seconds:.3f}",
            "seconds_total": f"{self.seconds + time.perf_counter() - self.started:.1f}",
        }
        self.add_row(row)


def anneal(path, run, parameters, data, *, epochs, threads, csv_path):
    """Go on with the network of a checkpoint while learning rate and drop fraction fall to zero; a row per epoch."""
    X, y, X_test, y_test = data
    model, run = load(path), f"{run}_annealed"
    with _rows_after(csv_path, run, model.random_state, 0) as (_, write):
        evolution = parameters["evolution"]
        schedule = CosineAnnealing(evolution.schedule.drop_fraction, update_every=evolution.schedule.update_every)
        watching = _TestAccuracy(X_test, y_test, _printed(write, run, model.random_state, threads), 0.0)
        model.set_params(
            warm_start=True, max_iter=epochs, n_iter_no_change=np.inf, learning_rate="cosine", n_jobs=threads,
            evolution=replace(evolution, schedule=schedule), solver=parameters["solver"],
            batch_transform=parameters["batch_transform"], callbacks=[watching],
        )  # fmt: skip
        model.fit(X, y)


@contextmanager
def _rows_after(path, run, seed, done):
    """Seconds that the run had taken at epoch `done`, and a function that adds a row to a CSV file.

    This run's rows after that epoch are dropped from the file first.
    """
    if path is None:
        yield 0.0, lambda row: None
        return
    kept, seconds = [], 0.0
    if Path(path).exists():
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                whole = None not in row.values()  # the last one may not be, after a kill
                own = (row["run"], row["seed"]) == (run, str(seed))
                if whole and not (own and int(row["epoch"]) > done):
                    kept.append(row)
                    seconds = float(row["seconds_total"]) if own else seconds
    unfinished = f"{path}.unfinished"
    with open(unfinished, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(kept)
    os.replace(unfinished, path)
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)

        def add(row):
            writer.writerow(row)
            file.flush()

        yield seconds, add


def plot(paths, png):
    """Test accuracy of all runs against the epoch, beside the published points, and against time."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    curves = {}
    for path in paths:
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                if None not in row.values():
                    point = (int(row["epoch"]), float(row["seconds_total"]) / 60, 100 * float(row["test_accuracy"]))
                    curves.setdefault((row["run"], row["seed"]), []).append(point)
    several_seeds = len({seed for _, seed in curves}) > 1
    figure, (by_epoch, by_time) = plt.subplots(1, 2, figsize=(12, 5), sharey=True, layout="constrained")
    for (run, seed), points in curves.items():
        epochs, minutes, accuracies = np.array(sorted(points)).T
        name = f"{run}, seed {seed}" if several_seeds else run
        label = f"{name}: best {accuracies.max():.1f} %, last {accuracies[-1]:.1f} %"
        (line,) = by_epoch.plot(epochs, accuracies, linewidth=0.9, label=label)
        by_time.plot(minutes, accuracies, linewidth=0.9, color=line.get_color())
    epochs, accuracies = np.array(PUBLISHED_POINTS).T
    by_epoch.plot(epochs, 100 * accuracies, "kD", markersize=5, zorder=3, label="SET, published")
    for (name, level), style in zip(PUBLISHED_LEVELS.items(), ("--", ":"), strict=True):
        by_epoch.axhline(100 * level, color="0.4", linestyle=style, linewidth=1, label=f"{name}: {100 * level:.1f} %")
        by_time.axhline(100 * level, color="0.4", linestyle=style, linewidth=1)
    by_epoch.set(xlabel="epoch", ylabel="test accuracy, %", xlim=(0, None))
    by_time.set(xlabel="minutes, with evaluation", xlim=(0, None))
    for panel in (by_epoch, by_time):
        panel.grid(alpha=0.25)
    by_epoch.legend(loc="lower right", fontsize=8)
    figure.suptitle("CIFAR-10, 3072-4000-1000-4000-10")
    figure.savefig(png, dpi=120)
    print(f"The picture is in {png}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", choices=RUNS, default="set")
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", "--jobs-threads", type=int, default=1)
    parser.add_argument("--csv", help="a row per epoch; rows of other runs in it are kept")
    parser.add_argument("--checkpoint", help=f"written every {CHECKPOINT_EVERY} epochs; a training goes on from it")
    parser.add_argument(
        "--anneal", metavar="CHECKPOINT", help="go on with its network, with a learning rate that falls to zero"
    )
    parser.add_argument("--limit", type=int, help="train on so many images only, for trials")
    parser.add_argument("--quick", action="store_true", help="two epochs on 2,000 images with small hidden layers")
    parser.add_argument("--plot", nargs="+", metavar="CSV", help="draw these results in place of training")
    parser.add_argument("--png", default="cifar10.png")
    arguments = parser.parse_args()
    if arguments.plot:
        plot(arguments.plot, arguments.png)
        return
    parameters, epochs, limit = RUNS[arguments.run], arguments.epochs, arguments.limit
    if arguments.quick:
        parameters, epochs, limit = parameters | {"hidden_layer_sizes": (400, 100, 400)}, 2, 2000
        if datasets._find("cifar10") is None:  # to fetch it takes many minutes
            print("cifar10.npz was not found; set TRUESPARSE_DATA to the directory that holds it. Nothing was run.")
            return
    if arguments.anneal:
        options = {"epochs": epochs, "threads": arguments.threads, "csv_path": arguments.csv}
        anneal(arguments.anneal, arguments.run, parameters, load_images(limit), **options)
        return
    train(
        arguments.run,
        parameters,
        load_images(limit),
        epochs=epochs,
        seed=arguments.seed,
        threads=arguments.threads,
        csv_path=arguments.csv,
        checkpoint=arguments.checkpoint,
    )


if __name__ == "__main__":
    main()
