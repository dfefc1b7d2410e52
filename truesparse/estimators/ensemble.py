"""Ensembles: members of several methods, each trained without one fold, and the mean of their predictions.

For each method and fold there is a member, an ordinary estimator. It leaves the fold out, stops early by it and
predicts it, so that the members of a method predict every sample once. `ensemble_weights` weighs the methods by these
predictions, `ensemble_folds` makes the folds, and `ensemble_members` trains members side by side.
"""

import copy
import hashlib
import math
import os
from abc import abstractmethod
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import _fit_context, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from truesparse.callbacks.progress import members_display
from truesparse.estimators.base import BaseSparseNetwork, unchanged_on_error
from truesparse.estimators.checkpoints import FREE_TO_CHANGE
from truesparse.estimators.display import ENSEMBLE_HEADER, as_html, as_text, standing_rows
from truesparse.estimators.ensemble_folds import checked_groups, fold_numbers
from truesparse.estimators.ensemble_members import (
    CheckpointFolder,
    Data,
    Task,
    continue_member,
    side_by_side,
    train_member,
)
from truesparse.estimators.ensemble_weights import HeldOut, Standing, greedy
from truesparse.estimators.inputs import InputChecks
from truesparse.estimators.parameters import Choice, HelpfulParameters, Named, explained
from truesparse.estimators.recipes import make_recipe
from truesparse.estimators.samples import check_enough, check_together, fingerprint
from truesparse.estimators.storing import store
from truesparse.evolution import Evolution
from truesparse.evolution.presets import FIRST_TOPOLOGIES, preset
from truesparse.runtime.plugins import names
from truesparse.storage import encode, numpy_export, prepared, refuse_missing

if TYPE_CHECKING:
    import torch


class BaseSparseMLPEnsemble(InputChecks, HelpfulParameters):
    """Base of the ensembles of classifiers and of regressors; ``_lead`` is a member that knows classes or outputs."""

    estimators_: list[Any]
    weights_: np.ndarray
    oof_score_: float
    oof_loss_: float
    oof_predictions_: np.ndarray
    _lead: Any
    _standings: list[Standing]

    _parameter_constraints: ClassVar[dict] = {
        "evolution": [list, tuple],
        "n_folds": [Interval(Integral, 1, None, closed="left")],
        "combine": [Choice("greedy", "mean")],
        "n_jobs": BaseSparseNetwork._parameter_constraints["n_jobs"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "callbacks": [list, tuple, None],
    }

    @explained
    def __init__(
        self,
        estimator=None,
        *,
        evolution=("cte", "omp", "set"),
        n_folds=5,
        combine="greedy",
        n_jobs=None,
        random_state=None,
        verbose=0,
        callbacks=None,
    ):
        self.estimator = estimator
        self.evolution = evolution
        self.n_folds = n_folds
        self.combine = combine
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks

    @abstractmethod
    def _default_estimator(self):
        """Return the estimator that None stands for."""

    @abstractmethod
    def _classes(self):
        """Return the classes, (n_classes,), which all members must know; None for labels and for regression."""

    @abstractmethod
    def _units(self):
        """Return scale and shift of predictions in units of the targets, both (n_outputs,) or (1,)."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X, y=None, sample_weight=None, *, groups=None, X_val=None, y_val=None, sample_weight_val=None,
        checkpoint=None,
    ):  # fmt: skip
        """Train the members, choose their weights, and return the ensemble.

        Parameters
        ----------
        X, y, sample_weight
            As for the members. A `truesparse.data.Source` is allowed; `truesparse.data.Chunks` cannot be read by
            several threads at a time, so choose a joblib backend of processes for more than one job, with
            ``threads_per_worker=1`` for Dask.
        groups : (n_samples,), default=None
            Samples of one group stay together in one fold. Give it where samples depend on each other, such as several
            of one patient.
        X_val, y_val, sample_weight_val : as `X`, `y` and `sample_weight`, default=None
            Validation data in place of the folds. All members are trained on all of `X`, `n_folds` of each method with
            other seeds. They stop early by the validation data, and the weights are chosen by their predictions for it.
        checkpoint : path, default=None
            A folder, made if there is none, in which each member is stored when it is done. If the fit is killed, the
            same call goes on with the members that are there, to the same bytes. The parameters and data must be
            those of the killed fit, or a ValueError says what differs; `n_jobs`, `verbose` and `callbacks` may change.

        Notes
        -----
        The ensemble is unchanged if an error is raised. Ctrl-C raises a KeyboardInterrupt at once.
        """
        check_together(X_val, y_val, sample_weight_val)
        with unchanged_on_error(self):
            self._lead = self._new_lead()
            samples = self._all_samples("", X, y, sample_weight, first=True)
            folds, aside, kept = None, None, samples.weighted
            n_rows, samples = samples.size, samples if kept is None else samples[kept]
            if X_val is not None:
                aside = self._samples("_val", X_val, y_val, sample_weight_val, first=False)
                check_enough(f"X_val holds {aside.size} samples", aside, self._fewest_to_score)  # for oof_score_
            seeds = self._draw_seeds()
            folder = None if checkpoint is None else CheckpointFolder(checkpoint)
            if folder is not None:
                seeds = folder.seeds(seeds)
            if self._n_folds > 1 and aside is None:
                folds = self._make_folds(samples, groups, n_rows, kept, int(seeds[0]))
            elif groups is not None:
                reason = "n_folds=1 makes none" if aside is None else "X_val takes their place"
                raise ValueError(f"groups are given for the folds, but {reason}.")
            tasks = self._tasks(seeds, stops=folds is not None or aside is not None)
            if folder is not None:
                self._use(folder, tasks, seeds, fingerprint([samples, aside]), folds)
            done = self._run(tasks, Data(samples, folds, aside, self._classes()))
            self.estimators_ = [member for member, _ in done]
            self._weigh([predicted for _, predicted in done], samples, folds, aside)
            if kept is not None and folds is not None:  # samples of weight 0 are not predicted
                whole = np.full((n_rows, *self.oof_predictions_.shape[1:]), np.nan, self.oof_predictions_.dtype)
                whole[kept] = self.oof_predictions_
                self.oof_predictions_ = whole
            self._lead = self.estimators_[0]
        return self

    def _part_fit(self, X, y, sample_weight, classes=None):
        """Train all members for one epoch over the given samples; make them if there are none."""
        with unchanged_on_error(self):
            self._validate_params()
            goes_on = self.__sklearn_is_fitted__()
            if not goes_on:
                self._lead = self._new_lead()
            self._lead._check_in_parts()
            if not goes_on:
                seeds = self._draw_seeds()[1:].tolist()
                self.estimators_ = [self._member(number, seed, stops=False) for number, seed in enumerate(seeds)]
                self._weigh([], None, None, None)
            samples = self._samples("", X, y, sample_weight, classes, first=not goes_on)
            data = Data(samples, classes=self._classes())
            self.estimators_ = list(side_by_side(continue_member, self.estimators_, data, self.n_jobs))
            self._lead = self.estimators_[0]
        return self

    def _new_lead(self):
        for value in self.evolution:
            refuse_missing("evolution", value)
            if isinstance(value, str) and value in FIRST_TOPOLOGIES:
                preset(value)  # raises an error that names the parameters of `estimator` to use
            if not (value is None or isinstance(value, Evolution) or Named("method").is_satisfied_by(value)):
                raise ValueError(
                    f"evolution={self.evolution!r} holds {value!r}; instances of Evolution, None, and these names are "
                    f"allowed: {', '.join(names('method'))}."
                )
        if len(self.evolution) == 0:
            raise ValueError(f"evolution={self.evolution!r} is empty; at least one method is needed.")
        lead = self._default_estimator() if self.estimator is None else clone(self.estimator)
        lead._validate_params()
        return lead

    def _member(self, number, seed, *, stops):
        """Return a new member; those of a method follow each other."""
        member = clone(self._lead).set_params(
            evolution=self.evolution[number // self._n_folds], random_state=seed, n_jobs=1
        )
        if stops:
            member.set_params(early_stopping=True)
        if self.callbacks:
            member.set_params(callbacks=[*(member.callbacks or ()), *copy.deepcopy(list(self.callbacks))])
        member._check_objects(goes_on=False)
        return member

    def _make_folds(self, samples, groups, n_rows, kept, seed):
        if groups is not None:
            groups = checked_groups(groups, n_rows)
            groups = groups if kept is None else groups[kept]
        classes = self._classes()
        return fold_numbers(
            samples.size,
            None if classes is None else classes[samples.values],
            groups,
            self._n_folds,
            seed,
            fewest=self._fewest_to_score,
        )

    def _tasks(self, seeds, *, stops):
        """Return the members to train, after all that can be checked before training."""
        tasks = []
        for number, seed in enumerate(seeds[1:].tolist()):
            member = self._member(number, seed, stops=stops)
            make_recipe(member.get_params(deep=False), self._lead._make_loss())  # raises what it cannot make
            tasks.append(Task(member, number % self._n_folds))
        return tasks

    def _use(self, folder, tasks, seeds, data, folds):
        """Let each task keep its member in the folder of checkpoints."""
        # They raise at once if it cannot be stored, not after hours of training.
        self._lead._store_learnt()
        prepared(*store(tasks[0].member))
        parameters = {f"estimator__{name}": value for name, value in self._lead.get_params(deep=False).items()}
        parameters |= self.get_params(deep=False)
        free = (*FREE_TO_CHANGE, "estimator")
        compared = [name for name in parameters if name.removeprefix("estimator__") not in free]
        digest = hashlib.sha256(data.encode() + (b"" if folds is None else folds.astype(np.int64).tobytes()))
        folder.begin({name: encode(parameters[name], name) for name in compared}, seeds, digest.hexdigest())
        tasks[:] = [Task(task.member, task.fold, folder.file(number), folder.data) for number, task in enumerate(tasks)]

    def _run(self, tasks, data):
        """Return the trained members and what each predicted, and show them as they come."""
        done = []
        method_names = self._method_names()
        with members_display(self.verbose, len(tasks)) as show:
            for number, (member, predicted) in enumerate(side_by_side(train_member, tasks, data, self.n_jobs)):
                history = member.history_
                losses = history["validation_loss" if member.early_stopping else "train_loss"]
                show(
                    f"{method_names[number // self._n_folds]}, {number % self._n_folds + 1} of {self._n_folds}  "
                    f"{member.n_iter_} epochs  least loss {min(losses):.4f}  {sum(history['seconds']):.2f} s"
                )
                done.append((member, predicted))
        return done

    def _weigh(self, predicted, samples, folds, aside):
        """Choose the weights by what the members predicted, and drop members without a weight."""
        for name in ("oof_score_", "oof_loss_", "oof_predictions_"):
            self.__dict__.pop(name, None)
        n_methods = len(self.evolution)
        weights = np.full(n_methods, 1 / n_methods)
        if folds is None and aside is None:
            self._standings = [Standing(name, self._n_folds, 1 / n_methods) for name in self._method_names()]
        else:
            held_out = self._held_out(predicted, samples, folds, aside)
            if self.combine == "greedy":
                weights = greedy(held_out.loss_of, n_methods)
            self._standings = held_out.standings(self._method_names(), weights, self._n_folds)
            self.oof_loss_ = held_out.loss_of(weights)
            self.oof_score_ = float(self._lead._score_predictions(held_out.encoded(weights), held_out.target))
            mixed = held_out.mix(weights).astype(predicted[0].dtype)
            self.oof_predictions_ = self._in_shape(mixed)
        of_members = np.repeat(weights / self._n_folds, self._n_folds)
        self.estimators_ = [member for member, weight in zip(self.estimators_, of_members, strict=True) if weight]
        self.weights_ = of_members[of_members > 0]

    def _held_out(self, predicted, samples, folds, aside):
        """Return every method's predictions: of each fold by the member that left it out, of X_val the mean."""
        of_methods = [predicted[i : i + self._n_folds] for i in range(0, len(predicted), self._n_folds)]
        if aside is not None:
            whole, made = aside, np.array([np.mean(parts, axis=0) for parts in of_methods])
        else:
            whole, made = samples, np.empty((len(of_methods), len(predicted[0]), samples.size), predicted[0].dtype)
            for method, parts in zip(made, of_methods, strict=True):
                for number, part in enumerate(parts):
                    method[:, folds == number] = part
        scale, shift = self._units()
        target, dtype = whole.with_target().target, np.dtype(self._dtype)
        return HeldOut(made, target, self._lead._make_loss(), scale=scale, shift=shift, dtype=dtype)

    def _mean(self, X):
        """Return the weighted mean of the members' predictions, (n_outputs, n_samples)."""
        check_is_fitted(self)
        X = self._checked_to_predict(X, self._lead._network.dtype)
        members = zip(self.weights_.tolist(), self.estimators_, strict=True)
        return sum(weight * member._forward(X, member._outputs) for weight, member in members)

    def _in_shape(self, predictions):
        """Return predictions (n_outputs, n_samples) as ``predict_proba`` or ``predict`` returns them."""
        return np.ascontiguousarray(predictions.T)

    @property
    def _dtype(self):
        return self._lead.dtype

    @property
    def _n_folds(self):
        return int(self.n_folds)

    def _encode(self, y, weights, classes, *, first):
        return self._lead._encode(y, weights, classes, first=first)

    def _draw_seeds(self):
        """Return the seeds of the folds and of the members, (1 + n_members,)."""
        return check_random_state(self.random_state).randint(2**31 - 1, size=1 + self._n_folds * len(self.evolution))

    def _method_names(self):
        return [value if isinstance(value, str) else f"{value!r:.40}" for value in self.evolution]

    def summary(self) -> str:
        """Return a table of the methods to print, with a last row for the ensemble.

        Its columns are the members that each method has in the ensemble, their common weight, the out-of-fold loss of
        the method alone, what it adds (the loss that the others have without it, less that of all), the weights of all
        its networks, and the bytes needed for predictions. A method with the weight 0 has no members.
        """
        check_is_fitted(self)
        return as_text(self._rows(), ENSEMBLE_HEADER)

    def _rows(self):
        networks = [member._network for member in self.estimators_]
        return standing_rows(self._standings, networks, getattr(self, "oof_loss_", math.nan))

    def export_numpy(self, path: str | os.PathLike) -> None:
        """Write a program that predicts with NumPy and SciPy only, and the weights of all members that it reads.

        The files and rules are those of `SparseMLPClassifier.export_numpy`.
        """
        check_is_fitted(self)
        members = [numpy_export.arrays_of(member._network, member._head()) for member in self.estimators_]
        numpy_export.write(path, numpy_export.mixed(members, self.weights_))

    def to_torch(self) -> "torch.nn.Module":
        """Return a copy of the ensemble as a module of PyTorch in eval mode, in which the weights stay sparse.

        It returns the weighted mean of its ``members``, each of which is a module as `SparseMLPClassifier.to_torch`
        makes it, by the buffer ``weights``.
        """
        check_is_fitted(self)
        from truesparse.storage.torch_export import Mean  # PyTorch is optional

        return Mean([member.to_torch() for member in self.estimators_], self.weights_).eval()

    @property
    def feature_importances_(self):
        """Weighted mean of the members' importances, (n_features,)."""
        importances = [member.feature_importances_ for member in self._fitted("feature_importances_")]
        return np.average(importances, axis=0, weights=self.weights_)

    @property
    def history_(self):
        """The ``history_`` of each of `estimators_`."""
        return [member.history_ for member in self._fitted("history_")]

    def _fitted(self, attribute):
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"{type(self).__name__} has no attribute {attribute!r} before it is fitted.")
        return self.estimators_

    def _repr_html_inner(self):
        shown = super()._repr_html_inner()
        return shown + as_html(self._rows(), ENSEMBLE_HEADER) if self.__sklearn_is_fitted__() else shown

    def __sklearn_is_fitted__(self):
        return hasattr(self, "estimators_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
