"""Does a network whose features are not scaled fail, and does it say so?

Estimators with their defaults are fitted to the tables of `_tables.py` as they are and standardised. Failed is a fit
that predicts its own training data no better than a constant: not more classes right than are of the commonest one, or
an R² not above 0. Hardly better are those that warn, but did not fail by this measure: of standardised features they
would be false alarms.

    python benchmarks/study/raw_tables.py [--tables …] [--seeds 3] [--csv FILE] [--quick]
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
from _tables import TABLES, load

from truesparse import SparseMLPClassifier, SparseMLPRegressor

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _result_table import Table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--csv")
    parser.add_argument("--quick", action="store_true", help="two tables of scikit-learn, one seed")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.tables, arguments.seeds = ["wine", "diabetes"], 1
    columns = {"table": 14, "features": 13, "fits": 4, "failed": 6, "warned": 6, "unnoticed": 9, "hardly better": 13,
               "no cause named": 14, "test score": 10}  # fmt: skip
    table = Table(columns, arguments.csv)
    for name in arguments.tables:
        for standardised in (False, True):
            fits = [fit(name, seed, standardised) for seed in range(arguments.seeds)]
            failed, warned, named, scores = map(np.array, zip(*fits, strict=True))
            table.row(
                **{
                    "table": name,
                    "features": "standardised" if standardised else "raw",
                    "fits": arguments.seeds,
                    "failed": failed.sum(),
                    "warned": warned.sum(),
                    "unnoticed": (failed & ~warned).sum(),
                    "hardly better": (warned & ~failed).sum(),
                    "no cause named": (failed & warned & ~named).sum(),
                    "test score": f"{scores.mean():.3f}",
                }
            )


def fit(name, seed, standardised):
    """Return whether a fit failed, whether it warned and named a cause, and its test accuracy or R²."""
    data = load(name, seed, standardised=standardised)
    model = (SparseMLPClassifier if data.classes else SparseMLPRegressor)(random_state=seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(data.X_train, data.y_train)
    messages = [str(warning.message) for warning in caught if "better than a constant" in str(warning.message)]
    constant = np.unique(data.y_train, return_counts=True)[1].max() / len(data.y_train) if data.classes else 0.0
    failed = model.score(data.X_train, data.y_train) <= constant
    named = any("not scaled" in message or "steps were too large" in message for message in messages)
    return failed, bool(messages), named, model.score(data.X_test, data.y_test)


if __name__ == "__main__":
    main()
