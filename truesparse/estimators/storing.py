"""Estimators as metadata and arrays, and back."""

import importlib.metadata
import platform
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from truesparse._version import __version__
from truesparse.estimators.parameters import Named
from truesparse.estimators.run import Run
from truesparse.network.activations import Activation
from truesparse.runtime.plugins import name_in_files, resolve
from truesparse.storage import (
    Arrays,
    Missing,
    ModelFormatError,
    Section,
    decode,
    encode,
    restore_network,
    restore_run,
    store_network,
    store_run,
    text_array,
)

_NOT_STORED = ("callbacks",)
_CODE = ("batch_transform", "scoring")  # functions of the user
_NEEDED = ("n_jobs", "verbose")  # by predictions, or by every method


def store(
    estimator: BaseEstimator, *, training: bool = True, data: str | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return an estimator's parameters and, if it is fitted, all that it has learnt, as metadata and arrays.

    `training` says whether to store the moments too. `data`, the fingerprint of the data of a fit that has not ended,
    makes a checkpoint. Raises ModelFormatError if a parameter or the classes cannot be stored.
    """
    parameters = estimator.get_params(deep=False)
    metadata = {
        "class": type(estimator).__name__,
        "parameters": {name: encode(parameters[name], name) for name in parameters if name not in _NOT_STORED},
        "libraries": versions(),
        "data": data,
        "fitted": None,
    }
    run = getattr(estimator, "_run", None)
    if run is None:
        return metadata, {}
    for name, moments in run.state.optimizer_state.items():
        if training and moments.dtype != run.network.dtype:
            raise ModelFormatError(
                f"solver={estimator.solver!r} keeps {name!r} as {moments.dtype}, which cannot be stored; the network's "
                f"{run.network.dtype} is allowed. save(…, training=False) leaves it out."
            )
    network, network_arrays = store_network(run.network)
    training_state, run_arrays = store_run(run.state, training=training)
    learnt, learnt_arrays = estimator._store_learnt()
    metadata["fitted"] = {
        "seed": run.seed,
        "shape": {name: encode(value, name) for name, value in run.shape.items()},
        "learnt": learnt,
        "network": network,
        "run": training_state,
    }
    if hasattr(estimator, "feature_names_in_"):
        learnt_arrays["feature_names"] = text_array("feature_names_in_", estimator.feature_names_in_.tolist())
    return metadata, learnt_arrays | network_arrays | run_arrays


def restore(
    metadata: dict[str, Any], stored_arrays: dict[str, np.ndarray], classes: Mapping[str, type]
) -> tuple[BaseEstimator, str | None]:
    """Return the estimator of `store`, and the fingerprint.

    Parameters newer than the file have their defaults. Those that the file can only name, or that name a plug-in which
    this program has not registered, are a `Missing`. Raises ModelFormatError for what predictions cannot do without.
    """
    section, arrays = Section(metadata, "metadata.json"), Arrays(stored_arrays)
    name = section.take("class", str)
    if name not in classes:
        raise ModelFormatError(f"class={name!r:.100} is none of {sorted(classes)}.")
    section.take("libraries", dict)
    data = section.take("data", str, type(None))
    estimator = make(classes[name], section.take("parameters", dict))
    if not section.is_null("fitted"):
        with np.errstate(over="ignore"):  # a slope may be beyond float32; overflows of sums are refused later
            _restore_fitted(estimator, section.section("fitted"), arrays)
    section.close()
    arrays.close()
    return estimator, data


@cache
def versions() -> dict[str, str]:
    """Return the versions that a file records; looking for them is slow, so it is done once."""
    found = {name: importlib.metadata.version(name) for name in ("numpy", "scipy", "numba", "scikit-learn")}
    return {"truesparse": __version__, "python": platform.python_version()} | found


def make(cls: Any, parameters: dict[str, Any], not_stored: tuple[str, ...] = _NOT_STORED) -> BaseEstimator:
    """Return an estimator with the parameters of a file, as JSON; others have their defaults."""
    unknown = parameters.keys() - (cls().get_params(deep=False).keys() - set(not_stored))
    if unknown:
        raise ModelFormatError(f"{cls.__name__} has no parameters {sorted(unknown)!r:.200} that a file could hold.")
    values = {name: decode(content, name, may_miss=name not in _NEEDED) for name, content in parameters.items()}
    for name, value in values.items():
        named = [constraint for constraint in cls._parameter_constraints[name] if isinstance(constraint, Named)]
        if isinstance(value, str) and not all(constraint.is_satisfied_by(value) for constraint in named):
            values[name] = Missing(value, content=value)
    estimator = cls(**values)
    if any(callable(value) and not _may_hold(name, value) for name, value in values.items() if name in _CODE):
        raise ModelFormatError(f"{' and '.join(_CODE)} cannot be code in a file.")
    try:
        estimator._validate_params()
    except (TypeError, ValueError) as error:
        raise ModelFormatError(f"A parameter is not allowed: {error}") from error
    return estimator


def _may_hold(name, value):
    """Return whether a parameter that is code may be this object of a registered class."""
    return (name_in_files(type(value)) or "").partition(".")[0] == name


def _restore_fitted(estimator, section, arrays):
    seed = section.count("seed", most=2**31 - 1)
    shape = {
        name: decode(content, name, may_miss=name == "topology_init")
        for name, content in section.take("shape", dict).items()
    }
    if shape.keys() != set(estimator._shaped_by):
        raise ModelFormatError(f"shape must hold {estimator._shaped_by}, got {sorted(shape)!r:.200}.")
    network = restore_network(section.section("network"), arrays, *_activation_and_dtype(shape))
    if network.shares_weights:
        made = [list(network.architecture.image_shape), network.architecture.depth, network.architecture.width]
        if [shape["image_shape"], shape["depth"], shape["width"]] != made:
            raise ModelFormatError("The network is not of the image_shape, depth and width that shape holds.")
    estimator._restore_learnt(section.section("learnt"), arrays)
    n_features, *_, n_outputs = network.layer_sizes
    if estimator._n_outputs() != n_outputs:
        raise ModelFormatError(f"The network has {n_outputs} outputs, but {estimator._n_outputs()} are needed.")
    estimator.n_features_in_ = n_features
    if arrays.has("feature_names"):
        estimator.feature_names_in_ = arrays.take("feature_names", "U", (n_features,)).astype(object)
    state = restore_run(section.section("run"), arrays, network)
    section.close()
    estimator._run = Run(network, state, seed, shape)


def _activation_and_dtype(shape):
    activation, dtype = shape.get("activation"), shape["dtype"]
    if "activation" in shape:
        try:
            activation = resolve("activation", activation)
        except ValueError as error:
            raise ModelFormatError(f"The network needs an activation that this program has not: {error}") from error
        if not isinstance(activation, Activation):
            raise ModelFormatError(f"activation={shape['activation']!r:.100} is no activation.")
    if dtype not in ("float32", "float64"):
        raise ModelFormatError(f"dtype={dtype!r:.100} must be 'float32' or 'float64'.")
    return activation, np.dtype(dtype)
