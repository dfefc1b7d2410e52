"""Which method is the most accurate? Data sets × methods × settings × epsilons × seeds.

All runs are chosen by the validation part, 15 % of the training part: the test accuracy is that of the epoch with the
best validation accuracy. All have the same budget of steps (or epochs). Each run is one row of a CSV file, written as
soon as it has ended; rows that are there already are not run again, so that a study may be stopped and started at any
time. A run that fails leaves a row with its error, and is tried again at the next start.

    python benchmarks/study/methods.py --data madelon isolet --methods cte set --settings recommended published
        --epsilons 1 5 --seeds 5 --steps 3000 --csv FILE [--jobs 2] [--repeat-splits]
    python benchmarks/study/methods.py --data madelon --methods cte --settings recommended --csv FILE
        --label raw --set evolution.grow.centred=False
    python benchmarks/study/methods.py --quick

Methods are the names of `truesparse.preset`, ``snip``, ``dense`` (our network with all weights) and ``mlp_classifier``
(scikit-learn's, with its own defaults and 3 × 1000 units); the last two do not depend on epsilon. `report.py` makes
tables and plots of the file. Processes have one thread each.
"""

import argparse
import ast
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np
import report
from _data import DATA, OFFICIAL_SPLIT, load
from _rows import append, as_json, key, read, repair
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

import truesparse
from truesparse import SparseMLPClassifier, evolution, paper_settings, recommended_settings
from truesparse.data import datasets
from truesparse.estimators.recipes import make_recipe
from truesparse.network import activations, initial_weights
from truesparse.network.losses import SoftmaxCrossEntropy
from truesparse.runtime.plugins import resolve
from truesparse.training import lr_schedules, optimizers

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _provenance import PACKAGES, commit, processor

SETTINGS = ("published", "recommended", "defaults")

# Methods that are known by their first topology.
FIRST = {
    "snip": {"evolution": "static", "topology_init": "snip"},
    "dense": {"evolution": "static", "topology_init": "full"},
}

PROTOCOL = {"early_stopping": True, "validation_fraction": 0.15, "n_iter_no_change": math.inf}

# What a value of --set may be made of.
_NAMES = {
    name: value
    for module in (activations, evolution, initial_weights, lr_schedules, optimizers)
    for name, value in vars(module).items()
    if isinstance(value, type)
}


@dataclass(frozen=True)
class Run:
    """One training: what the columns of the row say, and the parameters of the estimator but for ``max_iter``."""

    data: str
    method: str
    settings: str
    epsilon: float | None
    seed: int
    split: int | None
    budget: str
    parameters: dict

    def row(self):
        """The columns that are known before the run."""
        return {
            "data": self.data,
            "method": self.method,
            "settings": self.settings,
            "epsilon": "" if self.epsilon is None else f"{self.epsilon:g}",
            "seed": self.seed,
            "split": "official" if self.split is None else self.split,
            "budget": self.budget,
            "parameters": as_json(_spelt_out(self.parameters)),
        }


def _spelt_out(parameters):
    """Names of methods and first topologies stand for values that may change: write these down instead."""
    spelt = dict(parameters)
    for name, rule_of in (("evolution", truesparse.preset), ("topology_init", partial(resolve, "topology"))):
        if isinstance(spelt.get(name), str):
            spelt[name] = rule_of(spelt[name])
    return spelt


# The plan.


def plan(options):
    """All runs, those of one data set and seed together, so that a study that was stopped compares like with like."""
    overrides = dict(options.set)
    runs = {}
    for data in options.data:
        for seed in range(options.seeds):
            # The other splits of sets without an official one.
            split = None if data in OFFICIAL_SPLIT else 42 + (seed if options.repeat_splits else 0)
            for method in options.methods:
                for settings in options.settings:
                    parameters = parameters_of(method, settings, overrides) | {"random_state": seed}
                    label = options.label or ("defaults" if method == "mlp_classifier" else settings)
                    sparse = method != "mlp_classifier" and _takes_epsilon(parameters)
                    for epsilon in options.epsilons if sparse else [None]:
                        of_epsilon = {"epsilon": epsilon} if sparse else {}
                        run = Run(data, method, label, epsilon, seed, split, options.budget, parameters | of_epsilon)
                        runs[key(run.row())] = run
    return runs


def _takes_epsilon(parameters):
    """Whether it is epsilon that says how many connections there are."""
    return parameters["density"] is None and not hasattr(_spelt_out(parameters)["topology_init"], "counts")


def parameters_of(method, settings, overrides):
    """All parameters of an estimator."""
    if method == "mlp_classifier":
        parameters = MLPClassifier((1000, 1000, 1000), batch_size=100).set_params(**PROTOCOL).get_params()
    else:
        parameters = SparseMLPClassifier(**_settings_of(method, settings)).set_params(**PROTOCOL).get_params()
        # What suits the method: it stays when rules of the method are replaced below, and the row says it.
        recipe = make_recipe(parameters, SoftmaxCrossEntropy())
        suited = {"activation": recipe.activation, "weight_init": recipe.initializer, "dropout": recipe.dropout}
        parameters |= {name: value for name, value in suited.items() if parameters[name] is None}
    for path, value in overrides.items():
        _override(parameters, path, value)
    return parameters


def _settings_of(method, settings):
    if settings == "defaults":
        return FIRST.get(method, {"evolution": method})
    return {"published": paper_settings, "recommended": recommended_settings}[settings](method)


def _override(parameters, path, value):
    """Set a parameter, or with dots in the path a field of a rule: ``evolution.grow.centred``."""
    name, *fields = path.split(".")
    if name not in parameters:
        raise ValueError(f"--set {path}: there is no parameter {name!r}; there are {sorted(parameters)}.")
    if fields and isinstance(parameters[name], str) and name == "evolution":
        parameters[name] = truesparse.preset(parameters[name])
    parameters[name] = _replaced(parameters[name], fields, value)


def _replaced(rule, fields, value):
    if not fields:
        return value
    if not hasattr(rule, fields[0]):
        raise ValueError(f"{rule!r} has no field {fields[0]!r}.")
    return replace(rule, **{fields[0]: _replaced(getattr(rule, fields[0]), fields[1:], value)})


def assignment(text):
    """``name=value`` of the command line; a literal, an expression of the library's rules, or a string."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not name=value.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        pass
    try:
        return name, eval(value, {"__builtins__": {}, "inf": math.inf, **_NAMES})
    except (NameError, SyntaxError):
        return name, value


# One run.


def epochs_of(budget, n_samples, batch_size, validation_fraction):
    """Epochs and steps that come closest to the budget; at least one epoch."""
    n_train = n_samples - math.ceil(validation_fraction * n_samples)
    steps_per_epoch = -(-n_train // min(batch_size, n_train))
    number, unit = budget.split()
    epochs = int(number) if unit == "epochs" else max(1, round(int(number) / steps_per_epoch))
    return epochs, epochs * steps_per_epoch


def perform(run):
    """The run's row, with its result or its error."""
    row = run.row() | _origin()
    started = time.perf_counter()
    try:
        row |= _result(run)
    except Exception as error:  # whatever it is, the other runs go on, and the row says it
        row |= {"error": f"{type(error).__name__}: {error}", "seconds": f"{time.perf_counter() - started:.2f}"}
    return row


def _result(run):
    data = load(run.data, run.split, run.seed)
    parameters = run.parameters
    epochs, steps = epochs_of(
        run.budget, data.X_train.shape[0], parameters["batch_size"], parameters["validation_fraction"]
    )
    parameters = parameters | {"max_iter": epochs}
    is_ours = run.method != "mlp_classifier"
    model = (SparseMLPClassifier if is_ours else MLPClassifier)(**parameters)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        started = time.perf_counter()
        model.fit(data.X_train, data.y_train)
        seconds = time.perf_counter() - started
        curve = np.array(model.history_["validation_score"] if is_ours else model.validation_scores_)
        weights = sum(coef.nnz if is_ours else coef.size for coef in model.coefs_)
        return {
            "parameters": as_json(_spelt_out(parameters)),
            "validation accuracy": f"{curve.max():.5f}",
            "test accuracy": f"{model.score(data.X_test, data.y_test):.5f}",
            "best epoch": int(curve.argmax()) + 1,  # the first of equals, as both estimators take it
            "epochs": len(curve),
            "steps": steps // epochs * len(curve),
            "weights": weights,
            "density": f"{weights / sum(math.prod(coef.shape) for coef in model.coefs_):.6g}",
            "replaced": int(np.sum(model.history_["edges_replaced"])) if is_ours else 0,
            "seconds": f"{seconds:.2f}",
            "curve": json.dumps([round(float(score), 4) for score in curve]),
        }


@cache
def _origin():
    parts = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return {
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "versions": ", ".join(parts),
        "commit": commit(),
    }


# All runs.


def study(runs, path, n_jobs):
    """Perform the runs that the file does not have; returns how many of them failed."""
    if cut := repair(path):
        print(f"{path}: the last line was torn, {cut} bytes of it are dropped")
    done = {key(row) for row in read(path) if not row["error"]} if Path(path).exists() else set()
    to_do = [run for name, run in runs.items() if name not in done]
    print(f"{len(runs)} runs, {len(runs) - len(to_do)} of them done before", flush=True)
    failed = 0
    for number, row in enumerate(_rows_of(to_do, n_jobs), 1):
        append(path, row)
        failed += bool(row.get("error"))
        name = "{data}, {method} {settings}, epsilon {epsilon}, seed {seed}".format(**row).replace(
            "epsilon ,", "dense,"
        )
        result = "FAILED, {error}" if row.get("error") else "validation {validation accuracy} test {test accuracy}"
        print(f"{number:>5}/{len(to_do)}  {name}: {result.format(**row)}, {row['seconds']} s", flush=True)
    return failed


def _rows_of(runs, n_jobs):
    """Rows of runs, as they end."""
    if not runs:
        return
    truesparse.warmup()  # so that no run's seconds are those of the compiler
    if n_jobs == 1:
        yield from map(perform, runs)
        return
    waiting = list(reversed(runs))
    while waiting:
        with ProcessPoolExecutor(n_jobs, get_context("spawn"), initializer=_begin_process) as pool:
            running, broken = {}, False
            while running or (waiting and not broken):
                # No more than can run at once: were a process killed, all that the pool has would fail with it.
                while waiting and not broken and len(running) < n_jobs:
                    run = waiting.pop()
                    running[pool.submit(perform, run)] = run
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    run = running.pop(future)
                    try:
                        yield future.result()
                    except BrokenProcessPool as error:
                        broken = True
                        yield run.row() | _origin() | {"error": f"BrokenProcessPool: {error}", "seconds": ""}


def _begin_process():
    """Load the kernels, and let this process end when the one that started it does, even if that one was killed."""
    truesparse.warmup()
    threading.Thread(target=lambda: (parent_process().join(), os._exit(1)), daemon=True).start()


# The command.


def quick():
    """A tiny study, killed in the middle, its last line torn, then completed and reported."""
    names = ["digits", "breast_cancer"]
    try:
        datasets.load("madelon")
        names.append("madelon")
    except FileNotFoundError as error:
        print(f"madelon is left out: {error}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "methods.csv"
        command = ["--data", *names, "--methods", "static", "set", "cte", "--settings", "defaults", "published"]
        command += ["--epsilons", "1", "5", "--seeds", "2", "--steps", "120", "--csv", str(path)]
        process = subprocess.Popen([sys.executable, __file__, *command, "--jobs", "2"])
        while process.poll() is None and (not path.exists() or len(read(path)) < 5):
            time.sleep(0.05)
        process.kill()
        process.wait()
        whole = path.read_bytes()
        path.write_bytes(whole[:-100])
        kept = read(path)
        if main([*command]):
            raise SystemExit("runs have failed")
        rows = read(path)
        n_runs = len(names) * 2 * 3 * 2 * 2
        if rows[: len(kept)] != kept or len({key(row) for row in rows}) != len(rows) or len(rows) != n_runs:
            raise SystemExit(f"{len(rows)} rows, {n_runs} were expected, {len(kept)} of them from before")
        size = path.stat().st_size
        main(command)
        if path.stat().st_size != size:
            raise SystemExit("runs were repeated")
        report.main([str(path), "--out", str(Path(folder) / "report")])


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=DATA, default=["madelon", "isolet", "pcmac", "mnist_10000"])
    parser.add_argument("--methods", nargs="+", default=["static", "set", "cte", "dense"], metavar="METHOD")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=["defaults"])
    parser.add_argument("--epsilons", nargs="+", type=float, default=[1.0], metavar="EPSILON")
    parser.add_argument("--seeds", type=int, default=5, help="how many: 0, 1, …")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, default=3000, help="rounded to whole epochs")
    length.add_argument("--epochs", type=int)
    parser.add_argument("--set", nargs="+", type=assignment, default=[], metavar="NAME=VALUE",
                        help="other values, also evolution.grow.centred=False; needs --label")  # fmt: skip
    parser.add_argument("--label", help="name of the variant that --set makes, in place of the settings'")
    parser.add_argument("--repeat-splits", action="store_true",
                        help="a split of its own for each seed, where there is no official one")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--csv", help="the file to add to")
    parser.add_argument(
        "--quick", action="store_true", help="a tiny study, stopped and taken up again; all else is ignored"
    )
    options = parser.parse_args(arguments)
    if options.quick:
        return quick()
    if options.csv is None:
        parser.error("--csv FILE is needed")
    if bool(options.set) != bool(options.label) or (options.label and len(options.settings) > 1):
        parser.error("--set and --label go together, with one of --settings")
    options.budget = f"{options.epochs} epochs" if options.epochs else f"{options.steps} steps"
    try:
        runs = plan(options)
    except ValueError as error:  # a name that does not exist: better now than as a row of each run
        parser.error(str(error))
    return study(runs, options.csv, options.jobs)


if __name__ == "__main__":
    sys.exit(bool(main()))
