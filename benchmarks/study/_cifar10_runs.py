"""Settings of the runs on CIFAR-10, by their names: parameters of the estimator, and how pixels are standardised."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from truesparse import Evolution, preset
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


WHOLE_WINDOWS = LocalFields(IMAGE, WHOLE_MAPS, 4)


def local_static():
    """Whole windows, which stay."""
    return LOCAL | {"topology_init": WHOLE_WINDOWS, "evolution": "static"}


def local_moving():
    """Whole windows at first, whose smallest weights move to random places of larger windows."""
    evolution = Evolution(
        grow=Random(),
        schedule=CosineAnnealing(drop_fraction=0.2, update_every="epoch"),
        grow_init="zeros",
        within=WHOLE_WINDOWS.wider(1),
    )
    return LOCAL | {"topology_init": WHOLE_WINDOWS, "evolution": evolution}


def pruning(start, within=None, end=0.75):
    """The smallest weights go after every epoch, none are grown; `start` times as many at first, until `end`."""
    schedule = Constant(drop_fraction=0.0, update_every="epoch")
    return Evolution(schedule=schedule, within=within, density=Cubic(start=start, end=end))


def local_pruned(n_connections):
    """Windows of more units, whole in the first layer, at first; of each layer, so many of the largest weights stay."""
    windows = LocalFields(IMAGE, STARTING_MAPS, 4)
    return LOCAL | {
        "topology_init": replace(windows, n_connections=n_connections),
        "evolution": pruning(16, within=windows),
    }


def local_large():
    """Nine times as many weights in the end, and nearly whole windows at first."""
    windows = LocalFields(IMAGE, STARTING_MAPS, 4)
    return LOCAL | {
        "topology_init": replace(windows, n_connections=(380_000, 2_000_000, 1_015_000)),
        "evolution": pruning(2, within=windows, end=0.5),
        "dropout": 0.15,
    }


def layers_of_protocol(image_shape, maps):
    """Shapes and numbers of connections of layers of which each has 1 %, but the last one all."""
    shapes = layer_shapes([math.prod(image_shape), *map(math.prod, maps), 10])
    return shapes, [*(round(0.01 * math.prod(shape)) for shape in shapes[:-1]), math.prod(shapes[-1])]


def protocol(image_shape, maps, **changes):
    """Settings of Zhang et al. (arXiv 2501.19107): three hidden layers as wide as the maps, random topology."""
    rng, layers = np.random.default_rng(0), zip(*layers_of_protocol(image_shape, maps), strict=True)
    return {
        "hidden_layer_sizes": [math.prod(of_layer) for of_layer in maps],
        "topology_init": Given([Pattern.sample(shape, n, rng, balanced=True) for shape, n in layers]),
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


def decaying_in_protocol(image_shape, maps, evolution, **changes):
    """These settings, but with an evolution whose density decays to the protocol's, on a random topology."""
    shapes, counts = layers_of_protocol(image_shape, maps)
    decaying = {
        "topology_init": "balanced",
        "density": sum(counts) / sum(map(math.prod, shapes)),
        "evolution": evolution,
        "drop_fraction": None,
        "update_every": None,
    }
    return protocol(image_shape, maps, **(decaying | changes))


def granet_in_protocol(image_shape, maps, start=8):
    """Growth by the gradient, and `start` times as many weights at first (GraNet; Liu et al., 2021).

    A share that falls to zero is replaced, until the decay ends.
    """
    schedule = CosineAnnealing(drop_fraction=0.3, update_every="epoch")
    evolution = replace(preset("rigl"), schedule=schedule, density=Cubic(start=start))
    return decaying_in_protocol(image_shape, maps, evolution)


def ours_in_protocol(image_shape, maps, **changes):
    """Settings of ours for that network: weights that are pruned from eight times as many, on a random topology."""
    same = ("solver", "learning_rate", "learning_rate_init", "activation", "alpha", "label_smoothing", "batch_size")
    return decaying_in_protocol(image_shape, maps, pruning(8), **({name: LOCAL[name] for name in same} | changes))


def local_in_protocol(image_shape, maps):
    """The same with windows as the first topology."""
    _, counts = layers_of_protocol(image_shape, maps)
    fields = LocalFields(image_shape, maps, n_connections=counts[:-1])
    return ours_in_protocol(image_shape, maps, density=None, topology_init=fields)


DIGIT, DIGIT_MAPS = (28, 28, 1), [(28, 28, 2), (14, 14, 8), (7, 7, 32)]
WIDE_MAPS = [(32, 32, 3), (16, 16, 12), (8, 8, 48)]


@dataclass(frozen=True)
class Run:
    """A function that makes the parameters of the estimator, epochs, the data, and how pixels are standardised."""

    settings: Callable[[], dict[str, Any]]  # called for the run that is asked for: some sample a topology
    epochs: int = 100
    data: str = "cifar10"
    by_channel: bool = True


RUNS = {
    "set": Run(lambda: PUBLISHED_SET, epochs=1000, by_channel=False),
    # all 20,328,000 weights of SET's layers
    "dense": Run(lambda: PUBLISHED_SET | {"topology_init": "full", "evolution": "static"}, by_channel=False),
    "omp": Run(lambda: OMP_SETTINGS, epochs=400, by_channel=False),
    # 40 % fewer weights
    "omp_small": Run(lambda: OMP_SETTINGS | {"epsilon": 11, "dropout": 0.1}, epochs=300, by_channel=False),
    "local_static": Run(local_static),
    "local_moving": Run(local_moving),
    "local": Run(lambda: local_pruned((98_304, 131_072, 126_000)), epochs=300),
    "local_quick": Run(lambda: local_pruned((98_304, 131_072, 126_000)), epochs=30),
    "local_large": Run(local_large, epochs=300),
    "local_small": Run(lambda: local_pruned((58_000, 76_000, 74_000))),  # 60 % of the weights of "set"
}
for _suffix, _data, _shape, _maps in (
    ("", "cifar10", IMAGE, WIDE_MAPS),
    ("_mnist", "mnist", DIGIT, DIGIT_MAPS),
    ("_fashion", "fashion_mnist", DIGIT, DIGIT_MAPS),
):
    for _name, _settings in (
        ("cht", protocol),
        ("granet_as_cht", granet_in_protocol),
        ("granet_24_as_cht", partial(granet_in_protocol, start=24)),
        ("ours_as_cht", ours_in_protocol),
        ("local_as_cht", local_in_protocol),
    ):
        RUNS[_name + _suffix] = Run(partial(_settings, _shape, _maps), data=_data)
