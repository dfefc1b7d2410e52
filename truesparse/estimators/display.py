"""Tables of a fitted estimator's layers and of an ensemble's methods, for terminals and for notebooks."""

import math
from collections.abc import Sequence
from html import escape

from truesparse.estimators.ensemble_weights import Standing
from truesparse.inspection import layer_summaries, total
from truesparse.inspection.display import layer_names
from truesparse.network.mlp import MLP

HEADER = ("layer", "inputs", "units", "weights", "density", "bytes")
ENSEMBLE_HEADER = ("method", "members", "weight", "loss alone", "adds", "weights", "bytes")

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


def standing_rows(standings: Sequence[Standing], networks: Sequence[MLP], loss: float) -> list[tuple[str, ...]]:
    """Return the cells of an ensemble's table: a row for each method, and one for all.

    The networks are those of the members, method after method; `loss` is the out-of-fold loss of all, or NaN.
    """
    rows, left = [], list(networks)
    for standing in standings:
        own, left = left[: standing.n_members], left[standing.n_members :]
        losses = _loss(standing.loss), _loss(standing.loss_without - loss)
        rows.append((standing.name, str(standing.n_members), f"{standing.weight:.2f}", *losses, *_sums(own)))
    whole = sum(standing.weight for standing in standings)
    return [*rows, ("all", str(len(networks)), f"{whole:.2f}", _loss(loss), "", *_sums(networks))]


def as_text(rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> str:
    """Return the rows as a table of aligned columns, the first one to the left."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for name, *others in (header, *rows):
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def as_html(rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> str:
    """Return the rows as a table in HTML."""

    def line(tag, cells):
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    lines = [line("th", header), *(line("td", row) for row in rows)]
    return f'{_STYLE}<table class="truesparse-layers">{"".join(lines)}</table>'


def _loss(value):
    return "" if math.isnan(value) else f"{value:.4f}"


def _sums(networks):
    rows = [total(layer_summaries(network)) for network in networks]
    return f"{sum(row.weights for row in rows):,}", _readable(sum(row.bytes for row in rows))


def _amounts(row):
    return f"{row.weights:,}", f"{row.density:.3%}", _readable(row.bytes)


def _readable(n_bytes):
    amount = float(n_bytes)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}" if unit != "B" else f"{n_bytes} B"
        amount /= 1000
    return f"{amount:,.3g} GB"
