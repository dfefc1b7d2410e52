"""Convolutions
============

Train a residual network of sparse convolutions, and see which places of its windows keep their connections.

A convolution uses a weight at all places of an image. With as many weights, `SparseResNetClassifier` is compared with a
random topology and with `LocalFields`, which share no weights.

::

    python examples/18_convolutions.py

The data are scikit-learn's digits, images of 8 × 8 pixels. The picture needs matplotlib and is saved in the current
directory.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from truesparse import Evolution, SparseMLPClassifier, SparseResNetClassifier
from truesparse.evolution import Constant, Cubic
from truesparse.inspection import WindowDisplay, layer_flops, total
from truesparse.topology import LocalFields
from truesparse.transforms import Crop

digits = load_digits()
images = (digits.images / 8 - 1).astype(np.float32)  # of about mean 0 and deviation 1
X_train, X_test, y_train, y_test = train_test_split(
    images, digits.target, train_size=500, random_state=0, stratify=digits.target
)

# %%
# The residual network has eight layers along its longest path, with 8, 16 and 32 channels. Three methods train it:
# "static" keeps the first topology, "rigl" grows connections where the gradient is large, and "sensitivity" between
# large activations and large errors.

augment = Crop((8, 8, 1), padding=1)
residual = {"depth": 8, "width": 8, "density": 0.2, "batch_size": 64, "max_iter": 50, "update_every": 10}
fields = LocalFields(image_shape=(8, 8, 1), maps=[(8, 8, 2), (4, 4, 8)], n_connections=(700, 1900))
pruning = Evolution(schedule=Constant(drop_fraction=0.0, update_every="epoch"), density=Cubic(start=3))
models = {
    "random topology": SparseMLPClassifier((256, 256), density=3893 / 84480, evolution="set", max_iter=100),
    "local fields": SparseMLPClassifier(None, topology_init=fields, evolution=pruning, max_iter=100),
    "convolutions, static": SparseResNetClassifier(**residual, evolution="static"),
    "convolutions, rigl": SparseResNetClassifier(**residual, evolution="rigl"),
    "convolutions, sensitivity": SparseResNetClassifier(**residual, evolution="sensitivity"),
}

# %%
# A multilayer perceptron takes images as rows. It multiplies once by each weight, a convolution once at each place. One
# point of accuracy is 13 test images: smaller differences mean little.

print(f"{'':<26}{'weights':>8}{'multiplications':>17}{'accuracy':>10}")
for name, model in models.items():
    in_rows = isinstance(model, SparseMLPClassifier)
    train, test = (X.reshape(len(X), -1) if in_rows else X for X in (X_train, X_test))
    model.set_params(batch_transform=augment, random_state=0).fit(train, y_train)
    n_weights, n_products = sum(coef.nnz for coef in model.coefs_), total(layer_flops(model)).inference // 2
    print(f"{name:<26}{n_weights:>8,}{n_products:>17,}{model.score(test, y_test):>10.3f}", flush=True)

# %%
# The static network still has the topology that all three began with: about equally many connections at all places of
# the windows. The others have moved them, above all in the last stage (hidden 7 and 8). Images have 2 × 2 places there,
# so that a corner of a window is outside the image at three of four places, where it reads zeros. The windows of hidden
# 4 and 7 move by two places, and pass the border on top and on the left only.

try:
    import matplotlib.pyplot as plt
except ImportError:
    print("matplotlib is not installed: no picture.")
else:
    titles = {"static": "at first", "rigl": "after growth by gradients", "sensitivity": "after growth by sensitivity"}
    figure, panels = plt.subplots(3, 1, figsize=(11, 6.5), layout="constrained")
    for panel, (method, title) in zip(panels, titles.items(), strict=True):
        WindowDisplay.from_estimator(models[f"convolutions, {method}"], ax=panel)
        panel.set_title(f"{title}: connected pairs (%)")
    figure.savefig("windows.png", dpi=100)
