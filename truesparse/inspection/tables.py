"""What all tables have in common: a network or a fitted estimator to ask, and rows that can be added up."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from sklearn.exceptions import NotFittedError

from truesparse.network.mlp import MLP


def network_of(model) -> MLP:
    """The network that a fitted estimator trained; a network is returned as it is.

    Parameters
    ----------
    model : MLP, SparseMLPClassifier or SparseMLPRegressor

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If it is an estimator that has not been fitted.
    TypeError
        If it is neither.
    """
    if isinstance(model, MLP):
        return model
    network = getattr(model, "_network", None)
    if isinstance(network, MLP):
        return network
    if hasattr(model, "fit"):
        raise NotFittedError(
            f"model={model!r} holds no network: call 'fit' first, and of a pipeline or a search pass the fitted "
            "SparseMLPClassifier or SparseMLPRegressor itself."
        )
    raise TypeError(f"model must be an MLP or a fitted estimator of truesparse, got {type(model).__name__}.")


# Tables: a row for each layer.


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table.

    Parameters
    ----------
    layer : int or None
        Index of the layer, None in a row that `total` made.
    shape : (fan_out, fan_in) or None
    """

    layer: int | None = None
    shape: tuple[int, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """All columns by name, those that follow from others at the end; ``pandas.DataFrame`` takes a list of these."""
        derived = [name for name, member in vars(type(self)).items() if isinstance(member, property)]
        return {name: getattr(self, name) for name in [*(field.name for field in fields(self)), *derived]}


AnyRow = TypeVar("AnyRow", bound=Row)


def total(rows: Sequence[AnyRow]) -> AnyRow:
    """The rows of a table added up to one; shares are those of the sums.

    Parameters
    ----------
    rows : list of LayerSummary, LayerFlops or LayerConnectivity, not empty

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.network.activations import PiecewiseLinear
    >>> from truesparse.inspection import layer_summaries, total
    >>> from truesparse.network.mlp import MLP
    >>> from truesparse.topology import Pattern
    >>> rng = np.random.default_rng(0)
    >>> network = MLP.from_patterns([Pattern.sample((8, 4), 10, rng), Pattern.full((2, 8))], PiecewiseLinear())
    >>> everything = total(layer_summaries(network))
    >>> everything.weights, everything.pairs, round(everything.density, 3)
    (26, 48, 0.542)
    """
    kind = type(rows[0])
    names = [field.name for field in fields(kind) if field.name not in ("layer", "shape")]
    return kind(**{name: sum(getattr(row, name) for row in rows) for name in names})
