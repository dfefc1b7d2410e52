"""Draw pictures
=============

Draw the training and the connections of a sparse network.

A network learns to classify digits, and its connections move to the informative pixels. The pictures show the loss, the
updates of the topology, the connections and their distribution over the units. A film shows how the input connections
move.

::

    python examples/08_pictures.py [mnist]

Without an argument, the data are scikit-learn's digits, images of 8 × 8 pixels. MNIST, with 28 × 28 pixels, comes from
the directory in the environment variable TRUESPARSE_DATA, or else from OpenML. The pictures need matplotlib and are
saved in the current directory.
"""

import sys

try:
    import matplotlib as mpl
except ImportError:
    sys.exit("matplotlib is not installed: no pictures.")

mpl.use("Agg")
import matplotlib.pyplot as plt

from truesparse import SparseMLPClassifier
from truesparse.data import datasets
from truesparse.inspection import (
    ConnectivityDisplay,
    ConnectivityRecorder,
    DegreeDisplay,
    LayerSpyDisplay,
    LearningCurveDisplay,
    TopologyChangeDisplay,
    TopologyRecorder,
)

name, image_shape = ("mnist", (28, 28, 1)) if "mnist" in sys.argv[1:] else ("digits", (8, 8, 1))
data = datasets.load(name)
updates, film = TopologyRecorder(), ConnectivityRecorder()
model = SparseMLPClassifier(
    (500, 500), update_every="epoch", max_iter=30, early_stopping=True, n_iter_no_change=30, random_state=0,
    callbacks=[updates, film],
).fit(data.X_train[:5000], data.y_train[:5000])  # fmt: skip
print(f"test accuracy {model.score(data.X_test, data.y_test):.3f} with {sum(w.nnz for w in model.coefs_):,} weights")

# %%
# A display draws into axes of yours, …
figure, panels = plt.subplots(2, 2, figsize=(10, 8), layout="constrained")
LearningCurveDisplay.from_estimator(model, ax=panels[0, 0])
TopologyChangeDisplay.from_estimator(model, recorder=updates, ax=panels[0, 1])
ConnectivityDisplay.from_estimator(model, image_shape=image_shape, by="strength", ax=panels[1, 0])
LayerSpyDisplay.from_estimator(model, layer=1, ax=panels[1, 1])
figure.savefig("training.png", dpi=80)

# %%
# … or makes a figure.
DegreeDisplay.from_estimator(model).figure_.savefig("degrees.png", dpi=80)

# %%
# The callback `ConnectivityRecorder` has recorded the film.

film.save_gif("connections.gif", image_shape=image_shape)
print("The pictures are in training.png and degrees.png, the film in connections.gif.")
