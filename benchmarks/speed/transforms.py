"""What part of an epoch do transforms of batches take?

A network 3072-2048-1024-512-10 of 366,000 weights, batches of 100 noise images of 32 × 32 × 3, SET with one update of
the topology per epoch. `ms` is the time of a transform of one batch. `share of an epoch` is that of all batches, over
the time of an epoch with that transform. `longer` compares this epoch with one without a transform. There, steps are
compiled as one and copy no batch; "identity" shows what that alone saves. Networks take turns; medians over rounds.
With one thread, seconds are those of the processor, which other programs do not change as much.

    python benchmarks/speed/transforms.py [--threads 1] [--rounds 7] [--csv FILE] [--quick]
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from truesparse import preset
from truesparse.data.transformed import changes_targets
from truesparse.evolution import Constant, Evolution
from truesparse.kernels.jit import threads
from truesparse.transforms import Compose, Crop, CutMix, CutOut, FeatureMask, Flip, GaussianNoise, MixUp, Rotate, Shift

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _networks import classifier_of, data
from _result_table import Table
from _turns import take_turns

SHAPE = (32, 32, 3)
HIDDEN = (2048, 1024, 512)
EPSILON = 37.1  # 366,000 weights
BATCH = 100
CROP_FLIP = [Crop(SHAPE, padding=4), Flip(SHAPE)]
TRANSFORMS = {
    "none": None,
    "identity": lambda X, rng: X,
    "Crop, Flip": Compose(CROP_FLIP),
    "Crop, Flip, CutOut": Compose([*CROP_FLIP, CutOut(SHAPE, size=8)]),
    "Crop, Flip, MixUp": Compose([*CROP_FLIP, MixUp()]),
    "Crop, Flip, CutOut, MixUp": Compose([*CROP_FLIP, CutOut(SHAPE, size=8), MixUp()]),
    "Crop, Flip, CutMix": Compose([*CROP_FLIP, CutMix(SHAPE)]),
    "Rotate, Shift, Flip": Compose([Rotate(SHAPE), Shift(SHAPE), Flip(SHAPE)]),
    "FeatureMask": FeatureMask(),
    "GaussianNoise": GaussianNoise(),
}


class Clocked:
    """A transform that adds up its seconds, and a callback that takes those of the epoch."""

    def __init__(self, transform, clock):
        self.transform, self.clock, self.seconds, self.started, self.of_epoch = transform, clock, 0.0, 0.0, 0.0
        self.changes_targets = changes_targets(transform)

    def __call__(self, *batch):
        """Transform a batch."""
        started = self.clock()
        returned = self.transform(*batch)
        self.seconds += self.clock() - started
        return returned

    def on_epoch_begin(self, network, epoch):
        """Note the time."""
        self.seconds, self.started = 0.0, self.clock()

    def on_epoch_end(self, network, record):
        """Take the seconds."""
        self.of_epoch = self.clock() - self.started


def measure(transform, X, y, n_threads):
    """Return a contender that measures seconds of an epoch, and those of its transforms."""
    clocked = Clocked(transform, time.process_time if n_threads == 1 else time.perf_counter)
    evolution = preset("set")
    evolution = Evolution(evolution.prune, evolution.grow, Constant(0.3, update_every="epoch"))
    model = classifier_of(
        HIDDEN, BATCH, n_threads, evolution=evolution, epsilon=EPSILON, max_iter=2, warm_start=True,
        batch_transform=None if transform is None else clocked, callbacks=[clocked], learning_rate_init=1e-4,
    )  # fmt: skip

    def contender(_):
        model.fit(X, y)
        return clocked.of_epoch, clocked.seconds

    contender.model = model
    return contender


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--csv", metavar="FILE", help="keep the table")
    parser.add_argument("--quick", action="store_true", help="500 images, two rounds")
    arguments = parser.parse_args()
    X, y = data(500 if arguments.quick else 5000, int(np.prod(SHAPE)))
    contenders = {name: measure(one, X, y, arguments.threads) for name, one in TRANSFORMS.items()}
    with threads(arguments.threads):
        take_turns(contenders, 1)  # compiles
        times = take_turns(contenders, 2 if arguments.quick else arguments.rounds)
    table = Table({"transform": 25, "weights": 7, "batch": 5, "threads": 7, "ms": 6, "s an epoch": 10,
                   "share of an epoch": 17, "longer": 6}, arguments.csv)  # fmt: skip
    n_batches = -(-len(X) // BATCH)
    without = np.median(times["none"][:, 0])
    for name, of_rounds in times.items():
        epoch, transform = np.median(of_rounds, axis=0)
        table.row(
            **{
                "transform": name,
                "weights": sum(contenders[name].model.history_["nnz"][-1]),
                "batch": BATCH,
                "threads": arguments.threads,
                "ms": f"{transform / n_batches * 1e3:.2f}",
                "s an epoch": f"{epoch:.3f}",
                "share of an epoch": f"{np.median(of_rounds[:, 1] / of_rounds[:, 0]):.1%}",
                "longer": f"{epoch / without - 1:.1%}",
            }
        )


if __name__ == "__main__":
    main()
