"""An epoch's record as one number per field, for tables and curves."""

from dataclasses import fields

from truesparse.training.state import EpochRecord


def totals(record: EpochRecord) -> dict[str, float]:
    """The fields of a record by name; what has an entry per layer is added up.

    Examples
    --------
    >>> from truesparse.training.state import EpochRecord
    >>> totals(EpochRecord(3, 0.25, 0.5, 0.9, 0.01, nnz=[100, 50], edges_replaced=[10, 5], seconds=0.5))["nnz"]
    150
    """
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: sum(value) if isinstance(value, list) else value for name, value in values.items()}
