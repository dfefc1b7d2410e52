"""Path weights: how much weight the paths through a unit carry.

A path leads from a feature through one unit of every layer to an output; its weight is the product of |w| along it. The
sums over all paths that end at a unit (in), or begin there (out), are

    in_l = |W_l| · in_(l−1),   in_0 = 1        out_(l−1) = |W_l|ᵀ · out_l,   out_L = 1

All paths through the weight w_ji weigh in_i · |w_ji| · out_j together. A new connection of weight one opens paths of
the weight in_i · out_j. Against overflow, each layer's sums are divided by their maximum; only ratios within a layer
count.

Cost: O(nnz), one product with |W| forward and one backward; memory O(nnz of the largest layer + units).
"""

from collections.abc import Sequence

import numpy as np

from truesparse.network.protocol import Layer


def path_weights(layers: Sequence[Layer]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return in of the inputs, (fan_in,), and out of the outputs, (fan_out,), of every layer of a chain, float64."""
    into = [np.ones(layers[0].shape[1])]
    for layer in layers:
        into.append(scaled(abs(layer.weight) @ into[-1]))
    out_of = [np.ones(layers[-1].shape[0])]
    for layer in reversed(layers):
        out_of.append(scaled(abs(layer.weight).T @ out_of[-1]))
    return into[:-1], out_of[-2::-1]


def scaled(sums: np.ndarray) -> np.ndarray:
    """Return sums divided by their maximum, unless that is zero."""
    largest = sums.max(initial=0)
    return sums / largest if largest > 0 else sums
