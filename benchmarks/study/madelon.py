"""CTRE's claim on Madelon: 20 informative features hide among 500, and about 6,500 weights have to find them.

Official split, epsilon 1, published settings, 150 epochs; test accuracy of the best validation epoch.

    python benchmarks/study/madelon.py [--seeds 5] [--csv FILE] [--quick]
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from truesparse import SparseMLPClassifier, paper_settings
from truesparse.data import datasets
from truesparse.evolution import PRESETS

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _result_table import Table, mean_and_each


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--csv")
    parser.add_argument("--quick", action="store_true", help="one seed, 20 epochs")
    arguments = parser.parse_args()
    data = datasets.load("madelon")
    table = Table({"method": 12, "test accuracy, mean (each seed)": 40, "weights": 8, "seconds": 8}, arguments.csv)
    for name in sorted(PRESETS.keys() - {"omp"} | {"snip"}):  # all that have been published
        parameters = paper_settings(name) | {"max_iter": 20 if arguments.quick else 150}
        accuracies, seconds = [], []
        for seed in range(1 if arguments.quick else arguments.seeds):
            started = time.perf_counter()
            model = SparseMLPClassifier(**parameters, epsilon=1, random_state=seed).fit(data.X_train, data.y_train)
            seconds.append(time.perf_counter() - started)
            accuracies.append(model.score(data.X_test, data.y_test))
        table.row(
            **{
                "method": name,
                "test accuracy, mean (each seed)": mean_and_each(accuracies),
                "weights": sum(coef.nnz for coef in model.coefs_),
                "seconds": f"{np.median(seconds):.1f}",
            }
        )


if __name__ == "__main__":
    main()
