"""Compilation ahead of time."""

import numpy as np
from scipy.sparse import csr_array

from truesparse.estimators.classifier import SparseMLPClassifier


def warmup(*, batch_sizes=(32,), dtypes=("float32",)) -> None:
    """Compile the kernels, so that the first fit does not wait for them.

    Kernels are compiled for each dtype, width of the batch, and one thread or several, and kept on disk
    (``NUMBA_CACHE_DIR``): this costs many seconds once and little from then on. Call it while an image is built or a
    server starts. Batches of up to 16, 32, 64, 112 and 128 samples share a width.

    Examples
    --------
    >>> import truesparse
    >>> truesparse.warmup(batch_sizes=[100])
    """
    for dtype in dtypes:
        for batch_size in batch_sizes:
            rng = np.random.default_rng(0)
            X = rng.standard_normal((max(2 * batch_size, 200), 8))  # more samples than numbers in a sketch
            y = np.arange(len(X)) % 2
            sparse = csr_array(X)
            # Of dense data, all steps of a solver are one kernel, which knows every solver.
            for data, evolution, solver in ((X, "cte", "adam"), (sparse, "set", "sgd"), (sparse, "set", "adam")):
                for n_jobs in (1, 2):
                    model = SparseMLPClassifier(
                        (300, 300), evolution=evolution, solver=solver, batch_size=batch_size, dtype=dtype, epsilon=2,
                        update_every=1, max_iter=1, random_state=0, n_jobs=n_jobs,
                    ).fit(data, y)  # fmt: skip
                    for n_samples in (2**10, 2**12):  # few samples and many are computed by other kernels
                        model.predict(data[np.arange(n_samples) % len(y)])
