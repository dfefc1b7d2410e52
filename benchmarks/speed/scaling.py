"""Do time and memory follow the number of weights?

Networks from 10⁴ to 10⁸ weights, each trained in a fresh process: seconds of an epoch without and of one with an update
of the topology, and the highest resident memory. The exponent of time against weights is the slope of a straight line
through the logarithms. Two ways to grow:

- `units`: three hidden layers of n units with 40 weights a unit. From a million units on, the activations of
  a layer fit no cache, and every weight fetches a row of them from memory.
- `degree`: three hidden layers whose units and weights per unit grow together, as the square root of the weights.

`SparseMLPClassifier` with the method's defaults, among them Adam and dropout, but for what the columns say. The seconds
to make a network are those from the call of ``fit`` to the first epoch.

The last rows are networks that others have reported: `--only giant` trains SET on 3 × 600,000 hidden units.

    python benchmarks/speed/scaling.py [--only units] [--csv PREFIX] [--quick]
"""

import argparse
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _result_table import Table

PROGRAM = """
import gc, json, math, resource, sys, time
from dataclasses import dataclass, replace
from typing import ClassVar
import numpy as np
from truesparse import SparseMLPClassifier, preset
from truesparse.evolution import Constant
from truesparse.topology import Pattern

case = json.loads(sys.argv[1])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
rng = np.random.default_rng(0)
X = rng.standard_normal((case["samples"], case["sizes"][0]), dtype=np.float32)
y = np.arange(case["samples"]) % case["sizes"][-1]

@dataclass(frozen=True)
class Counted:
    n: tuple
    needs: ClassVar = ()

    def counts(self, shapes, epsilon, density):
        return [min(n, fan_out * fan_in) for n, (fan_out, fan_in) in zip(self.n, shapes)]

    def __call__(self, vacancies, *, rng):
        return [Pattern.sample(empty.pattern.shape, empty.n_grow, rng) for empty in vacancies]

class Begin:
    def on_train_begin(self, network):
        self.when, self.weights = time.perf_counter(), network.n_weights
        self.activations = network.bytes_needed(case["batch"])

def fit(hidden, counts, evolution, n_epochs, callbacks=None):
    model = SparseMLPClassifier(
        hidden, topology_init=Counted(tuple(counts)), evolution=evolution, batch_size=case["batch"],
        max_iter=n_epochs, n_iter_no_change=math.inf, random_state=0, n_jobs=case["threads"], callbacks=callbacks,
    )
    return model.fit(X, y).history_

fit([50] * 3, [300] * 4, "static", 1)  # compiles
hidden, begin = case["sizes"][1:-1], Begin()
before, started = peak(), time.perf_counter()
static = min(fit(hidden, case["counts"], "static", 3, [begin])["seconds"][1:])
static_peak = peak()
gc.collect()
every_epoch = replace(preset("set"), schedule=Constant(drop_fraction=0.3, update_every="epoch"))
history = fit(hidden, case["counts"], every_epoch, 3)  # the first epoch has no update
assert sum(history["edges_replaced"][-1]) > 0
print(json.dumps({
    "weights": begin.weights, "made": begin.when - started, "static": static,
    "evolving": min(history["seconds"][1:]), "before": before, "static_peak": static_peak, "peak": peak(),
    "activations": begin.activations,
}))
"""


def cases(kind, quick):
    """Sizes and weights of the networks of a table."""
    if kind == "giant":
        units = 6000 if quick else 600_000
        sizes = [3312, units, units, units, 5]
        counts = [20 * (m + n) for m, n in pairwise(sizes)]
        yield {"sizes": sizes, "counts": counts, "samples": 203, "batch": 40}
        return
    for weights in [10**4, 10**5] if quick else [10**4, 10**5, 10**6, 10**7, 10**8]:
        if kind == "units":
            hidden, degree = weights // 120, 40
        else:
            hidden = round(1000 * (weights / 1e5) ** 0.5)
            degree = weights / 3 / hidden
        sizes = [784, *[hidden] * 3, 10]
        counts = [round(degree * hidden)] * 3 + [10 * min(hidden, 1000)]
        samples = 1280 if weights <= 10**7 else 384
        yield {"sizes": sizes, "counts": counts, "samples": samples, "batch": 128}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["units", "degree", "giant"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="processes per row; the median is printed")
    parser.add_argument("--csv", metavar="PREFIX", help="writes PREFIX_units.csv and so on")
    parser.add_argument("--quick", action="store_true", help="small networks, once")
    arguments = parser.parse_args()
    for kind in ("units", "degree", "giant"):
        if arguments.only in (None, kind):
            tabulate(kind, arguments)


def tabulate(kind, arguments):
    columns = {"network": 32, "weights": 10, "batch": 5, "dropout": 7, "threads": 7, "to make, s": 11,
               "ns per weight and sample": 24, "epoch, s": 9, "samples": 7, "update, s": 9, "peak, GB": 9,
               "bytes per weight": 16, "with updates": 12}  # fmt: skip
    table = Table(columns, arguments.csv and f"{arguments.csv}_{kind}.csv")
    weights, seconds = [], []
    for case in cases(kind, arguments.quick):
        runs = []
        for _ in range(1 if arguments.quick or case["sizes"][1] > 100_000 else arguments.repeats):
            output = subprocess.run(
                [sys.executable, "-c", PROGRAM, json.dumps({**case, "threads": arguments.threads})],
                capture_output=True, text=True, check=True,
            ).stdout  # fmt: skip
            runs.append(json.loads(output))
        run = {name: float(np.median([one[name] for one in runs])) for name in runs[0]}
        weights.append(run["weights"])
        seconds.append(run["static"] / case["samples"])
        table.row(
            **{
                "network": "-".join(map(str, case["sizes"])),
                "weights": int(run["weights"]),
                "batch": case["batch"],
                "dropout": 0.1,
                "threads": arguments.threads,
                "to make, s": f"{run['made']:.2f}",
                "ns per weight and sample": f"{run['static'] / case['samples'] / run['weights'] * 1e9:.3f}",
                "epoch, s": f"{run['static']:.4f}",
                "samples": case["samples"],
                "update, s": f"{max(0, run['evolving'] - run['static']):.4f}",
                "peak, GB": f"{run['peak'] / 1e9:.2f}",
                "bytes per weight": f"{(run['static_peak'] - run['before'] - run['activations']) / run['weights']:.1f}",
                "with updates": f"{(run['peak'] - run['before'] - run['activations']) / run['weights']:.1f}",
            }
        )
    if len(weights) > 1:
        upper = [i for i, n in enumerate(weights) if n >= 0.9e5] if not arguments.quick else range(len(weights))
        slope = np.polyfit(np.log(np.take(weights, upper)), np.log(np.take(seconds, upper)), 1)[0]
        print(f"exponent of the epoch's time per sample against weights: {slope:.3f}")


if __name__ == "__main__":
    main()
