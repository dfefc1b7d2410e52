"""An estimator as metadata and arrays, and back; a checkpoint is the same, of a fit that has not ended."""

import hashlib
import importlib.metadata
import platform
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import issparse

from truesparse._typing import FloatArray
from truesparse._version import __version__
from truesparse.activations import ACTIVATIONS
from truesparse.storage import (
    Arrays,
    ModelFormatError,
    Section,
    decode,
    encode,
    read_archive,
    restore_network,
    restore_run,
    store_network,
    store_run,
)

if TYPE_CHECKING:
    from truesparse.estimators.base import BaseSparseMLP

# What watches a training, or says how many threads and lines it takes, is no part of the model or of its training.
_NOT_STORED = ("callbacks",)
_FREE_TO_CHANGE = ("callbacks", "n_jobs", "verbose")
# The parameters that shape a network.
_SHAPED_BY = {"hidden_layer_sizes", "epsilon", "density", "topology_init", "activation", "dtype"}
_LIBRARIES = ("numpy", "scipy", "numba", "scikit-learn")


def store(
    estimator: "BaseSparseMLP", *, training: bool = True, data: str | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """An estimator's parameters and, if it is fitted, all that it has learnt.

    Parameters
    ----------
    estimator : SparseMLPClassifier or SparseMLPRegressor
    training : bool
        Whether to store the moments of the solver too.
    data : str, optional
        The fingerprint of the data of a fit that has not ended: this makes a checkpoint, in which parameters that
        cannot be stored are named only.
    """
    unknown = None if data is None else _name_only
    metadata = {
        "class": type(estimator).__name__,
        "parameters": {
            name: encode(value, name, unknown)
            for name, value in estimator.get_params(deep=False).items()
            if name not in _NOT_STORED
        },
        "libraries": _versions(),
        "data": data,
        "fitted": None,
    }
    if not hasattr(estimator, "_network"):
        return metadata, {}
    network, network_arrays = store_network(estimator._network)
    run, run_arrays = store_run(estimator._state, training=training)
    learnt, learnt_arrays = estimator._store_learnt()
    metadata["fitted"] = {
        "seed": estimator._seed,
        "shape": {name: encode(value, name) for name, value in estimator._shape.items()},
        "learnt": learnt,
        "network": network,
        "run": run,
    }
    if hasattr(estimator, "feature_names_in_"):
        learnt_arrays["feature_names"] = np.array(estimator.feature_names_in_.tolist(), dtype=str)
    return metadata, learnt_arrays | network_arrays | run_arrays


def restore(
    metadata: Mapping[str, Any], arrays: Mapping[str, np.ndarray], classes: Mapping[str, type]
) -> tuple["BaseSparseMLP", list[str], str | None]:
    """The estimator of `store`, the parameters in it that were named only, and the fingerprint.

    Raises
    ------
    ModelFormatError
        If anything is missing, unknown or not what it must be.
    """
    section, arrays = Section(metadata, "metadata.json"), Arrays(arrays)
    name = section.take("class", str)
    if name not in classes:
        raise ModelFormatError(f"class={name!r:.100} is none of {sorted(classes)}.")
    section.take("libraries", dict)
    parameters = section.take("parameters", dict)
    omitted = [parameter for parameter, content in parameters.items() if _is_name_only(content)]
    estimator = _make(classes[name], {key: value for key, value in parameters.items() if key not in omitted})
    data = section.take("data", str, type(None))
    if section.has("fitted"):
        _restore_fitted(estimator, section.section("fitted"), arrays)
    else:
        section.take("fitted", type(None))
    section.close()
    arrays.close()
    return estimator, omitted, data


def read_checkpoint(path, estimator: "BaseSparseMLP") -> tuple[dict[str, Any], str]:
    """The fitted attributes in a checkpoint of a fit with the parameters of `estimator`, and the data's fingerprint.

    Raises
    ------
    ModelFormatError
        If the file is damaged.
    ValueError
        If it is no checkpoint, or of another estimator or other parameters.
    """
    metadata, arrays = read_archive(path)
    parameters = metadata.get("parameters")
    saved, _, data = restore(metadata, arrays, {type(estimator).__name__: type(estimator)})
    if data is None or not hasattr(saved, "_state") or saved._state.progress.in_parts:
        raise ValueError(
            f"resume_from={str(path)!r} holds no checkpoint of a fit that can go on; truesparse.load reads it, and "
            "partial_fit or warm_start=True go on from there."
        )
    for name, value in estimator.get_params(deep=False).items():
        if name not in _FREE_TO_CHANGE and parameters.get(name) != (wanted := encode(value, name, _name_only)):
            raise ValueError(
                f"resume_from={str(path)!r} is a checkpoint of a fit with {name}={_readable(parameters.get(name))}, "
                f"not {_readable(wanted)}; only {', '.join(_FREE_TO_CHANGE)} can change."
            )
    fitted = {name: value for name, value in vars(saved).items() if name not in estimator.get_params(deep=False)}
    return fitted, data


def fingerprint(X, target: FloatArray) -> str:
    """SHA-256 of checked data: of their numbers, their dtype and their form."""
    parts = [X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)] if issparse(X) else [X]
    digest = hashlib.sha256(repr((X.shape, target.shape)).encode())
    for part in (*parts, target):
        part = np.ascontiguousarray(part)
        digest.update(repr((part.dtype.str, part.shape)).encode())
        digest.update(part.reshape(-1).view(np.uint8))
    return digest.hexdigest()


@cache
def _versions():
    """Versions of what wrote a file; looking for them takes longer than all else, so it is done once."""
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"truesparse": __version__, "python": platform.python_version()} | versions


def _make(cls, parameters):
    known = cls().get_params(deep=False)
    unknown = parameters.keys() - known.keys()
    if unknown or parameters.keys() & set(_NOT_STORED):
        raise ModelFormatError(f"{cls.__name__} has no parameters {sorted(unknown)!r:.200} that could be stored.")
    estimator = cls(**{name: decode(content, name) for name, content in parameters.items()})
    try:
        estimator._validate_params()
    except (TypeError, ValueError) as error:
        raise ModelFormatError(f"A parameter is not allowed: {error}") from error
    return estimator


def _restore_fitted(estimator, section, arrays):
    seed = section.count("seed")
    shape = {name: decode(content, name) for name, content in section.take("shape", dict).items()}
    activation, dtype = _network_options(shape)
    network = restore_network(section.section("network"), arrays, activation, dtype)
    estimator._restore_learnt(section.section("learnt"), arrays)
    n_features, *_, n_outputs = network.layer_sizes
    if estimator._n_outputs() != n_outputs:
        raise ModelFormatError(f"The network has {n_outputs} outputs, but {estimator._n_outputs()} are needed.")
    estimator.n_features_in_ = n_features
    if arrays.has("feature_names"):
        estimator.feature_names_in_ = arrays.take("feature_names", "U", (n_features,)).astype(object)
    run = restore_run(section.section("run"), arrays, network)
    section.close()
    vars(estimator).update(_seed=seed, _shape=shape, _network=network, _state=run)


def _network_options(shape):
    """Activation and dtype of a network, out of the parameters that shaped it."""
    if shape.keys() != _SHAPED_BY:
        raise ModelFormatError(f"shape must hold {sorted(_SHAPED_BY)}, got {sorted(shape)!r:.200}.")
    activation, dtype = shape["activation"], shape["dtype"]
    if isinstance(activation, str):
        activation = ACTIVATIONS.get(activation)
    if not hasattr(activation, "at_layer"):
        raise ModelFormatError(f"activation={shape['activation']!r:.100} is no activation.")
    if dtype not in ("float32", "float64"):
        raise ModelFormatError(f"dtype={dtype!r:.100} must be 'float32' or 'float64'.")
    return activation, np.dtype(dtype)


def _name_only(value, name):
    kind = value if hasattr(value, "__qualname__") else type(value)
    return {"type": "not stored", "name": f"{kind.__module__}.{kind.__qualname__}"}


def _is_name_only(content):
    """Whether a parameter, or a part of it, was named only."""
    if isinstance(content, dict):
        return content.get("type") == "not stored" or any(map(_is_name_only, content.values()))
    return isinstance(content, list) and any(map(_is_name_only, content))


def _readable(content):
    try:
        return repr(decode(content, "parameter"))
    except ModelFormatError:
        return repr(content)
