"""How long does it take until the first fit is done?

Each figure is the median over fresh processes: importing the package, which imports little; importing an estimator, and
of that numba and the base of scikit-learn's estimators, without which there is none; the first fit and prediction
(digits, one epoch, with updates of the topology, so that every kernel is used) with an empty kernel cache, where
everything is compiled; and with a warm one. A fit contains no import.

    python benchmarks/speed/startup.py [--repeats 5] [--csv FILE]
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _result_table import Table

PROGRAM = """
import time
started = time.perf_counter()
import truesparse
package = time.perf_counter()
import numba, sklearn.base
others = time.perf_counter()
from truesparse import SparseMLPClassifier
imported = time.perf_counter()
from sklearn.datasets import load_digits
X, y = load_digits(return_X_y=True)
loaded = time.perf_counter()
SparseMLPClassifier(max_iter=1, update_every=5, random_state=0).fit(X / 16, y).predict(X[:1] / 16)
print(package - started, imported - started, others - package, time.perf_counter() - loaded)
"""


def run(cache):
    """Seconds of each part in a new process with this kernel cache."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    return [float(seconds) for seconds in result.stdout.split()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--csv")
    arguments = parser.parse_args()
    imports = ["import truesparse", "import of an estimator", "of that numba, scikit-learn"]
    times = {name: [] for name in (*imports, "first fit, empty kernel cache", "first fit, warm kernel cache")}
    for _ in range(arguments.repeats):
        with tempfile.TemporaryDirectory() as cache:
            times["first fit, empty kernel cache"].append(run(cache)[-1])
            for name, seconds in zip([*imports, "first fit, warm kernel cache"], run(cache), strict=True):
                times[name].append(seconds)
    table = Table({"what": 30, "seconds, median": 16, "worst": 6, "processes": 9}, arguments.csv)
    for what, seconds in times.items():
        table.row(
            **{
                "what": what,
                "seconds, median": f"{np.median(seconds):.3f}",
                "worst": f"{max(seconds):.3f}",
                "processes": arguments.repeats,
            }
        )


if __name__ == "__main__":
    main()
