"""Train an ensemble
=================

Average sparse networks of three methods, and see what the members add.

Each method trains five networks. Each network leaves a fifth of the samples out and stops early by its loss there. The
ensemble predicts the weighted mean of their probabilities, with weights that are chosen by the predictions for samples
that a member was not trained on. The picture shows the test loss against the number of members.

::

    python examples/13_ensemble.py

The picture needs matplotlib and is saved in the current directory.
"""

import numpy as np
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

from truesparse import SparseMLPClassifier, SparseMLPEnsembleClassifier

X, y = make_classification(2000, 40, n_informative=10, n_classes=3, flip_y=0.05, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=1000, random_state=0)

network = SparseMLPClassifier((200, 200), epsilon=3, max_iter=50, update_every=20)
ensemble = SparseMLPEnsembleClassifier(network, random_state=0).fit(X_train, y_train)
print(ensemble.summary())
print(f"out-of-fold accuracy {ensemble.oof_score_:.3f}, test accuracy {ensemble.score(X_test, y_test):.3f}")

# %%
# Below, all methods have the same weight, so that no member is dropped. The loss falls with the number of members. All
# methods in turn come close to the best one, and nobody has to know which one that is.
ensemble.set_params(combine="mean").fit(X_train, y_train)
members = {method: [] for method in ensemble.evolution}
for member in ensemble.estimators_:
    members[member.evolution].append(member.predict_proba(X_test))
members["all in turn"] = [p for fold in zip(*members.values(), strict=True) for p in fold]


def losses(probabilities):
    """Return the log loss of the mean of the first 1, 2, … members."""
    of_truth = np.array(probabilities)[:, np.arange(len(y_test)), y_test]  # (n_members, n_samples)
    means = np.cumsum(of_truth, axis=0) / np.arange(1, len(of_truth) + 1)[:, None]
    return -np.log(means).mean(axis=1)


curves = {method: losses(probabilities) for method, probabilities in members.items()}
for method, curve in curves.items():
    print(f"{method:<12} log loss {curve[0]:.3f} by one member, {curve[-1]:.3f} by {len(curve)}")

try:
    import matplotlib.pyplot as plt
except ImportError:
    print("matplotlib is not installed: no picture.")
else:
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for method, curve in curves.items():
        axes.plot(np.arange(1, len(curve) + 1), curve, marker="o", label=method)
    axes.set(xlabel="members", ylabel="log loss on test data")
    axes.legend(frameon=False)
    figure.savefig("ensemble.png", dpi=80)
