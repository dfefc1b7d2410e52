"""Tables that every benchmark prints as it goes, and keeps as CSV with the machine, the versions and the commit."""

import csv

from _provenance import commit, machine


class Table:
    """Rows that are printed at once and written to a file.

    Parameters
    ----------
    columns : dict
        Width of each column by its name.
    path : str or None
        The CSV file; every row of it names the machine and the commit as well.
    """

    def __init__(self, columns, path=None):
        self._columns = columns
        self._path = path
        self._machine, self._commit = machine(), commit()
        self._rows = []
        print(self._machine)
        print("  ".join(f"{name:>{width}}" for name, width in columns.items()), flush=True)

    def row(self, **values):
        """Add a row, with a value for each column, already formatted."""
        print("  ".join(f"{values[name]:>{width}}" for name, width in self._columns.items()), flush=True)
        self._rows.append({**values, "machine": self._machine, "commit": self._commit})
        if self._path is not None:
            with open(self._path, "w", newline="") as file:
                writer = csv.DictWriter(file, fieldnames=list(self._rows[0]))
                writer.writeheader()
                writer.writerows(self._rows)


def mean_and_each(values):
    """For example ``0.85 (0.84 0.86)``."""
    return f"{sum(values) / len(values):.4f} ({' '.join(f'{value:.3f}' for value in values)})"
