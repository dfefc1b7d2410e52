"""Factors of dropout: zero, or a number that keeps the mean of the activations."""

from truesparse.kernels.jit import serial


@serial
def dropout_factors(bits, threshold, kept, out):
    """out = `kept` where a random number is not below `threshold`, else 0.

    Parameters
    ----------
    bits, threshold : (n,) uint16, random; uint16
    kept, out : a number; (n,) of its dtype, overwritten
    """
    zero = out.dtype.type(0)
    for i in range(out.size):
        out[i] = kept if bits[i] >= threshold else zero
