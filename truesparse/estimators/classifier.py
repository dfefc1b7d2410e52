"""A sparse multilayer perceptron for classes and for labels."""

from typing import ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d

from truesparse.estimators.base import BaseSparseMLP
from truesparse.estimators.parameters import ATTRIBUTES_DOC, PARAMETERS_DOC, extends
from truesparse.network.losses import BinaryCrossEntropy, SoftmaxCrossEntropy, values_and_weights
from truesparse.runtime.checks import check_number, refuse_masked
from truesparse.storage import ModelFormatError
from truesparse.storage.head import Head


class SparseMLPClassifier(ClassifierMixin, BaseSparseMLP):  # noqa: D101
    __doc__ = f"""A classifier whose network is sparse from the first to the last step of its training.

    Two or more classes are predicted by softmax; a binary indicator matrix as `y` makes it predict any number of
    labels. The defaults are those of the recipe that did best over five data sets.

    {PARAMETERS_DOC}class_weight : dict or "balanced", default=None
        What the weights of training samples are multiplied by, for each class; 1 for classes that a dict leaves out.
        ``"balanced"`` gives all classes that occur the same sum of weights. Neither the validation's loss nor its score
        takes part in it: choose `scoring`, such as ``"balanced_accuracy"``. Not for labels.

    Attributes
    ----------
    classes_ : (n_classes,)
        The classes in order; for labels, their column numbers.
    {ATTRIBUTES_DOC}
    References
    ----------
    Z. Atashgahi, J. Pieterse, S. Liu, D. C. Mocanu, R. Veldhuis, M. Pechenizkiy, "A brain-inspired algorithm for
    training highly sparse neural networks", Machine Learning 111, 2022.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from truesparse import SparseMLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
    >>> classifier = SparseMLPClassifier((200, 200), epsilon=5, max_iter=30, random_state=0).fit(X_train, y_train)
    >>> classifier.score(X_test, y_test) > 0.9
    True
    >>> f"{{classifier.density_:.3f}}"
    '0.080'
    """

    _y_numeric = False
    _default_dropout = 0.1
    _fewest_to_score = 1

    _parameter_constraints: ClassVar[dict] = {
        **BaseSparseMLP._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    @extends(BaseSparseMLP.__init__)
    def __init__(self, *args, class_weight=None, **others):
        super().__init__(*args, **others)
        self.class_weight = class_weight

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one epoch over the given samples.

        The topology, the solver's moments and the schedules, which plan for `max_iter` calls, go on from call to call.
        Rules of evolution that look at activations or errors see the samples of the call.

        Parameters
        ----------
        X : array or SciPy sparse matrix, (n_samples, n_features)
        y : (n_samples,) class labels, or (n_samples, n_labels) of 0 and 1
        classes : (n_classes,)
            All labels that will ever occur; needed in the first call.
        sample_weight : (n_samples,), default=None
            What each sample's loss is multiplied by. A sample of weight 0 is left out.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As for `fit`; also if `classes` is missing in the first call, if `y` holds a label that is not among them,
            or for ``class_weight="balanced"``, since no call knows how often the classes occur in the others.
        """
        if classes is None and not self.__sklearn_is_fitted__():
            raise ValueError("classes=None: the first call of partial_fit needs all labels that will ever occur.")
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all samples, and partial_fit sees a part; a dict is allowed, such as "
                "sklearn.utils.class_weight.compute_class_weight makes."
            )
        return self._train(X, y, sample_weight, go_on=True, n_epochs=1, classes=classes)

    def predict(self, X):
        """The most probable class, or the labels more probable than not.

        Parameters
        ----------
        X : array or SciPy sparse matrix, (n_samples, n_features)

        Returns
        -------
        (n_samples,) or (n_samples, n_labels)
        """
        check_is_fitted(self)
        if self._multilabel:
            return self._forward(X, lambda z: z > 0).T.astype(np.int64)
        return self.classes_[self._forward(X, lambda z: z.argmax(axis=0))]

    def predict_proba(self, X):
        """Probabilities of the classes, which add up to 1, or of each label.

        Parameters
        ----------
        X : array or SciPy sparse matrix, (n_samples, n_features)

        Returns
        -------
        (n_samples, n_classes)
        """
        check_is_fitted(self)
        return np.ascontiguousarray(self._forward(X, self._make_loss().predictions).T)

    def predict_log_proba(self, X):
        """Logarithms of `predict_proba`; −inf where a probability rounds to 0.

        Parameters
        ----------
        X : array or SciPy sparse matrix, (n_samples, n_features)

        Returns
        -------
        (n_samples, n_classes)
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _encode(self, y, weights, classes, *, first):
        check_classification_targets(y)
        multilabel = type_of_target(y, input_name="y") == "multilabel-indicator"
        y = y if multilabel else column_or_1d(y, warn=True)
        found = np.arange(y.shape[1]) if multilabel else np.unique(y)
        classes = None if classes is None else _distinct(classes)
        if first:
            self._multilabel = multilabel
            self.classes_ = found if classes is None else classes
            if self.classes_.size < 2 and not multilabel:
                name = "y" if classes is None else "classes"
                raise ValueError(f"{name} must hold at least two classes, got only one class: {_shown(self.classes_)}.")
        elif multilabel != self._multilabel:
            raise ValueError(
                "y changed between classes (a vector) and labels (a matrix of 0 and 1) since the first fit."
            )
        elif classes is not None and not np.array_equal(classes, self.classes_):
            raise ValueError(f"classes={_shown(classes)} differ from those of the first call, {_shown(self.classes_)}.")
        if multilabel and found.size != self.classes_.size:
            raise ValueError(f"y has {found.size} labels, but the network was made for {self.classes_.size}.")
        if multilabel and not np.isin(y, (0, 1)).all():
            raise ValueError(f"y must hold 0 and 1 only when it holds labels, got {_shown(np.unique(y))}.")
        unseen = np.setdiff1d(found, self.classes_, assume_unique=True)
        if unseen.size:
            raise ValueError(f"y holds the classes {_shown(unseen)}, which are not among {_shown(self.classes_)}.")
        return y.astype(self.dtype) if multilabel else np.searchsorted(self.classes_, y)

    def _make_loss(self):
        return BinaryCrossEntropy() if self._multilabel else SoftmaxCrossEntropy()

    def _head(self):
        return Head(self._make_loss().out_activation, classes=self._store_learnt()[1]["classes"])

    def _n_outputs(self):
        return self.classes_.size

    def _stratify(self, target):
        return None if self._multilabel else self.classes_[target]

    def _store_learnt(self):
        classes, of_text = self.classes_, self.classes_.dtype == object
        if of_text and not all(isinstance(label, str) for label in classes):
            raise ModelFormatError(f"classes_={classes!r:.200} cannot be stored; numbers and text are allowed.")
        metadata = {"multilabel": self._multilabel, "classes_are_objects": bool(of_text)}
        return metadata, {"classes": classes.astype(str) if of_text else classes}

    def _restore_learnt(self, section, arrays):
        self._multilabel = section.take("multilabel", bool)
        of_text = section.take("classes_are_objects", bool)
        classes = arrays.take("classes", "U" if of_text else "biufU", (None,))
        if classes.size < 1 or not (classes[1:] > classes[:-1]).all():
            raise ModelFormatError("The array 'classes' must hold classes in order, each once.")
        if classes.dtype.kind == "f" and not (classes.dtype.itemsize <= 8 and np.isfinite(classes).all()):
            raise ModelFormatError("The array 'classes' must hold finite numbers of at most 64 bits.")
        if self._multilabel and not np.array_equal(classes, np.arange(classes.size)):
            raise ModelFormatError("The array 'classes' must number the labels.")
        self.classes_ = classes.astype(object) if of_text else classes
        section.close()

    def _score_predictions(self, predictions, target):
        values, weights = values_and_weights(target)
        if self._multilabel:
            right = np.all((predictions.T > 0.5) == values, axis=1)
        else:
            right = predictions.argmax(axis=0) == values
        return np.average(right, weights=weights)

    def _class_weights(self, samples):
        if self.class_weight is None:
            return None
        if self._multilabel:
            raise ValueError(
                f"class_weight={self.class_weight!r} needs classes, but y holds labels; only None is allowed."
            )
        if isinstance(self.class_weight, dict):
            for label, weight in self.class_weight.items():
                check_number(f"class_weight[{label!r}]", weight, 0)
            labels = set(self.classes_.tolist())
            unknown = self.class_weight.keys() - labels
            if unknown and labels - self.class_weight.keys():  # as scikit-learn: else a class is just absent from y
                raise ValueError(f"class_weight has {sorted(map(repr, unknown))}, but y has {_shown(self.classes_)}.")
            of_classes = np.array([self.class_weight.get(label, 1.0) for label in self.classes_.tolist()])
        else:
            counts = np.bincount(samples.values, samples.weights, minlength=self.classes_.size)
            present = counts > 0
            of_classes = counts.sum() / (present.sum() * np.where(present, counts, 1))
        weights = of_classes[samples.values]
        if not weights.any():
            raise ValueError(f"class_weight={self.class_weight!r} gives every sample in y the weight 0.")
        return weights

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _distinct(classes):
    """The labels that `classes` holds, in order, (n_classes,)."""
    refuse_masked("classes", classes)
    try:
        labels = np.asarray(classes)
        if labels.ndim == 1 and not (labels.dtype.kind == "f" and not np.isfinite(labels).all()):
            return np.unique(labels)
    except (TypeError, ValueError):  # what cannot be compared, rows of different lengths
        pass
    raise ValueError(f"classes={classes!r} must be a vector of labels that can be put in order, without NaN.")


def _shown(labels):
    """Labels for a message, only the first ones of many."""
    shown = labels[:20].tolist()
    return f"{shown}" if labels.size <= 20 else f"{shown} and {labels.size - 20} others"
