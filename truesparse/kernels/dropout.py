"""What dropout multiplies activations by: zero, or a number that keeps their mean."""

from truesparse.kernels.jit import serial


@serial()
def dropout_factors(bits, threshold, kept, out):
    """out = `kept` where a random number is not below `threshold`, else 0.

    Parameters
    ----------
    bits : (n,) uint16, random
    threshold : uint16
    kept : number of the dtype of `out`
    out : (n,), overwritten
    """
    zero = out.dtype.type(0)
    for i in range(out.size):
        out[i] = kept if bits[i] >= threshold else zero
