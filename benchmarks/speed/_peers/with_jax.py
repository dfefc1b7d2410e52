"""JAX: dense weights times masks."""

import jax
import numpy as np
from jax import numpy as jnp

from .base import Peer


class JAX(Peer):
    """JAX: dense weights times masks in a compiled step, whose arrays are given back to it."""

    def __init__(self, task):
        super().__init__(task)
        masks = [jnp.asarray((w.toarray() != 0).astype(np.float32).T) for w in task.weights]
        params = [(jnp.asarray(w.toarray().T), jnp.zeros(w.shape[0], jnp.float32)) for w in task.weights]
        zeros = jax.tree.map(jnp.zeros_like, params)

        def forward(params, h, masks, key=None):
            for i, ((weight, bias), mask) in enumerate(zip(params, masks, strict=True)):
                h = h @ (weight * mask) + bias
                if i < len(params) - 1:
                    h = jax.nn.relu(h)
                    if key is not None and task.dropout:
                        kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - task.dropout, h.shape)
                        h = jnp.where(kept, h / (1 - task.dropout), 0)
            return h

        def loss(params, x, y, masks, key):
            logits = jax.nn.log_softmax(forward(params, x, masks, key))
            penalty = sum((weight * weight).sum() for weight, _ in params)
            return -jnp.take_along_axis(logits, y[:, None], axis=1).mean() + task.alpha / 2 * penalty

        def step(state, x, y, masks):
            params, mean, square, n_steps = state
            key = jax.random.fold_in(jax.random.key(task.seed, impl="rbg"), n_steps)
            gradient, n_steps = jax.grad(loss)(params, x, y, masks, key), n_steps + 1
            mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
            square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, square, gradient)
            root = jnp.sqrt(1 - 0.999**n_steps)
            rate = task.learning_rate * root / (1 - 0.9**n_steps)
            params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8 * root), params, mean, square)
            return params, mean, square, n_steps

        self.state = params, zeros, jax.tree.map(jnp.copy, zeros), jnp.int32(0)
        self.masks = masks
        self.compiled = jax.jit(step, donate_argnums=0)
        self.probabilities = jax.jit(lambda params, x, masks: jax.nn.softmax(forward(params, x, masks)))

    def prepare(self):
        """Compile a step for whole batches, and for the rest at the end of an epoch."""
        for start in (0, len(self.task.X) // self.task.batch * self.task.batch):
            if start < len(self.task.X):
                self.step(np.arange(len(self.task.X))[start : start + self.task.batch])

    def step(self, samples):
        """See `Peer`."""
        self.state = self.compiled(self.state, self.task.X[samples], self.task.y[samples], self.masks)

    def epoch(self):
        """Make the steps, and wait for the last, since JAX returns before a step is done."""
        super().epoch()
        jax.block_until_ready(self.state)

    def predict_proba(self, X):
        """See `Peer`."""
        return np.asarray(self.probabilities(self.state[0], X, self.masks))
