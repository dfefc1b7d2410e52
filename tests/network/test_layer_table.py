import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from helpers import forward, make
from numpy.testing import assert_array_equal

from truesparse.kernels import table as fields
from truesparse.network.layer_table import LayerTable
from truesparse.network.layers import SparseLinear
from truesparse.topology import Pattern, Rewiring


def table_of(network, first_transposed=1):
    return LayerTable.of(network.layers, [0, 0, 0], first_transposed)


def nothing_dropped(layer):
    return Rewiring.replace(layer.pattern, np.zeros(layer.nnz, dtype=bool), np.empty(0, dtype=np.int64))


CHANGES = {
    "pattern": lambda network, rng: setattr(
        network.layers[1], "pattern", Pattern.sample((8, 9), network.layers[1].nnz, rng)
    ),
    "rewire": lambda network, rng: network.rewire([nothing_dropped(network.layers[0]), None, None]),
    "restore": lambda network, rng: network.restore(network.snapshot()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_serves_until_a_pattern_is_replaced(change, rng):
    network = make(rng)
    table = table_of(network)
    assert table.serves(network.layers, 1)
    assert table.serves(network.layers, 3)
    assert not table.serves(network.layers, 0)  # the first layer has no transposed index
    CHANGES[change](network, rng)
    assert not table.serves(network.layers, 1)
    assert table_of(network).serves(network.layers, 1)


def test_it_keeps_the_arrays_that_it_points_to(rng):
    layer = SparseLinear(Pattern.sample((9, 6), 20, rng))
    table = LayerTable.of([layer], [0], 0)
    indices = weakref.ref(layer.pattern.indices)
    layer.pattern = Pattern.sample((9, 6), 20, rng)
    gc.collect()
    assert indices() is not None
    del table
    gc.collect()
    assert indices() is None


def test_two_threads_predict_with_one_network(rng):
    network = make(rng, sizes=(6, 50, 40, 3))
    x = rng.standard_normal((6, 10))
    expected = forward(network, x, network.workspace(10), all_units=True).copy()

    def predict(_):
        workspace = network.workspace(10)
        for _ in range(50):
            network.passes._table = None  # as if another thread had replaced a pattern
            assert_array_equal(forward(network, x, workspace), expected)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(predict, range(8)))


def test_a_batch_without_inputs_is_refused(rng):
    network = make(rng)
    workspace = network.workspace(10, dense_inputs=False)
    with pytest.raises(ValueError, match="no inputs of 6 features: it has 0 rows"):
        network.forward(workspace)
    with pytest.raises(ValueError, match="broadcast"):
        workspace.set_inputs(np.zeros((6, 4)))


@numba.njit  # parts of kernels cannot be called from Python
def rows_and_slots(layer, index, indptr):
    entries, indptr_t = fields.transposed_of(layer, index)
    found = np.empty((2, entries.size), dtype=np.int64)
    for place in range(entries.size):
        row, slot = fields.row_and_slot(entries[place], indptr, np.uintp(layer[fields.SHIFT]))
        found[0, place], found[1, place] = row, slot
    return found[0], found[1], indptr_t.copy()


def test_entries_of_a_hub_take_64_bits(rng):
    """Row and place in the row do not fit into 31 bits if one of 70,000 rows has more than 2^15 entries."""
    n_hub, columns = 2**15 + 1, np.arange(2**15 + 1)
    layers = []
    for hub in (69_999, 0):
        pattern = Pattern.from_edges(np.append(np.full(n_hub, hub), 5), np.append(columns, 7), (70_000, n_hub + 1))
        layers.append(SparseLinear(pattern))
    small = SparseLinear(Pattern.from_edges(np.array([69_999]), np.array([3]), (70_000, n_hub + 1)))
    assert LayerTable.of([small], [0], 0).index.dtype == np.int32
    for layer in layers:
        table = LayerTable.of([layer], [0], 0)
        assert table.index.dtype == np.int64
        of_row, slots, indptr_t = rows_and_slots(table.rows[0], table.index, layer.pattern.indptr)
        assert_array_equal(layer.pattern.rows[slots], of_row)
        assert_array_equal(layer.pattern.indices[slots], np.repeat(np.arange(n_hub + 1), np.diff(indptr_t)))
