"""Networks on CIFAR-10 without shared weights: SET as published, and what comes after it; accuracy after every epoch.

python benchmarks/study/cifar10.py --run NAME [--epochs N] [--csv FILE] [--checkpoint FILE] [--seed 0] [--threads 1]
                             [--images N] [--validation] [--structure FILE] [--pictures FOLDER] [--quick]
python benchmarks/study/cifar10.py --run NAME --anneal CHECKPOINT --epochs 60 [--csv FILE]
python benchmarks/study/cifar10.py --plot FILE.csv ... --png FILE
python benchmarks/study/cifar10.py --table FILE.csv ...

A run that was killed goes on from its checkpoint when the same command is given again, and ends with the same weights
as one that never stopped. Pixels are standardised over the training images, before they are augmented. `_cifar10_runs`
has the settings of all runs. With --validation, 5,000 training images take the place of the test images: settings were
chosen by them.

The published run of SET (D. C. Mocanu et al., "Scalable training of artificial neural networks with adaptive sparse
connectivity inspired by network science", Nature Communications 9, 2018, and the log beside its code) evaluates on the
test images after every epoch and reports the best of 1,000 epochs. So that figures compare, so do we; the last epoch
is what such a network can be expected to reach on other images. --table has both.
"""

import argparse
import csv
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from _cifar10_runs import IMAGE, RUNS
from _cifar10_tables import plot, print_table
from _epochs import printed, rows_after

from truesparse import Evolution, SparseMLPClassifier, load
from truesparse.callbacks import Checkpoint
from truesparse.data import ArraySource, datasets
from truesparse.evolution import CosineAnnealing
from truesparse.inspection import ConnectivityRecorder, ReceptiveFieldDisplay
from truesparse.training.inference import forward_all

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _provenance import machine

CHECKPOINT_EVERY = 10  # epochs


def is_missing(name):
    """Say so if a data set is not on this machine: to fetch it takes many minutes."""
    missing = datasets._find(name) is None
    if missing:
        print(f"{name}.npz was not found; TRUESPARSE_DATA must hold its directory. Nothing was run.")
    return missing


def load_images(name, n_images, *, by_channel, validation):
    """Standardised images in two parts, the first `n_images` of the training part only; None takes all.

    Each pixel by its own mean and deviation, or by those of its channel.
    """
    data = datasets.load(name)
    X, X_test, y, y_test = data.X_train, data.X_test, data.y_train, data.y_test
    order = np.random.default_rng(0).permutation(len(X))  # the classes come in turns
    if validation:
        X_test, y_test, order = X[order[:5000]], y[order[:5000]], order[5000:]
    chosen = np.sort(order[:n_images]) if n_images or validation else slice(None)
    X, y = X[chosen], y[chosen]
    n_channels = 3 if X.shape[1] % 3 == 0 else 1
    pixels = X.reshape(-1, n_channels) if by_channel else X
    mean = pixels.mean(axis=0, dtype=np.float64).astype(np.float32)
    scale = pixels.std(axis=0, dtype=np.float64).astype(np.float32)
    scale[scale == 0] = 1
    for images in (X, X_test):  # in place: a copy of the training images takes 0.6 GB
        images = images.reshape(-1, mean.size)
        images -= mean
        images /= scale
    return X, y, X_test, y_test


def train(run, model, data, *, csv_path, checkpoint=None, structure=None, pictures=None):
    """Train an estimator, or go on with it; a row per epoch."""
    X, y, X_test, y_test = data
    resumed = checkpoint is not None and Path(checkpoint).exists()
    done = load(checkpoint).n_iter_ if resumed else 0
    if resumed and (structure or pictures):
        raise ValueError(
            f"checkpoint={checkpoint}: what a training was at first is not in it; remove it to begin anew."
        )
    if resumed:
        print(f"{run}: goes on after epoch {done}", flush=True)
    print(machine())
    epochs, seed = model.max_iter, model.random_state
    with rows_after(csv_path, run, seed, done) as (seconds, write):
        watching = _TestAccuracy(X_test, y_test, printed(write, run, seed, model.n_jobs), seconds)
        others = [Checkpoint(checkpoint, CHECKPOINT_EVERY)] if checkpoint else []
        others += [Structure(structure, run, seed)] if structure else []
        film = ConnectivityRecorder(max(1, epochs // 50))
        others += [film, Fields(pictures)] if pictures else []
        model.set_params(callbacks=[watching, *others])
        model.fit(X, y, resume_from=checkpoint if resumed else None)
        if pictures:
            film.save_gif(Path(pictures) / "input_connections.gif", by="strength", image_shape=IMAGE)


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


class Structure:
    """A callback that tells, for every fifth epoch, which share of the final connections was there already."""

    def __init__(self, path, run, seed):
        self.path, self.run, self.seed, self.keys = path, run, seed, {}

    def on_train_begin(self, network):
        """Refuse a network without connections that could change."""
        if not self.keys_of(network):
            raise ValueError(f"--structure: all layers of {self.run!r} are full, and no connection can change.")

    @staticmethod
    def keys_of(network):
        """Return the connections of the layers that can change."""
        return [layer.pattern.keys.astype(np.uint32) for layer in network.layers if layer.can_change]

    def on_epoch_end(self, network, record):
        """Keep the connections if this epoch is due."""
        if record.epoch % 5 == 0 or record.epoch == 1:
            self.keys[record.epoch] = self.keys_of(network)

    def on_train_end(self, network):
        """Compare them with the last ones."""
        final = self.keys_of(network)
        n_final = sum(keys.size for keys in final)
        new = not Path(self.path).exists()
        with open(self.path, "a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(("run", "seed", "epoch", "share_of_final"))
            for epoch, keys in self.keys.items():
                there = sum(np.isin(last, then).sum() for last, then in zip(final, keys, strict=True))
                writer.writerow((self.run, self.seed, epoch, f"{there / n_final:.4f}"))


class Fields:
    """A callback that draws what hidden units see, before and after the training."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def on_train_begin(self, network):
        """Draw the first topology."""
        self.draw(network, "before")

    def on_train_end(self, network):
        """Draw the last one."""
        self.draw(network, "after")

    def draw(self, network, when):
        """Write a picture with a panel for each hidden layer."""
        from matplotlib.figure import Figure

        n_layers = len(network.layers) - 1
        figure = Figure(figsize=(5 * n_layers, 5), layout="constrained")
        for layer, panel in enumerate(figure.subplots(1, n_layers)):
            ReceptiveFieldDisplay.from_estimator(network, image_shape=IMAGE, layer=layer, ax=panel)
        figure.savefig(self.folder / f"receptive_fields_{when}.png", dpi=80)


def anneal(path, run, parameters, data, *, epochs, threads, csv_path):
    """Go on with the network of a checkpoint while learning rate and drop fraction fall to zero; a row per epoch."""
    X, y, X_test, y_test = data
    model, run = load(path), f"{run}_annealed"
    with rows_after(csv_path, run, model.random_state, 0) as (_, write):
        evolution = parameters["evolution"]
        schedule = CosineAnnealing(evolution.schedule.drop_fraction, update_every=evolution.schedule.update_every)
        watching = _TestAccuracy(X_test, y_test, printed(write, run, model.random_state, threads), 0.0)
        model.set_params(
            warm_start=True, max_iter=epochs, n_iter_no_change=np.inf, learning_rate="cosine", n_jobs=threads,
            evolution=replace(evolution, schedule=schedule), solver=parameters["solver"],
            batch_transform=parameters["batch_transform"], callbacks=[watching],
        )  # fmt: skip
        model.fit(X, y)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", choices=RUNS, default="set")
    parser.add_argument("--epochs", type=int, help="those of the run by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", "--jobs-threads", type=int, default=1)
    parser.add_argument("--csv", help="a row per epoch; rows of other runs in it are kept")
    parser.add_argument("--checkpoint", help=f"written every {CHECKPOINT_EVERY} epochs; a training goes on from it")
    parser.add_argument(
        "--anneal", metavar="CHECKPOINT", help="go on with its network, with a learning rate that falls to zero"
    )
    parser.add_argument("--images", type=int, help="train on so many images only")
    parser.add_argument("--validation", action="store_true", help="judge by 5,000 of the training images")
    parser.add_argument("--structure", metavar="CSV", help="add the shares of the final connections to this file")
    parser.add_argument("--pictures", metavar="FOLDER", help="what units see before and after, and a film")
    parser.add_argument("--quick", action="store_true", help="two epochs on 2,000 images")
    parser.add_argument("--plot", nargs="+", metavar="CSV", help="draw these results in place of training")
    parser.add_argument("--table", nargs="+", metavar="CSV", help="print the outcomes of these results")
    parser.add_argument("--png", default="cifar10.png")
    arguments = parser.parse_args()
    if arguments.plot:
        plot(arguments.plot, arguments.png)
        return
    if arguments.table:
        print_table(arguments.table)
        return
    chosen = RUNS[arguments.run]
    epochs, n_images = arguments.epochs or chosen.epochs, arguments.images
    if arguments.quick:
        epochs, n_images = 2, 2000
        if is_missing(chosen.data):
            return
    images = load_images(chosen.data, n_images, by_channel=chosen.by_channel, validation=arguments.validation)
    name = arguments.run if n_images is None else f"{arguments.run}, {n_images:,} images"
    name += ", validation" if arguments.validation else ""
    if arguments.anneal:
        if not isinstance(chosen.settings()["evolution"], Evolution):
            parser.error(f"--anneal: the evolution of --run {arguments.run} has no drop fraction that could fall.")
        options = {"epochs": epochs, "threads": arguments.threads, "csv_path": arguments.csv}
        anneal(arguments.anneal, name, chosen.settings(), images, **options)
        return
    model = SparseMLPClassifier(
        **chosen.settings(), max_iter=epochs, n_iter_no_change=np.inf, random_state=arguments.seed,
        n_jobs=arguments.threads,
    )  # fmt: skip
    train(
        name,
        model,
        images,
        csv_path=arguments.csv,
        checkpoint=arguments.checkpoint,
        structure=arguments.structure,
        pictures=arguments.pictures,
    )


if __name__ == "__main__":
    main()
