"""What all classifiers share: classes, several labels, probabilities."""

from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from scipy.special import log_expit, log_softmax
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d

from truesparse.estimators.base import BaseSparseNetwork
from truesparse.estimators.labels import class_weights, distinct, restored, shown, stored
from truesparse.estimators.parameters import Choice
from truesparse.network.losses import BinaryCrossEntropy, SoftmaxCrossEntropy, values_and_weights
from truesparse.storage import ModelFormatError
from truesparse.storage.head import Head
from truesparse.training.state import Start


class BaseClassifier(ClassifierMixin, BaseSparseNetwork):
    """Base of the classifiers: encoding of classes and labels, and predictions of them."""

    class_weight: Any
    label_smoothing: Any
    _y_numeric = False
    _fewest_to_score = 1
    _parameter_constraints: ClassVar[dict] = {
        **BaseSparseNetwork._parameter_constraints,
        "class_weight": [dict, Choice("balanced"), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left"), None],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one epoch over the given samples, and return the estimator.

        Topology, moments and schedules, which are planned for `max_iter` calls, go on from call to call. Rules of
        evolution look at the samples of the call. A ValueError is raised as by `fit`.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`, but weights are factors of each sample's loss.
        classes : (n_classes,)
            All labels that will ever occur; needed in the first call. ``class_weight="balanced"`` is refused, because
            the counts of the classes are not known.
        """
        if classes is None and not self.__sklearn_is_fitted__():
            raise ValueError("classes=None: the first call of partial_fit needs all labels that will ever occur.")
        self._check_in_parts()
        return self._train(X, y, sample_weight, start=Start.PART, classes=classes)

    def predict(self, X):
        """Return the most probable class, (n_samples,), or the labels more probable than not, (n_samples, n_labels)."""
        check_is_fitted(self)
        if self._multilabel:
            return self._forward(X, lambda z: z > 0).T.astype(np.int64)
        return self.classes_[self._forward(X, lambda z: z.argmax(axis=0))]

    def predict_proba(self, X):
        """Return probabilities of the classes, which add up to 1, or of each label: (n_samples, n_classes)."""
        check_is_fitted(self)
        return np.ascontiguousarray(self._forward(X, self._outputs).T)

    def predict_log_proba(self, X):
        """Return logarithms of `predict_proba` in float64, accurate also where a probability rounds to 0 or 1."""
        check_is_fitted(self)
        logarithm = log_expit if self._multilabel else lambda z: log_softmax(z, axis=0)
        return np.ascontiguousarray(self._forward(X, lambda z: logarithm(z.astype(np.float64))).T)

    def decision_function(self, X):
        """Return the last layer's sums z, of which `predict_proba` is the softmax, or for labels the logistic function.

        Of two classes, (n_samples,) has their difference, the log-odds of the second one. More classes have
        (n_samples, n_classes), labels (n_samples, n_labels).
        """
        check_is_fitted(self)
        z = self._forward(X, lambda z: z)
        return z[1] - z[0] if len(z) == 2 and not self._multilabel else np.ascontiguousarray(z.T)

    def _check_in_parts(self):
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all samples, and partial_fit sees a part; a dict is allowed, such as "
                "sklearn.utils.class_weight.compute_class_weight makes."
            )

    def _encode(self, y, weights, classes, *, first):
        check_classification_targets(y)
        multilabel = type_of_target(y, input_name="y") == "multilabel-indicator"
        y = y if multilabel else column_or_1d(y, warn=True)
        found = np.arange(y.shape[1]) if multilabel else np.unique(y)
        classes = None if classes is None else distinct(classes)
        if first:
            self._multilabel = multilabel
            self.classes_ = found if classes is None else classes
            if self.classes_.size < 2 and not multilabel:
                name = "y" if classes is None else "classes"
                raise ValueError(f"{name} must hold at least two classes, got only one class: {shown(self.classes_)}.")
        elif multilabel != self._multilabel:
            raise ValueError(
                "y changed between classes (a vector) and labels (a matrix of 0 and 1) since the first fit."
            )
        elif classes is not None and not np.array_equal(classes, self.classes_):
            raise ValueError(f"classes={shown(classes)} differ from those of the first call, {shown(self.classes_)}.")
        if multilabel and found.size != self.classes_.size:
            raise ValueError(f"y has {found.size} labels, but the network was made for {self.classes_.size}.")
        if multilabel and not np.isin(y, (0, 1)).all():
            raise ValueError(f"y must hold 0 and 1 only when it holds labels, got {shown(np.unique(y))}.")
        unseen = np.setdiff1d(found, self.classes_, assume_unique=True)
        if unseen.size:
            raise ValueError(f"y holds the classes {shown(unseen)}, which are not among {shown(self.classes_)}.")
        return y.astype(self.dtype) if multilabel else np.searchsorted(self.classes_, y)

    def _make_loss(self):
        kind = BinaryCrossEntropy if self._multilabel else SoftmaxCrossEntropy
        return kind(0.0 if self.label_smoothing is None else float(self.label_smoothing))

    def _smoothed(self, loss):
        is_none = self.label_smoothing is None and not self._multilabel
        return replace(loss, smoothing=0.1) if is_none else loss

    def _outputs(self, z):
        return self._make_loss().predictions(z)

    def _head(self):
        return Head(self._make_loss().out_activation, classes=self._store_learnt()[1]["classes"])

    def _n_outputs(self):
        return self.classes_.size

    def _stratify(self, target):
        return None if self._multilabel else self.classes_[target]

    def _store_learnt(self):
        of_text, classes = stored(self.classes_)
        return {"multilabel": self._multilabel, "classes_are_objects": of_text}, {"classes": classes}

    def _restore_learnt(self, section, arrays):
        self._multilabel = section.take("multilabel", bool)
        self.classes_ = restored(arrays, of_text=section.take("classes_are_objects", bool))
        if self._multilabel and not np.array_equal(self.classes_, np.arange(self.classes_.size)):
            raise ModelFormatError("The array 'classes' must number the labels.")
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
        return class_weights(self.class_weight, self.classes_, samples)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
