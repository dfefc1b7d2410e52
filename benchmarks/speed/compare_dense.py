"""How much faster is a truly sparse network than a dense one, and up to which density?

Three questions, each a table (`--only` picks one):

- `steps`: one training step (forward, loss, backward, update with momentum), beside PyTorch with dense weights that are
  multiplied by masks after each step, as most sparse-training code does, and beside plain dense PyTorch. Ours is an
  epoch of `SparseMLPClassifier.fit` divided by its steps, with ReLU, SGD and no dropout, as PyTorch has it here;
- `density`: the same for densities from 0.001 to 0.5; where ours stops being the fastest is the break-even density;
- `epoch`: an epoch of training and a prediction through the estimator, beside PyTorch and scikit-learn's MLPClassifier.

All contenders take turns in one process, with pauses in which the threads of the others fall asleep. Each figure is a
median over rounds, each round a mean over steps; a ratio is the median of the rounds' ratios.

    python benchmarks/speed/compare_dense.py [--only steps] [--threads 2] [--rounds 7] [--csv PREFIX] [--quick]

Needs torch: pip install "truesparse[benchmark]".
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from truesparse import SparseMLPClassifier

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _networks import STEPS, WIDE, data, iterate, patterns_of, seconds_of_steps
from _result_table import Table

DENSITIES = [0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5]


def sparse_steps(X, y, patterns, batch, n_threads):
    """A function that returns mean seconds of a step of ours, over as many epochs of a fit as fill some seconds."""

    def measure(seconds):
        n_steps = -(-len(X) // batch)
        a_step = seconds_of_steps(X, y, patterns, batch, n_threads, 2).min()
        n_epochs = max(2, int(seconds / (a_step * n_steps)))
        return seconds_of_steps(X, y, patterns, batch, n_threads, n_epochs).mean()

    return measure


def torch_step(X, y, patterns, batch, *, masked):
    """A function that makes one training step of a dense PyTorch network, with or without masks."""
    import torch

    torch.manual_seed(0)
    layers, masks = [], []
    for pattern in patterns:
        fan_out, fan_in = pattern.shape
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
        mask = np.zeros((fan_out, fan_in), dtype=np.float32)
        mask[pattern.rows, pattern.indices] = 1
        masks.append(torch.from_numpy(mask))
    network = torch.nn.Sequential(*layers[:-1])
    linear = [module for module in network if isinstance(module, torch.nn.Linear)]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    loss_function = torch.nn.CrossEntropyLoss()
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y)
    batches = map(torch.from_numpy, iterate(len(X), batch))

    def step():
        samples = next(batches)
        optimizer.zero_grad()
        loss_function(network(inputs[samples]), targets[samples]).backward()
        optimizer.step()
        if masked:
            with torch.no_grad():
                for module, mask in zip(linear, masks, strict=True):
                    module.weight *= mask

    step.network, step.inputs = network, inputs
    return step


def take_turns(contenders, rounds, seconds):
    """What each contender measures in so many seconds, one row per round."""
    times = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            time.sleep(0.2)
            times[name].append(measure(seconds))
    return {name: np.array(values) for name, values in times.items()}


def per_call(function, calls=None):
    """A function that returns mean seconds of a call, over as many calls as fill some seconds if they are not given."""
    return lambda seconds: time_of(function, seconds, calls)


def time_of(function, seconds, calls):
    """Mean seconds of a call, after a short warm-up if the number of calls is not given."""
    if calls is None:
        started = time.perf_counter()
        for _ in range(3):
            function()
        calls = max(5, int(seconds * 3 / (time.perf_counter() - started)))
    started = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - started) / calls


def step_contenders(sizes, patterns, batch, n_threads):
    X, y = data(60 * batch, sizes[0])
    return {
        "truesparse": sparse_steps(X, y, patterns, batch, n_threads),
        "masked": per_call(torch_step(X, y, patterns, batch, masked=True)),
        "dense": per_call(torch_step(X, y, patterns, batch, masked=False)),
    }


COLUMNS = {"network": 19, "density": 8, "weights": 8, "batch": 5, "threads": 7, "ms": 7, "torch masked": 12, "ratio": 7,
           "ratio, range": 14, "torch dense": 11, "ratio to dense": 14}  # fmt: skip


def step_row(table, sizes, patterns, batch, arguments):
    """Measure one network; returns how many times faster than dense PyTorch it is."""
    contenders = step_contenders(sizes, patterns, batch, arguments.threads)
    times = take_turns(contenders, arguments.rounds, arguments.seconds)
    ours, masked, dense = (times[name] * 1e3 for name in ("truesparse", "masked", "dense"))
    n_weights = sum(pattern.nnz for pattern in patterns)
    to_dense = np.median(dense / ours)
    table.row(
        **{
            "network": "-".join(map(str, sizes)),
            "density": f"{n_weights / sum(pattern.n_pairs for pattern in patterns):.4f}",
            "weights": n_weights,
            "batch": batch,
            "threads": arguments.threads,
            "ms": f"{np.median(ours):.3f}",
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
        step_row(table, sizes, patterns_of(sizes, **spread), batch, arguments)


def compare_densities(arguments, csv):
    table = Table(COLUMNS, csv)
    sizes, ratios = (784, 100, 10) if arguments.quick else WIDE, []
    densities = [0.1, 0.5] if arguments.quick else DENSITIES
    for density in densities:
        ratios.append(step_row(table, sizes, patterns_of(sizes, density=density), 128, arguments))
    if min(ratios) >= 1:
        print(f"faster than dense PyTorch up to density {densities[-1]} at least")
    else:
        after = next(i for i, ratio in enumerate(ratios) if ratio < 1)
        if after == 0:
            print(f"slower than dense PyTorch from density {densities[0]} on")
        else:
            logs = np.log(ratios[after - 1 : after + 1])
            between = np.log(densities[after - 1 : after + 1])
            print(f"break-even density: {np.exp(np.interp(0, -logs, between)):.2f}")


def compare_epochs(arguments, csv):
    n_samples = 1280 if arguments.quick else 12_800
    hidden = (100,) if arguments.quick else WIDE[1:-1]
    X, y = data(n_samples, 784)
    settings = {"hidden_layer_sizes": hidden, "solver": "sgd", "batch_size": 128, "random_state": 0}
    ours = {
        name: SparseMLPClassifier(
            epsilon=20, n_jobs=arguments.threads, evolution=evolution, activation="relu", max_iter=20, **settings
        )
        for name, evolution in {"truesparse, static": "static", "truesparse, set": "set"}.items()
    }
    sklearn = MLPClassifier(momentum=0.9, **settings)
    sklearn.partial_fit(X, y, classes=np.arange(10))  # the first call has the classes, later ones need not
    step = torch_step(X, y, patterns_of((784, *hidden, 10), epsilon=20), 128, masked=True)
    classes = np.arange(10)

    def torch_epoch():
        for _ in range(n_samples // 128):
            step()

    epochs = {name: lambda model=model: model.partial_fit(X, y, classes) for name, model in ours.items()}
    epochs |= {"torch, masked": torch_epoch, "scikit-learn": lambda: sklearn.partial_fit(X, y)}
    predictions = {name: lambda model=model: model.predict_proba(X) for name, model in ours.items()}
    predictions |= {"torch, masked": lambda: torch_predict(step), "scikit-learn": lambda: sklearn.predict_proba(X)}
    for function in epochs.values():
        function()
    trained, predicted = (
        take_turns({name: per_call(function, calls=1) for name, function in functions.items()}, arguments.rounds, 0)
        for functions in (epochs, predictions)
    )
    table = Table({"epsilon 20": 18, "samples": 7, "threads": 7, "s an epoch": 10, "times faster": 12, "predict, s": 10,
                   "times faster.": 13}, csv)  # fmt: skip
    for name in epochs:
        table.row(
            **{
                "epsilon 20": name,
                "samples": n_samples,
                "threads": arguments.threads,
                "s an epoch": f"{np.median(trained[name]):.3f}",
                "times faster": f"{np.median(trained['scikit-learn'] / trained[name]):.1f}",
                "predict, s": f"{np.median(predicted[name]):.4f}",
                "times faster.": f"{np.median(predicted['scikit-learn'] / predicted[name]):.1f}",
            }
        )


def torch_predict(step):
    import torch

    with torch.no_grad():
        return torch.softmax(step.network(step.inputs), dim=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["steps", "density", "epoch"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each round")
    parser.add_argument("--csv", metavar="PREFIX", help="writes PREFIX_steps.csv and so on")
    parser.add_argument("--quick", action="store_true", help="a small network each, two rounds")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.simplefilter("ignore", UserWarning)
    if arguments.quick:
        arguments.rounds, arguments.seconds = 2, 0.02
    questions = {"steps": compare_steps, "density": compare_densities, "epoch": compare_epochs}
    for name, compare in questions.items():
        if arguments.only in (None, name):
            compare(arguments, arguments.csv and f"{arguments.csv}_{name}.csv")


if __name__ == "__main__":
    main()
