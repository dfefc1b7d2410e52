import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.kernels import lanes
from truesparse.kernels.lanes import CHUNK, width_of


@numba.njit
def _use(x, y, slope, rows, out, eight, masks, width):
    """Every function once; returns the sums."""
    a, b = lanes.load(x, 3, width), lanes.load(y, 0, width)
    lanes.dots(eight, 1, a, y, 0, rows, 2, 1)
    lanes.positive(a, masks, 1)
    lanes.store(out, 0, lanes.axpy(slope, a, lanes.times(a, b)))
    lanes.store(out, CHUNK * len(width), lanes.where_positive(b, slope, masks, 1))
    return lanes.total(a), lanes.dot(a, b), lanes.total(lanes.full(slope, width))


def in_order(products):
    """The documented order of a sum: chunks of 16 first, then halves."""
    while products.size > 1:
        products = products[: products.size // 2] + products[products.size // 2 :]
    return products[0]


@pytest.mark.parametrize("n", [16, 48, 112])
def test_every_function_against_numpy(n, dtype, rng):
    x, y = rng.standard_normal(n + 40).astype(dtype), rng.standard_normal(n + 40).astype(dtype)
    rows = np.arange(12, dtype=np.int32)
    out, eight, masks = np.empty(2 * n, dtype), np.full(10, np.nan, dtype), np.zeros(n // CHUNK + 2, np.uint16)
    total, dot, full = _use(x, y, dtype(0.3), rows, out, eight, masks, width_of(n))
    a, b = x[3 : n + 3], y[:n]
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-13, "atol": 1e-13}
    assert_allclose(total, a.sum(), **close)
    assert_allclose(dot, a @ b, **close)
    assert_allclose(full, dtype(0.3) * n, **close)
    assert_allclose(eight[1:9], [a @ y[k : k + n] for k in range(2, 10)], **close)
    assert np.isnan(eight[[0, 9]]).all()
    assert_allclose(out[:n], dtype(0.3) * a + a * b, **close)
    assert_array_equal(out[n:], np.where(a > 0, b, dtype(0.3) * b))
    assert_array_equal(np.unpackbits(masks[1:-1].view(np.uint8), bitorder="little"), a > 0)
    assert masks[0] == masks[-1] == 0


def test_the_order_of_sums(dtype, rng):
    x, y = rng.standard_normal(CHUNK + 3).astype(dtype), rng.standard_normal(CHUNK + 30).astype(dtype)
    scratch = np.empty(2 * CHUNK, dtype), np.empty(10, dtype), np.zeros(3, np.uint16)
    rows = np.zeros(12, dtype=np.int32)
    total, dot, _ = _use(x, y, dtype(1), rows, *scratch, width_of(CHUNK))
    assert total == in_order(x[3:])
    assert dot == in_order(x[3:] * y[:CHUNK])
    assert np.all(scratch[1][1:9] == dot)  # eight sums at a time add up in the order of one


PROGRAM = """
import numpy as np
from truesparse.kernels.lanes import PLAIN
from truesparse.network.layers import SparseLinear
from truesparse.network.mlp import MLP
from truesparse.runtime.plugins import resolve
from truesparse.runtime.random_streams import Draws
from truesparse.topology import Pattern
rng = np.random.default_rng(0)
shapes, bytes = [(30, 9), (20, 30), (40, 20)], b""
for activation in ("all_relu", "tanh"):
    layers = [SparseLinear(Pattern.sample(shape, 200, rng)) for shape in shapes]
    network = MLP(layers, resolve("activation", activation), dropout=0.2)
    network.params[:] = rng.standard_normal(network.params.size)
    workspace = network.workspace(30)
    workspace.set_inputs(rng.standard_normal((9, 30)))
    z = network.forward(workspace, Draws(7, 3))
    bytes += z.tobytes()
    network.backward(workspace)
    bytes += network.gradient.tobytes()
print(PLAIN, bytes.hex())
"""


def test_plain_loops_give_the_same_bytes():
    outputs = []
    for plain in ("0", "1"):
        environment = {**os.environ, "TRUESPARSE_PLAIN_KERNELS": plain}
        result = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
        )
        outputs.append(result.stdout.split())
    assert [output[0] for output in outputs] == ["False", "True"]
    assert outputs[0][1] == outputs[1][1]
