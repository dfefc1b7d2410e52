"""How much longer does an epoch take from chunks than from memory, and how much memory do chunks take?

Two tables:

- Seconds of an epoch of MNIST (noise of its size if it is not there) in 20 files, which are in the system's cache,
  beside the same data as an array or CSR matrix. The estimator has its defaults but for epsilon. The kinds take turns;
  medians over rounds of the median epoch.
- Resident memory of a process that trains for an epoch on 8 GB of chunks, beyond what it had before: right after the
  imports and a small fit. The files are sparse, which is to say full of zeros that take no room on the disk.

    python benchmarks/speed/chunks.py [--rounds 5] [--epochs 10] [--gigabytes 8] [--csv PREFIX] [--quick]
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from truesparse import SparseMLPClassifier
from truesparse.data import Chunks, datasets

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _result_table import Table
from _turns import take_turns

N_FILES, HIDDEN = 20, (1000, 1000, 1000)
EPSILONS = 1, 20


def mnist(n_samples):
    """Features and classes."""
    try:
        loaded = datasets.load("mnist")
        X, y = loaded.X_train, loaded.y_train
    except OSError:
        rng = np.random.default_rng(0)
        X, y = rng.standard_normal((60_000, 784)), rng.integers(10, size=60_000)
    return np.ascontiguousarray(X[:n_samples], dtype=np.float32), y[:n_samples]


def written(folder, kind, X, y):
    """Write chunks of a kind, and return their folder."""
    folder = Path(folder) / kind
    folder.mkdir()
    for number, part in enumerate(np.array_split(np.arange(len(y)), N_FILES)):
        if kind == "npy":
            np.save(folder / f"X_{number:02}.npy", X[part])
            np.save(folder / f"y_{number:02}.npy", y[part])
        elif kind == "npz":
            np.savez(folder / f"{number:02}.npz", X=X[part], y=y[part])
        else:
            rows = csr_array(X[part])
            arrays = {"data": rows.data, "indices": rows.indices, "indptr": rows.indptr, "shape": rows.shape}
            np.savez(folder / f"{number:02}.npz", y=y[part], **arrays)
    return folder


def seconds_of_epoch(epsilon, n_epochs, *data):
    """Return a contender that trains anew and returns the median seconds of an epoch."""

    def measure(_):
        model = SparseMLPClassifier(HIDDEN, epsilon=epsilon, max_iter=n_epochs, random_state=0).fit(*data)
        return float(np.median(model.history_["seconds"]))

    return measure


def epochs(arguments):
    """Print the first table."""
    X, y = mnist(2000 if arguments.quick else 60_000)
    csv = arguments.csv and f"{arguments.csv}_epoch.csv"
    table = Table({"epsilon": 7, "data": 12, "seconds": 8, "times memory": 12, "each round": 40}, csv)
    with tempfile.TemporaryDirectory() as folder:
        sources = {
            "array": {"array": (X, y)} | {kind: (Chunks(written(folder, kind, X, y)),) for kind in ("npy", "npz")},
            "csr": {"csr": (csr_array(X), y), "npz of csr": (Chunks(written(folder, "csr", X, y)),)},
        }
        for epsilon in EPSILONS:
            for in_memory, kinds in sources.items():
                contenders = {name: seconds_of_epoch(epsilon, arguments.epochs, *data) for name, data in kinds.items()}
                for measure in contenders.values():
                    measure(0)  # kernels are compiled, and files are in the cache
                seconds = take_turns(contenders, arguments.rounds)
                for name, values in seconds.items():
                    ratios = values / seconds[in_memory]
                    table.row(
                        **{
                            "epsilon": epsilon,
                            "data": name,
                            "seconds": f"{np.median(values):.4f}",
                            "times memory": f"{np.median(ratios):.3f}",
                            "each round": " ".join(f"{ratio:.3f}" for ratio in ratios),
                        }
                    )


PROGRAM = """
import sys
import numpy as np
from truesparse import SparseMLPClassifier
from truesparse.data import Chunks

def resident(kind):  # in MB, on Linux; getrusage begins with the peak of the process that started this one
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(kind))

folder, n_chunks, rows, n_features = sys.argv[1], *map(int, sys.argv[2:])
for number in range(n_chunks):
    X = np.lib.format.open_memmap(f"{folder}/X_{number:05}.npy", "w+", np.float32, (rows, n_features))
    del X  # nothing is written but the header
    np.save(f"{folder}/y_{number:05}.npy", np.arange(rows) % 10)
settings = {"max_iter": 1, "random_state": 0, "n_iter_no_change": np.inf}
small = np.zeros((1000, n_features), dtype=np.float32)
SparseMLPClassifier((1000,) * 3, **settings).fit(small, np.arange(1000) % 10)
del small
before = resident("VmRSS")
source = Chunks(folder)
first_pass = resident("VmHWM")
SparseMLPClassifier((1000,) * 3, **settings).fit(source)
peak = resident("VmHWM")
print(f"{n_chunks * rows * n_features * 4 / 1e9:.1f} {before:.0f} {first_pass - before:.0f} {peak - before:.0f}")
"""


def memory(arguments):
    """Print the second table."""
    csv = arguments.csv and f"{arguments.csv}_memory.csv"
    columns = {"chunks": 7, "MB a chunk": 11, "GB": 6, "MB before": 10, "MB more: first pass": 20, "and the fit": 12}
    table = Table(columns, csv)
    gigabytes = 0.2 if arguments.quick else arguments.gigabytes
    for megabytes in (4, 8, 16):
        rows = round(megabytes * 1e6 / 4 / 784)
        n_chunks = round(gigabytes * 1e3 / megabytes)
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-W", "ignore", "-c", PROGRAM, folder, *map(str, (n_chunks, rows, 784))]
            result = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        table.row(**dict(zip(columns, [n_chunks, megabytes, *result], strict=True)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--gigabytes", type=float, default=8)
    parser.add_argument("--only", choices=["epoch", "memory"])
    parser.add_argument("--csv", metavar="PREFIX", help="writes PREFIX_epoch.csv and PREFIX_memory.csv")
    parser.add_argument("--quick", action="store_true", help="2,000 samples, 0.2 GB, one round")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.epochs = 1, 2
    if arguments.only != "memory":
        epochs(arguments)
    if arguments.only != "epoch":
        memory(arguments)


if __name__ == "__main__":
    main()
