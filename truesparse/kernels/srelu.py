"""The S-shaped rectified linear unit, whose four parameters a unit learns (Jin et al., 2016).

            t_r + a_r · (z − t_r)   where z > t_r
    f(z) =  z                       where t_l ≤ z ≤ t_r           with t_r = t_l + |w|
            t_l + a_l · (z − t_l)   where z < t_l

The parameters of a layer are the rows t_l, a_l, w, a_r of an array (4, n_units). Learning the distance w instead of t_r
keeps the thresholds in order, and f continuous. With d = ∂L/∂f, summed over a batch,

    ∂L/∂t_l = Σ d · (1 − a_r) [z > t_r] + Σ d · (1 − a_l) [z < t_l]      ∂L/∂a_l = Σ d · (z − t_l) [z < t_l]
    ∂L/∂w   = sign(w) · Σ d · (1 − a_r) [z > t_r]                        ∂L/∂a_r = Σ d · (z − t_r) [z > t_r]

The sums z are kept, because f cannot be inverted where a slope is zero. Cost: two passes over a layer's activations.
"""

import numpy as np
from numba import prange

from truesparse.kernels.jit import parallel, parallel_sums


@parallel
def srelu(a, sums, unit_params, first_row, stride, n_columns):
    """sums ← z; z ← f(z), in the rows of one layer.

    Parameters
    ----------
    a, sums : (n_rows · stride,); `a` holds z and is overwritten
    unit_params : (4, n_units), of the same dtype
    first_row, stride : int, the layer's first row in both; numbers from one row to the next
    n_columns : int, numbers of a row that count, a multiple of 16
    """
    one = a.dtype.type(1)
    for unit in prange(unit_params.shape[1]):
        t_l, a_l, a_r = unit_params[0, unit], unit_params[1, unit], unit_params[3, unit]
        t_r = t_l + abs(unit_params[2, unit])
        start = (first_row + unit) * stride
        row, kept = a[start : start + n_columns], sums[start : start + n_columns]
        for s in range(n_columns):
            z = row[s]
            kept[s] = z
            # One slope and one threshold, so that the loop becomes vector instructions without branches.
            slope = a_r if z > t_r else (a_l if z < t_l else one)
            threshold = t_r if z > t_r else t_l
            row[s] = threshold + slope * (z - threshold)


@parallel_sums
def srelu_errors(a, sums, unit_params, gradient, bias_gradient, first_row, stride, n_columns):
    """Turn ∂L/∂f into ∂L/∂z in the rows of one layer; compute the gradients of its parameters and biases.

    Parameters
    ----------
    a : (n_rows · stride,); holds ∂L/∂f and is overwritten
    gradient, bias_gradient : (4, n_units), (n_units,), overwritten
    sums, others : as `srelu` left them; as for `srelu`
    """
    zero, one = a.dtype.type(0), a.dtype.type(1)
    for unit in prange(unit_params.shape[1]):
        t_l, a_l, w, a_r = unit_params[0, unit], unit_params[1, unit], unit_params[2, unit], unit_params[3, unit]
        t_r = t_l + abs(w)
        start = (first_row + unit) * stride
        row, kept = a[start : start + n_columns], sums[start : start + n_columns]
        left = right = left_z = right_z = total = zero
        for s in range(n_columns):
            z, d = kept[s], row[s]
            d_right = d if z > t_r else zero
            d_left = d if z < t_l else zero
            left += d_left
            right += d_right
            left_z += d_left * (z - t_l)
            right_z += d_right * (z - t_r)
            error = d * (a_r if z > t_r else (a_l if z < t_l else one))
            total += error
            row[s] = error
        gradient[0, unit] = right * (one - a_r) + left * (one - a_l)
        gradient[1, unit] = left_z
        gradient[2, unit] = np.sign(w) * right * (one - a_r)
        gradient[3, unit] = right_z
        bias_gradient[unit] = total
