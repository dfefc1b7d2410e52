"""Saving and loading models: files that can be kept for years, and read without trusting who made them.

A file holds JSON and plain arrays (`truesparse.storage` has the layout), never code: `load` looks classes up in
a table of its own, imports nothing by name, checks every size before it reads and every connection before a kernel sees
it. ``numpy.load`` reads the arrays too.
"""

import os
import warnings
from typing import BinaryIO

from truesparse.estimators.base import BaseSparseMLP
from truesparse.estimators.classifier import SparseMLPClassifier
from truesparse.estimators.regressor import SparseMLPRegressor
from truesparse.estimators.storing import restore, store
from truesparse.storage import ModelFormatError, naming, read_archive, write_archive

__all__ = ["ModelFormatError", "load", "save"]

_CLASSES = {cls.__name__: cls for cls in (SparseMLPClassifier, SparseMLPRegressor)}


def save(model: BaseSparseMLP, file: str | os.PathLike | BinaryIO, *, training: bool = True) -> None:
    """Store a model, fitted or not, in a file.

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
        If a parameter is code, such as a `batch_transform` or a rule of your own, or the model is of a class of your
        own. `callbacks` are left out.
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
        If the file is damaged, is no model, or is of a newer major version. Nothing in it is executed, and the memory
        that is used is bounded by its size.
    OSError
        If the file cannot be opened or read.

    Warns
    -----
    UserWarning
        If the file is a checkpoint of a fit with parameters that could only be named; they have their defaults then.
    """
    with naming(file):
        model, omitted, _ = restore(*read_archive(file), _CLASSES)
    if omitted:
        warnings.warn(
            f"The checkpoint could only name what {', '.join(omitted)} were, so they have their defaults.",
            UserWarning,
            stacklevel=2,
        )
    return model
