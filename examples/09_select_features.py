"""Select features
===============

Select features with a sparse network, and train another model on them.

The data are the 64 pixels of scikit-learn's digits and 436 columns of noise. The selector trains a network and removes
the weakest features during the training, until 30 are left. A nearest-neighbour classifier, whose accuracy suffers from
noise, is then trained on these 30.

::

    python examples/09_select_features.py
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from truesparse.estimators import SparseFeatureSelector

pixels, y = load_digits(return_X_y=True)
noise = np.random.default_rng(0).uniform(0, 16, size=(len(y), 436))
X_train, X_test, y_train, y_test = train_test_split(np.hstack([pixels, noise]) / 16, y, random_state=0, stratify=y)

selector = SparseFeatureSelector(30, strategy="neuron_evolution", random_state=0)
model = make_pipeline(selector, KNeighborsClassifier()).fit(X_train, y_train)
alone = KNeighborsClassifier().fit(X_train, y_train)
print(f"neighbours by all 500 columns    accuracy {alone.score(X_test, y_test):.3f}")
print(f"neighbours by the 30 selected    accuracy {model.score(X_test, y_test):.3f}")

chosen = selector.get_support(indices=True)
print(f"of the 30 selected, {np.count_nonzero(chosen < 64)} are pixels:")
for row in selector.get_support()[:64].reshape(8, 8):
    print(" ".join("#" if selected else "." for selected in row))
