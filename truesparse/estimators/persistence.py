"""Saving and loading models, in files that can be read without trusting who made them.

A file holds JSON and plain arrays (see `truesparse.storage`), never code. `load` looks classes up among the registered
plug-ins, imports nothing by name, and checks sizes and connections before it uses them.
"""

import os
from typing import BinaryIO

from truesparse.estimators.base import BaseSparseNetwork
from truesparse.estimators.classifier import SparseMLPClassifier
from truesparse.estimators.ensemble import BaseSparseMLPEnsemble
from truesparse.estimators.ensemble_classifier import SparseMLPEnsembleClassifier
from truesparse.estimators.ensemble_regressor import SparseMLPEnsembleRegressor
from truesparse.estimators.ensemble_storing import restore_ensemble, store_ensemble
from truesparse.estimators.regressor import SparseMLPRegressor
from truesparse.estimators.resnet_classifier import SparseResNetClassifier
from truesparse.estimators.storing import restore, store
from truesparse.runtime.warnings import warn
from truesparse.storage import ModelFormatError, missing_in, naming, read_archive, write_archive

__all__ = ["ModelFormatError", "load", "save"]

_CLASSES = {cls.__name__: cls for cls in (SparseMLPClassifier, SparseMLPRegressor, SparseResNetClassifier)}
_ENSEMBLES = {cls.__name__: cls for cls in (SparseMLPEnsembleClassifier, SparseMLPEnsembleRegressor)}

Model = BaseSparseNetwork | BaseSparseMLPEnsemble


def save(model: Model, file: str | os.PathLike | BinaryIO, *, training: bool = True) -> None:
    """Store a model, fitted or not, in a file.

    Code of your own (a `batch_transform`, a scorer, a rule) is only named. The loaded model predicts without it, but
    needs its activation and loss. `callbacks` are left out. A ModelFormatError is raised if the model is of a class of
    your own, or its classes are neither numbers nor text; a ValueError if `fit` would refuse a parameter.

    Parameters
    ----------
    model : SparseMLPClassifier, SparseMLPRegressor, SparseResNetClassifier or an ensemble
    file : path or binary file object
        A path afterwards holds the old file or the new one, whatever fails.
    training : bool, default=True
        Whether to store the optimiser's moments, up to two thirds of the file. Without them, ``partial_fit`` and
        ``warm_start=True`` start from fresh ones; with them, they go on as if the model had never left memory.

    Examples
    --------
    >>> import io
    >>> import truesparse
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = truesparse.SparseMLPClassifier((20,), epsilon=5, max_iter=5, random_state=0).fit(X, y)
    >>> file = io.BytesIO()  # or a path
    >>> truesparse.save(model, file)
    >>> bool((truesparse.load(file).predict_proba(X) == model.predict_proba(X)).all())
    True
    """
    allowed = _CLASSES | _ENSEMBLES
    members = [*getattr(model, "estimators_", []), *filter(None, [getattr(model, "estimator", None)])]
    for part in (model, *members):
        if allowed.get(type(part).__name__) is not type(part):
            raise ModelFormatError(f"model={part!r:.200} is of {type(part)}; one of {sorted(allowed)} is allowed.")
        part._validate_params()
    write_model = store_ensemble if isinstance(model, BaseSparseMLPEnsemble) else store
    write_archive(file, *write_model(model, training=training))


def load(file: str | os.PathLike | BinaryIO) -> Model:
    """Return the estimator or ensemble that `save` or a `truesparse.callbacks.Checkpoint` wrote to a file.

    A ModelFormatError is raised if the file is damaged, no model, or of a newer major version, or if the network's
    activation or loss is a plug-in that is not registered. Nothing in the file is executed; its size bounds the memory
    that is used. A UserWarning names parameters that the file could only name, and those that are plug-ins which are
    not registered. The model predicts and can be saved again; before more training, set them by ``set_params``.
    """
    with naming(file):
        metadata, arrays = read_archive(file)
        model: Model
        if (ensemble := _ENSEMBLES.get(str(metadata.get("class")))) is not None:
            model = restore_ensemble(metadata, arrays, ensemble, _CLASSES)
        else:
            model, _ = restore(metadata, arrays, _CLASSES)
    needed = {name: ", ".join(missing_in(value)) for name, value in model.get_params().items()}
    missing = [f"{name} ({names:.300})" for name, names in needed.items() if names]
    if missing:
        warn(f"The file could only name {', '.join(missing)}: the model predicts, and needs that for more training.")
    return model
