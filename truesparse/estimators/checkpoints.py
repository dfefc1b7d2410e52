"""Checkpoints: all that a fit needs to go on, in a file that is a model as well.

The next step of a training depends on the network, the solver's moments, the progress and the seed, for every random
stream is found by its name and step. At the end of an epoch all of them are between two steps, so a fit that goes on
from there makes the same steps, on the same data, as one that never stopped.
"""

import copy
import hashlib
import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import issparse

from truesparse.estimators.samples import Samples
from truesparse.estimators.storing import restore, store, versions
from truesparse.storage import encode, naming, read_archive, write_archive
from truesparse.training.trainer import Trainer

if TYPE_CHECKING:
    from truesparse.estimators.base import BaseSparseMLP

# What watches a training, and says how many threads and lines it takes, changes none of its bytes.
_FREE_TO_CHANGE = ("callbacks", "n_jobs", "verbose")


class CheckpointWriter:
    """Writes checkpoints of a fit.

    Parameters
    ----------
    estimator : SparseMLPClassifier or SparseMLPRegressor
    fitted : dict
        The attributes that it will have after the fit; they refer to what `trainer` trains.
    trainer : Trainer
    data : str
        The fingerprint of the data.

    Raises
    ------
    ModelFormatError
        If a checkpoint could not be written: now, not after hours.
    """

    def __init__(self, estimator: "BaseSparseMLP", fitted: dict[str, Any], trainer: Trainer, data: str):
        self._run = copy.copy(estimator)
        vars(self._run).update(fitted)
        self._trainer, self._data = trainer, data
        store(self._run, data=data)

    def __call__(self, path: str | os.PathLike) -> None:
        """Write one.

        Raises
        ------
        RuntimeError
            If an epoch is going on.
        """
        if not self._trainer.between_epochs:
            raise RuntimeError("A checkpoint can only be written by a callback's on_epoch_end.")
        write_archive(path, *store(self._run, data=self._data))


def read_checkpoint(path: str | os.PathLike, estimator: "BaseSparseMLP") -> tuple[dict[str, Any], str]:
    """The fitted attributes in a checkpoint of a fit with the parameters of `estimator`, and the data's fingerprint.

    Raises
    ------
    ModelFormatError
        If the file is damaged.
    ValueError
        If it is no checkpoint, or of another estimator or other parameters.

    Warns
    -----
    UserWarning
        If other versions of the libraries wrote it.
    """
    with naming(path):
        metadata, arrays = read_archive(path)
        libraries = metadata.get("libraries")
        saved, data = restore(metadata, arrays, {type(estimator).__name__: type(estimator)})
    if data is None or not hasattr(saved, "_state") or saved._state.progress.in_parts:
        raise ValueError(
            f"resume_from={str(path)!r} holds no checkpoint of a fit that can go on; truesparse.load reads it, and "
            "partial_fit or warm_start=True go on from there."
        )
    for name, value in estimator.get_params(deep=False).items():
        if name in _FREE_TO_CHANGE:
            continue
        found = getattr(saved, name)
        if _comparable(encode(found, name)) != _comparable(encode(value, name)):
            raise ValueError(
                f"resume_from={str(path)!r} is a checkpoint of a fit with {name}={found!r}, not "
                f"{value!r}; only {', '.join(_FREE_TO_CHANGE)} can change."
            )
    if libraries != versions():
        warnings.warn(
            f"resume_from={str(path)!r} was written with {libraries!r:.300}, not {versions()}: the result may differ "
            "by rounding from that of a fit that never stopped.",
            UserWarning,
            stacklevel=5,
        )
    return {name: value for name, value in vars(saved).items() if name not in estimator.get_params(deep=False)}, data


def fingerprint(samples: Samples, validation: Samples | None = None) -> str:
    """SHA-256 of checked data: of their numbers, their dtype and their form."""
    digest = hashlib.sha256()
    for part in (samples, validation):
        digest.update(b"none" if part is None else repr((part.X.shape, part.weights is None)).encode())
        for array in [] if part is None else _arrays(part):
            array = np.ascontiguousarray(array)
            digest.update(repr((array.dtype.str, array.shape)).encode())
            digest.update(array.reshape(-1).view(np.uint8))
    return digest.hexdigest()


def _arrays(samples):
    X, weights = samples.X, samples.weights
    features = [X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)] if issparse(X) else [X]
    return [*features, samples.values, *([] if weights is None else [weights])]


def _comparable(content):
    """Encoded parameters without differences of spelling.

    These are lists or tuples, one layer or a list of it, and the order of a dict.
    """
    if isinstance(content, dict) and content.get("type") == "dict":
        return sorted(map(repr, content["items"]))
    if isinstance(content, dict) and content.get("type") == "tuple":
        content = content["items"]
    return content[0] if isinstance(content, list) and len(content) == 1 else content
