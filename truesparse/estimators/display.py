"""Tables of a fitted estimator's layers, for terminals and for notebooks."""

from collections.abc import Sequence
from html import escape

from truesparse.inspection import layer_summaries, total
from truesparse.inspection.display import layer_names
from truesparse.network.mlp import MLP

HEADER = ("layer", "inputs", "units", "weights", "density", "bytes")

_STYLE = (
    "<style>.truesparse-layers td, .truesparse-layers th {text-align: right; padding: 0.1em 0.8em}"
    " .truesparse-layers tr :first-child {text-align: left}"
    " .truesparse-layers tr:last-child {border-top: 1px solid; font-weight: bold}</style>"
)


def layer_rows(network: MLP) -> list[tuple[str, ...]]:
    """Return the table's cells: a row for each layer and one for their sum."""
    rows = layer_summaries(network)
    cells = []
    for name, layer, row in zip(layer_names(len(rows)), network.layers, rows, strict=True):
        cells.append((name, f"{layer.shape[1]:,}", f"{row.units:,}", *_amounts(row)))
    return [*cells, ("all", "", "", *_amounts(total(rows)))]


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as a table of aligned columns, the first one to the left."""
    widths = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
    lines = []
    for name, *others in (HEADER, *rows):
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def as_html(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as a table in HTML."""

    def line(tag, cells):
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    lines = [line("th", HEADER), *(line("td", row) for row in rows)]
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
