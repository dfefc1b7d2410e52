"""What processes that train one network together must agree on."""

import zlib

import numpy as np

from truesparse._typing import FloatArray
from truesparse.data.source import Reduce, alone
from truesparse.network.protocol import Network

_HALF = 2**16


def any_of(reduce: Reduce, asked: bool) -> bool:
    """Return whether any process asks."""
    return asked if reduce is alone else bool(reduce(np.array([float(asked)]))[0] > 0)


def add_up_step(reduce: Reduce, gradient: FloatArray, loss: float, asked: bool) -> tuple[float, bool]:
    """Add up gradients, in place, and losses; return the loss and whether any process asks to stop: one message."""
    sums = np.empty(gradient.size + 2, dtype=gradient.dtype)
    sums[:-2], sums[-2], sums[-1] = gradient, loss, asked
    sums = reduce(sums)
    gradient[:] = sums[:-2]
    return float(sums[-2]), bool(sums[-1] > 0)


def check_same_network(reduce: Reduce, network: Network) -> None:
    """Raise a RuntimeError in every process if the topologies or parameters of their networks differ."""
    if reduce is alone:
        return
    check = zlib.crc32(network.params.tobytes())
    for layer in network.layers:
        for indices in (layer.pattern.indptr, layer.pattern.indices):
            check = zlib.crc32(indices.tobytes(), check)
    # Numbers are equal if the mean of their squares is the square of their mean. Halves keep the sums exact.
    halves = np.array([check // _HALF, check % _HALF], dtype=np.float64)
    n, *sums = reduce(np.concatenate([[1.0], halves, halves**2])).tolist()
    if any(n * squares != total**2 for total, squares in zip(sums[:2], sums[2:], strict=True)):
        raise RuntimeError(
            "The processes that train together have different networks. Each must make the same random choices: "
            "callbacks, rules and solvers must not depend on the process, and all must have the same versions of the "
            "libraries and equal processors."
        )
