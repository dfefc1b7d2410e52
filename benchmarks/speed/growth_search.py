"""How fast, and how completely, are the most similar absent pairs of two wide layers found?

Both searches look for the k pairs of units with the most similar sketches, of 128 numbers each over 1000 samples:
"tiles" looks at all pairs, "cells" at those in similar cells. The recall is the share of what "tiles" finds that
"cells" finds too. Layers of the same width, 20 connections a unit. Growth at drop fraction 0.3 and epsilon 20 asks for
48 pairs a unit, at epsilon 0.5 for 1.2.

The data are "mnist": the two hidden layers of a random network on images, four inputs and a ReLU each unit; and
"latent": every unit mixes three of 300 causes and noise, with a ReLU.

Times marked with ~ are those of 1024 rows drawn at random, times the number of rows over 1024; the recall marked so is
that of the pairs of these rows whose scores reach the worst score of the k that were found.

    python benchmarks/speed/growth_search.py [--units 1000 10000] [--data mnist latent] [--per-unit 1.2 48]
                                             [--repeats 3] [--exact-up-to 100000] [--threads 1] [--csv FILE] [--quick]
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from truesparse.data import datasets
from truesparse.evolution.search import Vectors, observe
from truesparse.evolution.signals import alone
from truesparse.kernels.cells import top_absent_pairs_in_cells
from truesparse.kernels.similarity import BestPairs, top_absent_pairs
from truesparse.runtime.threads import threads
from truesparse.topology import Pattern

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _result_table import Table

WIDTH = 128
SAMPLES = 1000
BATCH = 50
SAMPLED_ROWS = 1024


def mixture(n_units, n_inputs, n_each, rng):
    """Random weights, `n_each` for each unit."""
    indices = rng.integers(n_inputs, size=n_units * n_each)
    weights = rng.standard_normal(indices.size, dtype=np.float32)
    return csr_array((weights, indices, np.arange(0, indices.size + 1, n_each)), shape=(n_units, n_inputs))


class Stream:
    """What the search asks of activations besides the batches, as `truesparse.evolution.signals` describes it."""

    n_samples, dtype = SAMPLES, np.dtype(np.float32)
    places, reduce = np.arange(SAMPLES), staticmethod(alone)


class Latent(Stream):
    """The activations of two layers whose units mix three of 300 causes and noise, batch by batch."""

    def __init__(self, n_units, rng):
        self.layer_sizes = [n_units, n_units]
        self._causes = rng.standard_normal((300, SAMPLES), dtype=np.float32)
        self._weights = [mixture(n_units, 300, 3, rng) for _ in self.layer_sizes]
        self._rng = rng

    def __iter__(self):
        for start in range(0, SAMPLES, BATCH):
            batch = [weights @ self._causes[:, start : start + BATCH] for weights in self._weights]
            for a in batch:
                a += 0.5 * self._rng.standard_normal(a.shape, dtype=np.float32)
                np.maximum(a, 0, out=a)
            yield batch


class Images(Stream):
    """The activations of the two hidden layers of a random sparse network on MNIST, batch by batch."""

    def __init__(self, n_units, rng):
        self.layer_sizes = [n_units, n_units]
        images = datasets.load("mnist").X_train
        self._x = np.ascontiguousarray(images[rng.choice(len(images), SAMPLES, replace=False)].T)
        self._weights = mixture(n_units, len(self._x), 4, rng), mixture(n_units, n_units, 4, rng)

    def __iter__(self):
        for start in range(0, SAMPLES, BATCH):
            a = np.maximum(self._weights[0] @ self._x[:, start : start + BATCH], 0)
            yield [a, np.maximum(self._weights[1] @ a, 0)]


DATA = {"mnist": Images, "latent": Latent}


def directions(name, n_units):
    """The sketches of the columns' and the rows' units, as cosine growth makes them."""
    rng = np.random.default_rng(0)
    units = observe(DATA[name](n_units, rng), {0, 1}, WIDTH, rng)
    for unit in units.values():
        unit.prepare(Vectors(centred=True, normalised=True))
    return units[1].signature, units[0].signature


def median_time(call, repeats):
    """What the call returns, and the median of its seconds."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - started)
    return result, np.median(seconds)


def search_rows(rows, columns, pattern, k):
    """The exact search in some of the rows: the best pairs, twice their share of k; seconds for all rows."""
    sample = np.sort(np.random.default_rng(1).choice(len(rows), min(SAMPLED_ROWS, len(rows)), replace=False))
    share = sample.size / len(rows)
    started = time.perf_counter()
    best = BestPairs(int(2 * k * share), pattern.indices, pattern.indptr, len(columns), rows.dtype)
    best.search(rows[sample], sample, columns, np.arange(len(columns)))
    keys, scores = best.in_order()
    return keys, scores, (time.perf_counter() - started) / share


def compile_kernels():
    """A search whose time is not taken."""
    signatures = np.random.default_rng(0).standard_normal((300, WIDTH), dtype=np.float32)
    pattern = Pattern.sample((300, 300), 300, np.random.default_rng(0))
    top_absent_pairs_in_cells(signatures, signatures, pattern.indices, pattern.indptr, 300, np.random.default_rng(0))


def compare(table, name, n_units, per_unit, repeats, exact):
    """Two rows of the table for each number of pairs that is searched for."""
    rows, columns = directions(name, n_units)
    pattern = Pattern.sample((n_units, n_units), min(20 * n_units, n_units**2 // 5), np.random.default_rng(2))
    layer = rows, columns, pattern.indices, pattern.indptr
    for k in (round(number * n_units) for number in per_unit):
        (found, scores), seconds = median_time(
            lambda k=k: top_absent_pairs_in_cells(*layer, k, np.random.default_rng(3)), repeats
        )
        if exact:
            # One run is enough where it takes long: nothing in it is left to chance.
            (wanted, _), of_all = median_time(
                lambda k=k: top_absent_pairs(*layer, k), repeats if n_units < 50_000 else 1
            )
        else:
            wanted, wanted_scores, of_all = search_rows(rows, columns, pattern, k)
            wanted = wanted[wanted_scores >= scores[-1]]
        recall = np.isin(wanted, found).mean()
        about = "" if exact else "~"
        common = {"data": name, "units a side": f"{n_units:,}", "pairs": f"{k:,}"}
        table.row(**common, search="tiles", seconds=f"{about}{of_all:.2f}", share="1", recall="1")
        table.row(
            **common,
            search="cells",
            seconds=f"{seconds:.2f}",
            share=f"{about}{seconds / of_all:.3f}",
            recall=f"{about}{recall:.4f}",
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--data", nargs="+", choices=sorted(DATA), default=["mnist", "latent"])
    parser.add_argument("--per-unit", type=float, nargs="+", default=[1.2, 48])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--exact-up-to", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--csv")
    parser.add_argument("--quick", action="store_true", help="latent causes only, up to 3,000 units, once")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.units, arguments.data, arguments.repeats = [1_000, 3_000], ["latent"], 1
    table = Table(
        {"data": 6, "units a side": 12, "pairs": 11, "search": 6, "seconds": 9, "share": 7, "recall": 7}, arguments.csv
    )
    with threads(arguments.threads):
        compile_kernels()
        for n_units in arguments.units:
            for name in arguments.data:
                exact = n_units <= arguments.exact_up_to
                repeats = arguments.repeats if n_units <= 100_000 else 1
                try:
                    compare(table, name, n_units, arguments.per_unit, repeats, exact)
                except OSError as error:
                    print(f"{name} is left out: {error}")


if __name__ == "__main__":
    main()
