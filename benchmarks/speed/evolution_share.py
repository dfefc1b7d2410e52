"""What part of an epoch goes into the changes of the topology?

784-1000-1000-1000-10, epsilon 20, 60,000 samples (MNIST if it is there, else noise), batch 128: seconds of an epoch and
the share of it that updates take, with one update per epoch, as published, and with one every 50 steps.
Median over epochs.

    python benchmarks/speed/evolution_share.py [--threads 2] [--epochs 5] [--csv FILE] [--quick]
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from truesparse import preset
from truesparse.data import datasets
from truesparse.evolution import Constant
from truesparse.network.activations import ACTIVATIONS
from truesparse.network.initial_weights import FanIn, draw
from truesparse.network.losses import SoftmaxCrossEntropy
from truesparse.network.mlp import MLP
from truesparse.runtime.random_streams import RandomStreams
from truesparse.runtime.threads import threads
from truesparse.training.lr_schedules import LEARNING_RATES
from truesparse.training.optimizers import SGD
from truesparse.training.trainer import Trainer

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _networks import WIDE, data, patterns_of
from _result_table import Table


def images(n_samples):
    """Samples and classes."""
    try:
        mnist = datasets.load("mnist")
    except OSError:
        return "noise", *data(n_samples, 784)
    return "mnist", np.ascontiguousarray(mnist.X_train[:n_samples], dtype=np.float32), mnist.y_train[:n_samples]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--csv")
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples, one epoch")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.epochs = 1
    name, X, y = images(6000 if arguments.quick else 60_000)
    table = Table({"data": 5, "method": 8, "update every": 12, "threads": 7, "updates": 7, "ms an update": 12,
                   "s an epoch": 10, "share of updates": 16}, arguments.csv)  # fmt: skip
    for method in ("set", "cte", "ctre_sim"):
        for every in ("epoch", 50):
            streams, patterns = RandomStreams(0), patterns_of(WIDE, epsilon=20)
            network = MLP.from_patterns(patterns, ACTIVATIONS["relu"])
            for index, (layer, pattern) in enumerate(zip(network.layers, patterns, strict=True)):
                layer.data[:] = draw(FanIn(0.5), pattern, slice(None), streams("weights", index))
            drop_fraction = preset(method).schedule.drop_fraction
            trainer = Trainer(
                network, SoftmaxCrossEntropy(), optimizer=SGD(), learning_rate=0.01,
                lr_schedule=LEARNING_RATES["constant"],
                evolution=replace(preset(method), schedule=Constant(drop_fraction, update_every=every)),
                initializer=FanIn(0.5), batch_size=128, shuffle=True, streams=streams,
            )  # fmt: skip
            in_updates = []
            evolve = trainer._evolve

            def timed(*signals, evolve=evolve, in_updates=in_updates):
                started = time.perf_counter()
                replaced = evolve(*signals)
                if replaced.any():
                    in_updates[-1].append(time.perf_counter() - started)
                return replaced

            trainer._evolve = timed
            with threads(arguments.threads):
                for _ in range(arguments.epochs + 1):
                    in_updates.append([])
                    # Parts of one plan: the first epoch of a plan begins without an update, and compiles.
                    trainer.train(X, y, n_epochs=1, planned_epochs=arguments.epochs + 2)
            seconds = np.array(trainer.state.history.as_dict()["seconds"][1:])
            updates = in_updates[1:]
            table.row(
                **{
                    "data": name,
                    "method": method,
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
