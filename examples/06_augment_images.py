"""Augment images
==============

Shift and rotate the training images at random in every batch.

The data are 500 of scikit-learn's digits, images of 8 × 8 pixels. One network is trained on the images as they are. The
batches of the other go through a `batch_transform`, which shifts and rotates each image. Both are tested on the test
images, and on the same images shifted by up to half a pixel and rotated by up to 10 degrees. A third network also
learns from averages of two images (`MixUp`).

::

    python examples/06_augment_images.py
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from truesparse import SparseMLPClassifier
from truesparse.transforms import Compose, MixUp, Rotate, Shift

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=500, random_state=0, stratify=y)

# %%
# Digits are not flipped, because a mirrored 2 is not a 2. `Compose` rotates and shifts in one pass.

shape = (8, 8, 1)
moves = Compose([Rotate(shape, degrees=10), Shift(shape, share=1 / 16)])
X_moved = moves(X_test.copy(), np.random.default_rng(0))

print(f"{'batch_transform':<18} {'images as they are':>18} {'moved images':>14}")
for name, batch_transform in (("None", None), ("moves", moves), ("moves, MixUp", Compose([moves, MixUp(alpha=0.2)]))):
    model = SparseMLPClassifier(
        (300, 300), evolution="set", epsilon=10, max_iter=300, batch_transform=batch_transform, random_state=0
    ).fit(X_train, y_train)
    print(f"{name:<18} {model.score(X_test, y_test):>18.3f} {model.score(X_moved, y_test):>14.3f}", flush=True)
