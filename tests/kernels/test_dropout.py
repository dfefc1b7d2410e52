import numpy as np
from numpy.testing import assert_array_equal

from truesparse.kernels import reference
from truesparse.kernels.dropout import dropout_factors


def test_factors(rng, dtype):
    bits = rng.integers(2**16, size=1000, dtype=np.uint16)
    bits[:3] = 19999, 20000, 65535
    out = np.full(1000, np.nan, dtype=dtype)
    dropout_factors(bits, np.uint16(20000), dtype(1.5), out)
    assert_array_equal(out, reference.dropout_factors(bits, 20000, 1.5))
    assert_array_equal(out[:3], [0, 1.5, 1.5])
