"""Picture of loss and score over the epochs of a training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier

from truesparse.inspection import display
from truesparse.inspection.display import BLUE, VERMILION, Display


@dataclass(eq=False, kw_only=True)
class LearningCurveDisplay(Display):
    """Loss, validation loss and validation score over the epochs of one training.

    `sklearn.model_selection` has a class of the same name for another curve: scores of several fits over the number of
    training samples. Import this one from `truesparse.inspection`.

    Parameters
    ----------
    epochs, train_loss : (n_epochs,)
        Losses are means over the samples.
    validation_loss, validation_score : (n_epochs,)
        NaN without validation data.
    score_name : str, default="score"

    Attributes
    ----------
    score_ax_ : matplotlib.axes.Axes or None
        Of the score, with a y axis on the right; None without a score.
    lines_ : list of matplotlib.lines.Line2D
        Training loss, and where there are any, validation loss and score.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from truesparse import SparseMLPClassifier
    >>> from truesparse.inspection import LearningCurveDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SparseMLPClassifier((20,), epsilon=5, max_iter=6, early_stopping=True, random_state=0).fit(X, y)
    >>> LearningCurveDisplay.from_estimator(model).score_ax_.get_ylabel()
    'validation accuracy'
    """

    epochs: NDArray
    train_loss: NDArray
    validation_loss: NDArray
    validation_score: NDArray
    score_name: str = "score"

    def __post_init__(self):
        names = ("epochs", "train_loss", "validation_loss", "validation_score")
        for name in names:
            setattr(self, name, np.array(getattr(self, name), dtype=float))
        shapes = {name: getattr(self, name).shape for name in names}
        if len(set(shapes.values())) > 1 or self.epochs.ndim != 1 or not self.epochs.size:
            raise ValueError(f"There must be as many numbers of each kind, and at least one, got the shapes {shapes}.")

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, **kwargs) -> Self:
        """Draw the training of a fitted estimator; the other arguments are those of `plot`."""
        history = display.history_of(estimator)
        score_name = "accuracy" if is_classifier(estimator) else "R²"
        if estimator.scoring is not None:
            score_name = estimator.scoring if isinstance(estimator.scoring, str) else "score"
            score_name = "minus loss" if score_name == "loss" else score_name.replace("_", " ")
        return cls.from_history(history, score_name=score_name, ax=ax, **kwargs)

    @classmethod
    def from_history(cls, history: Mapping[str, list], *, score_name: str = "score", ax=None, **kwargs) -> Self:
        """Draw a history, such as ``history_`` of an estimator or ``Trainer.state.history.as_dict()``."""
        columns = {name: np.array(history[name]) for name in ("train_loss", "validation_loss", "validation_score")}
        return cls(epochs=np.array(history["epoch"]), **columns, score_name=score_name).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs) -> Self:
        """Draw the curves, with options of `matplotlib.axes.Axes.plot` for all of them."""
        self._use_axes(ax)
        self.score_ax_ = None
        options = {"marker": "." if self.epochs.size <= 20 else ""} | kwargs
        look = {"color": BLUE, "label": "training loss"}
        self.lines_ = self.ax_.plot(self.epochs, self.train_loss, **(look | options))
        if not np.isnan(self.validation_loss).all():
            look = {"color": BLUE, "linestyle": "--", "label": "validation loss"}
            self.lines_ += self.ax_.plot(self.epochs, self.validation_loss, **(look | options))
        self.ax_.set(xlabel="epoch", ylabel="loss")
        display.whole_numbers(self.ax_.xaxis)
        if not np.isnan(self.validation_score).all():
            label = f"validation {self.score_name}"
            self.score_ax_ = display.axis_on_the_right(self.ax_, label, VERMILION)
            look = {"color": VERMILION, "label": label}
            self.lines_ += self.score_ax_.plot(self.epochs, self.validation_score, **(look | options))
        display.legend_above(self.ax_, self.lines_)
        return self
