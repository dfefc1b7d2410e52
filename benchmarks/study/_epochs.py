"""A row of a CSV file for every epoch of a training."""

import csv
import os
import sys
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _provenance import commit, machine

COLUMNS = (
    "run",
    "seed",
    "epoch",
    "test_accuracy",
    "train_loss",
    "learning_rate",
    "weights",
    "edges_replaced",
    "seconds_of_training",
    "seconds_total",
    "threads",
    "machine",
    "commit",
)


@contextmanager
def rows_after(path, run, seed, done):
    """Seconds that the run had taken at epoch `done`, and a function that adds a row to a CSV file.

    This run's rows after that epoch are dropped from the file first.
    """
    if path is None:
        yield 0.0, lambda row: None
        return
    kept, seconds = [], 0.0
    if Path(path).exists():
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                whole = None not in row.values()  # the last one may not be, after a kill
                own = (row["run"], row["seed"]) == (run, str(seed))
                if whole and not (own and int(row["epoch"]) > done):
                    kept.append(row)
                    seconds = float(row["seconds_total"]) if own else seconds
    unfinished = f"{path}.unfinished"
    with open(unfinished, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(kept)
    os.replace(unfinished, path)
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)

        def add(row):
            writer.writerow(row)
            file.flush()

        yield seconds, add


def printed(write, run, seed, threads):
    """A function that completes a row, writes and prints it."""
    fixed = {"run": run, "seed": seed, "threads": threads, "machine": machine(), "commit": commit()}

    def add_row(row):
        row = fixed | row
        write(row)
        print("  ".join(f"{name} {row[name]}" for name in COLUMNS[:10]), flush=True)

    return add_row
