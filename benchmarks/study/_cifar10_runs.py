"""Settings of the runs on CIFAR-10, by their names: parameters of the estimator, and how pixels are standardised."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from truesparse import Evolution
from truesparse.evolution import OMP, Constant, CosineAnnealing, Cubic, Given, Magnitude, Random, SignedMagnitude
from truesparse.network.activations import AllReLU
from truesparse.network.initial_weights import FanIn
from truesparse.topology import LocalFields, Pattern
from truesparse.topology.density import layer_shapes
from truesparse.training import SGD
from truesparse.training.lr_schedules import Linear
from truesparse.transforms import Compose, Crop, Flip, Rotate, Shift

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

# What did best in trials of 8 and of 40 epochs with a random first topology: weights scaled for the inputs that a unit
# has, slopes on both sides, Adam with a falling learning rate, less dropout, and growth where the error asks for it.
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

# Local receptive fields, many of them at first, of which the larger weights stay. Chosen on 5,000 validation images.
LOCAL = PUBLISHED_SET | {
    "hidden_layer_sizes": None,
    "epsilon": None,
    "weight_init": None,
    "activation": AllReLU(0.25),
    "label_smoothing": 0.1,
    "dropout": 0.0,
    "solver": "adam",
    "learning_rate": "cosine",
    "learning_rate_init": 0.0015,
    "batch_transform": Compose([Crop(IMAGE, padding=4, fill="zeros"), Flip(IMAGE)]),
}
WHOLE_MAPS = [(16, 16, 8), (8, 8, 16), (4, 4, 32)]  # 365,568 weights in windows of 4 × 4
STARTING_MAPS = [(16, 16, 64), (8, 8, 64), (4, 4, 128)]


def local_static(maps=WHOLE_MAPS, window=4):
    """Whole windows, which stay."""
    return LOCAL | {"topology_init": LocalFields(IMAGE, maps, window), "evolution": "static"}


def local_moving(drop_fraction=0.2, window=6):
    """Whole windows at first, whose smallest weights move to random places of larger windows."""
    fields = local_static()["topology_init"]
    evolution = Evolution(
        grow=Random(),
        schedule=CosineAnnealing(drop_fraction, update_every="epoch"),
        grow_init="zeros",
        within=LocalFields(IMAGE, WHOLE_MAPS, window),
    )
    return LOCAL | {"topology_init": fields, "evolution": evolution}


def local_decay(n_connections, maps=STARTING_MAPS, start=16, end=0.75, window=4, image_shape=IMAGE):
    """Windows of more units and connections at first; of each layer, so many of the largest weights stay."""
    evolution = Evolution(
        schedule=Constant(drop_fraction=0.0, update_every="epoch"),
        within=None if window is None else LocalFields(image_shape, maps, window),
        density=Cubic(start=start, end=end),
    )
    fields = LocalFields(image_shape, maps, window, n_connections=n_connections)
    return LOCAL | {"topology_init": fields, "evolution": evolution}


def uniform(layer_sizes, share):
    """Random topology with a share of every layer but a full output layer."""
    shapes, rng = layer_shapes(layer_sizes), np.random.default_rng(0)
    drawn = [Pattern.sample(shape, round(share * math.prod(shape)), rng, balanced=True) for shape in shapes[:-1]]
    return Given([*drawn, Pattern.full(shapes[-1])])


def protocol(image_shape, maps, **changes):
    """Settings of Zhang et al. (arXiv 2501.19107): three hidden layers as wide as the maps, 1 % of each."""
    sizes = [math.prod(image_shape), *map(math.prod, maps), 10]
    return {
        "hidden_layer_sizes": sizes[1:-1],
        "topology_init": uniform(sizes, 0.01),
        "evolution": "chts",
        "drop_fraction": 0.3,
        "update_every": "epoch",
        "activation": "relu",
        "dropout": 0.0,
        "label_smoothing": 0.0,
        "solver": SGD(momentum=0.9, nesterov=False),
        "learning_rate": Linear(end=0.01),
        "learning_rate_init": 0.025,
        "alpha": 5e-4,
        "batch_size": 32,
        "batch_transform": LOCAL["batch_transform"] if image_shape == IMAGE else None,
    } | changes


def ours_in_protocol(image_shape, maps, **changes):
    """Settings of ours for that network: weights that are pruned from eight times as many, on a random topology."""
    evolution = Evolution(schedule=Constant(drop_fraction=0.0, update_every="epoch"), density=Cubic(start=8, end=0.75))
    settings = {name: LOCAL[name] for name in ("solver", "learning_rate", "learning_rate_init", "activation", "alpha")}
    whole = protocol(image_shape, maps)
    counts = [pattern.nnz for pattern in whole["topology_init"].patterns]
    pairs = [pattern.n_pairs for pattern in whole["topology_init"].patterns]
    return (
        whole
        | settings
        | {
            "topology_init": "balanced",
            "density": sum(counts) / sum(pairs),
            "evolution": evolution,
            "drop_fraction": None,
            "update_every": None,
            "batch_size": 100,
            "label_smoothing": 0.1,
        }
        | changes
    )


def local_in_protocol(image_shape, maps, **changes):
    """The same with windows as the first topology."""
    counts = [round(0.01 * math.prod(below) * math.prod(own)) for below, own in pairwise([image_shape, *maps])]
    local = local_decay(counts, maps=maps, start=8, window=None, image_shape=image_shape)
    names = ("topology_init", "evolution")
    return ours_in_protocol(image_shape, maps, density=None, **{name: local[name] for name in names}, **changes)


DIGIT, DIGIT_MAPS = (28, 28, 1), [(28, 28, 2), (14, 14, 8), (7, 7, 32)]
WIDE_MAPS = [(32, 32, 3), (16, 16, 12), (8, 8, 48)]


@dataclass(frozen=True)
class Run:
    """Parameters of the estimator, epochs, the data, and whether pixels are standardised by channel."""

    parameters: dict[str, Any]
    epochs: int = 100
    data: str = "cifar10"
    by_channel: bool = True


RUNS = {
    "set": Run(PUBLISHED_SET, epochs=1000, by_channel=False),
    "omp": Run(OMP_SETTINGS, epochs=400, by_channel=False),
    "omp_small": Run(
        OMP_SETTINGS | {"epsilon": 11, "dropout": 0.1}, epochs=300, by_channel=False
    ),  # 40 % fewer weights
    "local_static": Run(local_static()),
    "local_moving": Run(local_moving()),
    "local": Run(local_decay((98_304, 131_072, 126_000)), epochs=300),
    "local_quick": Run(local_decay((98_304, 131_072, 126_000)), epochs=30),
    "local_small": Run(local_decay((58_000, 76_000, 74_000)), epochs=200),  # 60 % of the weights of "set"
    "cht": Run(protocol(IMAGE, WIDE_MAPS)),
    "ours_as_cht": Run(ours_in_protocol(IMAGE, WIDE_MAPS)),
    "local_as_cht": Run(local_in_protocol(IMAGE, WIDE_MAPS)),
    **{
        f"{name}_{of}": Run(settings(DIGIT, DIGIT_MAPS), data=data)
        for of, data in (("mnist", "mnist"), ("fashion", "fashion_mnist"))
        for name, settings in (
            ("cht", protocol),
            ("ours_as_cht", ours_in_protocol),
            ("local_as_cht", local_in_protocol),
        )
    },
}
