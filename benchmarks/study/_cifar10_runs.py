"""Settings of the runs on CIFAR-10, by their names: parameters of the estimator, and how pixels are standardised."""

from dataclasses import dataclass
from typing import Any

from truesparse import Evolution
from truesparse.evolution import OMP, Constant, CosineAnnealing, Cubic, Magnitude, Random, SignedMagnitude
from truesparse.network.activations import AllReLU
from truesparse.network.initial_weights import FanIn
from truesparse.topology import LocalFields
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
STARTING_MAPS = [(16, 16, 32), (8, 8, 64), (4, 4, 64)]


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


def local_decay(n_connections, maps=STARTING_MAPS, start=8, end=0.5, window=4):
    """Whole windows of more units at first; of each layer, so many of the largest weights stay."""
    evolution = Evolution(
        schedule=Constant(drop_fraction=0.0, update_every="epoch"),
        within=LocalFields(IMAGE, maps, window),
        density=Cubic(start=start, end=end),
    )
    return LOCAL | {
        "topology_init": LocalFields(IMAGE, maps, window, n_connections=n_connections), "evolution": evolution,
    }  # fmt: skip


# The protocol of Zhang et al. (arXiv 2501.19107): three hidden layers, 1 % of each and a full output layer.
CHT_PROTOCOL = {
    "solver": SGD(momentum=0.9, nesterov=False),
    "learning_rate": Linear(end=0.01),
    "learning_rate_init": 0.025,
    "alpha": 5e-4,
    "batch_size": 32,
    "label_smoothing": 0.0,
    "dropout": 0.0,
    "activation": "relu",
    "drop_fraction": 0.3,
    "update_every": "epoch",
}


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
    "local": Run(local_decay((98_304, 131_072, 131_072)), epochs=300),
    "local_quick": Run(local_decay((98_304, 131_072, 131_072)), epochs=30),
    "local_small": Run(local_decay((60_000, 79_000, 79_000)), epochs=300),
}
