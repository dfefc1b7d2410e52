"""Losses of samples and their gradients, without the arrays that NumPy would need in between.

    z : (n_outputs, batch), the last layer's sums        values : (batch, n_outputs), the targets

`truesparse.network.losses` has the equations. Losses but cross-entropy over classes are sums over the outputs of a
function of one sum and one target, which `kind` names.
"""

import numpy as np

from truesparse.kernels.jit import serial
from truesparse.kernels.parts import inner

SOFTMAX, BINARY, SQUARED, ABSOLUTE, HUBER, POISSON = range(6)


@serial
def softmax_cross_entropy(z, target, smoothing, probabilities, losses):
    """probabilities = softmax z, minus smoothed targets; losses = −log p_target.

    Parameters
    ----------
    z : (n_classes, batch)
    target : (batch,) integers in range(n_classes), or of size 0: then the probabilities are those of the softmax
    smoothing : float, share of each target that is spread evenly over the classes
    probabilities : (n_classes, batch), overwritten; may be `z`
    losses : (batch,) float64, overwritten, of size 0 together with `target`
    """
    n_classes, batch = z.shape
    largest, total = np.empty((2, batch), dtype=z.dtype)
    for s in range(batch):
        largest[s], total[s] = z[0, s], 0
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
        probabilities[target[s], s] -= z.dtype.type(1 - smoothing)
        if smoothing > 0:
            for k in range(n_classes):
                probabilities[k, s] -= z.dtype.type(smoothing / n_classes)


@inner
def _of_one_output(kind, parameter, z, t):
    """Return the loss of one output and its derivative with respect to z, float64."""
    if kind == BINARY:
        e = np.exp(-abs(z))
        # log(1 + exp(z)) − t · z is the cross-entropy in a form that cannot overflow.
        smoothed = t + parameter * (0.5 - t)
        return max(z, 0.0) + np.log1p(e) - t * z, (1 / (1 + e) if z > 0 else e / (1 + e)) - smoothed
    if kind == POISSON:
        p = np.exp(z)
        return p - t + (t * np.log(t) if t > 0 else 0.0) - t * z, p - t
    difference = z - t
    size = abs(difference)
    if kind == SQUARED:
        return 0.5 * difference * difference, difference
    if kind == ABSOLUTE:
        return size, np.sign(difference)
    within = min(size, parameter)
    return within * (size - 0.5 * within), np.sign(difference) * within


@inner
def losses_of_outputs_part(kind, parameter, z, values, gradient, losses):
    """Do what `losses_of_outputs` does."""
    losses[:] = 0
    for k in range(z.shape[0]):
        for s in range(z.shape[1]):
            loss, slope = _of_one_output(kind, parameter, np.float64(z[k, s]), np.float64(values[s, k]))
            losses[s] += loss
            gradient[k, s] = slope


@serial
def losses_of_outputs(kind, parameter, z, values, gradient, losses):
    """Write each sample's loss, added up over the outputs, and its gradient with respect to z.

    Parameters
    ----------
    kind : int, one of the above but `SOFTMAX`
    parameter : float, the threshold of `HUBER`, the smoothing of `BINARY`
    z, values : (n_outputs, batch); (batch, n_outputs)
    gradient : (n_outputs, batch), overwritten; may be `z`
    losses : (batch,) float64, overwritten
    """
    losses_of_outputs_part(kind, parameter, z, values, gradient, losses)


@inner
def weigh_part(gradient, losses, weights, batch):
    """Do what `weigh` does."""
    for s in range(losses.size):
        weight = weights[s] if weights.size > 0 else 1.0
        losses[s] *= weight
        for k in range(gradient.shape[0]):
            gradient[k, s] *= gradient.dtype.type(weight / batch)


@serial
def weigh(gradient, losses, weights, batch):
    """Multiply losses by the weights of their samples, and gradients by these weights over the size of the batch.

    Parameters
    ----------
    gradient, losses : (n_outputs, n), (n,) float64, changed in place
    weights : (n,) float64, or of size 0: all are 1
    batch : int, at least n
    """
    weigh_part(gradient, losses, weights, batch)
