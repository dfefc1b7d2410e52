"""How much faster is a truly sparse network than a dense one, and up to which density?

Three questions, each a table (`--only` picks one):

- `steps`: milliseconds of a training step (forward, loss, backward, Adam), beside PyTorch with dense weights that are
  multiplied by masks after each step, as most code for sparse training does it, and beside plain dense PyTorch;
- `density`: the same for densities from 0.001 to 0.5; where ours stops being the fastest is the break-even density;
- `epoch`: an epoch of training and a prediction, beside PyTorch and scikit-learn's MLPClassifier.

Ours is `SparseMLPClassifier.fit` with its defaults but for what a column says. "static" has fixed patterns, which
PyTorch has as masks; "cte" is the default evolution, the time of its updates included.
PyTorch has the same dropout, L2 penalty and Adam; scikit-learn has no dropout (`_peers/`).

All contenders take turns in one process, with pauses in which the threads of the others fall asleep. Each figure is a
median over rounds, each round a mean over 150 steps, for "cte" over 750, two of which update the topology; a ratio is
the median of the rounds' ratios.

    python benchmarks/speed/compare_dense.py [--only steps] [--threads 2] [--rounds 7] [--csv PREFIX] [--quick]

Needs torch: pip install "truesparse[benchmark]". `peers.py` has other libraries and other measures.
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _networks import STEPS, WIDE, data, task_of
from _peers import OURS, installed
from _result_table import Table
from _turns import break_even, per_call, per_step, take_turns

CTE, MASKED, DENSE, SKLEARN = "truesparse, cte", "torch, masked", "torch, dense", "scikit-learn"
DENSITIES = [0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5]
COLUMNS = {"network": 21, "density": 7, "weights": 7, "batch": 5, "dropout": 7, "threads": 7, "static, ms": 10,
           "cte, ms": 7, "torch masked": 12, "ratio": 5, "ratio, range": 14, "torch dense": 11,
           "ratio to dense": 14}  # fmt: skip


def step_row(table, sizes, spread, batch, arguments):
    """Measure one network; return how many times faster than dense PyTorch it is."""
    X, y = data((10 if arguments.quick else 150) * batch, sizes[0])
    task = task_of(sizes, spread, batch, arguments.threads, X, y)
    peers = installed([OURS, CTE, MASKED, DENSE])
    contenders = {name: per_step(peer(task)) for name, peer in peers.items()}
    take_turns(contenders, 1)  # compiles
    times = take_turns(contenders, arguments.rounds)
    ours, cte, masked, dense = (times[name] * 1e3 for name in (OURS, CTE, MASKED, DENSE))
    to_dense = np.median(dense / ours)
    table.row(
        **{
            "network": "-".join(map(str, sizes)),
            "density": f"{task.n_weights / task.n_pairs:.4f}",
            "weights": task.n_weights,
            "batch": batch,
            "dropout": task.dropout,
            "threads": arguments.threads,
            "static, ms": f"{np.median(ours):.3f}",
            "cte, ms": f"{np.median(cte):.3f}",
            "torch masked": f"{np.median(masked):.2f}",
            "ratio": f"{np.median(masked / ours):.1f}",
            "ratio, range": f"{(masked / ours).min():.1f} to {(masked / ours).max():.1f}",
            "torch dense": f"{np.median(dense):.2f}",
            "ratio to dense": f"{to_dense:.2f}",
        }
    )
    return to_dense


def compare_steps(arguments, csv):
    table = Table(COLUMNS, csv)
    for sizes, spread, batch in STEPS[-1:] if arguments.quick else STEPS:
        step_row(table, sizes, spread, batch, arguments)


def compare_densities(arguments, csv):
    table = Table(COLUMNS, csv)
    sizes, ratios = (784, 100, 10) if arguments.quick else WIDE, []
    densities = [0.1, 0.5] if arguments.quick else DENSITIES
    for density in densities:
        ratios.append(step_row(table, sizes, {"density": density}, 128, arguments))
    print(break_even(densities, ratios))


def compare_epochs(arguments, csv):
    sizes = (784, 100, 10) if arguments.quick else WIDE
    X, y = data(1280 if arguments.quick else 12_800, 784)
    task = task_of(sizes, {"epsilon": 20}, 128, arguments.threads, X, y)
    kinds = installed([OURS, CTE, MASKED, SKLEARN])
    peers = {name: peer(task) for name, peer in kinds.items()}
    for peer in peers.values():
        peer.train(1)
    epochs = {name: lambda _, peer=peer: peer.train(1).mean() for name, peer in peers.items()}
    predictions = {name: per_call(lambda peer=peer: peer.predict_proba(X)) for name, peer in peers.items()}
    trained, predicted = (take_turns(contenders, arguments.rounds) for contenders in (epochs, predictions))
    table = Table({"epsilon 20": 18, "samples": 7, "batch": 5, "dropout": 7, "threads": 7, "s an epoch": 10,
                   "times faster": 12, "predict, s": 10, "times faster.": 13}, csv)  # fmt: skip
    for name in peers:
        table.row(
            **{
                "epsilon 20": name,
                "samples": len(X),
                "batch": task.batch,
                "dropout": task.dropout if kinds[name].dropout else "none",
                "threads": arguments.threads,
                "s an epoch": f"{np.median(trained[name]):.3f}",
                "times faster": f"{np.median(trained[SKLEARN] / trained[name]):.1f}",
                "predict, s": f"{np.median(predicted[name]):.4f}",
                "times faster.": f"{np.median(predicted[SKLEARN] / predicted[name]):.1f}",
            }
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["steps", "density", "epoch"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--csv", metavar="PREFIX", help="writes PREFIX_steps.csv and so on")
    parser.add_argument("--quick", action="store_true", help="a small network each, two rounds")
    arguments = parser.parse_args()
    import torch  # noqa: F401  without it there is nothing to compare

    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.simplefilter("ignore", UserWarning)
    if arguments.quick:
        arguments.rounds = 2
    questions = {"steps": compare_steps, "density": compare_densities, "epoch": compare_epochs}
    for name, compare in questions.items():
        if arguments.only in (None, name):
            with threadpool_limits(arguments.threads):
                compare(arguments, arguments.csv and f"{arguments.csv}_{name}.csv")


if __name__ == "__main__":
    main()
