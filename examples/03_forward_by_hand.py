"""One training step by hand
=========================

Make one training step on a network small enough to print: forward, loss, backward, step.

You can follow the numbers with a pencil. Each result is computed twice: by the library's kernels and with dense
matrices.

::

    python examples/03_forward_by_hand.py
"""

import numpy as np

from truesparse.network.activations import PiecewiseLinear
from truesparse.network.losses import SoftmaxCrossEntropy
from truesparse.network.mlp import MLP
from truesparse.topology import Pattern
from truesparse.training.optimizers import SGD


def show(title, values):
    """Print an array under a title."""
    print(f"\n{title}\n{np.array2string(np.asarray(values), precision=4, suppress_small=True)}")


# %%
# The network
# -----------
# Three features, four hidden ReLU units and two classes. The first layer connects 5 of its 12 pairs, the second 4 of 8.

hidden = Pattern.from_edges(rows=np.array([0, 1, 1, 2, 3]), columns=np.array([0, 0, 2, 1, 2]), shape=(4, 3))
output = Pattern.from_edges(rows=np.array([0, 0, 1, 1]), columns=np.array([0, 2, 1, 3]), shape=(2, 4))
network = MLP.from_patterns([hidden, output], PiecewiseLinear(), dtype=np.float64)
network.params[: network.n_weights] = [1.0, -1.0, 0.5, 2.0, -0.5, 0.5, 1.0, -1.0, 1.5]

print("A layer stores its weights row by row (CSR): row j holds the weights of the inputs of unit j.")
weight = network.layers[0].weight
for name in ("data", "indices", "indptr"):
    print(f"  {name:<8} {getattr(weight, name)}")
dense = [layer.weight.toarray() for layer in network.layers]
show("The same as a dense matrix W₁, which the library never makes:", dense[0])
show("W₂, between the hidden units and the two classes:", dense[1])

# %%
# Forward
# -------
# Samples are columns, so each stored weight multiplies a contiguous row: one unit over all samples.

x = np.array([[1.0, -1.0], [0.5, 2.0], [2.0, 1.0]])  # (3 features, 2 samples)
target = np.array([0, 1])
show("Two samples, as columns:", x)

workspace = network.workspace(batch_size=2)
workspace.set_inputs(x)
z = network.forward(workspace)
a = np.maximum(dense[0] @ x, 0)
show("Hidden activations, max(W₁x, 0):", a)
show("Sums of the output layer, W₂a:", z)
assert np.allclose(z, dense[1] @ a)

# %%
# Backward
# --------
# The loss writes its gradient over z. The backward pass then computes the gradient of the stored weights only.

loss = SoftmaxCrossEntropy()
value = loss(z, target, z)
delta = z.copy()
print(f"\nLoss: {value:.4f}, the mean of −log softmax(z) at the true classes, {target[0]} and {target[1]}")
show("Its gradient with respect to the sums, (softmax(z) − target) / 2 samples:", delta)

network.backward(workspace)
delta_hidden = (dense[1].T @ delta) * (a > 0)
show("The dense gradient of the hidden layer has 12 numbers:", delta_hidden @ x.T)
show("The library computes only the 5 of the stored weights:", network.layers[0].data_gradient)
assert np.allclose(network.layers[0].data_gradient, (delta_hidden @ x.T)[hidden.rows, hidden.indices])

# %%
# Step
# ----
# One step of stochastic gradient descent changes all parameters at once.

sgd = SGD(momentum=0.9, nesterov=False)
state = sgd.init(network.params)
before = network.params.copy()
sgd.step(network.params, network.gradient, state, learning_rate=0.1, alpha=0.0, n_weights=network.n_weights, n_steps=1)
print("\nAll parameters are one vector: W₁, W₂, then the biases. The step adds −0.1 · gradient:")
names = ("W₁", "W₂", "hidden biases", "output biases")
for name, part in zip(names, [*network.weight_slices(), *network.bias_slices()], strict=True):
    print(f"  {name:<14} {np.array2string(network.params[part], precision=4, suppress_small=True)}")
assert np.allclose(network.params, before - 0.1 * network.gradient)
workspace.set_inputs(x)
print(f"\nLoss after the step: {loss(network.forward(workspace), target, z):.4f}")
