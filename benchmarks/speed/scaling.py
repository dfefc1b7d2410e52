"""Do time and memory follow the number of weights?

Networks from 10⁴ to 10⁸ weights, each trained in a fresh process: seconds of an epoch without and of one with an update
of the topology, and the highest resident memory. The exponent of time against weights is the slope of a straight line
through the logarithms. Two ways to grow:

- `units`: three hidden layers of n units with 40 weights a unit. From a million units on, the activations of
  a layer fit no cache, and every weight fetches a row of them from memory.
- `degree`: three hidden layers whose units and weights per unit grow together, as the square root of the weights.

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
import json, resource, sys, time
import numpy as np
import truesparse
from truesparse.network.activations import ACTIVATIONS
from truesparse.evolution import Constant, preset
from truesparse.network.initial_weights import FanIn, draw
from truesparse.network.losses import SoftmaxCrossEntropy
from truesparse.training.lr_schedules import LEARNING_RATES
from truesparse.network.mlp import MLP
from truesparse.training.optimizers import SGD
from truesparse.runtime.threads import threads
from truesparse.runtime.random_streams import RandomStreams
from truesparse.topology import Pattern
from truesparse.training.trainer import Trainer
from dataclasses import replace

case = json.loads(sys.argv[1])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
rng = np.random.default_rng(0)
X = rng.standard_normal((case["samples"], case["sizes"][0]), dtype=np.float32)
y = rng.integers(case["sizes"][-1], size=case["samples"])

def trainer(sizes, counts):
    streams = RandomStreams(0)
    shapes = [(n, m) for m, n in zip(sizes, sizes[1:])]
    patterns = [
        Pattern.sample(shape, min(nnz, shape[0] * shape[1]), streams("topology", layer))
        for layer, (shape, nnz) in enumerate(zip(shapes, counts))
    ]
    network = MLP.from_patterns(patterns, ACTIVATIONS["relu"])
    for index, (layer, pattern) in enumerate(zip(network.layers, patterns)):
        layer.data[:] = draw(FanIn(), pattern, slice(None), streams("weights", index))
    return Trainer(
        network, SoftmaxCrossEntropy(), optimizer=SGD(), learning_rate=1e-4, lr_schedule=LEARNING_RATES["constant"],
        evolution=None, initializer=FanIn(), batch_size=case["batch"], shuffle=True, streams=streams,
    )

with threads(case["threads"]):
    small = trainer([case["sizes"][0], 50, 50, 50, case["sizes"][-1]], [300] * 4)
    small.train(X, y, n_epochs=1)  # compiles
    started = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    run = trainer(case["sizes"], case["counts"])
    made = time.perf_counter() - started
    run.train(X, y, n_epochs=3)
    static = min(run.state.history.as_dict()["seconds"][1:])
    static_peak = peak()
    network = run.network
    activations = network.bytes_needed(case["batch"])
    run.evolution = replace(preset("set"), schedule=Constant(drop_fraction=0.3, update_every="epoch"))
    run.train(X, y, n_epochs=3)  # the first epoch of a plan has no update
    evolving = min(run.state.history.as_dict()["seconds"][-2:])
    assert sum(run.state.history[-1].edges_replaced) > 0
    print(json.dumps({
        "weights": network.n_weights, "made": made, "static": static, "evolving": evolving, "before": before,
        "static_peak": static_peak, "peak": peak(), "activations": activations,
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
    columns = {"network": 32, "weights": 10, "threads": 7, "to make, s": 11, "ns per weight and sample": 24,
               "epoch, s": 9, "samples": 7, "update, s": 9, "peak, GB": 9, "bytes per weight": 16,
               "with updates": 12}  # fmt: skip
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
