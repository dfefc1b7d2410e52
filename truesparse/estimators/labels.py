"""Class labels: checked, weighted, shown in messages and stored in files."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from truesparse._typing import FloatArray
from truesparse.estimators.samples import Samples
from truesparse.runtime.checks import check_number, refuse_masked
from truesparse.storage import Arrays, ModelFormatError, text_array

_KINDS = "biufU"  # booleans, integers, floats, text: the labels that files hold


def distinct(classes: Any) -> np.ndarray:
    """Return the labels that `classes` holds, in order, (n_classes,); ValueError if it is no vector of such labels."""
    refuse_masked("classes", classes)
    try:
        labels = np.asarray(classes)
        if labels.ndim == 1 and not (labels.dtype.kind == "f" and not np.isfinite(labels).all()):
            return np.unique(labels)
    except (TypeError, ValueError):  # labels that cannot be compared, or rows of different lengths
        pass
    raise ValueError(f"classes={classes!r} must be a vector of labels that can be put in order, without NaN.")


def shown(labels: np.ndarray) -> str:
    """Return labels for a message, only the first ones of many."""
    first = labels[:20].tolist()
    return f"{first}" if labels.size <= 20 else f"{first} and {labels.size - 20} others"


def class_weights(class_weight: Mapping[Any, float] | str, classes: np.ndarray, samples: Samples) -> FloatArray:
    """Return the weight that each sample has by its class, (n_samples,); the samples' values are class numbers."""
    if isinstance(class_weight, Mapping):
        for label, weight in class_weight.items():
            check_number(f"class_weight[{label!r}]", weight, 0)
        labels = set(classes.tolist())
        unknown = class_weight.keys() - labels
        if unknown and labels - class_weight.keys():  # as in scikit-learn; otherwise a class is just absent from y
            raise ValueError(f"class_weight has {sorted(unknown, key=repr)}, but y has {shown(classes)}.")
        of_classes = np.array([class_weight.get(label, 1.0) for label in classes.tolist()], dtype=np.float64)
    else:
        counts = np.bincount(samples.values, samples.weights, minlength=classes.size)
        present = counts > 0
        of_classes = counts.sum() / (present.sum() * np.where(present, counts, 1))
    weights = of_classes[samples.values]
    if not (weights if samples.weights is None else weights * samples.weights).any():
        raise ValueError(f"class_weight={class_weight!r} gives every sample in y the weight 0.")
    return weights


def stored(classes: np.ndarray) -> tuple[bool, np.ndarray]:
    """Return whether the labels are text objects, and the array for a file; ModelFormatError for other objects."""
    of_text, kind = classes.dtype == object, classes.dtype.kind
    if of_text and all(isinstance(label, str) for label in classes):
        kind = "U"
    if kind not in _KINDS or (kind != "U" and classes.dtype.itemsize > 8):
        raise ModelFormatError(
            f"classes_={classes!r:.200} cannot be stored; numbers of at most 64 bits and text are allowed."
        )
    return bool(of_text), text_array("classes_", classes.tolist()) if kind == "U" else classes


def restored(arrays: Arrays, *, of_text: bool) -> np.ndarray:
    """Return the labels in a file; ModelFormatError if they are not distinct, in order, and finite numbers or text."""
    classes = arrays.take("classes", "U" if of_text else _KINDS, (None,))
    if classes.size < 1 or not (classes[1:] > classes[:-1]).all():
        raise ModelFormatError("The array 'classes' must hold classes in order, each once.")
    if classes.dtype.kind == "f" and not (classes.dtype.itemsize <= 8 and np.isfinite(classes).all()):
        raise ModelFormatError("The array 'classes' must hold finite numbers of at most 64 bits.")
    return classes.astype(object) if of_text else classes
