"""What a fitted estimator looks like: a table of its layers, for terminals and for notebooks."""

from collections.abc import Sequence
from html import escape

from truesparse.inspection import layer_summaries, total
from truesparse.network.mlp import MLP

HEADER = ("layer", "inputs", "units", "weights", "density", "bytes")

_STYLE = (
    "<style>.truesparse-layers td, .truesparse-layers th {text-align: right; padding: 0.1em 0.8em}"
    " .truesparse-layers tr :first-child {text-align: left}"
    " .truesparse-layers tr:last-child {border-top: 1px solid; font-weight: bold}</style>"
)


def layer_rows(network: MLP) -> list[tuple[str, ...]]:
    """The table's cells, a row for each layer and one for their sum."""
    rows = layer_summaries(network)
    names = [f"hidden {number}" for number in range(1, len(rows))] + ["output"]
    cells = [
        (name, f"{row.shape[1]:,}", f"{row.units:,}", *_amounts(row)) for name, row in zip(names, rows, strict=True)
    ]
    return [*cells, ("all", "", "", *_amounts(total(rows)))]


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """A table of aligned columns, the first one to the left."""
    widths = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
    lines = []
    for name, *others in (HEADER, *rows):
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def as_html(rows: Sequence[Sequence[str]]) -> str:
    """The same table in HTML."""
    lines = [_html_row("th", HEADER), *(_html_row("td", row) for row in rows)]
    return f'{_STYLE}<table class="truesparse-layers">{"".join(lines)}</table>'


def _amounts(row):
    return f"{row.weights:,}", f"{row.density:.3%}", _readable(row.bytes)


def _readable(n_bytes):
    amount = float(n_bytes)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}" if unit != "B" else f"{n_bytes} B"
        amount /= 1000
    return f"{amount:,.3g} GB"


def _html_row(tag, cells):
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
