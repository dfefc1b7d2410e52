"""How fast are the kernels, and what could they be?

For layers whose activations fit the second-level cache, the third, and none, GF/s (two operations per stored weight
and sample) of the forward pass, of the gradient, and of gradient and errors together, beside SciPy's ``csr @ dense``
on the same data, sgemm of a dense layer of 1000 × 1000 and the machine's memory bandwidth. Everything is float32 and
takes turns in one process; medians over rounds.

    python benchmarks/speed/kernels.py [--rounds 7] [--csv FILE] [--quick]
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

from truesparse.kernels.jit import max_threads
from truesparse.network.activations import PiecewiseLinear
from truesparse.network.layers import SparseLinear
from truesparse.network.mlp import MLP
from truesparse.runtime.threads import threads
from truesparse.topology import Pattern

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _result_table import Table
from _turns import best_of

# units a side, weights per unit, batch
CASES = [(1000, 2, 128), (1000, 40, 100), (1000, 40, 128), (4000, 20, 128), (20_000, 20, 128), (100_000, 20, 128)]


def products_of(n_units, per_unit, batch):
    """Functions to time and how many operations each does."""
    rng = np.random.default_rng(0)
    pattern = Pattern.sample((n_units, n_units), n_units * per_unit, rng, balanced=True)
    one = MLP([SparseLinear(pattern)], PiecewiseLinear())
    # The same product with something below it, which takes its errors; every unit of that has one input.
    ones = Pattern.from_edges(np.arange(n_units), np.zeros(n_units, dtype=np.int64), (n_units, 1))
    two = MLP([SparseLinear(ones), SparseLinear(pattern)], PiecewiseLinear())
    for network in (one, two):
        network.params[:] = 0.1 * rng.standard_normal(network.params.size, dtype=np.float32)
    x, x_one = (rng.standard_normal((n, batch), dtype=np.float32) for n in (n_units, 1))
    workspace_one, workspace_two = one.workspace(batch), two.workspace(batch)
    workspace_one.set_inputs(x)
    workspace_two.set_inputs(x_one)
    matrix = one.layers[0].weight
    one.forward(workspace_one)
    two.forward(workspace_two)
    operations = 2 * pattern.nnz * batch
    below = 2 * n_units * batch  # the gradient of the layer below is part of the second network's backward pass
    functions = {
        "forward": (lambda: one.forward(workspace_one), operations),
        "gradient": (lambda: one.backward(workspace_one), operations),
        "gradient, errors": (lambda: two.backward(workspace_two), 2 * operations + below),
        "scipy": (lambda: csr_array.__matmul__(matrix, x), operations),
    }
    return functions


def floors():
    """sgemm on one thread in GF/s, and GB/s of a sum of two vectors into a third, far larger than the caches."""
    rng = np.random.default_rng(0)
    w, x = (rng.standard_normal((1000, n), dtype=np.float32) for n in (1000, 128))
    a, b, c = (np.ones(40_000_000, dtype=np.float32) for _ in range(3))
    with threadpool_limits(1):
        sgemm = 2 * w.size * 128 / best_of(lambda: w @ x) / 1e9
    return sgemm, 3 * a.nbytes / best_of(lambda: np.add(a, b, out=c)) / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--csv")
    parser.add_argument("--quick", action="store_true", help="small layers, two rounds")
    arguments = parser.parse_args()
    rounds = 2 if arguments.quick else arguments.rounds
    table = Table({"units": 7, "weights per unit": 16, "batch": 5, "threads": 7, "forward": 8, "gradient": 8,
                   "gradient, errors": 16, "scipy": 6, "sgemm": 6, "share of sgemm": 22, "memory, GB/s": 12},
                  arguments.csv)  # fmt: skip
    for case in CASES[:2] if arguments.quick else CASES:
        functions = products_of(*case)
        for n_threads in sorted({1, min(2, max_threads())}):
            rates = {name: [] for name in [*functions, "sgemm", "memory"]}
            for _ in range(rounds):
                with threads(n_threads):
                    for name, (function, operations) in functions.items():
                        rates[name].append(operations / best_of(function) / 1e9)
                for name, value in zip(("sgemm", "memory"), floors(), strict=True):
                    rates[name].append(value)
            median = {name: np.median(values) for name, values in rates.items()}
            shares = [np.median(np.divide(rates[name], rates["sgemm"])) / n_threads for name in list(functions)[:3]]
            table.row(
                **{
                    "units": case[0],
                    "weights per unit": case[1],
                    "batch": case[2],
                    "threads": n_threads,
                    **{name: f"{median[name]:.1f}" for name in functions},
                    "sgemm": f"{median['sgemm']:.0f}",
                    "share of sgemm": " ".join(f"{share:.2f}" for share in shares),
                    "memory, GB/s": f"{median['memory']:.0f}",
                }
            )


if __name__ == "__main__":
    main()
