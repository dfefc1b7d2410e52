"""How the connections are spread over the units."""

from dataclasses import dataclass

import numpy as np

from truesparse._typing import IndexArray
from truesparse.inspection.tables import network_of
from truesparse.network.protocol import Layer


@dataclass(frozen=True, eq=False)
class LayerDegrees:
    """How a layer's connections are spread over its units.

    Parameters
    ----------
    layer : int
    in_degrees : (fan_out,) int64
        Connections that end at each output unit.
    out_degrees : (fan_in,) int64
        Connections that begin at each input unit.
    """

    layer: int
    in_degrees: IndexArray
    out_degrees: IndexArray

    @property
    def in_histogram(self) -> IndexArray:
        """Entry k: the output units with k inputs, (largest degree + 1,)."""
        return np.bincount(self.in_degrees)

    @property
    def out_histogram(self) -> IndexArray:
        """Entry k: the input units with k outputs, (largest degree + 1,)."""
        return np.bincount(self.out_degrees)

    @property
    def n_without_inputs(self) -> int:
        """Output units that hear of nothing."""
        return int(np.count_nonzero(self.in_degrees == 0))

    @property
    def n_without_outputs(self) -> int:
        """Input units that nothing listens to."""
        return int(np.count_nonzero(self.out_degrees == 0))


def layer_degrees(model) -> list[LayerDegrees]:
    """In-degrees of the output units and out-degrees of the input units of every layer.

    Parameters
    ----------
    model : MLP or fitted estimator

    Returns
    -------
    list of LayerDegrees

    Examples
    --------
    >>> from truesparse.network.activations import PiecewiseLinear
    >>> from truesparse.inspection import layer_degrees
    >>> from truesparse.network.mlp import MLP
    >>> from truesparse.topology import Pattern
    >>> pattern = Pattern.from_edges([0, 0], [0, 2], shape=(2, 3))
    >>> degrees = layer_degrees(MLP.from_patterns([pattern], PiecewiseLinear()))[0]
    >>> degrees.in_degrees, degrees.out_degrees
    (array([2, 0]), array([1, 0, 1]))
    >>> degrees.in_histogram  # one unit without inputs, none with one, one with two
    array([1, 0, 1])
    """
    return [LayerDegrees(index, *_degrees(layer)) for index, layer in enumerate(network_of(model).layers)]


def _degrees(layer: Layer):
    fan_out, fan_in = layer.shape
    if layer.stored_pattern is None:
        return np.full(fan_out, fan_in, dtype=np.int64), np.full(fan_in, fan_out, dtype=np.int64)
    # Not from the transposed index: the pattern would keep it, and the first layer may never need it.
    return (
        layer.pattern.out_units_fan_in.astype(np.int64),
        np.bincount(layer.pattern.indices, minlength=fan_in).astype(np.int64),
    )


# Paths.
