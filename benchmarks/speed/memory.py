"""How much memory does a network with very wide layers take to train?

Each row trains in a fresh process for two epochs with an update of the topology, and reports the highest resident
memory of that process beside what dense weights alone would take.

    python benchmarks/speed/memory.py [--csv FILE] [--quick]
"""

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _result_table import Table

PROGRAM = """
import resource, sys, time
import numpy as np
import truesparse
hidden, method, n_features = eval(sys.argv[1]), sys.argv[2], int(sys.argv[3])
rng = np.random.default_rng(0)
X = rng.standard_normal((500, n_features), dtype=np.float32)
y = rng.integers(10, size=500)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
model = truesparse.SparseMLPClassifier(
    hidden, evolution=method, epsilon=5, max_iter=2, update_every=3, random_state=0, n_jobs=-1
).fit(X, y)
seconds = time.perf_counter() - started
assert sum(sum(replaced) for replaced in model.history_["edges_replaced"]) > 0 or method == "static"
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sizes = [n_features, *hidden, 10]
pairs = sum(a * b for a, b in zip(sizes, sizes[1:]))
weights = sum(coef.nnz for coef in model.coefs_)
print(f"{before / 1e6:.2f} {peak / 1e6:.2f} {pairs * 4 / 1e9:.2f} {weights} {seconds:.1f}")
"""

CASES = [
    ((200_000,), "cte", 784),
    ((200_000,), "set", 784),
    ((20_000, 20_000), "cte", 784),
    ((200_000, 200_000), "set", 784),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv")
    parser.add_argument("--quick", action="store_true", help="a tenth of the units")
    arguments = parser.parse_args()
    table = Table({"hidden layers": 15, "method": 8, "weights": 9, "GB before": 9, "GB at the peak": 14,
                   "GB of dense weights": 19, "seconds": 8}, arguments.csv)  # fmt: skip
    for hidden, method, n_features in CASES:
        hidden = tuple(size // 10 for size in hidden) if arguments.quick else hidden
        before, peak, dense, weights, seconds = subprocess.run(
            [sys.executable, "-c", PROGRAM, repr(hidden), method, str(n_features)],
            capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        table.row(
            **{
                "hidden layers": "-".join(map(str, hidden)),
                "method": method,
                "weights": weights,
                "GB before": before,
                "GB at the peak": peak,
                "GB of dense weights": dense,
                "seconds": seconds,
            }
        )


if __name__ == "__main__":
    main()
