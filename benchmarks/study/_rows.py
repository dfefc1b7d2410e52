"""The rows of a study: one line of a CSV file each, on the disk as soon as its run has ended.

A file may be added to over several starts, and a start may end in the middle of a line. No line holds a line break, so
that what follows the last break is a torn one.
"""

import csv
import io
import json
import os
from pathlib import Path

COLUMNS = (
    "data", "method", "settings", "epsilon", "seed", "split", "budget", "validation accuracy", "test accuracy",
    "best epoch", "epochs", "steps", "weights", "density", "replaced", "seconds", "error", "parameters", "curve",
    "processor", "versions", "commit",
)  # fmt: skip

# What the columns say already, or what changes nothing about the result.
_NOT_IN_KEY = ("epsilon", "max_iter", "random_state", "n_jobs", "verbose")


def as_json(parameters):
    """Parameters as JSON, always in the same order; what JSON does not know by its `repr`."""
    return json.dumps({name: _plain(parameters[name]) for name in sorted(parameters)})


def _plain(value):
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return value if isinstance(value, float) and abs(value) < float("inf") else repr(value)


def key(row):
    """What makes a run: two rows with the same key are the same run."""
    parameters = json.loads(row["parameters"])
    rest = {name: value for name, value in parameters.items() if name not in _NOT_IN_KEY}
    names = ("data", "method", "settings", "epsilon", "seed", "split", "budget")
    return (*(str(row[name]) for name in names), json.dumps(rest, sort_keys=True))


def repair(path):
    """Cut a torn last line off a file, if there is one; returns how many bytes that were.

    Raises
    ------
    ValueError
        If the file begins with other columns.
    """
    path = Path(path)
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    header = next(csv.reader([whole.split(b"\n", 1)[0].decode()]), [])
    if whole and tuple(header) != COLUMNS:
        raise ValueError(f"{path} holds other columns than a study has: {', '.join(header)}.")
    if len(whole) < len(content):
        os.truncate(path, len(whole))
    return len(content) - len(whole)


def read(path):
    """All whole rows of a file that exists, as dicts of strings."""
    content = Path(path).read_bytes()
    whole = content[: content.rfind(b"\n") + 1].decode()
    return list(csv.DictReader(io.StringIO(whole, newline="")))


def append(path, row):
    """Write a row, and wait until it is on the disk."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    with open(path, "ab") as file:
        if file.tell() == 0:
            writer.writeheader()
        # An error's text may run over several lines.
        writer.writerow({name: " ".join(str(row.get(name, "")).splitlines()) for name in COLUMNS})
        file.write(buffer.getvalue().encode())
        file.flush()
        os.fsync(file.fileno())
