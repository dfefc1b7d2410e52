"""Data sets of the study, and how they are split."""

from dataclasses import replace
from functools import lru_cache

from sklearn.model_selection import train_test_split

from truesparse.data import datasets

OFFICIAL_SPLIT = ("madelon", "mnist", "fashion_mnist", "cifar10", "mnist_10000")
DATA = ("madelon", "isolet", "pcmac", "mnist_10000", "mnist", "fashion_mnist", "cifar10", "digits", "breast_cancer")


@lru_cache(maxsize=1)
def _whole(name, split):
    return datasets.load(name) if split is None else datasets.load(name, seed=split)


def load(name, split, seed):
    """A data set; of mnist_10000 the 10,000 training images of this seed, as many of each class as MNIST's share."""
    whole = _whole(name.removesuffix("_10000"), split)
    if name != "mnist_10000":
        return whole
    X, _, y, _ = train_test_split(
        whole.X_train, whole.y_train, train_size=10_000, random_state=seed, stratify=whole.y_train
    )
    return replace(whole, X_train=X, y_train=y)
