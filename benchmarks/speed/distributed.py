"""What does training on several MPI processes cost, and where does it end?

Two tables and a picture:

- Measured: milliseconds of a step of one process, of two ranks with as many samples each, and of nothing but adding up
  the vector of a step. The network is 784-1000³-10, static, on noise; medians over rounds of the median epoch.
- Computed: milliseconds of a step of one rank, and samples a second of many ranks in multiples of one, for sparse and
  dense networks with three layers of the same width, each rank with 256 samples a step, by

      t(P) = 6 · weights · batch / rate + 2 (P − 1) / P · 4 bytes · weights / bandwidth + 2 log₂(P) · latency

  The rates of sparse and of dense layers are measured here; sums are added up as Rabenseifner (2004) describes, and
  nothing overlaps. Bandwidths are those of the network between machines.

    python benchmarks/speed/distributed.py [--rounds 5] [--csv PREFIX] [--picture PATH] [--quick]

Needs mpi4py and ``mpiexec``.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from truesparse import SparseMLPClassifier

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _result_table import Table

N_FEATURES, HIDDEN, N_STEPS = 784, (1000, 1000, 1000), 60
EPSILON_OF_MODEL, BATCH_OF_MODEL, LATENCY = 20, 256, 10e-6  # seconds between two machines
GBITS, RANKS, WEIGHTS = (10, 100), (4, 16, 64, 256, 1024), (1e5, 1e6, 1e7, 1e8, 1e9)
LARGEST_DENSE = 1e11  # weights that a machine could still hold


def measured_on_rank(cases, n_rounds):
    """Print, on rank 0, a JSON list with milliseconds for each case of epsilon and batch size."""
    from mpi4py import MPI

    from truesparse.distributed import fit_mpi
    from truesparse.distributed.ranks import Ranks

    warnings.simplefilter("ignore")
    comm = MPI.COMM_WORLD
    n_ranks, rng, results = comm.Get_size(), np.random.default_rng(comm.Get_rank()), []
    for epsilon, batch in cases:
        X = rng.random((N_STEPS * batch, N_FEATURES), dtype=np.float32)
        y = rng.integers(10, size=len(X))
        settings = {"epsilon": epsilon, "evolution": "static", "random_state": 0, "batch_size": batch * n_ranks}
        steps, sums = [], []
        for _ in range(n_rounds):
            model = SparseMLPClassifier(HIDDEN, max_iter=6, **settings)
            model = model.fit(X, y) if n_ranks == 1 else fit_mpi(model, X, y)
            steps.append(np.median(model.history_["seconds"][1:]) / N_STEPS * 1e3)
            with Ranks(comm) as ranks:
                vector = np.zeros(model.n_parameters_ + 2, dtype=np.float32)
                times = []
                for _ in range(200):
                    began = time.perf_counter()
                    ranks.add_up(vector)
                    times.append(time.perf_counter() - began)
                sums.append(np.median(times) * 1e3)
        results.append([float(np.median(steps)), float(np.median(sums)), int(vector.nbytes)])
    if comm.Get_rank() == 0:
        print(json.dumps(results))


def run(n_ranks, cases, n_rounds):
    """Return what `measured_on_rank` prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    mpiexec = shutil.which("mpiexec", path=path)
    if mpiexec is None:
        raise SystemExit("There is no mpiexec: install an MPI, such as pip's mpich.")
    command = [mpiexec, "-n", str(n_ranks), sys.executable, __file__, "--rank", json.dumps([cases, n_rounds])]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def measured(arguments):
    """Print the first table; return operations a second of a sparse network in the case of the model."""
    epsilons, batches = ((1, 20), (128,)) if arguments.quick else ((1, 5, 20), (32, 128, 256, 512))
    cases = [[epsilon, batch] for epsilon in epsilons for batch in batches]
    columns = {
        "epsilon": 7, "batch a rank": 12, "kB a step": 9, "ms, one process": 15, "ms, two ranks": 13, "ms, sum": 8,
        "samples a second": 16,
    }  # fmt: skip
    table = Table(columns, arguments.csv and f"{arguments.csv}_measured.csv")
    one, two = run(1, cases, arguments.rounds), run(2, cases, arguments.rounds)
    for (epsilon, batch), (alone, _, n_bytes), (together, adding, _) in zip(cases, one, two, strict=True):
        row = [epsilon, batch, f"{n_bytes / 1e3:.0f}", f"{alone:.3f}", f"{together:.3f}", f"{adding:.3f}"]
        table.row(**dict(zip(columns, [*row, f"{2 * alone / together:.2f} x"], strict=True)))
    milliseconds, _, n_bytes = one[-1 if arguments.quick else cases.index([EPSILON_OF_MODEL, BATCH_OF_MODEL])]
    return 6 * n_bytes / 4 * cases[-1 if arguments.quick else -2][1] / milliseconds * 1e3


def dense_rate():
    """Return operations a second of one thread in a product of float32 matrices of a thousand rows and a batch."""
    from threadpoolctl import threadpool_limits

    W, X = np.ones((1000, 1000), dtype=np.float32), np.ones((1000, BATCH_OF_MODEL), dtype=np.float32)
    times = []
    with threadpool_limits(1):
        for _ in range(50):
            began = time.perf_counter()
            W @ X
            times.append(time.perf_counter() - began)
    return 2 * W.size * BATCH_OF_MODEL / np.median(times)


def step(weights, n_ranks, gbits, rate):
    """Return the seconds of a step."""
    compute = 6 * weights * BATCH_OF_MODEL / rate
    return compute + 2 * (n_ranks - 1) / n_ranks * 4 * weights / (gbits * 1e9 / 8) + 2 * np.log2(n_ranks) * LATENCY


def speedup(weights, n_ranks, gbits, rate):
    """Return samples a second of many ranks in multiples of one."""
    return n_ranks * step(weights, 1, gbits, rate) / step(weights, n_ranks, gbits, rate)


def dense_weights(sparse):
    """Return the weights of three full layers as wide as those that have so many with the epsilon of the model."""
    width = sparse / (3 * 2 * EPSILON_OF_MODEL)
    return 3 * width**2


def computed(arguments, rate):
    """Print the second table."""
    columns = {"weights": 7, "Gb/s": 4, "MB": 6, "ms": 8} | {f"{n} ranks": 10 for n in RANKS}
    columns |= {"dense": 7, "MB, dense": 9, "ms, dense": 9} | {f"{n}, dense": 11 for n in RANKS}
    table = Table(columns, arguments.csv and f"{arguments.csv}_computed.csv")
    of_dense = dense_rate()
    print(f"Rates: sparse {rate / 1e9:.0f} GF/s, dense {of_dense / 1e9:.0f} GF/s; latency {LATENCY * 1e6:.0f} µs")
    for weights in WEIGHTS:
        dense = dense_weights(weights)
        for gbits in GBITS:
            fits = dense <= LARGEST_DENSE
            row = [f"{weights:.0e}", gbits, f"{4e-6 * weights:.4g}", f"{1e3 * step(weights, 1, gbits, rate):.4g}"]
            row += [f"{speedup(weights, n, gbits, rate):.1f}" for n in RANKS]
            row += [f"{dense:.1e}", f"{4e-6 * dense:.3g}", f"{1e3 * step(dense, 1, gbits, of_dense):.3g}"]
            row += [f"{speedup(dense, n, gbits, of_dense):.1f}" if fits else "too large" for n in RANKS]
            table.row(**dict(zip(columns, row, strict=True)))
    return of_dense


def draw(path, rate, of_dense):
    """Draw the time of a step of sparse networks, and of dense ones that are as wide."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    ranks = 2.0 ** np.arange(11)
    for axis, gbits in zip(axes, GBITS, strict=True):
        for color, weights in zip(("C0", "C1", "C2"), (1e5, 1e6, 1e7), strict=True):
            label = f"{weights:.0e} weights".replace("e+0", "e")
            axis.plot(ranks, 1e3 * step(weights, ranks, gbits, rate), color=color, label=label)
            axis.plot(ranks, 1e3 * step(dense_weights(weights), ranks, gbits, of_dense), ":", color=color)
        axis.set(xscale="log", yscale="log", xlabel="ranks", title=f"{gbits} Gb/s")
        axis.set_xticks([1, 4, 16, 64, 256, 1024], ["1", "4", "16", "64", "256", "1024"], minor=False)
        axis.minorticks_off()
    axes[0].set_ylabel("milliseconds of a step")
    axes[0].plot([], [], ":", color="grey", label="dense, as wide")
    axes[0].legend(fontsize="small")
    figure.suptitle("Computed, not measured: 256 samples a rank and step", fontsize="medium")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--csv", metavar="PREFIX", help="writes PREFIX_measured.csv and PREFIX_computed.csv")
    parser.add_argument("--picture", metavar="PATH")
    parser.add_argument("--quick", action="store_true", help="two cases, one round")
    parser.add_argument("--rank", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rank is not None:
        measured_on_rank(*json.loads(arguments.rank))
        return
    if arguments.quick:
        arguments.rounds = 1
    rate = measured(arguments)
    of_dense = computed(arguments, rate)
    if arguments.picture:
        draw(arguments.picture, rate, of_dense)


if __name__ == "__main__":
    main()
