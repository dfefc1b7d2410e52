"""Survive a crash
===============

Kill a training, resume it from a checkpoint, and get the same weights.

A second process trains a network and writes a checkpoint after every epoch, until it is killed. The same fit then
resumes from the checkpoint. It ends with the same weights, to the last bit, as a fit that was never interrupted. The
model is saved in a file that holds numbers and no code, and is loaded again.

::

    python examples/07_survive_a_crash.py
"""

import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import truesparse
from truesparse import SparseMLPClassifier
from truesparse.callbacks import Checkpoint

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)


def make():
    return SparseMLPClassifier((300, 300), epsilon=5, max_iter=60, random_state=0)


def train(path):
    make().set_params(callbacks=[Checkpoint(path)]).fit(X_train, y_train)


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp())
    checkpoint = folder / "checkpoint.npz"
    process = multiprocessing.get_context("spawn").Process(target=train, args=(checkpoint,))
    process.start()
    while process.is_alive() and not checkpoint.exists():
        time.sleep(0.05)
    process.kill()
    process.join()
    print(f"killed after epoch {truesparse.load(checkpoint).n_iter_} of 60")

    resumed = make().fit(X_train, y_train, resume_from=checkpoint)
    undisturbed = make().fit(X_train, y_train)
    same = all(np.array_equal(a.data, b.data) for a, b in zip(resumed.coefs_, undisturbed.coefs_, strict=True))
    print(f"resumed: {resumed.n_iter_} epochs, accuracy {resumed.score(X_test, y_test):.3f}, the same weights: {same}")

    file = folder / "digits.npz"
    truesparse.save(resumed, file)
    loaded = truesparse.load(file)
    print(f"loaded:  {file.stat().st_size:,} bytes, accuracy {loaded.score(X_test, y_test):.3f}")
