"""Start from your own topology
============================

Prune a dense scikit-learn network by magnitude, and train on with the connections that are left.

The topology `Given` connects the pairs that are stored in SciPy matrices, one matrix per layer. With ``values=True``
the numbers in the matrices are the first weights.

::

    python examples/11_your_own_topology.py
"""

import numpy as np
from scipy.sparse import csr_array
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from truesparse import SparseMLPClassifier
from truesparse.evolution import Given

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)
dense = MLPClassifier((200, 200), random_state=0).fit(X_train, y_train)
n_dense = sum(w.size for w in dense.coefs_)
print(f"dense                 {n_dense:>6,} weights  accuracy {dense.score(X_test, y_test):.3f}")

# %%
# Prune
# -----
# Keep the largest 3 % of the weights of each layer, and 20 % of the output layer's. scikit-learn's matrices are
# (fan_in, fan_out); truesparse stores (fan_out, fan_in).


def largest(weights, share):
    """Return the largest weights by magnitude as a sparse matrix, (fan_out, fan_in)."""
    limit = np.quantile(np.abs(weights), 1 - share)
    return csr_array(np.where(np.abs(weights) > limit, weights, 0).T)


pruned = [largest(w, share) for w, share in zip(dense.coefs_, (0.03, 0.03, 0.2), strict=True)]

# %%
# Train on
# --------
# The same topology is trained from the pruned weights and from random ones. With ``evolution="cte"`` the topology
# changes, too: a given topology is only where it starts.

settings = {"hidden_layer_sizes": (200, 200), "activation": "relu", "max_iter": 30, "random_state": 0}
for name, values, evolution in (
    ("pruned weights", True, "static"),
    ("random weights", False, "static"),
    ("pruned, evolving", True, "cte"),
):
    model = SparseMLPClassifier(topology_init=Given(pruned, values=values), evolution=evolution, **settings)
    model.fit(X_train, y_train)
    n_weights = sum(coef.nnz for coef in model.coefs_)
    print(f"{name:<20}  {n_weights:>6,} weights  accuracy {model.score(X_test, y_test):.3f}")
