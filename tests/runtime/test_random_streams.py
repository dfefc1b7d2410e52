import numpy as np
from numpy.testing import assert_array_equal

from truesparse.runtime.random_streams import RandomStreams


def test_streams_depend_on_seed_name_and_step_and_on_nothing_else():
    draw = {
        key: RandomStreams(key[0])(*key[1:]).integers(2**63)
        for key in [(0, "a", 0), (0, "a", 1), (0, "b", 0), (1, "a", 0)]
    }
    assert len(set(draw.values())) == 4
    streams = RandomStreams(0)
    streams("b").random(100)
    assert streams("a", 0).integers(2**63) == draw[0, "a", 0]


def test_streams_are_what_they_were():
    """Stored results name seeds; this pins what a seed means."""
    expected = np.random.default_rng(np.random.SeedSequence(7, spawn_key=(0xE8B7BE43, 3))).random(4)  # crc32(b"a")
    assert_array_equal(RandomStreams(7)("a", 3).random(4), expected)
