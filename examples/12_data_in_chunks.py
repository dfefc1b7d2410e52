"""Train on data in chunks
=======================

Train on data that do not fit into memory, from files that are read a few at a time.

`Chunks` reads ``.npz`` files. Here are 20 of them; only three are in memory at a time. An epoch takes the files in
random order, and shuffles the samples of each three files together.

::

    python examples/12_data_in_chunks.py
"""

import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import make_classification

from truesparse import SparseMLPClassifier
from truesparse.data import Chunks

# %%
# Write the files
# ---------------
# Each file holds the arrays ``X`` and ``y``. Your own files may be larger, and may hold the parts of a CSR matrix.

X, y = make_classification(11_000, 100, n_informative=10, n_redundant=0, random_state=0)
X = X.astype(np.float32)
X_test, y_test = X[10_000:], y[10_000:]
folder = Path(tempfile.mkdtemp())
for number in range(20):
    part = slice(500 * number, 500 * (number + 1))
    np.savez(folder / f"{number:02}.npz", X=X[part], y=y[part])

# %%
# Train
# -----
# A source takes the place of ``X`` and ``y`` in ``fit``.

source = Chunks(sorted(folder.glob("*.npz")), window=3)
settings = {"hidden_layer_sizes": (200, 200), "epsilon": 2, "max_iter": 20, "random_state": 0}
model = SparseMLPClassifier(**settings).fit(source)
print(f"{source.n_samples:,} samples in chunks     accuracy {model.score(X_test, y_test):.3f}")

# %%
# The same data as one array, whose samples are shuffled all together:

whole = SparseMLPClassifier(**settings).fit(X[:10_000], y[:10_000])
print(f"{source.n_samples:,} samples in an array   accuracy {whole.score(X_test, y_test):.3f}")
