"""Train on several MPI processes
==============================

One network, on several processes that may be on several machines, each with a part of the samples.

In every step, each process computes the gradient of its part of the batch, and the gradients are added up: one number
for each stored weight. All processes then make the same step, grow the same connections, and end with the same network.

::

    pip install mpi4py mpich
    mpiexec -n 2 python examples/15_mpi.py

With one process, ``python examples/15_mpi.py``, the result is the same but for rounding.
"""

import numpy as np
from mpi4py import MPI
from sklearn.datasets import make_classification

from truesparse import SparseMLPClassifier
from truesparse.distributed import fit_mpi

comm = MPI.COMM_WORLD

# %%
# A part of the data for each process
# -----------------------------------
# In earnest, each reads files of its own, for example as `truesparse.data.Chunks`.

X, y = make_classification(12_000, 100, n_informative=10, n_redundant=0, random_state=0)
X = X.astype(np.float32)
X_test, y_test = X[10_000:], y[10_000:]
own = np.array_split(np.arange(10_000), comm.Get_size())[comm.Get_rank()]

# %%
# Train
# -----
# ``batch_size`` counts the samples of all processes. Callbacks and ``verbose`` are those of process 0.

model = SparseMLPClassifier((200, 200), epsilon=3, batch_size=128, max_iter=20, random_state=0)
fit_mpi(model, X[own], y[own], comm=comm)

# %%
# All processes have the same model
# ---------------------------------

print(f"process {comm.Get_rank()}: {own.size:,} samples, test accuracy {model.score(X_test, y_test):.3f}", flush=True)
