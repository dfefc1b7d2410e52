"""Compilation ahead of time, side by side in several processes: Numba compiles one function at a time in each."""

import os
import subprocess
import sys
import warnings
from itertools import count, product
from threading import Timer

import numpy as np
from joblib import cpu_count
from scipy.sparse import csr_array

from truesparse.estimators.classifier import SparseMLPClassifier
from truesparse.estimators.resnet_classifier import SparseResNetClassifier
from truesparse.runtime.checks import check_flag, plain
from truesparse.training.sharing import useful_threads

_PATIENCE = 2.0  # seconds; if the kernels are on the disk already, nothing takes as long, and no process is started


def warmup(*, batch_sizes=(32,), dtypes=("float32",), residual=False) -> None:
    """Compile the kernels, so that the first fit does not wait for them.

    Kernels are compiled for each dtype, width of the batch, and one thread or several, and kept on disk
    (``NUMBA_CACHE_DIR``): this costs many seconds once and little from then on. If there are several cores, other
    Python processes compile a part of them. Call it while an image is built or a server starts. Batches of up to 16,
    32, 64, 112 and 128 samples share a width. `residual` compiles those of `SparseResNetClassifier` as well, which are
    the same for all batches.

    Warns
    -----
    RuntimeWarning
        If no other process can be started, or one fails. Its kernels are then compiled in this process.

    Examples
    --------
    >>> import truesparse
    >>> truesparse.warmup(batch_sizes=[100])
    """
    check_flag("residual", residual)
    dtypes = plain(list(dtypes))
    jobs = list(product(dtypes, plain(list(batch_sizes)), ("dense", "sparse")))
    jobs += [(dtype, None, "images") for dtype in dtypes if residual]
    n_processes = max(1, min(cpu_count(), len(jobs)))
    own, *others = (jobs[first::n_processes] for first in range(n_processes))
    processes: list[subprocess.Popen] = []
    problems: list[str] = []
    timer = Timer(_PATIENCE, _start, (others, processes, problems))
    timer.start()
    try:
        try:
            _compile(own)
        finally:
            timer.cancel()
            timer.join()
        problems += [f"one ended with status {process.returncode}" for process in processes if process.wait()]
    finally:  # an error or Ctrl-C ends the others
        for process in processes:
            process.kill()
            process.wait()
    if problems:
        warnings.warn(
            f"warmup compiles in this process what others should have compiled at the same time: {problems[0]}.",
            RuntimeWarning,
            stacklevel=2,
        )
    for share in others:
        _compile(share)  # loads what the processes have stored, and compiles the rest


def _start(shares, processes, problems):
    """Start a process for each share of the jobs, and add it to `processes`, or the reason why not to `problems`."""
    # A program in a string imports nothing of the main program, which may have no `if __name__ == "__main__"`.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    null = subprocess.DEVNULL
    for share in shares:
        if "python" not in os.path.basename(sys.executable or "").lower():  # a server or a frozen program
            problems.append(f"sys.executable={sys.executable!r} is not Python")
            return
        program = f"from truesparse.estimators.warmup import _compile; _compile({share!r})"
        try:
            processes.append(
                subprocess.Popen([sys.executable, "-c", program], env=environment, stdin=null, stdout=null, stderr=null)
            )
        except OSError as error:
            problems.append(f"none could be started ({error})")
            return


def _compile(jobs):
    """Train and predict with each dtype and batch size, on dense or sparse data or images."""
    for dtype, batch_size, kind in jobs:  # which share few kernels
        if kind == "images":
            _compile_convolutions(dtype)
            continue
        rng = np.random.default_rng(0)
        # More samples than numbers in a sketch, and features enough for a full first layer on BLAS.
        X = rng.standard_normal((max(2 * batch_size, 200), 64))
        y = np.arange(len(X)) % 2
        # Of dense data, all steps of a solver are one kernel, which knows every solver.
        data, evolution, solvers = (csr_array(X), "set", ("sgd", "adam")) if kind == "sparse" else (X, "cte", ("adam",))
        for solver, n_jobs in product(solvers, (1, 2)):
            width, density = 300, 0.02
            if n_jobs > 1:  # smaller networks leave the work to one thread
                density = 0.4
                width = next(n for n in count(100, 50) if useful_threads(int(density * n**2), batch_size, n_jobs) > 1)
            model = SparseMLPClassifier(
                (width, width), evolution=evolution, solver=solver, batch_size=batch_size, dtype=dtype,
                density=density, update_every=len(y) // batch_size // 2, max_iter=1, random_state=0, n_jobs=n_jobs,
            )  # fmt: skip
            with warnings.catch_warnings(action="ignore", category=UserWarning):  # that noise cannot be learned
                model.fit(data, y)
            for n_samples in (2**10, 2**12):  # few samples and many are computed by other kernels
                model.predict(data[np.arange(n_samples) % len(y)])


def _compile_convolutions(dtype):
    """Train and predict with a small residual network, on one thread and on two."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 8, 8, 1)), np.arange(200) % 2
    for n_jobs, (evolution, solver) in product((1, 2), (("rigl", "sgd"), ("set", "adam"))):
        model = SparseResNetClassifier(
            depth=8, width=16, batch_size=100, evolution=evolution, solver=solver, update_every=1, early_stopping=True,
            max_iter=1, random_state=0, n_jobs=n_jobs, dtype=dtype,
        )  # fmt: skip
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            model.fit(X, y).predict(X)
