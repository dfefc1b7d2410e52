"""Optimiser steps: one pass over the flat parameter vector of a whole network, in place.

The first ``n_penalised`` parameters are weights and carry the L2 penalty ``alpha / 2 · ‖w‖²``, whose gradient
``alpha · w`` is added to theirs; biases follow and carry none.

Numbers below the smallest normal one become zero: arithmetic with subnormals is many times slower, and weights that no
sample reaches would decay into them.

Threads share the vector in blocks of a fixed size. If the parts followed the number of threads, so would the elements
that a vector instruction leaves over, and with them the last bits: scalar and vector code may round differently.
"""

import numpy as np
from numba import prange

from truesparse.kernels.jit import parallel, serial
from truesparse.kernels.parts import inner

BLOCK = 4096


def smallest_normal(dtype):
    """Return the smallest normal number of a floating dtype, as a scalar of that dtype."""
    return np.finfo(dtype).tiny


@serial
def all_finite(values):
    """Whether a vector holds neither NaN nor infinity; unlike NumPy's test, it needs no array for the answer."""
    for start in range(0, values.size, BLOCK):
        part = values[start : start + BLOCK]
        n_finite = 0
        for i in range(part.size):
            n_finite += np.isfinite(part[i])
        if n_finite < part.size:
            return False
    return True


@inner
def _bounds(block, n_params, n_penalised):
    """Return where a block begins, where its parameters without a penalty begin, and where it ends."""
    start, stop = block * BLOCK, min((block + 1) * BLOCK, n_params)
    return start, max(start, min(stop, n_penalised)), stop


@inner
def _sgd(params, gradient, velocity, learning_rate, momentum, nesterov, alpha, tiny, start, stop):
    zero = params.dtype.type(0)
    for i in range(np.uintp(start), np.uintp(stop)):  # unsigned: no sign to look at
        g = gradient[i] + alpha * params[i]
        v = momentum * velocity[i] - learning_rate * g
        v = zero if abs(v) < tiny else v
        velocity[i] = v
        w = params[i] + (momentum * v - learning_rate * g if nesterov > 0 else v)
        params[i] = zero if abs(w) < tiny else w


@inner
def sgd_block(block, params, gradient, velocity, learning_rate, momentum, nesterov, alpha, n_penalised, tiny):
    """Do what `sgd_step` does, for one block of parameters."""
    start, middle, stop = _bounds(block, params.size, n_penalised)
    no_alpha = params.dtype.type(0)
    _sgd(params, gradient, velocity, learning_rate, momentum, nesterov, alpha, tiny, start, middle)
    _sgd(params, gradient, velocity, learning_rate, momentum, nesterov, no_alpha, tiny, middle, stop)


@parallel
def sgd_step(params, gradient, velocity, learning_rate, momentum, nesterov, alpha, n_penalised, tiny):
    """v ← momentum · v − learning_rate · g;  w ← w + v, or w + momentum · v − learning_rate · g with Nesterov.

    Parameters
    ----------
    params, gradient, velocity : (n_params,), `params` and `velocity` are updated in place
    learning_rate, momentum, nesterov, alpha, tiny : scalars of the same dtype; `nesterov` is 0 or 1
    n_penalised : int, how many leading parameters carry the L2 penalty
    """
    for block in prange((params.size + BLOCK - 1) // BLOCK):
        sgd_block(block, params, gradient, velocity, learning_rate, momentum, nesterov, alpha, n_penalised, tiny)


@inner
def _adam(params, gradient, mean, square, step_size, beta1, beta2, root_eps, alpha, tiny, start, stop):
    zero, one = params.dtype.type(0), params.dtype.type(1)
    for i in range(np.uintp(start), np.uintp(stop)):
        g = gradient[i] + alpha * params[i]
        m = beta1 * mean[i] + (one - beta1) * g
        v = beta2 * square[i] + (one - beta2) * g * g
        m = zero if abs(m) < tiny else m
        v = zero if abs(v) < tiny else v
        mean[i] = m
        square[i] = v
        w = params[i] - step_size * m / (np.sqrt(v) + root_eps)
        params[i] = zero if abs(w) < tiny else w


@inner
def adam_block(block, params, gradient, mean, square, step_size, beta1, beta2, root_eps, alpha, n_penalised, tiny):
    """Do what `adam_step` does, for one block of parameters."""
    start, middle, stop = _bounds(block, params.size, n_penalised)
    no_alpha = params.dtype.type(0)
    _adam(params, gradient, mean, square, step_size, beta1, beta2, root_eps, alpha, tiny, start, middle)
    _adam(params, gradient, mean, square, step_size, beta1, beta2, root_eps, no_alpha, tiny, middle, stop)


@parallel
def adam_step(params, gradient, mean, square, step_size, beta1, beta2, root_eps, alpha, n_penalised, tiny):
    """Adam (Kingma & Ba, 2015, Algorithm 1 in the efficient form of section 2).

    m ← β₁m + (1 − β₁)g;  v ← β₂v + (1 − β₂)g²;  w ← w − step_size · m / (√v + root_eps)

    Parameters
    ----------
    params, gradient, mean, square : (n_params,), all but `gradient` are updated in place
    step_size, root_eps : learning rate · √(1 − β₂ᵗ) / (1 − β₁ᵗ); ε · √(1 − β₂ᵗ)
    beta1, beta2, alpha, tiny : scalars of the same dtype, as the two above
    n_penalised : as for `sgd_step`
    """
    for block in prange((params.size + BLOCK - 1) // BLOCK):
        adam_block(block, params, gradient, mean, square, step_size, beta1, beta2, root_eps, alpha, n_penalised, tiny)
