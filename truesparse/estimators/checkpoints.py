"""Checkpoints: all that a fit needs to go on, in a file that is a model as well.

The next step of a training depends on the network, the solver's moments, the progress and the seed, for every random
stream is found by its name and step. At the end of an epoch all of them are between two steps, so a fit that goes on
from there makes the same steps, on the same data, as one that never stopped.
"""

import copy
import os
from typing import Any

from sklearn.base import BaseEstimator

from truesparse.estimators.run import Run
from truesparse.estimators.storing import restore, store, versions
from truesparse.runtime.warnings import warn
from truesparse.storage import encode, naming, read_archive, write_archive
from truesparse.training.trainer import Trainer

# What watches a training, and says how many threads and lines it takes, changes none of its bytes.
_FREE_TO_CHANGE = ("callbacks", "n_jobs", "verbose")


class CheckpointWriter:
    """Writes checkpoints of a fit.

    Parameters
    ----------
    estimator : SparseMLPClassifier or SparseMLPRegressor
    run : Run
        The network that `trainer` trains, and its state.
    trainer : Trainer
    data : str
        The fingerprint of the data.

    Raises
    ------
    ModelFormatError
        If a checkpoint could not be written: now, not after hours.
    """

    def __init__(self, estimator: BaseEstimator, run: Run, trainer: Trainer, data: str):
        self._estimator = copy.copy(estimator)
        self._estimator._run = run
        self._trainer, self._data = trainer, data
        store(self._estimator, data=data)

    def __call__(self, path: str | os.PathLike) -> None:
        """Write one.

        Raises
        ------
        RuntimeError
            If an epoch is going on.
        """
        if not self._trainer.between_epochs:
            raise RuntimeError("A checkpoint can only be written by a callback's on_epoch_end.")
        write_archive(path, *store(self._estimator, data=self._data))


def read_checkpoint(path: str | os.PathLike, estimator: BaseEstimator) -> tuple[dict[str, Any], str]:
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
    if data is None or not hasattr(saved, "_run") or saved._run.state.progress.in_parts:
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
        warn(
            f"resume_from={str(path)!r} was written with {libraries!r:.300}, not {versions()}: the result may differ "
            "by rounding from that of a fit that never stopped."
        )
    return {name: value for name, value in vars(saved).items() if name not in estimator.get_params(deep=False)}, data


def _comparable(content):
    """Encoded parameters without differences of spelling.

    These are lists or tuples, one layer or a list of it, and the order of a dict.
    """
    if isinstance(content, dict) and content.get("type") == "dict":
        return sorted(map(repr, content["items"]))
    if isinstance(content, dict) and content.get("type") == "tuple":
        content = content["items"]
    return content[0] if isinstance(content, list) and len(content) == 1 else content
