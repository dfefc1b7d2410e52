"""Train on a Dask cluster
=======================

One network, two worker processes, and data that no single one of them holds.

Each partition is made on a worker when it is needed. Both workers train a copy of the network on their own partitions;
after every round, the copies are averaged. Then a worker is killed in the middle of the training. Dask computes its
partitions again, and the training ends with the same weights. Predictions are lazy Dask arrays. The local estimator
needs no cluster any more.

::

    python examples/16_dask.py
"""

import os
import signal

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster

from truesparse.distributed import DaskSparseMLPClassifier

N_ROWS, N_PARTITIONS, N_FEATURES = 1000, 8, 50


def features(block_info):
    """The rows of a partition, drawn by its number."""
    rng = np.random.default_rng(block_info[None]["chunk-location"][0])
    return rng.standard_normal((N_ROWS, N_FEATURES)).astype(np.float32)


def label(rows):
    """A class by the signs of three features."""
    return (rows[:, 0] * rows[:, 1] > 0) * 1 + (rows[:, 2] > 0) * 2


class KillWorker:
    """Kills one of the workers after epoch 5."""

    def __init__(self, client):
        self.client = client

    def on_epoch_end(self, network, record):
        """Called after every epoch."""
        if record.epoch == 5:
            address, process = next(iter(self.client.run(os.getpid).items()))
            print(f"epoch 5: killed {address}")
            os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        X = da.map_blocks(features, chunks=((N_ROWS,) * N_PARTITIONS, (N_FEATURES,)), dtype=np.float32)
        y = X.map_blocks(label, drop_axis=1, dtype=int)

        model = DaskSparseMLPClassifier((200, 200), epsilon=5, max_iter=30, n_parts=2, random_state=0).fit(X, y)
        print(f"{model.n_iter_} epochs, training accuracy {model.score(X, y):.3f}")
        print(model.predict(X))

        model.set_params(callbacks=[KillWorker(client)])
        before = np.concatenate([weights.data for weights in model.coefs_])
        after = np.concatenate([weights.data for weights in model.fit(X, y).coefs_])
        print(f"the same weights: {np.array_equal(before, after)}")

    local = model.to_local()
    print(local.summary())
    print(local.predict(np.zeros((1, N_FEATURES), dtype=np.float32)))
