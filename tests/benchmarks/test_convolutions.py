"""The contenders of `benchmarks/speed/convolutions.py` compute the same."""

import pytest
from helpers import benchmark_modules
from numpy.testing import assert_allclose

from truesparse.network.architecture import Architecture

(_resnets,) = benchmark_modules("speed", "_resnets")


@pytest.mark.parametrize("density", [0.1, 1.0])
@pytest.mark.parametrize(("module", "steps_of"), [("torch", "dense_steps"), ("sparseprop", "sparseprop_steps")])
def test_all_have_the_same_outputs_and_gradients(module, steps_of, density):
    pytest.importorskip("torch")  # before sparseprop, which needs it
    pytest.importorskip(module)
    (in_torch,) = benchmark_modules("speed", "_resnets_in_torch")
    architecture = Architecture((8, 8, 3), 14, 8)
    network = _resnets.resnet_of(architecture, 10, density)
    batch = _resnets.Batch(architecture.image_shape, 10, 32)
    outputs, gradient = _resnets.step_of(network, batch)()
    assert abs(gradient).max() > 0.5
    for step in getattr(in_torch, steps_of)(network, batch).values():
        others, other_gradient = step()
        assert_allclose(others, outputs, rtol=1e-3, atol=1e-4)
        # Rounding may put a sum near zero on the other side of the rectifier, which is worth some 0.005.
        assert_allclose(other_gradient, gradient, atol=0.02)


def test_break_even():
    (_turns,) = benchmark_modules("speed", "_turns")
    assert _turns.break_even([0.1, 0.4], [2, 0.5]) == "break-even density: 0.20"
    assert _turns.break_even([0.1, 0.4], [2, 1]) == "faster than dense PyTorch up to density 0.4 at least"
    assert _turns.break_even([0.1, 0.4], [0.9, 0.5]) == "slower than dense PyTorch from density 0.1 on"
