"""SET and others on the whole of MNIST: 784-1000-1000-1000-10 with about 125,000 weights, ten epochs of 600 steps.

python benchmarks/study/mnist.py [--seeds 3] [--methods set cte static] [--csv FILE] [--quick]
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from truesparse import SparseMLPClassifier
from truesparse.data import datasets

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _result_table import Table, mean_and_each

# Not the defaults, which are made for small data: batches of a size at which epochs are short. Units and first weights
# are the same for all methods.
SETTINGS = {
    "activation": "relu",
    "weight_init": "fan_in",
    "batch_size": 100,
    "update_every": 50,
    "learning_rate": "constant",
    "learning_rate_init": 0.003,
    "dropout": 0.0,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=["set", "cte", "static"])
    parser.add_argument("--epsilon", type=float, default=20)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--csv")
    parser.add_argument("--quick", action="store_true", help="one seed, 3,000 images, three epochs")
    arguments = parser.parse_args()
    data = datasets.load("mnist")
    n_train = 3000 if arguments.quick else len(data.X_train)
    X, y = data.X_train[:n_train], data.y_train[:n_train]
    table = Table(
        {"method": 10, "test accuracy, mean (each seed)": 32, "weights": 8, "threads": 7, "seconds an epoch": 16},
        arguments.csv,
    )
    for method in arguments.methods:
        accuracies, seconds = [], []
        for seed in range(1 if arguments.quick else arguments.seeds):
            model = SparseMLPClassifier(
                **SETTINGS,
                evolution=method,
                epsilon=arguments.epsilon,
                max_iter=3 if arguments.quick else arguments.epochs,
                n_jobs=arguments.threads,
                random_state=seed,
            ).fit(X, y)
            accuracies.append(model.score(data.X_test, data.y_test))
            seconds += model.history_["seconds"]
        table.row(
            **{
                "method": method,
                "test accuracy, mean (each seed)": mean_and_each(accuracies),
                "weights": sum(coef.nnz for coef in model.coefs_),
                "threads": arguments.threads,
                "seconds an epoch": f"{np.median(seconds):.2f}",
            }
        )


if __name__ == "__main__":
    main()
