"""Saving and loading models: files that can be kept for years, and read without trusting who made them.

A file holds JSON and plain arrays (`truesparse.storage` has the layout), never code: `load` looks classes up among the
registered plug-ins (`truesparse.runtime.plugins`), imports nothing by name, checks every size before it reads and every
connection before a kernel sees it. ``numpy.load`` reads the arrays too.
"""

import os
import warnings
from typing import BinaryIO

from truesparse.estimators.base import BaseSparseMLP
from truesparse.estimators.classifier import SparseMLPClassifier
from truesparse.estimators.regressor import SparseMLPRegressor
from truesparse.estimators.storing import restore, store
from truesparse.storage import ModelFormatError, missing_in, naming, read_archive, write_archive

__all__ = ["ModelFormatError", "load", "save"]

_CLASSES = {cls.__name__: cls for cls in (SparseMLPClassifier, SparseMLPRegressor)}


def save(model: BaseSparseMLP, file: str | os.PathLike | BinaryIO, *, training: bool = True) -> None:
    """Store a model, fitted or not, in a file.

    Code is only named: a `batch_transform`, a scorer, a rule of your own. The loaded model predicts without them, but
    it needs its activation and its loss. `callbacks` are left out.

    Parameters
    ----------
    model : SparseMLPClassifier or SparseMLPRegressor
    file : path or binary file object
        At a path, whatever fails, there is afterwards the file that was there or the new one, whole.
    training : bool, default=True
        Whether to store the moments of the solver, so that ``partial_fit`` and ``warm_start=True`` go on as if the
        model had never left memory; they take up to two thirds of the file. Without them, training goes on with fresh
        ones, and predictions are the same.

    Raises
    ------
    ModelFormatError
        If the model is of a class of your own, or its classes are neither numbers nor text.
    ValueError
        If a parameter has a value that `fit` refuses.
    OSError
        If the file cannot be written.

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
    if _CLASSES.get(type(model).__name__) is not type(model):
        raise ModelFormatError(f"model={model!r:.200} is of {type(model)}; one of {sorted(_CLASSES)} is allowed.")
    model._validate_params()
    write_archive(file, *store(model, training=training))


def load(file: str | os.PathLike | BinaryIO) -> BaseSparseMLP:
    """The model in a file that `save` or a `truesparse.callbacks.Checkpoint` wrote.

    Parameters
    ----------
    file : path or binary file object

    Returns
    -------
    SparseMLPClassifier or SparseMLPRegressor

    Raises
    ------
    ModelFormatError
        If the file is damaged, is no model, or is of a newer major version, or if the network has an activation or a
        loss of your own that is not registered by `truesparse.plugin` before. Nothing in the file is executed, and the
        memory that is used is bounded by its size.
    OSError
        If the file cannot be opened or read.

    Warns
    -----
    UserWarning
        If parameters are missing because the file could only name them, or names a plug-in that is not registered. The
        model predicts and can be saved again; before more training, set them by ``set_params``.
    """
    with naming(file):
        model, _ = restore(*read_archive(file), _CLASSES)
    missing = {name: ", ".join(missing_in(value)) for name, value in model.get_params(deep=False).items()}
    missing = [f"{name} ({needed:.300})" for name, needed in missing.items() if needed]
    if missing:
        warnings.warn(
            f"The file could only name {', '.join(missing)}: the model predicts, and needs that for more training.",
            UserWarning,
            stacklevel=2,
        )
    return model
