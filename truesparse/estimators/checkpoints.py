"""Checkpoints: a model file from which a fit can go on.

The next step of a training depends on the network, the moments, the progress and the seed, because every random stream
is found by its name and step. Within an epoch, the sums of its steps so far belong to it, too. A fit that goes on from
there with the same data makes the same steps.
"""

import copy
import os
from collections.abc import Callable
from typing import Any

from sklearn.base import BaseEstimator

from truesparse.estimators.run import Run
from truesparse.estimators.storing import restore, store, versions
from truesparse.runtime.warnings import warn
from truesparse.storage import encode, naming, prepared, read_archive, write_archive
from truesparse.training.trainer import Trainer

FREE_TO_CHANGE = ("callbacks", "n_jobs", "verbose")
"""The parameters that change no byte of the network."""


def checkpoint_writer(
    estimator: BaseEstimator, run: Run, trainer: Trainer, data: str
) -> Callable[[str | os.PathLike], None]:
    """Return ``write_checkpoint(path)`` for the fit of `run` by `trainer`; `data` is the fingerprint of its data."""
    in_training = copy.copy(estimator)
    in_training._run = run
    prepared(*store(in_training, data=data))  # raises at once if it cannot be stored, not after hours of training

    def write_checkpoint(path):
        if not trainer.is_resumable:
            raise RuntimeError("A checkpoint can only be written by a callback's on_epoch_end or on_chunks.")
        write_archive(path, *store(in_training, data=data))

    return write_checkpoint


def read_checkpoint(path: str | os.PathLike, estimator: BaseEstimator) -> tuple[dict[str, Any], str]:
    """Return the fitted attributes in a checkpoint of a fit with these parameters, and the fingerprint of its data."""
    with naming(path):
        metadata, arrays = read_archive(path)
        libraries = metadata.get("libraries")
        saved, data = restore(metadata, arrays, {type(estimator).__name__: type(estimator)})
    if data is None or not hasattr(saved, "_run") or saved._run.state.progress.in_parts:
        raise ValueError(
            f"resume_from={str(path)!r} holds no checkpoint of a fit that can go on; truesparse.load reads it, and "
            "partial_fit or warm_start=True go on from there."
        )
    parameters = estimator.get_params(deep=False)
    for name in [name for name in parameters if name not in FREE_TO_CHANGE]:
        found, value = getattr(saved, name), parameters[name]
        if _comparable(encode(found, name)) != _comparable(encode(value, name)):
            raise ValueError(
                f"resume_from={str(path)!r} is a checkpoint of a fit with {name}={found!r}, not "
                f"{value!r}; only {', '.join(FREE_TO_CHANGE)} can change."
            )
    warn_if_other_libraries(f"resume_from={str(path)!r}", libraries)
    return {name: value for name, value in vars(saved).items() if name not in parameters}, data


def changed_parameter(stored: Any, parameters: dict[str, Any]) -> str | None:
    """Return the first difference between parameters as JSON, those of a file and others, in words; None if equal."""
    if not isinstance(stored, dict) or stored.keys() != parameters.keys():
        return "other parameters"
    for name in parameters:
        if _comparable(stored[name]) != _comparable(parameters[name]):
            return f"{name}={stored[name]!r:.200}, not {parameters[name]!r:.200}"
    return None


def warn_if_other_libraries(what: str, libraries: Any) -> None:
    """Warn if a checkpoint was written with other versions."""
    if libraries != versions():
        warn(
            f"{what} was written with {libraries!r:.300}, not {versions()}: the result may differ by rounding from "
            "that of a fit that never stopped."
        )


def _comparable(content):
    """Return an encoded parameter without its spelling: list or tuple, one layer or a list of it, order of a dict."""
    if isinstance(content, dict) and content.get("type") == "dict":
        return sorted(map(repr, content["items"]))
    if isinstance(content, dict) and content.get("type") == "tuple":
        content = content["items"]
    return content[0] if isinstance(content, list) and len(content) == 1 else content
