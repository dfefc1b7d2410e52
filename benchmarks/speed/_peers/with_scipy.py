"""SciPy's products of sparse matrices, and NumPy for the rest."""

import numpy as np

from .base import Peer

CHUNK = 4096  # stored weights whose gradient is computed at once, so that the factors fit a cache


class SciPy(Peer):
    """SciPy's products, NumPy for the rest: forward and backward pass by hand, with nothing of dense size."""

    def __init__(self, task):
        super().__init__(task)
        first = [weight.copy() for weight in task.weights]
        self.rows = [weight.tocoo().row for weight in first]
        n, sizes = task.n_weights, [w.nnz for w in first] + [w.shape[0] for w in first]
        self.params = np.zeros(n + sum(w.shape[0] for w in first), dtype=np.float32)  # weights, then biases
        self.params[:n] = np.concatenate([w.data for w in first])
        self.gradient, self.mean, self.square = (np.zeros_like(self.params) for _ in range(3))
        ends = np.cumsum(sizes)[:-1]
        parts, self.d_parts = np.split(self.params, ends), np.split(self.gradient, ends)
        self.biases = [bias[:, None] for bias in parts[len(first) :]]
        self.weights, self.n_weights, self.n_steps = first, n, 0
        for weight, data in zip(first, parts, strict=False):
            weight.data = data  # a view: the constructor would copy it

    def forward(self, h, dropout=0.0):
        """Return inputs of all layers and the outputs' sums, each (units, batch)."""
        activations = [h]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            h = weight @ h
            h += bias
            np.maximum(h, 0, out=h)
            if dropout:
                h *= (self.rng.random(h.shape, dtype=np.float32) >= dropout) * np.float32(1 / (1 - dropout))
            activations.append(h)
        return activations, self.weights[-1] @ h + self.biases[-1]

    def step(self, samples):
        """See `Peer`."""
        task, n_layers = self.task, len(self.weights)
        activations, z = self.forward(np.ascontiguousarray(task.X[samples].T), task.dropout)
        delta = softmax(z)
        delta[task.y[samples], np.arange(len(samples))] -= 1
        delta /= len(samples)
        for i in reversed(range(n_layers)):
            weight, h = self.weights[i], activations[i]
            rows, d_weight = self.rows[i], self.d_parts[i]
            for start in range(0, weight.nnz, CHUNK):
                part = slice(start, start + CHUNK)
                np.einsum("ij,ij->i", delta[rows[part]], h[weight.indices[part]], out=d_weight[part])
            delta.sum(axis=1, out=self.d_parts[n_layers + i])
            if i:
                delta = weight.T @ delta
                delta *= h > 0
                if task.dropout:
                    delta *= np.float32(1 / (1 - task.dropout))
        self.gradient[: self.n_weights] += np.float32(task.alpha) * self.params[: self.n_weights]
        self.adam()

    def adam(self):
        """Make a step of Adam."""
        self.n_steps += 1
        self.mean += np.float32(0.1) * (self.gradient - self.mean)
        self.square += np.float32(0.001) * (self.gradient * self.gradient - self.square)
        root = np.sqrt(1 - 0.999**self.n_steps)
        rate = np.float32(self.task.learning_rate * root / (1 - 0.9**self.n_steps))
        self.params -= rate * self.mean / (np.sqrt(self.square) + np.float32(1e-8 * root))

    def predict_proba(self, X):
        """See `Peer`; a thousand rows at a time, whose activations fit the caches better than all."""
        parts = (np.ascontiguousarray(X[start : start + 1000].T) for start in range(0, len(X), 1000))
        return np.concatenate([softmax(self.forward(part)[1]).T for part in parts])


def softmax(z):
    """Probabilities of sums (n_classes, batch)."""
    z = np.exp(z - z.max(axis=0))
    return z / z.sum(axis=0)
