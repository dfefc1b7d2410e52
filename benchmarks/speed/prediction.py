"""How long do predictions take, of one sample and of many?

`predict_proba` of `SparseMLPClassifier` with its defaults, which are 784-1000-1000-1000-10 here; of scikit-learn's
`MLPClassifier` with the same layers, which are full there; and of the program that `export_numpy` writes. Figures are
the least of many calls, in microseconds, on one thread. The floors are parts of the first one: scikit-learn's checks of
the samples, which ours leaves out where they would find nothing, and the forward pass.

    python benchmarks/speed/prediction.py [--csv FILE] [--quick]
"""

import argparse
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.utils.validation import validate_data
from threadpoolctl import threadpool_limits

from truesparse import SparseMLPClassifier
from truesparse.data import ArraySource
from truesparse.runtime.threads import threads
from truesparse.storage.predictor import load
from truesparse.training.inference import forward_all

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _networks import WIDE, data
from _result_table import Table


def least(function, seconds):
    """Microseconds of the fastest call among those of so many seconds, after a first one."""
    function()
    fastest, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        function()
        fastest = min(fastest, time.perf_counter() - started)
    return fastest * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv")
    parser.add_argument("--quick", action="store_true", help="few calls")
    arguments = parser.parse_args()
    seconds = 0.2 if arguments.quick else 5
    X, y = data(10_000, WIDE[0])
    warnings.simplefilter("ignore", ConvergenceWarning)
    ours = SparseMLPClassifier(max_iter=1, update_every=20, random_state=0).fit(X[:1000], y[:1000])
    dense = MLPClassifier(WIDE[1:-1], max_iter=1, random_state=0).fit(X[:1000], y[:1000])
    with tempfile.TemporaryDirectory() as directory:
        ours.export_numpy(directory)
        exported = load(directory)

    def passes(X):
        with threads(1):
            return forward_all(ours._network, ArraySource(X))

    def checks(X):
        return validate_data(ours, X, reset=False, dtype=np.float32, order="C")

    columns = {
        "truesparse": ours.predict_proba,
        "scikit-learn, full": dense.predict_proba,
        "exported": exported.predict_proba,
        "forward pass": passes,
        "scikit-learn's checks": checks,
    }
    table = Table({"samples": 7, **{name: len(name) for name in columns}}, arguments.csv)
    for n_samples in (1, 100, 10_000):
        with threadpool_limits(1):
            times = {name: least(partial(of, X[:n_samples]), seconds) for name, of in columns.items()}
        table.row(samples=n_samples, **{name: f"{microseconds:.0f}" for name, microseconds in times.items()})


if __name__ == "__main__":
    main()
