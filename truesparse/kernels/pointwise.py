"""Piecewise-linear activations, which cover ReLU, leaky ReLU, All-ReLU and the identity with one slope.

f(z) = z where z > 0, else slope · z. NumPy needs a temporary of the batch's size for each of these; a compiled
loop needs none.
"""

from truesparse.kernels.jit import serial


@serial()
def piecewise_linear(z, slope, out):
    """out = f(z), elementwise; `out` may be `z`. All are (n_units, batch), C-contiguous."""
    z, out = z.reshape(-1), out.reshape(-1)
    slope = out.dtype.type(slope)
    for i in range(z.size):
        out[i] = z[i] if z[i] > 0 else slope * z[i]


@serial()
def piecewise_linear_backward(z, slope, delta):
    """delta ← delta · f′(z), elementwise, with f′(0) = slope. Both are (n_units, batch), C-contiguous."""
    z, delta = z.reshape(-1), delta.reshape(-1)
    slope = delta.dtype.type(slope)
    for i in range(z.size):
        delta[i] = delta[i] if z[i] > 0 else slope * delta[i]
