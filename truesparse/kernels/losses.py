"""Softmax and cross-entropy in one, because NumPy needs too many passes over the outputs."""

import numpy as np

from truesparse.kernels.jit import serial


@serial
def softmax_cross_entropy(z, target, probabilities, losses):
    """probabilities = softmax z, minus one at the target; losses = −log p_target.

    Parameters
    ----------
    z : (n_classes, batch)
    target : (batch,) integers in range(n_classes), or of size 0: then the probabilities are those of the softmax
    probabilities : (n_classes, batch), overwritten; may be `z`
    losses : (batch,) float64, overwritten, of size 0 together with `target`
    """
    n_classes, batch = z.shape
    largest, total = z[0].copy(), np.zeros(batch, dtype=z.dtype)
    for k in range(1, n_classes):
        for s in range(batch):
            largest[s] = max(largest[s], z[k, s])
    for s in range(target.size):
        losses[s] = np.float64(largest[s] - z[target[s], s])
    for k in range(n_classes):
        for s in range(batch):
            e = np.exp(z[k, s] - largest[s])
            total[s] += e
            probabilities[k, s] = e
    for k in range(n_classes):
        for s in range(batch):
            probabilities[k, s] /= total[s]
    for s in range(target.size):
        losses[s] += np.log(np.float64(total[s]))
        probabilities[target[s], s] -= z.dtype.type(1)
