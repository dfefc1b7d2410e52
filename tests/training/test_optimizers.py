import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from truesparse.training.optimizers import SGD, Adam


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_walks_with_scikit_learns(nesterov, rng):
    walk_with_scikit_learns(
        SGD(momentum=0.9, nesterov=nesterov), lambda p: SGDOptimizer(p, 0.1, "constant", 0.9, nesterov), rng
    )


def test_adam_walks_with_scikit_learns(rng):
    walk_with_scikit_learns(Adam(), lambda p: AdamOptimizer(p, 0.1), rng)


def walk_with_scikit_learns(ours, make_theirs, rng):
    params = rng.standard_normal(5)
    their_params = [params.copy()]
    theirs = make_theirs(their_params)
    state = ours.init(params)
    for step in range(1, 30):
        gradient = rng.standard_normal(5)
        ours.step(params, gradient, state, learning_rate=0.1, alpha=0.0, n_weights=5, n_steps=step)
        theirs.update_params(their_params, [gradient])
        # scikit-learn adds ε before the bias correction, so the last digits differ.
        assert_allclose(params, their_params[0], rtol=1e-5)


@pytest.mark.parametrize("optimizer", [SGD(momentum=0.0, nesterov=False), Adam()])
def test_l2_pulls_weights_and_leaves_biases(optimizer):
    params = np.ones(4)
    optimizer.step(params, np.zeros(4), optimizer.init(params), learning_rate=0.1, alpha=0.5, n_weights=2, n_steps=1)
    assert np.all(params[:2] < 1)
    assert np.all(params[2:] == 1)


@pytest.mark.parametrize("optimizer", [SGD(), Adam()])
def test_state_has_the_dtype_of_the_parameters(optimizer):
    state = optimizer.init(np.ones(3, dtype=np.float32))
    assert {vector.dtype for vector in state.values()} == {np.dtype(np.float32)}
