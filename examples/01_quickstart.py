"""Compare with a dense network
============================

Train a network with 1.5 % of the weights, and compare it with scikit-learn's dense one.

The data are scikit-learn's digits, images of 8 × 8 pixels. Both networks have three hidden layers of 1000 units. The
sparse network holds the same number of weights from the first step to the last. Training changes which pairs of units
they connect.

::

    python examples/01_quickstart.py
"""

import time

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from truesparse import SparseMLPClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=0.3, random_state=0, stratify=y)


def report(name, model):
    """Fit, and print accuracy, weights and time."""
    started = time.perf_counter()
    model.fit(X_train, y_train)
    seconds = time.perf_counter() - started
    weights = sum(getattr(coef, "nnz", coef.size) for coef in model.coefs_)
    print(
        f"{name:<32} {model.score(X_test, y_test):>8.3f} {weights:>10,} {model.n_iter_:>7} {seconds:>8.1f} s",
        flush=True,
    )
    return weights


print("Compiling the kernels (once per machine) …", flush=True)
SparseMLPClassifier(max_iter=4, update_every=5).fit(X_train, y_train)
print(f"{'':<32} {'accuracy':>8} {'weights':>10} {'epochs':>7} {'time':>10}")
sparse = report("truesparse SparseMLPClassifier", SparseMLPClassifier(epsilon=5, random_state=0))
dense = report("scikit-learn MLPClassifier", MLPClassifier((1000, 1000, 1000), random_state=0))
print(f"{1 - sparse / dense:.1%} of the dense network's weights were never stored.")
