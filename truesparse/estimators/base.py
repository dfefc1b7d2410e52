"""What the fits of the classifier and the regressor share: from parameters and data to a trained network."""

import copy
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator, _fit_context
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

from truesparse.callbacks.progress import displays
from truesparse.estimators.building import first_topology, make_trainer
from truesparse.estimators.checkpoints import CheckpointWriter, fingerprint, read_checkpoint
from truesparse.estimators.fitted import FittedSparseMLP
from truesparse.estimators.samples import Samples, checked_weights, scorer_of
from truesparse.estimators.sklearn_callbacks import CallbackSupportMixin, bridges, managed
from truesparse.estimators.storing import SHAPED_BY
from truesparse.runtime.checks import refuse_masked, refuse_sparse
from truesparse.runtime.interrupts import stop_on_interrupt
from truesparse.runtime.threads import threads
from truesparse.storage import refuse_missing
from truesparse.training.events import Callback, watching
from truesparse.training.trainer import Validation

_EVENTS = [name for name in vars(Callback) if name.startswith("on_")]


class BaseSparseMLP(CallbackSupportMixin, FittedSparseMLP):
    """Fitting of both estimators."""

    # What a kind of estimator adds.

    @abstractmethod
    def _encode(self, y, weights, classes, *, first):
        """Check the targets and return what the loss wants; if `first`, set what is learnt from them on the way."""

    @abstractmethod
    def _make_loss(self):
        """The loss for the targets that have been learnt."""

    @abstractmethod
    def _head(self):
        """The `truesparse.storage.Head` of what has been learnt."""

    @abstractmethod
    def _n_outputs(self):
        """Units of the output layer."""

    @abstractmethod
    def _stratify(self, target):
        """What a split must keep the shares of, or None."""

    @abstractmethod
    def _store_learnt(self):
        """What was learnt from the targets, as metadata and arrays."""

    @abstractmethod
    def _restore_learnt(self, section, arrays):
        """Set what `_store_learnt` stored, checked."""

    @abstractmethod
    def _score_predictions(self, predictions, target):
        """What `score` says of predictions (n_outputs, n_samples) against a target of the loss."""

    def _class_weights(self, samples):
        """What the weight of each training sample is multiplied by, (n_samples,), or None."""
        return None

    # Fitting.

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None, resume_from=None
    ):  # fmt: skip
        """Train the network.

        Parameters
        ----------
        X : array or SciPy sparse matrix, (n_samples, n_features)
        y : (n_samples,) or (n_samples, n_outputs)
            For a classifier class labels, or 0 and 1 for each of several labels; for a regressor numbers.
        sample_weight : (n_samples,), default=None
            How much each sample's loss counts; only ratios matter. A sample of weight 0 is left out. The activations
            that topologies grow by are those of all other samples alike.
        X_val, y_val : as `X` and `y`, default=None
            Data to watch the training by, in place of a part of `X`: their loss and score stand in `history_`, and with
            ``early_stopping=True`` they decide when to stop and which epoch's network is kept. A
            ``Pipeline(transform_input=["X_val"])`` transforms them as `X`.
        sample_weight_val : (n_val_samples,), default=None
            Weights of the validation samples in their loss and score.
        resume_from : path, default=None
            A file that a `truesparse.callbacks.Checkpoint` wrote while a fit with the same parameters and the same data
            ran, in this process or another: do what was left of it. The network is then the same, to the last byte, as
            if that fit had never stopped. `n_jobs`, `verbose` and `callbacks` may differ; a fit that a callback ended
            goes on, unless an `EarlyStopping` asks to stop again. Code, such as a `batch_transform`, can be compared by
            its name only.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are not as described, if `resume_from` is no checkpoint of this very fit, or if
            the loss becomes infinite or NaN. The estimator is then as it was before the call.
        KeyboardInterrupt
            At the second Ctrl-C, or the first one where many estimators are fitted, as in a search. The estimator is
            then as it was before the call.

        Warns
        -----
        UserWarning
            At the first Ctrl-C, which stops the training after the batch: the estimator is fitted, with the network as
            it is then, or with early stopping that of the best epoch. A checkpoint is still that of the last whole
            epoch. Ctrl-C means that only where Python's own handler is in charge of it, in the main thread.
        """
        if (X_val is None) != (y_val is None) or (X_val is None and sample_weight_val is not None):
            raise ValueError("X_val and y_val go together, and sample_weight_val needs both.")
        validation = None if X_val is None else (X_val, y_val, sample_weight_val)
        return self._train(X, y, sample_weight, validation, go_on=self.warm_start, resume_from=resume_from)

    def _train(
        self, X, y, sample_weight, validation_data=None, *, go_on, n_epochs=None, classes=None, resume_from=None
    ):  # fmt: skip
        """Check everything, then train; the attributes change only if all of that succeeds."""
        in_parts, resumed = n_epochs is not None, resume_from is not None
        with unchanged_on_error(self):
            if in_parts:
                self._validate_params()  # scikit-learn leaves that out in all calls of partial_fit but the first
            self._check_objects()
            stored_data = self._take_over(resume_from) if resumed else None
            go_on = resumed or (go_on and hasattr(self, "_network"))
            shape = self._checked_shape(go_on)
            samples = self._samples("", X, y, sample_weight, classes, first=not go_on)
            aside = None if validation_data is None else self._validation_samples(validation_data)
            watched = any(hasattr(callback, "on_fit_begin") for callback in self.callbacks or ())
            data = fingerprint(samples, aside) if resumed or watched else None
            if resumed and data != stored_data:
                raise ValueError(f"resume_from={str(resume_from)!r} is a checkpoint of a fit with other data.")
            seed = self._seed if go_on else int(check_random_state(self.random_state).randint(2**31 - 1))
            if aside is None and self.early_stopping and not in_parts:
                samples, aside = self._split(samples, seed)
            samples = samples.times(self._class_weights(samples))
            target = samples.target(relative=not in_parts)
            n_epochs = n_epochs if in_parts else self.max_iter
            with threads(effective_n_jobs(self.n_jobs)):
                trainer = make_trainer(self, samples.X, target, shape, seed, go_on=go_on)
                fitted = {"_seed": seed, "_shape": shape, "_network": trainer.network, "_state": trainer.state}
                progress = trainer.state.progress
                done = progress.plan_epoch if resumed else progress.epoch
                left = n_epochs - (progress.epoch - done)
                callbacks = [
                    *(self.callbacks or ()),
                    *bridges(self, X, y, sample_weight, fitted, n_epochs=left),
                    *displays(self.verbose, done, n_epochs),
                ]
                write_checkpoint = CheckpointWriter(self, fitted, trainer, data) if watched else None
                with stop_on_interrupt(trainer.stop), watching(callbacks, write_checkpoint):
                    trainer.train(
                        samples.X,
                        target,
                        n_epochs=n_epochs,
                        planned_epochs=self.max_iter if in_parts else None,
                        validation=self._validation(aside, fitted),
                        patience=self.n_iter_no_change,
                        tol=self.tol,
                        callbacks=callbacks,
                        resumed=resumed,
                    )
            vars(self).update(fitted)
        self._warn_of_what_did_not_happen(trainer, done, in_parts)
        return self

    def _take_over(self, resume_from):
        """Put the fitted attributes of a checkpoint in the place of all there are; returns its data's fingerprint."""
        fitted, data = read_checkpoint(resume_from, self)
        for name in vars(self).keys() - self.get_params(deep=False).keys() - managed(self).keys():
            delattr(self, name)
        vars(self).update(fitted)
        return data

    def _samples(self, suffix, X, y, sample_weight, classes=None, *, first):
        """The arguments X, y and sample_weight of `fit`, or those with that suffix, checked."""
        refuse_sparse(f"y{suffix}", y)
        refuse_masked(f"y{suffix}", y)
        with _naming(suffix):
            X, y = self._checked(X, y, dtype=self.dtype, reset=first, multi_output=True, y_numeric=self._y_numeric)
        weights = checked_weights(f"sample_weight{suffix}", sample_weight, X.shape[0])
        with _naming(suffix):  # classes are there even if all their samples have weight 0, as in scikit-learn
            samples = Samples(X, y, self._encode(y, weights, classes, first=first), weights)
        return samples if weights is None or weights.all() else samples[np.flatnonzero(weights)]

    def _validation_samples(self, validation_data):
        """Those that `fit` was given."""
        samples = self._samples("_val", *validation_data, first=False)
        self._check_enough_to_score(f"X_val holds {samples.X.shape[0]} samples", samples)
        return samples

    def _check_objects(self):
        """What the constraints let pass: classes have the methods that instances need, and a list may hold anything."""
        for name, value in self.get_params(deep=False).items():
            refuse_missing(name, value)
        for name in ("weight_init", "learning_rate", "grow_init", "activation"):
            if isinstance(getattr(self, name), type):
                raise ValueError(f"{name}={getattr(self, name)!r} is a class; an instance of it is allowed.")
        for callback in self.callbacks or ():
            if isinstance(callback, type) or not any(hasattr(callback, event) for event in _EVENTS):
                raise ValueError(
                    f"callbacks={self.callbacks!r} holds {callback!r}; instances with at least one of the methods "
                    f"{', '.join(_EVENTS)} are allowed. Callbacks of scikit-learn go into set_callbacks."
                )

    def _checked_shape(self, go_on):
        """The parameters that shape a network, which must be those it was made with if training goes on."""
        hidden = self.hidden_layer_sizes
        hidden = [hidden] if isinstance(hidden, Integral) else list(hidden)
        if not all(isinstance(size, Integral) and not isinstance(size, bool) and size > 0 for size in hidden):
            raise ValueError(f"hidden_layer_sizes={self.hidden_layer_sizes!r} must hold positive integers only.")
        shape = {name: getattr(self, name) for name in SHAPED_BY}
        shape |= {"hidden_layer_sizes": [int(size) for size in hidden], "topology_init": first_topology(self)}
        if shape["topology_init"] == "full" and self.density not in (None, 1):
            raise ValueError(
                f"density={self.density!r} contradicts evolution='dense', which stores all weights; only None and 1 "
                "are allowed with it."
            )
        if go_on:
            for name, value in shape.items():
                if value != self._shape[name]:
                    brought = name == "topology_init" and value != self.topology_init
                    source = f", brought by evolution={self.evolution!r}," if brought else ""
                    raise ValueError(
                        f"{name}={value!r}{source} cannot change while training goes on with a network made with "
                        f"{self._shape[name]!r}; fit with warm_start=False makes a new one."
                    )
        return shape

    def _warn_of_what_did_not_happen(self, trainer, done, in_parts):
        epochs = trainer.state.history[done:]
        if trainer.stop_requested:
            warnings.warn(
                f"Interrupted with {len(epochs)} of {1 if in_parts else self.max_iter} epochs done: the estimator is "
                f"fitted with the network as it is{', or was in its best epoch' if self.early_stopping else ''}.",
                UserWarning,
                stacklevel=5,
            )
            return
        empty = [index for index, layer in enumerate(trainer.network.layers) if layer.nnz == 0]
        if empty:
            warnings.warn(
                f"The layers {empty} (counted from 0) have no connection, so that the predictions do not "
                "depend on X. Raise epsilon or density; of SNIP, choose per_layer=True.",
                UserWarning,
                stacklevel=5,
            )
        evolves = trainer.evolution is not None and any(layer.can_change for layer in trainer.network.layers)
        if evolves and not in_parts and not any(sum(record.edges_replaced) for record in epochs):
            warnings.warn(
                f"The topology never changed: no update fell into the {trainer.state.progress.steps_of_plan} steps of "
                "this training. Lower update_every, raise max_iter, or choose evolution='static'.",
                UserWarning,
                stacklevel=5,
            )
        if in_parts and epochs[-1].learning_rate == 0:
            warnings.warn(
                f"The learning rate has fallen to 0, because it was planned for max_iter={self.max_iter} calls of "
                "partial_fit: nothing was learnt. Raise max_iter, or choose learning_rate='constant'.",
                UserWarning,
                stacklevel=5,
            )

    def _split(self, samples, seed):
        """Training and validation data."""
        n_samples = samples.X.shape[0]
        try:
            kept, aside = train_test_split(
                np.arange(n_samples),
                test_size=self.validation_fraction,
                random_state=seed,
                stratify=self._stratify(samples.values),
            )
        except ValueError as error:
            raise ValueError(
                f"early_stopping=True cannot set validation_fraction={self.validation_fraction!r} of {n_samples} "
                f"samples aside: {error}"
            ) from error
        samples, aside = samples[kept], samples[aside]
        sets = f"validation_fraction={self.validation_fraction!r} sets {aside.X.shape[0]} of {n_samples} samples aside"
        self._check_enough_to_score(sets, aside)
        return samples, aside

    def _check_enough_to_score(self, what, samples):
        if samples.X.shape[0] < self._fewest_to_score:
            raise ValueError(f"{what}; a score needs at least {self._fewest_to_score}.")

    def _validation(self, samples, fitted):
        """What to watch the training by, if there are samples for that."""
        if samples is None:
            return None
        score = self._score_predictions
        if self.scoring == "loss":
            score = None
        elif self.scoring is not None:
            in_training = copy.copy(self)
            vars(in_training).update(fitted)
            vars(in_training).pop("feature_names_in_", None)  # the samples have lost their names
            score = scorer_of(self.scoring, in_training, samples)
        return Validation(samples.X, samples.target(), score, decides=self.early_stopping)


@contextmanager
def unchanged_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Give an estimator back the attributes it had if what is done to it fails or is interrupted at once."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        before |= managed(estimator)
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


@contextmanager
def _naming(suffix):
    """Errors of a ``with`` block say that they are about the validation data."""
    try:
        yield
    except ValueError as error:
        if not suffix:
            raise
        raise ValueError(f"X{suffix}, y{suffix}: {error}") from error
