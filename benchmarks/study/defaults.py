"""How accurate is a classifier that nobody has set anything of? Its defaults on the same five data sets.

    python benchmarks/study/defaults.py [--data madelon isolet pcmac mnist_10000 mnist] [--seeds 5] [--csv FILE]
                                         [--quick]
    python benchmarks/study/defaults.py --method omp      a method's recommended settings in place of the defaults
    python benchmarks/study/defaults.py --ensemble        an ensemble with its defaults
    python benchmarks/study/defaults.py --epsilon 15      one network with as many weights as that ensemble has at first

Every fit takes all of the training part, and what counts is the last epoch. Unsplit data sets are split by seed 42;
mnist_10000 draws 10,000 training images by each seed. The last row is the mean over the first four data sets.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from _data import DATA, OFFICIAL_SPLIT, load

from truesparse import SparseMLPClassifier, SparseMLPEnsembleClassifier, recommended_settings

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _result_table import Table, mean_and_each

FOUR = ("madelon", "isolet", "pcmac", "mnist_10000")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=DATA, default=[*FOUR, "mnist"])
    parser.add_argument("--seeds", type=int, default=5, help="three at most for mnist, which takes minutes")
    parser.add_argument("--method", help="take its recommended settings instead")
    parser.add_argument("--epsilon", type=float, help="more weights, such as those of an ensemble of so many members")
    parser.add_argument("--ensemble", action="store_true", help="take an ensemble with its defaults instead")
    parser.add_argument("--csv")
    parser.add_argument("--quick", action="store_true", help="two small data sets, one seed, 20 epochs")
    arguments = parser.parse_args()
    settings = recommended_settings(arguments.method) if arguments.method else {}
    if arguments.epsilon is not None:
        settings["epsilon"] = arguments.epsilon
    kind = SparseMLPEnsembleClassifier if arguments.ensemble else SparseMLPClassifier
    shown = "ensemble" if arguments.ensemble else arguments.method or "defaults"
    shown += "" if arguments.epsilon is None else f", ε {arguments.epsilon:g}"
    table = Table(
        {
            "settings": 12,
            "data": 12,
            "test accuracy, mean (each seed)": 46,
            "deviation": 9,
            "weights": 8,
            "epochs": 6,
            "seconds": 8,
        },
        arguments.csv,
    )
    means = {}
    for name in ("digits", "breast_cancer") if arguments.quick else arguments.data:
        accuracies, seconds = [], []
        for seed in range(1 if arguments.quick else min(arguments.seeds, 3 if name == "mnist" else arguments.seeds)):
            data = load(name, None if name in OFFICIAL_SPLIT else 42, seed)
            model = kind(**settings, random_state=seed)
            if arguments.quick:
                model.set_params(max_iter=20)
            started = time.perf_counter()
            model.fit(data.X_train, data.y_train)
            seconds.append(time.perf_counter() - started)
            accuracies.append(model.score(data.X_test, data.y_test))
        means[name] = np.mean(accuracies)
        members = model.estimators_ if arguments.ensemble else [model]
        table.row(
            **{
                "settings": shown,
                "data": name,
                "test accuracy, mean (each seed)": mean_and_each(accuracies),
                "deviation": f"{np.std(accuracies):.4f}",
                "weights": sum(coef.nnz for member in members for coef in member.coefs_),
                "epochs": max(member.n_iter_ for member in members),
                "seconds": f"{np.median(seconds):.1f}",
            }
        )
    if all(name in means for name in FOUR):
        mean = f"{np.mean([means[name] for name in FOUR]):.4f}"
        empty = dict.fromkeys(("deviation", "weights", "epochs", "seconds"), "")
        table.row(
            settings=shown,
            data="mean of four",
            **{"test accuracy, mean (each seed)": mean},
            **empty,
        )


if __name__ == "__main__":
    main()
