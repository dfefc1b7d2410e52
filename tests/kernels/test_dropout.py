from itertools import pairwise

import numpy as np
import pytest
from helpers import bits_of
from numpy.testing import assert_allclose, assert_array_equal

from truesparse.kernels import reference
from truesparse.kernels.draws import number_in_python
from truesparse.kernels.dropout import key_of_step, silence
from truesparse.kernels.lanes import width_of
from truesparse.kernels.table import FAN_OUT, OUTPUTS, empty_table


def kept_bits(n_units, n_lanes, key, threshold, first_row=0, dtype=np.float32):
    """Which of some activations a step keeps, (n_units, n_lanes) bool, and the activations 1 after dropout."""
    layer = empty_table(1)[0]
    layer[FAN_OUT], layer[OUTPUTS] = n_units, first_row
    rows = first_row + n_units
    tiles = -(-n_lanes // 128)
    a, kept = np.ones((rows, n_lanes), dtype), np.zeros((tiles, rows, n_lanes // tiles // 16), np.uint16)
    silence(
        layer, a.reshape(-1), kept.reshape(-1), (np.uint64(key), np.uint16(threshold), dtype(2)), n_lanes,
        width_of(n_lanes // tiles), tiles,
    )  # fmt: skip
    return bits_of(kept, rows)[first_row:].astype(bool), a[first_row:]


def test_numbers_are_those_of_splitmix64():
    """The first ones of the authors' generator with the seed 1234567."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [int(number_in_python(np.uint64(1234567), index)) for index in (1, 2, 3, 4)] == expected
    assert [reference.number(1234567, index) for index in (1, 2, 3, 4)] == expected
    assert int(key_of_step(np.uint64(2**64 - 5), 10**6)) == reference.key_of_step(2**64 - 5, 10**6)


@pytest.mark.parametrize("n_lanes", [16, 32, 48, 64, 112, 128, 256])
def test_the_bits_are_the_reference(n_lanes, dtype):
    bits, a = kept_bits(9, n_lanes, key=77, threshold=20000, first_row=5, dtype=dtype)
    assert_array_equal(bits, reference.draw(77, range(5, 14), n_lanes, 20000))
    assert_array_equal(a, reference.silence(np.ones((9, n_lanes)), 5, 77, 20000, 2))


def test_a_batch_may_be_divided():
    whole, _ = kept_bits(50, 128, key=3, threshold=9000)
    assert_array_equal(whole[:, :32], kept_bits(50, 32, key=3, threshold=9000)[0])


@pytest.mark.parametrize("threshold", [1, 6554, 32768, 60000])
def test_the_share_is_that_of_the_threshold(threshold):
    n = 2000 * 128
    bits, _ = kept_bits(2000, 128, key=11, threshold=threshold)
    share = 1 - threshold / 2**16
    assert abs(bits.mean() - share) < 5 * np.sqrt(share * (1 - share) / n)


def test_rows_columns_and_steps_are_independent():
    """Correlations between any two units, any two samples and neighbouring steps are those of chance."""
    steps = [kept_bits(1000, 128, int(key_of_step(np.uint64(99), step)), 32768)[0] * 2.0 - 1 for step in range(4)]
    for bits in steps:
        of_units, of_samples = bits @ bits.T / 128, bits.T @ bits / 1000
        for correlations, n in ((of_units, 128), (of_samples, 1000)):
            others = correlations[~np.eye(len(correlations), dtype=bool)]
            assert_allclose(others.std(), 1 / np.sqrt(n), rtol=0.05)
            assert abs(others).max() < 6.5 / np.sqrt(n)
    for one, two in pairwise(steps):
        assert abs((one * two).mean()) < 5 / np.sqrt(one.size)
