"""Fitting of both estimators: from parameters and data to a trained network."""

import copy
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_random_state

from truesparse.callbacks.progress import displays
from truesparse.data.source import Source
from truesparse.estimators import diagnosis, epochs
from truesparse.estimators.checkpoints import checkpoint_writer, read_checkpoint
from truesparse.estimators.epochs import Trainings
from truesparse.estimators.fitted import FittedSparseNetwork
from truesparse.estimators.labels import shown
from truesparse.estimators.parameters import TIMING
from truesparse.estimators.recipes import make_recipe
from truesparse.estimators.run import Run
from truesparse.estimators.samples import Score, check_enough, check_together, fingerprint, scorer_of
from truesparse.estimators.sklearn_callbacks import CallbackBridge, CallbackSupportMixin, managed
from truesparse.evolution.evolve import can_grow
from truesparse.runtime.checks import plain
from truesparse.runtime.interrupts import stop_on_interrupt
from truesparse.runtime.threads import asked_threads, threads
from truesparse.runtime.warnings import warn
from truesparse.storage import Missing, encode, refuse_missing
from truesparse.training.events import Callback, watching
from truesparse.training.inference import forward_all
from truesparse.training.recipe import new_network
from truesparse.training.state import Start
from truesparse.training.temperature import FEWEST_SAMPLES
from truesparse.training.trainer import Trainer
from truesparse.training.validation import Validation

_EVENTS = [name for name in vars(Callback) if name.startswith("on_")]


class BaseSparseNetwork(CallbackSupportMixin, FittedSparseNetwork):
    """Base of the classifier and the regressor, which add the methods below."""

    @abstractmethod
    def _make_loss(self):
        """Return the loss."""

    @abstractmethod
    def _n_outputs(self):
        """Return the number of output units."""

    @abstractmethod
    def _score_predictions(self, predictions, target):
        """Return the score of predictions (n_outputs, n_samples) for encoded targets, as `score` would."""

    def _make_recipe(self):
        """Return the recipe of a fit."""
        return make_recipe(self.get_params(deep=False), self._make_loss())

    def _shape(self, recipe):
        """Return the parameters that shape a network, with what None stands for."""
        shape = {name: getattr(self, name) for name in self._shaped_by}
        return shape | {"hidden_layer_sizes": list(recipe.hidden_layer_sizes), "activation": recipe.activation}

    def _stratify(self, target):
        """Return the classes whose shares a split must keep, or None."""
        return None

    def _settled(self, samples):
        """Return the samples with which training goes on, encoded anew if they change how targets are encoded."""
        return samples

    def _check_in_parts(self):
        """Refuse parameters that need all samples."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X, y=None, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None, resume_from=None
    ):  # fmt: skip
        """Train the network, and return the estimator.

        Parameters
        ----------
        X : array or SciPy sparse matrix, (n_samples, n_features), or Source
            A `numpy.memmap` of the estimator's dtype is not copied. A `truesparse.data.Source`, such as
            `truesparse.data.Chunks`, has its own targets and weights.
        y : (n_samples,) or (n_samples, n_outputs)
            For classification class labels, or 0 and 1 for each of several labels; for regression real numbers. None if
            `X` is a source.
        sample_weight : (n_samples,), default=None
            Weights of the samples in the loss; only ratios matter. A sample of weight 0 is left out. Growth by
            activations looks at all other samples alike.
        X_val, y_val, sample_weight_val : as `X`, `y` and `sample_weight`, default=None
            Validation data in place of a part of `X`. Their loss and score are recorded in `history_`. A
            ``Pipeline(transform_input=["X_val"])`` transforms them like `X`. Searches cut them like `X` if they have as
            many rows.
        resume_from : path, default=None
            A file that a `truesparse.callbacks.Checkpoint` wrote during a fit with the same parameters and data. The
            rest of that fit is done, with the same bytes as if it had never stopped. `n_jobs`, `verbose` and
            `callbacks` may differ; code of your own, such as a `batch_transform`, is compared by name only. A fit that
            a callback ended goes on, unless an `EarlyStopping` asks to stop again.

        Notes
        -----
        The estimator is unchanged if an error is raised, such as a ValueError because `resume_from` is no checkpoint of
        this very fit, or because the loss becomes infinite or NaN.

        The first Ctrl-C stops the training after the batch, with a UserWarning. The estimator is fitted, with the
        network of that moment, or with early stopping that of the best epoch; a checkpoint is that of the last whole
        epoch. The second raises a KeyboardInterrupt. This holds in the main thread, where Python's own handler is in
        charge of Ctrl-C.
        """
        check_together(X_val, y_val, sample_weight_val)
        validation = None if X_val is None else (X_val, y_val, sample_weight_val)
        start = Start.RESUMED if resume_from is not None else Start.WARM if self.warm_start else Start.NEW
        return self._train(X, y, sample_weight, validation, start=start, resume_from=resume_from)

    def _train(self, X, y, sample_weight, validation_data=None, *, start, classes=None, resume_from=None):
        """Check everything, then train; the attributes change only if all succeeds."""
        in_parts = start is Start.PART
        with unchanged_on_error(self):
            if in_parts:
                self._validate_params()  # scikit-learn leaves that out in all calls of partial_fit but the first
            self._check_objects(goes_on=start is not Start.NEW and self.__sklearn_is_fitted__())
            stored_data = None if resume_from is None else self._take_over(resume_from)
            goes_on = start is not Start.NEW and self.__sklearn_is_fitted__()
            samples = self._samples("", X, y, sample_weight, classes, first=not goes_on)
            if goes_on and start is not Start.RESUMED:
                samples = self._settled(samples)
            recipe = self._make_recipe()
            shape = self._checked_shape(recipe, goes_on)
            aside = None
            if validation_data is not None:
                aside = self._samples("_val", *validation_data, first=False)
                self._check_enough_to_score(f"X_val holds {aside.size} samples", aside)
            writes = any(hasattr(callback, "on_fit_begin") for callback in self.callbacks or ())
            data = fingerprint([samples, aside]) if writes or stored_data is not None else ""
            if stored_data is not None and data != stored_data:
                raise ValueError(f"resume_from={str(resume_from)!r} is a checkpoint of a fit with other data.")
            seed = self._run.seed if goes_on else int(check_random_state(self.random_state).randint(2**31 - 1))
            if aside is None and self.early_stopping and not in_parts:
                samples, aside = self._split(samples, seed)
            source = samples.with_target(self._class_weights(samples), relative=not in_parts)
            trainings = Trainings()
            with threads(asked_threads(plain(self.n_jobs))), stop_on_interrupt(trainings.stop, self):
                calibrates = self.early_stopping and aside is not None and aside.size >= FEWEST_SAMPLES
                calibrates = calibrates and self.scoring in (None, "loss")  # other scores decide by themselves
                begins = not goes_on or (start is Start.RESUMED and self._run.state.progress.plan_epoch == 0)
                finds_epochs = begins and self.max_iter is None and aside is None and not isinstance(X, Source)
                finds_epochs = finds_epochs and not in_parts
                finds_epochs = finds_epochs and epochs.can_be_found(samples.size, self._stratify(samples.values))
                if calibrates or finds_epochs:
                    recipe = replace(recipe, loss=self._smoothed(recipe.loss))
                if goes_on:
                    before = self._run.copy()
                    network, state = before.network, before.state
                    if self.max_iter is None and start is Start.RESUMED:
                        recipe = replace(recipe, n_epochs=state.planned_epochs)
                else:
                    if finds_epochs:
                        recipe = self._with_epochs(recipe, samples, seed, trainings)
                    network, state = new_network(recipe, source, self._n_outputs(), seed=seed), None
                trainer = trainings.begin(self._make_trainer(network, recipe, source, seed=seed, state=state))
                run = Run(network, trainer.state, seed, shape)
                trainer.validation = self._validation(aside, run, calibrates=calibrates)
                trainer.callbacks, done = self._watchers(trainer, run, (X, y, sample_weight), start)
                write_checkpoint = checkpoint_writer(self._as_stored(), run, trainer, data) if writes else None
                with watching(trainer.callbacks, write_checkpoint):
                    trainer.train(start)
            self._run = run
        self._warn_after(trainer, trainer.state.history[done:], in_parts)
        return self

    def _make_trainer(self, network, recipe, source, **options):
        """Return the trainer of a fit."""
        return Trainer(network, recipe, source, **options)

    def _as_stored(self):
        """Return the estimator that files hold, with the same parameters and attributes."""
        return self

    def _watchers(self, trainer, run, data, start):
        """Return the callbacks of a fit, and how many epochs the network had when its plan began."""
        progress = trainer.state.progress
        n_epochs = 1 if start is Start.PART else trainer.recipe.n_epochs
        done = progress.plan_epoch if start is Start.RESUMED else progress.epoch
        left = n_epochs - (progress.epoch - done)
        bridge = [CallbackBridge(self, data, run, left)] if hasattr(self, "_skl_callbacks") else []
        return [*(self.callbacks or ()), *bridge, *displays(self.verbose, done, n_epochs)], done

    def _take_over(self, resume_from):
        """Replace the fitted attributes by those of a checkpoint; return the fingerprint of its data."""
        fitted, data = read_checkpoint(resume_from, self._as_stored())
        for name in vars(self).keys() - self.get_params(deep=False).keys() - managed(self).keys():
            delattr(self, name)
        self.__dict__.update(fitted)
        return data

    def _check_objects(self, goes_on):
        """Refuse classes in place of instances, and callbacks without methods, which the constraints let pass."""
        decays = getattr(self.evolution, "density", None) is not None
        # For numbers of units or weights.
        needs_topology = not goes_on or getattr(self, "hidden_layer_sizes", ()) is None or decays
        for name, value in self.get_params(deep=False).items():
            if name != "topology_init" or needs_topology:
                refuse_missing(name, value)
        for name in ("weight_init", "learning_rate", "solver", "topology_init", "activation", "batch_transform"):
            if isinstance(getattr(self, name, None), type):
                raise ValueError(f"{name}={getattr(self, name)!r} is a class; an instance of it is allowed.")
        for callback in self.callbacks or ():
            if isinstance(callback, type) or not any(hasattr(callback, event) for event in _EVENTS):
                raise ValueError(
                    f"callbacks={self.callbacks!r} holds {callback!r}; instances with at least one of the methods "
                    f"{', '.join(_EVENTS)} are allowed. Callbacks of scikit-learn go into set_callbacks."
                )

    def _checked_shape(self, recipe, goes_on):
        """Return the parameters that shape a network; refuse a change of them if training goes on."""
        shape: dict[str, Any] = self._shape(recipe)
        if goes_on:
            made_with = self._run.shape
            if getattr(self, "activation", "") is None:  # another method might suit another activation
                shape["activation"] = made_with["activation"]
            for name, value in shape.items():
                made = made_with[name]
                if (encode(value, name) != made.content) if isinstance(made, Missing) else (value != made):
                    raise ValueError(
                        f"{name}={getattr(self, name)!r} cannot change while training goes on with a network made with "
                        f"{made!r}; fit with warm_start=False makes a new one."
                    )
        return shape

    def _warn_after(self, trainer, records, in_parts):
        """Warn of a training that was interrupted or in which something had no effect."""
        if trainer.stop_requested:
            n_epochs = 1 if in_parts else trainer.recipe.n_epochs
            warn(
                f"Interrupted with {len(records)} of {n_epochs} epochs done: the estimator is "
                f"fitted with the network as it is{', or was in its best epoch' if self.early_stopping else ''}."
            )
            return
        if empty := [index for index, layer in enumerate(trainer.network.layers) if layer.nnz == 0]:
            warn(
                f"The layers {empty} (counted from 0) have no connection, so that the predictions do not "
                "depend on X. Raise epsilon or density; of SNIP, choose per_layer=True."
            )
        if in_parts and records[-1].learning_rate == 0:
            warn(
                f"The learning rate has fallen to 0, because it was planned for {trainer.recipe.n_epochs} calls of "
                "partial_fit (max_iter): nothing was learnt. Raise max_iter, or choose learning_rate='constant'."
            )
        if not in_parts and records:
            self._warn_if_topology_never_changed(trainer, records)
            self._warn_if_density_did_not_fall(trainer)
            decides = trainer.validation is not None and trainer.validation.decides
            candidates = trainer.state.history.of_last_size(-len(records))
            kept = max(candidates, key=trainer.validation.value) if decides else records[-1]
            names = getattr(self, "feature_names_in_", None)
            with threads(1):
                failure = diagnosis.failure(trainer, kept, names)
            if failure is not None:
                warn(failure, once=True)

    def _warn_if_density_did_not_fall(self, trainer):
        counts, network = trainer.counts, trainer.network
        if counts is not None and counts.is_falling(network.layers):
            warn(
                f"The training ended with {network.n_weights} weights, before their number fell to the "
                f"{sum(counts.final)} of evolution.density: a callback asked to stop, or its to_go does not end at 0."
            )

    def _warn_if_topology_never_changed(self, trainer, records):
        evolution = trainer.recipe.evolution
        evolves = evolution is not None and evolution.replaces
        can_change = evolves and any(layer.can_change for layer in trainer.network.layers)
        settings = self._given(TIMING)
        if not can_change or any(sum(record.edges_replaced) for record in records):
            return
        if not can_grow(evolution.within, trainer.network.layers):
            warn(
                "The topology never changed: evolution.within allows no pair that is not connected already. Allow more "
                "pairs than the first topology connects, such as those of LocalFields.wider(1).",
                once=True,
            )
        elif settings:
            by_epoch = getattr(evolution.schedule, "update_every", None) == "epoch"
            length = f"{len(records)} epoch{'s' if len(records) > 1 else ''}"
            length += "" if by_epoch else f" ({trainer.state.progress.steps_of_plan} steps)"
            warn(
                f"The topology never changed: no update replaced a connection in the {length} of this training, with "
                f"{', '.join(settings)}. {'Raise' if by_epoch else 'Lower update_every, raise'} max_iter, or choose "
                "evolution='static'.",
                once=True,
            )

    def _split(self, samples, seed):
        n_samples = samples.size
        asked = f"validation_fraction={self.validation_fraction!r}"
        try:
            samples, aside = self._divide(samples, float(self.validation_fraction), seed)
        except ValueError:
            of_each = ""
            if (classes := self._stratify(samples.values)) is not None:
                labels, counts = np.unique(classes, return_counts=True)
                single = f" (there is a single one of {shown(labels[counts == 1])})" if counts.min() == 1 else ""
                of_each = f" of each class{single}"
            raise ValueError(
                f"early_stopping=True cannot set {asked} of {n_samples} samples aside: at least one sample{of_each} "
                "must be aside, and one in the rest. Raise validation_fraction, give fit more samples or X_val and "
                "y_val, or choose early_stopping=False."
            ) from None
        self._check_enough_to_score(f"{asked} sets {aside.size} of {n_samples} samples aside", aside)
        return samples, aside

    def _check_enough_to_score(self, what, samples):
        check_enough(what, samples, self._fewest_to_score if self.scoring in (None, "r2") else 1)

    def _with_epochs(self, recipe, samples, seed, trainings):
        """Return the recipe with the epochs and the temperature that suit the samples, see `epochs`."""
        halves = self._divide(samples, 0.5, seed)

        def judged(n_epochs):
            return [
                self._judge(other, half, replace(recipe, n_epochs=n_epochs), seed, trainings)
                for half, other in (halves, halves[::-1])
            ]

        n_epochs, temperature = epochs.find(judged, recipe.loss)
        return replace(recipe, n_epochs=n_epochs, temperature=temperature)

    def _smoothed(self, loss):
        """Return the loss with the label smoothing that suits it if a temperature is found."""
        return loss

    def _judge(self, judges, samples, recipe, seed, trainings):
        """Train a network on some samples; return its sums for others, and their targets."""
        source, aside = samples.with_target(self._class_weights(samples), relative=True), judges.with_target()
        network = new_network(recipe, source, self._n_outputs(), seed=seed)
        trainings.begin(Trainer(network, recipe, source, seed=seed)).train()
        return forward_all(network, aside), aside.target

    def _divide(self, samples, share, seed):
        """Return two parts of the samples, the second with this share, in both the classes in equal shares."""
        from sklearn.model_selection import train_test_split

        numbers, classes = np.arange(samples.size), self._stratify(samples.values)
        kept, aside = train_test_split(numbers, test_size=share, random_state=seed, stratify=classes)
        return samples[kept], samples[aside]

    def _validation(self, samples, run, *, calibrates):
        if samples is None:
            return None
        score: Score | None = self._score_predictions
        if self.scoring == "loss":
            score = None
        elif self.scoring is not None:
            in_training = copy.copy(self)
            in_training._run = run
            in_training.__dict__.pop("feature_names_in_", None)  # the samples have lost their names
            score = scorer_of(self.scoring, in_training, samples)
        return Validation(
            samples.with_target(), score,
            decides=self.early_stopping, by_loss=self.scoring is None, calibrates=calibrates,
        )  # fmt: skip


@contextmanager
def unchanged_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Restore an estimator's attributes if a ``with`` block fails or is interrupted."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        estimator.__dict__ = before | managed(estimator)
        raise
