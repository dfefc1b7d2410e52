"""What the classifier and the regressor share: the way from parameters and data to a trained network, and its use."""

import copy
import warnings
from abc import abstractmethod
from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral

import numpy as np
from joblib import effective_n_jobs
from scipy.sparse import csc_array, issparse
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from truesparse.activations import ACTIVATIONS
from truesparse.callbacks import Callback, EpochPrinter, watching
from truesparse.estimators.checkpoints import CheckpointWriter, fingerprint, read_checkpoint
from truesparse.estimators.display import as_html, as_text, layer_rows
from truesparse.estimators.parameters import Parameters
from truesparse.estimators.storing import SHAPED_BY
from truesparse.evolution import FIRST_TOPOLOGIES, preset
from truesparse.inference import forward_all
from truesparse.initializers import INITIALIZERS, draw
from truesparse.lr_schedules import LEARNING_RATES
from truesparse.network import MLP
from truesparse.optimizers import SGD, Adam
from truesparse.parallelism import threads
from truesparse.randomness import RandomStreams
from truesparse.topology import Pattern
from truesparse.topology.density import erdos_renyi, global_density, layer_shapes
from truesparse.topology.snip import SNIP, draw_as_in_dense
from truesparse.training import Trainer, Validation
from truesparse.validation import refuse_masked, sound_csr

_EVENTS = [name for name in vars(Callback) if name.startswith("on_")]


class BaseSparseMLP(Parameters):
    """Fitting, predicting and the fitted attributes of both estimators."""

    # What a kind of estimator adds.

    @abstractmethod
    def _encode(self, y, classes, *, first):
        """Check the targets and return what the loss wants; if `first`, set what is learnt from them on the way."""

    @abstractmethod
    def _make_loss(self):
        """The loss for the targets that have been learnt."""

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
        """The score of predictions (n_outputs, n_samples) against an encoded target; higher is better."""

    # Fitting.

    def _train(self, X, y, *, go_on, n_epochs, classes=None, resume_from=None):
        """Check everything, then train; the attributes change only if all of that succeeds."""
        in_parts, resumed = n_epochs is not None, resume_from is not None
        with _unchanged_on_error(self):
            self._check_objects()
            stored_data = self._take_over(resume_from) if resumed else None
            go_on = resumed or (go_on and hasattr(self, "_network"))
            shape = self._checked_shape(go_on)
            X, target = self._checked_data(X, y, classes, go_on)
            watched = any(hasattr(callback, "on_fit_begin") for callback in self.callbacks or ())
            data = fingerprint(X, target) if resumed or watched else None
            if resumed and data != stored_data:
                raise ValueError(
                    f"resume_from={str(resume_from)!r} is a checkpoint of a fit with other data than X, y."
                )
            validation = None
            seed = self._seed if go_on else int(check_random_state(self.random_state).randint(2**31 - 1))
            if self.early_stopping and not in_parts:
                X, target, validation = self._split(X, target, seed)
            n_epochs = n_epochs if in_parts else self.max_iter
            with threads(effective_n_jobs(self.n_jobs)):
                trainer = self._make_trainer(X, target, shape, seed, go_on)
                fitted = {"_seed": seed, "_shape": shape, "_network": trainer.network, "_state": trainer.state}
                progress = trainer.state.progress
                done = progress.plan_epoch if resumed else progress.epoch
                callbacks = [*(self.callbacks or ()), *([EpochPrinter(done + n_epochs)] if self.verbose else [])]
                with watching(callbacks, CheckpointWriter(self, fitted, trainer, data) if watched else None):
                    trainer.train(
                        X,
                        target,
                        n_epochs=n_epochs,
                        planned_epochs=self.max_iter if in_parts else None,
                        validation=validation,
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
        for name in vars(self).keys() - self.get_params(deep=False).keys():
            delattr(self, name)
        vars(self).update(fitted)
        return data

    def _checked_data(self, X, y, classes, go_on):
        """X as kernels take it, and the targets as the loss does."""
        if issparse(y):
            raise ValueError(f"y must be a dense array, got a sparse one of type {type(y).__name__}.")
        refuse_masked("y", y)
        X, y = self._checked(X, y, dtype=self.dtype, reset=not go_on, multi_output=True, y_numeric=self._y_numeric)
        return X, self._encode(y, classes, first=not go_on)

    def _check_objects(self):
        """What the constraints let pass: classes have the methods that instances need, and a list may hold anything."""
        for name in ("weight_init", "learning_rate", "grow_init"):
            if isinstance(getattr(self, name), type):
                raise ValueError(f"{name}={getattr(self, name)!r} is a class; an instance of it is allowed.")
        for callback in self.callbacks or ():
            if isinstance(callback, type) or not any(hasattr(callback, event) for event in _EVENTS):
                raise ValueError(
                    f"callbacks={self.callbacks!r} holds {callback!r}; instances with at least one of the methods "
                    f"{', '.join(_EVENTS)} are allowed."
                )

    def _checked_shape(self, go_on):
        """The parameters that shape a network, which must be those it was made with if training goes on."""
        hidden = self.hidden_layer_sizes
        hidden = [hidden] if isinstance(hidden, Integral) else list(hidden)
        if not all(isinstance(size, Integral) and not isinstance(size, bool) and size > 0 for size in hidden):
            raise ValueError(f"hidden_layer_sizes={self.hidden_layer_sizes!r} must hold positive integers only.")
        shape = {name: getattr(self, name) for name in SHAPED_BY}
        shape |= {"hidden_layer_sizes": [int(size) for size in hidden], "topology_init": self._first_topology()}
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

    def _first_topology(self):
        """What the method brings, or else `topology_init`: "balanced", "erdos_renyi", "full", or a SNIP."""
        first = self.topology_init
        if isinstance(self.evolution, str):
            first = FIRST_TOPOLOGIES.get(self.evolution, first)
        if first == "snip":
            return self.topology_init if isinstance(self.topology_init, SNIP) else SNIP()
        return first

    def _warn_of_what_did_not_happen(self, trainer, done, in_parts):
        epochs = trainer.state.history[done:]
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

    def _make_trainer(self, X, target, shape, seed, go_on):
        streams = RandomStreams(seed)
        initializer = INITIALIZERS[self.weight_init] if isinstance(self.weight_init, str) else self.weight_init
        if go_on:
            network, state = copy.deepcopy(self._network), self._state.copy()
            network.dropout = self._resolved_dropout()
        else:
            network, state = self._make_network(X, target, shape, initializer, streams), None
        if self.solver == "adam":
            optimizer = Adam(alpha=self.alpha)
        else:
            optimizer = SGD(momentum=self.momentum, nesterov=self.nesterovs_momentum, alpha=self.alpha)
        schedule = self.learning_rate
        return Trainer(
            network,
            self._make_loss(),
            optimizer=optimizer,
            learning_rate=float(self.learning_rate_init),  # a NumPy scalar would bring its precision along
            lr_schedule=LEARNING_RATES[schedule] if isinstance(schedule, str) else schedule,
            evolution=self._make_evolution(),
            initializer=initializer,
            batch_size=self.batch_size,
            shuffle=self.shuffle,
            streams=streams,
            unit_pruning=self.unit_pruning,
            batch_transform=self.batch_transform,
            state=state,
        )

    def _make_network(self, X, target, shape, initializer, streams):
        shapes = layer_shapes([X.shape[1], *shape["hidden_layer_sizes"], self._n_outputs()])
        activation = ACTIVATIONS[self.activation] if isinstance(self.activation, str) else self.activation
        first = shape["topology_init"]
        if first == "full":
            counts = [fan_out * fan_in for fan_out, fan_in in shapes]
        else:
            counts = erdos_renyi(shapes, self.epsilon) if self.density is None else global_density(shapes, self.density)
        if isinstance(first, SNIP):
            parts = {"activation": activation, "loss": self._make_loss(), "initializer": initializer}
            patterns = first.choose(X, target, shapes, counts, **parts, streams=streams)
        else:
            patterns = [
                Pattern.sample(shape, nnz, streams("topology", layer), balanced=first == "balanced")
                for layer, (shape, nnz) in enumerate(zip(shapes, counts, strict=True))
            ]
        network = MLP.from_patterns(patterns, activation, dropout=self._resolved_dropout(), dtype=self.dtype)
        for index, (layer, pattern) in enumerate(zip(network.layers, patterns, strict=True)):
            rng = streams("weights", index)
            if isinstance(first, SNIP):
                layer.data[:] = draw_as_in_dense(initializer, pattern, rng)
            else:
                layer.data[:] = draw(initializer, pattern, slice(None), rng)
        for index, (activation, params) in enumerate(zip(network.activations, network.activation_params, strict=True)):
            if activation.n_params:
                params[:] = activation.first_params(params.shape[1], streams("activation", index))
        return network

    def _resolved_dropout(self):
        return self._default_dropout if self.dropout is None else float(self.dropout)

    def _make_evolution(self):
        evolution = preset(self.evolution) if isinstance(self.evolution, str) else self.evolution
        if evolution is None:
            return None
        for_schedule = {"drop_fraction": self.drop_fraction, "update_every": self.update_every}
        for_schedule = {name: value for name, value in for_schedule.items() if value is not None}
        if for_schedule:
            try:
                evolution = replace(evolution, schedule=replace(evolution.schedule, **for_schedule))
            except TypeError as error:
                raise ValueError(
                    f"{' and '.join(for_schedule)} cannot be set, because the schedule {evolution.schedule!r} has no "
                    "such field; set it in the schedule itself and leave the parameter None."
                ) from error
        return evolution if self.grow_init is None else replace(evolution, grow_init=self.grow_init)

    def _split(self, X, target, seed):
        try:
            X, X_val, target, target_val = train_test_split(
                X, target, test_size=self.validation_fraction, random_state=seed, stratify=self._stratify(target)
            )
        except ValueError as error:
            raise ValueError(
                f"early_stopping=True cannot set validation_fraction={self.validation_fraction!r} of {X.shape[0]} "
                f"samples aside: {error}"
            ) from error
        if X_val.shape[0] < self._fewest_to_score:
            raise ValueError(
                f"validation_fraction={self.validation_fraction!r} sets {X_val.shape[0]} of "
                f"{X.shape[0] + X_val.shape[0]} samples aside; a score needs at least {self._fewest_to_score}."
            )
        return X, target, Validation(X_val, target_val, self._score_predictions)

    def _checked(self, X, *y, dtype, **options):
        """The data, dense and C-contiguous or CSR with sound indices, in the dtype of the network."""
        refuse_masked("X", X)
        if issparse(X) and X.ndim == 2:
            X = sound_csr("X", X)  # scikit-learn does not check indices either
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused as infinite, in words
            try:
                checked = validate_data(self, X, *y, accept_sparse="csr", dtype=np.dtype(dtype), order="C", **options)
            except OverflowError as error:  # Python's integers have no largest
                raise ValueError(f"X or y holds an integer that dtype={dtype!s} cannot: {error}.") from error
        return checked if y else (checked,)

    # Using what was fitted.

    def _forward(self, X, of):
        """What `of` makes of the last layer's sums, (n_outputs, batch): an array (…, n_samples)."""
        check_is_fitted(self)
        (X,) = self._checked(X, dtype=self._network.dtype, reset=False)

        def of_finite(z):
            if not np.isfinite(z).all():
                raise ValueError(
                    f"X holds values from {X.min():g} to {X.max():g}, for which the outputs are infinite or NaN; only "
                    "values of about the size of those in training are allowed."
                )
            return of(z)

        with threads(effective_n_jobs(self.n_jobs)):
            return forward_all(self._network, X, of=of_finite)

    def summary(self) -> str:
        """The layers as a table: inputs, units, weights, density, and the bytes that they take without training.

        Returns
        -------
        str
            ``print`` it.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there are no layers yet.
        """
        check_is_fitted(self)
        return as_text(layer_rows(self._network))

    def _repr_html_inner(self):
        shown = super()._repr_html_inner()
        return shown + as_html(layer_rows(self._network)) if self.__sklearn_is_fitted__() else shown

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        return bundle | ({"text/html": self._repr_html_inner()} if "text/html" in bundle else {})

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_network")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @property
    def coefs_(self):
        """Weights of every layer, csc_array of shape (fan_in, fan_out)."""
        return [csc_array(layer.weight.T, copy=True) for layer in self._fitted("coefs_")._network.layers]

    @property
    def intercepts_(self):
        """Biases of every layer, (fan_out,)."""
        return [layer.bias.copy() for layer in self._fitted("intercepts_")._network.layers]

    @property
    def activation_params_(self):
        """What the activation of every hidden layer has learnt, (n_params, n_units)."""
        return [params.copy() for params in self._fitted("activation_params_")._network.activation_params]

    @property
    def n_iter_(self):
        """Epochs that have been trained."""
        return self._fitted("n_iter_")._state.progress.epoch

    @property
    def loss_curve_(self):
        """Mean training loss of every epoch."""
        return [record.train_loss for record in self._fitted("loss_curve_")._state.history]

    @property
    def history_(self):
        """What is known of every epoch, as lists of equal length; see `truesparse.training_state.EpochRecord`."""
        return self._fitted("history_")._state.history.as_dict()

    @property
    def density_(self):
        """Stored weights as a share of all pairs, over all layers."""
        return self._fitted("density_")._network.density

    def _fitted(self, attribute):
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"{type(self).__name__} has no attribute {attribute!r} before it is fitted.")
        return self


@contextmanager
def _unchanged_on_error(estimator):
    """Give an estimator back the attributes it had if what is done to it fails or is interrupted."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
