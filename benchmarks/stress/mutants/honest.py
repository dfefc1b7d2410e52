"""Three models and their files, from which all mutants are made, and what is known of a mutant."""

import io
import json
import zipfile
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

import truesparse
from truesparse import SparseMLPClassifier, SparseMLPRegressor, evolution
from truesparse.callbacks import Checkpoint
from truesparse.evolution import ImportancePruning
from truesparse.storage import read_archive
from truesparse.training import lr_schedules


@dataclass
class Honest:
    """A model, its file, and data for it."""

    name: str
    file: bytes
    X: np.ndarray
    y: np.ndarray

    def __post_init__(self):
        with zipfile.ZipFile(io.BytesIO(self.file)) as archive:
            self._metadata = archive.read("metadata.json")
        self._arrays = read_archive(io.BytesIO(self.file))[1]

    def parts(self):
        """Metadata as in the file, and the arrays; both may be changed."""
        return json.loads(self._metadata), {name: array.copy() for name, array in self._arrays.items()}


class _Stop:
    def on_epoch_end(self, network, record):
        if record.epoch == 5:
            raise KeyboardInterrupt


@cache
def honest_files(folder):
    """A classifier, a regressor with a layer on BLAS, and a checkpoint with a best epoch."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((90, 33))
    names = np.array(["alder", "beech", "cédrat"])[(X @ rng.standard_normal((33, 3))).argmax(axis=1)]
    common = {"max_iter": 4, "update_every": 2, "random_state": 0}
    files = []

    def saved(name, model, y):
        file = io.BytesIO()
        truesparse.save(model, file)
        files.append(Honest(name, file.getvalue(), X, y))

    cte = replace(evolution.preset("cte"), unit_pruning=ImportancePruning())
    classifier = SparseMLPClassifier((20, 15), epsilon=3, activation="srelu", evolution=cte, **common)
    saved("classifier", classifier.fit(X, names), names)

    regressor = SparseMLPRegressor(
        (70, 65), evolution="static", topology_init="full", solver="sgd", dtype="float64", **common
    ).fit(X, X[:, :2])
    regressor.feature_names_in_ = np.array([f"feature {index}" for index in range(33)], dtype=object)
    saved("regressor", regressor, X[:, :2])

    path = f"{folder}/checkpoint.npz"
    rules = evolution.Evolution(grow=evolution.OMP(), schedule=evolution.Constant(drop_fraction=0.2, update_every=3))
    unfinished = SparseMLPClassifier(
        (25,), evolution=rules, learning_rate=lr_schedules.Step(), early_stopping=True,
        callbacks=[Checkpoint(path), _Stop()], **common | {"max_iter": 9, "update_every": None},
    )  # fmt: skip
    try:
        unfinished.fit(X, (X[:, :2] > 0).astype(int))
    except KeyboardInterrupt:
        with open(path, "rb") as file:
            files.append(Honest("checkpoint", file.read(), X, (X[:, :2] > 0).astype(int)))
    assert any(name.startswith("best.") for name in files[-1].parts()[1])
    return files


@dataclass
class Mutant:
    """A changed file: where it comes from, what was done, and whether that may have left another valid model."""

    honest: Honest
    what: str
    file: bytes
    may_be_valid: bool = False
