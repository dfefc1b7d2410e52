"""Find the features that matter
=============================

Watch a sparse network find the 20 informative features among 500.

Madelon is an artificial data set. Its class depends on 20 of 500 features, and on none of them alone; the other 480 are
noise. A network with three hidden layers of 1000 units gets 6,502 weights, spread evenly over all features. With random
growth it hardly learns anything. Growth between similar units moves its connections to the informative features.

::

    python examples/02_madelon.py [picture.png]

The data come from the directory in the environment variable TRUESPARSE_DATA, or else from OpenML. The picture needs
matplotlib.
"""

import sys

import numpy as np

from truesparse import SparseMLPClassifier
from truesparse.data import datasets
from truesparse.inspection import ConnectivityDisplay

data = datasets.load("madelon")

# Each informative feature correlates with another one; noise correlates with nothing.
correlation = np.abs(np.corrcoef(data.X_train.T))
np.fill_diagonal(correlation, 0)
informative = correlation.max(axis=0) > 0.3

connections = {}
for evolution in ("set", "cte"):
    model = SparseMLPClassifier(evolution=evolution, epsilon=1, random_state=0).fit(data.X_train, data.y_train)
    first_layer = model.coefs_[0].tocsr()  # (500 features, 1000 units)
    connections[evolution] = np.diff(first_layer.indptr)  # connections of each feature
    top = np.argsort(connections[evolution])[-20:]
    print(f"evolution={evolution!r}, {sum(coef.nnz for coef in model.coefs_):,} weights")
    print(f"  test accuracy                                     {model.score(data.X_test, data.y_test):.3f}")
    print(f"  input connections at the informative features     {connections[evolution][informative].sum()} of 1500")
    print(f"  informative among the 20 features with most       {informative[top].sum()}")

try:
    import matplotlib as mpl
except ImportError:
    sys.exit("matplotlib is not installed: no picture.")

mpl.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

figure, panels = plt.subplots(2, 1, figsize=(9, 5), sharex=True, sharey=True, layout="constrained")
titles = {"set": "random growth (SET)", "cte": "growth between similar units (CTRE)"}
for panel, (evolution, counts) in zip(panels, connections.items(), strict=True):
    display = ConnectivityDisplay(values=counts)
    display.plot(panel, features=~informative, color="0.7", linewidth=1, label="480 features of noise")
    display.plot(panel, features=informative, color="C3", linewidth=1.8, label="20 informative features")
    panel.set(title=titles[evolution], xlim=(-2, counts.size + 1))
panels[0].set_xlabel(None)
panels[0].set_ylim(0, 1.1 * max(counts.max() for counts in connections.values()))
panels[0].legend(loc="upper right", frameon=False)
figure.suptitle("Madelon: where 1,500 input connections ended up")
path = sys.argv[1] if len(sys.argv) > 1 else "madelon_connections.png"
figure.savefig(path, dpi=120)
print(f"The picture is in {path}.")
