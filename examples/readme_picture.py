"""The picture at the top of the README
====================================

Draw where the input connections move, and how accurate sparse and dense networks are at equal numbers of weights.

The data are 10,000 images of MNIST. The sparse networks have three hidden layers of 1000 units and the default
settings. The dense networks are scikit-learn's, with one hidden layer of 4 to 256 units and the default settings. All
of them train for 20 epochs. MNIST comes from the directory in the environment variable TRUESPARSE_DATA, or else from
OpenML.

::

    python examples/readme_picture.py [picture.png]
"""

import sys
import warnings

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from truesparse import SparseMLPClassifier
from truesparse.data import datasets
from truesparse.inspection import ConnectivityRecorder

warnings.simplefilter("ignore", ConvergenceWarning)  # the dense networks would train on after 20 epochs
data = datasets.load("mnist")
X_train, y_train = data.X_train[:10_000], data.y_train[:10_000]


def measure(model):
    """Train, and return the number of weights and the test accuracy in per cent."""
    model.fit(X_train, y_train)
    n_weights = sum(getattr(coef, "nnz", coef.size) for coef in model.coefs_)
    accuracy = 100 * model.score(data.X_test, data.y_test)
    print(f"{n_weights:>8,} weights  {accuracy:.1f} %  {model.__class__.__name__}", flush=True)
    return n_weights, accuracy


recorder = ConnectivityRecorder()
settings = {"max_iter": 20, "random_state": 0}
sparse = [
    measure(SparseMLPClassifier(epsilon=epsilon, callbacks=[recorder] if epsilon == 1 else None, **settings))
    for epsilon in (0.5, 1, 2, 5, 10)
]
dense = [measure(MLPClassifier(n_units, **settings)) for n_units in (4, 8, 16, 32, 64, 128, 256)]

plt.rcParams.update({"font.size": 12, "axes.titlesize": 12, "axes.spines.top": False, "axes.spines.right": False})
figure, (*panels, axes) = plt.subplots(1, 3, figsize=(11.5, 3.3), width_ratios=[1, 1, 1.6], layout="constrained")
figure.get_layout_engine().set(wspace=0.04)

before, after = recorder.counts[0], recorder.counts[-1]
for panel, counts, title in zip(panels, (before, after), ("before training", "after training"), strict=True):
    image = panel.imshow(counts.reshape(28, 28), cmap="magma", vmin=0, vmax=10)
    panel.set(title=title, xticks=[], yticks=[])
    panel.spines[:].set_visible(False)
bar = figure.colorbar(image, ax=panels, shrink=0.86, aspect=25, extend="max", ticks=[0, 5, 10])
bar.set_label("connections of each pixel")
bar.outline.set_visible(False)

for points, color, label, place in (
    (sparse, "C3", "truesparse: 3 × 1000 units, sparse", (3.4e3, 98.2)),
    (dense, "0.45", "scikit-learn: one hidden layer, dense", (9e3, 87.5)),
):
    axes.plot(*zip(*points, strict=True), "o-", color=color, markersize=5)
    axes.text(*place, label, color=color)
axes.set(xscale="log", ylim=(79, 100), yticks=[80, 85, 90, 95, 100])
axes.set_xticks([3_000, 10_000, 30_000, 100_000], ["3,000", "10,000", "30,000", "100,000"])
axes.minorticks_off()
axes.set(xlabel="number of weights", ylabel="test accuracy (%)", title="10,000 images of MNIST, 20 epochs")
axes.grid(axis="y", alpha=0.3)

path = sys.argv[1] if len(sys.argv) > 1 else "readme.png"
figure.savefig(path, dpi=130)
print(f"The picture is in {path}.")
