"""Images
======

Let units look at a part of the image, and see what they look at.

Pixels have neighbours, and a random topology does not know them. With `LocalFields`, a unit of the first hidden layer
reads a small window of the image, and a unit of the next layer a window of units. No weights are shared. Each training
begins with four times as many connections, and the larger weights stay.

::

    python examples/17_images.py

The data are scikit-learn's digits, images of 8 × 8 pixels. The picture needs matplotlib and is saved in the current
directory.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from truesparse import Evolution, SparseMLPClassifier
from truesparse.evolution import Constant, Cubic
from truesparse.inspection import ReceptiveFieldDisplay
from truesparse.topology import LocalFields
from truesparse.transforms import Crop

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=500, random_state=0, stratify=y)

# %%
# The maps say how the units of the hidden layers are laid out: 8 × 8 places with 4 units each, and 4 × 4 places with
# 16. The windows are the smallest that hold the connections of the start.

fields = LocalFields(image_shape=(8, 8, 1), maps=[(8, 8, 4), (4, 4, 16)], n_connections=(1000, 3000))
pruning = Evolution(schedule=Constant(drop_fraction=0.0, update_every="epoch"), density=Cubic(start=4))
augment = Crop((8, 8, 1), padding=1)
settings = {"evolution": pruning, "max_iter": 200, "batch_transform": augment, "random_state": 0}
models = {
    "random": SparseMLPClassifier((256, 256), density=6560 / 84480, **settings),
    "local": SparseMLPClassifier(None, topology_init=fields, **settings),
}
for name, model in models.items():
    model.fit(X_train, y_train)
    n_weights = sum(coef.nnz for coef in model.coefs_)
    print(f"{name:<8} {n_weights:,} weights, test accuracy {model.score(X_test, y_test):.3f}", flush=True)

# %%
# What some units of the second hidden layer see, through all connections below them. Black squares are units that the
# pruning has left no connection:

try:
    import matplotlib.pyplot as plt
except ImportError:
    print("matplotlib is not installed: no picture.")
else:
    figure, panels = plt.subplots(1, 2, figsize=(9, 4.5), layout="constrained")
    for panel, (name, model) in zip(panels, models.items(), strict=True):
        ReceptiveFieldDisplay.from_estimator(model, image_shape=(8, 8, 1), layer=1, ax=panel)
        panel.set_title(name)
    figure.savefig("receptive_fields.png", dpi=100)
