"""Counts of cases and failures, and the command of the scripts that make them."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from _workers import work

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _result_table import Table

COLUMNS = {"part": 5, "what": 58, "cases": 6, "failed": 6, "seconds": 7, "of which": 0}


class Cases:
    """A table with a row for each kind of case, and the failures, which are printed one by one."""

    def __init__(self, csv=None):
        self._table = Table(COLUMNS, csv)
        self.n_failed = 0

    def row(self, part, what, n_cases, failures, started, counts, seconds=None):
        """Add a row, and say what failed."""
        seconds = time.monotonic() - started if seconds is None else seconds
        note = ", ".join(f"{name} {n}".strip() for name, n in counts.items() if n != 0 or "crashes" in name)
        self.part_of_row(part, what, n_cases, len(failures), note, f"{seconds:.0f}")
        for failure in failures[:50]:
            print(f"FAILED: {failure}", flush=True)
        self.n_failed += len(failures)

    def part_of_row(self, part, what, n_cases, n_failed, note, seconds=""):
        """Add a row whose failures another row counts."""
        self._table.row(**{"part": part, "what": what, "cases": n_cases, "failed": n_failed, "seconds": seconds,
                           "of which": note})  # fmt: skip

    def left_out(self, part, what, why):
        """Add a row for cases that cannot be made here."""
        self.part_of_row(part, what, 0, 0, f"left out: {why}")


def main(question, *checks, jobs=(), arguments=None):
    """The command of a script: make the cases of these checks; the exit status is 1 if one failed.

    A check is called with the cases, a folder of its own, the seed and whether there are to be a few cases only. With
    ``--worker``, wait for jobs instead.
    """
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv")
    parser.add_argument("--quick", action="store_true", help="a few cases of each kind")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        return work(jobs)
    cases = Cases(options.csv)
    for check in checks:
        with tempfile.TemporaryDirectory() as folder:
            check(cases, Path(folder), options.seed, options.quick)
    return cases.n_failed > 0
