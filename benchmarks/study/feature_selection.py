"""Do sparse networks select the features that matter, and how do other selectors fare?

Each selector ranks the features of the training part; of the first 20 (Madelon) or 50 (Isolet, PCMAC), two classifiers
that know nothing of the selector are trained, and their test accuracy counts: the five nearest neighbours, and 200
extremely randomised trees. On Madelon it is known which 20 of the 500 features matter, and counted how many of them are
found: five features and their linear combinations, so that a selector that avoids repetition need not find all to be
right. Isolet and PCMAC are split by seed 42, as elsewhere.

    python benchmarks/study/feature_selection.py [--data madelon isolet pcmac] [--seeds 5] [--csv FILE] [--quick]
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.sparse import issparse
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.feature_selection import f_classif, mutual_info_classif
from sklearn.neighbors import KNeighborsClassifier

from truesparse import SparseMLPClassifier
from truesparse.data import datasets
from truesparse.estimators import SparseFeatureSelector, denoising_autoencoder
from truesparse.evolution import Gradient, neuron_evolution

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _result_table import Table, mean_and_each

N_SELECTED = {"madelon": 20, "isolet": 50, "pcmac": 50, "breast_cancer": 5}


def selector(**parameters):
    """The scores of a `SparseFeatureSelector`."""

    def scores(X, y, n, seed, quick):
        chosen = SparseFeatureSelector(n, random_state=seed, **parameters)
        if quick:
            chosen.set_params(estimator=chosen._make_estimator(y).set_params(max_iter=3))
        return chosen.fit(X, y).scores_

    return scores


def strength_of_cte(X, y, n, seed, quick):
    classifier = SparseMLPClassifier(update_every="epoch", max_iter=3 if quick else 100)
    return SparseFeatureSelector(n, estimator=classifier, random_state=seed).fit(X, y).scores_


def neurons_by_gradient(X, y, n, seed, quick):
    """As published: pairs with the largest gradient, from zero."""
    evolution = replace(neuron_evolution(n, Gradient(n_samples=None)), grow_init="zeros")
    classifier = SparseMLPClassifier(evolution=evolution, max_iter=3 if quick else 100, random_state=seed)
    return classifier.fit(X, y).feature_importances_


def without_targets(epochs):
    def scores(X, y, n, seed, quick):
        autoencoder = denoising_autoencoder().set_params(max_iter=3 if quick else epochs)
        return SparseFeatureSelector(n, estimator=autoencoder, random_state=seed).fit(X).scores_

    return scores


def forest(X, y, n, seed, quick):
    return RandomForestClassifier(500, n_jobs=-1, random_state=seed).fit(X, y).feature_importances_


def mutual_information(X, y, n, seed, quick):
    return mutual_info_classif(X, y, discrete_features=issparse(X), random_state=seed)


# Those without a seed are run once.
SELECTORS = {
    "strength": selector(),
    "strength, cte": strength_of_cte,
    "neuron evolution": selector(strategy="neuron_evolution"),
    "neuron evolution, gradient": neurons_by_gradient,
    "autoencoder, 100 epochs": without_targets(100),
    "autoencoder, 10 epochs": without_targets(10),
    "random forest": forest,
    "mutual information": mutual_information,
    "F test": lambda X, y, n, seed, quick: np.nan_to_num(f_classif(X, y)[0]),
    "all features": None,
}
WITHOUT_SEED = ("mutual information", "F test", "all features")


def informative(data):
    """Madelon's informative features: those that correlate with another one; the noise correlates with nothing."""
    correlation = np.abs(np.corrcoef(data.X_train.T))
    np.fill_diagonal(correlation, 0)
    return np.flatnonzero(correlation.max(axis=0) > 0.3)


def accuracies(data, chosen, seed):
    """Test accuracy of two classifiers on the chosen features."""
    train, test = data.X_train[:, chosen], data.X_test[:, chosen]
    neighbours = KNeighborsClassifier(5).fit(train, data.y_train)
    trees = ExtraTreesClassifier(200, n_jobs=-1, random_state=seed).fit(train, data.y_train)
    return neighbours.score(test, data.y_test), trees.score(test, data.y_test)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=N_SELECTED, default=["madelon", "isolet", "pcmac"])
    parser.add_argument("--selectors", nargs="+", choices=SELECTORS, default=list(SELECTORS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--csv")
    parser.add_argument("--quick", action="store_true", help="one small data set, one seed, 3 epochs")
    arguments = parser.parse_args()
    columns = {
        "data": 13,
        "selector": 26,
        "features": 8,
        "informative": 16,
        "neighbours": 32,
        "trees": 32,
        "seconds": 7,
    }
    table = Table(columns, arguments.csv)
    for name in ["breast_cancer"] if arguments.quick else arguments.data:
        data = datasets.load(name)
        wanted = informative(data) if name == "madelon" else None
        for label in arguments.selectors:
            scores_of, hits, results, seconds = SELECTORS[label], [], [], []
            for seed in range(1 if arguments.quick or label in WITHOUT_SEED else arguments.seeds):
                started = time.perf_counter()
                chosen = np.arange(data.X_train.shape[1])
                if scores_of is not None:
                    scores = scores_of(data.X_train, data.y_train, N_SELECTED[name], seed, arguments.quick)
                    chosen = np.argsort(-scores, kind="stable")[: N_SELECTED[name]]
                seconds.append(time.perf_counter() - started)
                results.append(accuracies(data, chosen, seed))
                hits.append("" if wanted is None else str(np.isin(chosen, wanted).sum()))
            neighbours, trees = zip(*results, strict=True)
            table.row(
                data=name,
                selector=label,
                features=chosen.size,
                informative=" ".join(hits).strip(),
                neighbours=mean_and_each(neighbours),
                trees=mean_and_each(trees),
                seconds=f"{np.median(seconds):.1f}",
            )


if __name__ == "__main__":
    main()
