"""Sparse residual networks on images: accuracy after every epoch, by method, density, depth and width.

python benchmarks/study/resnet.py [--method ours] [--density 0.1] [--distribution erdos_renyi_kernel] [--epochs 60]
                            [--depth 20] [--width 16] [--data cifar10] [--seed 0] [--threads 2] [--csv FILE]
                            [--checkpoint FILE] [--validation] [--quick]
python benchmarks/study/resnet.py --table FILE.csv ...

All methods have the same settings: batches of 128, SGD with Nesterov momentum 0.9, a learning rate of 0.1 that falls
along a cosine, L2 on the weights, crops of a picture padded by 4 and flips. Densities are spread over the layers as by
Erdős–Rényi-kernel; with `--distribution uniform` all layers have the same one. "ours" begins with `--start` times as
many weights, at most as many as there are pairs. The smallest go along a cubic until three quarters of the training,
and none are grown. "torch" is the dense network, trained by PyTorch (pip install "truesparse[benchmark]").

A run that was killed goes on from its checkpoint when the same command is given again. With --validation, 5,000
training images take the place of the test images: settings were chosen by them. The table has the test accuracy of the
last epoch; the best one is shown beside it, because that is what others report.
"""

import argparse

from _cifar10_tables import print_table
from cifar10 import is_missing, load_images, train

from truesparse import Evolution, SparseResNetClassifier, preset
from truesparse.evolution import Constant, Cubic
from truesparse.transforms import Compose, Crop, Flip

METHODS = ("static", "set", "rigl", "cte", "omp", "path_weight", "sensitivity", "ours", "torch")
SHAPES = {"cifar10": (32, 32, 3), "fashion_mnist": (28, 28, 1), "mnist": (28, 28, 1)}


def model_of(arguments):
    """Return the estimator of a run."""
    shape, method = SHAPES[arguments.data], arguments.method
    if method == "ours" and arguments.start > 1:
        schedule = Constant(drop_fraction=0.0, update_every=arguments.update_every)
        evolution = Evolution(schedule=schedule, density=Cubic(start=arguments.start, end=0.75))
    else:
        evolution = preset("static" if method in ("ours", "torch") else method)
    return SparseResNetClassifier(
        shape,
        depth=arguments.depth,
        width=arguments.width,
        density=arguments.density,
        distribution=arguments.distribution,
        evolution=evolution,
        alpha=arguments.alpha,
        batch_transform=Compose([Crop(shape, padding=4, fill="zeros"), Flip(shape)]),
        max_iter=arguments.epochs,
        random_state=arguments.seed,
        n_jobs=arguments.threads,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=METHODS, default="ours")
    parser.add_argument("--density", type=float, default=0.1)
    parser.add_argument("--distribution", choices=("erdos_renyi_kernel", "uniform"), default="erdos_renyi_kernel")
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--start", type=float, default=10.0, help="times as many weights at first, for ours")
    parser.add_argument("--update-every", type=int, default=200, help="steps, for ours")
    parser.add_argument("--alpha", type=float, default=5e-4)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--data", choices=SHAPES, default="cifar10")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--csv", help="a row per epoch; rows of other runs in it are kept")
    parser.add_argument("--checkpoint", help="a training goes on from it")
    parser.add_argument("--validation", action="store_true", help="judge by 5,000 of the training images")
    parser.add_argument("--quick", action="store_true", help="two epochs of a network of 8 layers on 1,000 images")
    parser.add_argument("--table", nargs="+", metavar="CSV", help="print the outcomes of these results")
    arguments = parser.parse_args()
    if arguments.table:
        print_table(arguments.table)
        return
    n_images = None
    if arguments.quick:
        if is_missing(arguments.data):
            return
        n_images, arguments.epochs, arguments.depth, arguments.update_every = 1000, 2, 8, 2
    if arguments.method == "torch":
        if arguments.checkpoint:
            parser.error("--checkpoint: PyTorch's training writes none.")
        arguments.density = 1.0
    arguments.start = min(arguments.start, 1 / arguments.density)
    images = load_images(arguments.data, n_images, by_channel=True, validation=arguments.validation)
    name = f"{arguments.method}, {arguments.depth} layers, width {arguments.width}, density {arguments.density:g}"
    name += ", uniform" if arguments.distribution == "uniform" else ""
    name += f", {arguments.epochs} epochs"
    name += f", {arguments.start:.3g} times as many at first" if arguments.method == "ours" else ""
    name += "" if arguments.data == "cifar10" else f", {arguments.data}"
    name += ", validation" if arguments.validation else ""
    if arguments.method == "torch":
        from _resnet_in_torch import train_dense  # PyTorch is needed here only

        train_dense(name, model_of(arguments), images, csv_path=arguments.csv)
    else:
        train(name, model_of(arguments), images, csv_path=arguments.csv, checkpoint=arguments.checkpoint)


if __name__ == "__main__":
    main()
