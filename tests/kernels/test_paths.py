import numpy as np
import pytest
from helpers import random_csr
from numpy.testing import assert_array_equal

from truesparse.kernels import reference
from truesparse.kernels.paths import mark_inputs, transpose


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_transposed_index_of_some_rows(share, rng):
    w = random_csr((13, 9), 0.3, rng)
    units = np.flatnonzero(rng.random(13) < share).astype(np.int32)
    rows, columns, slots = reference.transpose(w.indptr, w.indices, units)
    indptr_t, entries_t = (np.full(n, -1, np.int32) for n in (10, slots.size))
    transpose(w.indptr, w.indices, units, 4, indptr_t, entries_t)
    assert_array_equal(np.diff(indptr_t), np.bincount(columns, minlength=9))
    assert_array_equal(entries_t >> 4, rows)
    assert_array_equal(w.indptr[rows] + entries_t % 16, slots)


def test_inputs_of_units_on_a_path(rng):
    w = random_csr((13, 9), 0.1, rng)
    on_path = rng.integers(2, size=13).astype(np.uint8)
    marked = np.zeros(9, np.uint8)
    mark_inputs(w.indptr, w.indices, on_path, marked)
    assert_array_equal(np.flatnonzero(marked), reference.mark_inputs(w.indptr, w.indices, on_path))
