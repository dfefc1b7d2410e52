"""Fitted estimators: predictions, fitted attributes, exports, and checks of data."""

import math
import os
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.sparse import csc_array
from sklearn.utils.validation import check_is_fitted

from truesparse.data.source import array_source
from truesparse.estimators.display import as_html, as_text, layer_rows
from truesparse.estimators.inputs import InputChecks
from truesparse.estimators.parameters import Parameters
from truesparse.estimators.run import Run
from truesparse.evolution import input_strength
from truesparse.inspection import layer_flops, total
from truesparse.runtime.checks import plain
from truesparse.runtime.threads import asked_threads, threads
from truesparse.storage import numpy_export
from truesparse.training.inference import BATCH, forward_all
from truesparse.training.sharing import least_batch, useful_threads

if TYPE_CHECKING:
    import torch


class FittedSparseNetwork(InputChecks, Parameters):
    """Predictions and fitted attributes; once it is fitted, ``_run`` holds the network and its training."""

    _run: Run
    _shaped_by: ClassVar[tuple[str, ...]] = (
        "hidden_layer_sizes",
        "epsilon",
        "density",
        "topology_init",
        "activation",
        "dtype",
    )
    """The parameters that shape a network, and cannot change while its training goes on."""

    @abstractmethod
    def _head(self):
        """Return the `truesparse.storage.head.Head` that turns the last layer's sums into predictions."""

    @abstractmethod
    def _outputs(self, z):
        """Return probabilities, or predictions in units of the targets, of sums (n_outputs, batch), same shape."""

    @abstractmethod
    def _store_learnt(self):
        """Return the classes or scales of the targets as metadata and arrays."""

    @abstractmethod
    def _restore_learnt(self, section, arrays):
        """Set the attributes that `_store_learnt` stored, checked."""

    @property
    def _dtype(self):
        return self.dtype

    @property
    def _network(self):
        """The network of a fitted estimator, for `truesparse.inspection`."""
        return self._fitted("_network").network

    def _forward(self, X, of):
        """Apply `of` to the last layer's sums, (n_outputs, batch), and return the results (…, n_samples)."""
        check_is_fitted(self)
        network = self._run.network
        X = self._checked_to_predict(X, network.dtype)

        def of_finite(z):
            made = of(z)
            if not (np.isfinite(z).all() and np.isfinite(made).all()):
                raise ValueError(
                    f"X holds values from {X.min():g} to {X.max():g}, for which the outputs are infinite or NaN; only "
                    "values of about the size of those in training are allowed."
                )
            return made

        gain = useful_threads(network.work, min(X.shape[0], BATCH), most=2, tile=network.tile) > 1
        n_threads = asked_threads(plain(self.n_jobs)) if gain else 1
        with threads(n_threads, uses_blas=not network.is_batch_invariant):
            return forward_all(network, array_source(X), of_finite)

    def summary(self) -> str:
        """Return a text to print: size of each layer, operations of a prediction, steps, when threads help.

        The bytes are those needed for predictions. A smaller batch than the one in the last line is trained by one
        thread, whatever `n_jobs` is.
        """
        check_is_fitted(self)
        network, progress = self._run.network, self._run.state.progress
        trained = (
            f"Trained in {progress.step:,} steps with {progress.weight_steps / max(1, progress.step):,.0f} weights on "
            f"average: {progress.weight_steps:,} weights × steps."
        )
        least = least_batch(network.work, tile=network.tile)
        worth = f"Several threads (n_jobs) speed up training from batch_size={least:,} on."
        flops = f"A prediction takes {total(layer_flops(network)).inference:,} operations for each sample."
        return "\n".join([as_text(layer_rows(network)), flops, trained, worth])

    def export_numpy(self, path: str | os.PathLike) -> None:
        """Write a program that predicts with NumPy and SciPy only, and the weights that it reads.

        They are ``predictor.py``, fewer than 80 lines that begin with how to use them, and ``weights.npz``, plain
        arrays (see `truesparse.storage.numpy_export`). Predictions are those of the estimator up to rounding.

        `path` is a new directory in an existing one, an empty directory, or an earlier export, whose files are
        replaced; for anything else a FileExistsError is raised. Whatever fails, it holds the old model, the new one or
        none afterwards.

        There is no export to ONNX, which would run the network as a dense one: see microsoft/onnxruntime, issues 5578
        and 31730, and pull request 5540.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sklearn.datasets import load_iris
        >>> from truesparse import SparseMLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = SparseMLPClassifier((20,), epsilon=5, max_iter=5, random_state=0).fit(X, y)
        >>> directory = Path(tempfile.mkdtemp()) / "iris"
        >>> model.export_numpy(directory)
        >>> sorted(file.name for file in directory.iterdir())
        ['predictor.py', 'weights.npz']

        Elsewhere, with ``directory`` as the working directory, ``from predictor import load``:

        >>> from truesparse.storage.predictor import load
        >>> bool((load(directory).predict(X) == model.predict(X)).all())
        True
        """
        check_is_fitted(self)
        numpy_export.write(path, numpy_export.arrays_of(self._run.network, self._head()))

    def to_torch(self) -> "torch.nn.Sequential":
        """Return a copy of the network as a module of PyTorch in eval mode, in which the weights stay sparse.

        It takes a dense tensor (n, n_features) of the estimator's dtype and returns the values of ``predict_proba`` for
        a classifier, of ``predict`` for a regressor; ``module[:-1]`` gives the logits. Weights and biases are
        parameters and connections are buffers, (nnz,) vectors in ``state_dict``. Inputs can be differentiated too.
        ``torch.export`` turns it into a program that does not need truesparse.
        """
        check_is_fitted(self)
        from truesparse.storage.torch_export import as_module  # PyTorch is optional

        return as_module(self._run.network, self._head())

    def _repr_html_inner(self):
        shown = super()._repr_html_inner()
        return shown + as_html(layer_rows(self._run.network)) if self.__sklearn_is_fitted__() else shown

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        return bundle | ({"text/html": self._repr_html_inner()} if "text/html" in bundle else {})

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_run")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @property
    def coefs_(self):
        """Weights of every layer, csc_array of shape (fan_in, fan_out)."""
        return [csc_array(layer.weight.T, copy=True) for layer in self._fitted("coefs_").network.layers]

    @property
    def intercepts_(self):
        """Biases of every layer, (fan_out,)."""
        return [layer.bias.copy() for layer in self._fitted("intercepts_").network.layers]

    @property
    def feature_importances_(self):
        """Sum of every feature's absolute weights in the first layer, as a share of all, (n_features,)."""
        strength = input_strength(self._fitted("feature_importances_").network.layers[0].weight)
        return strength / max(strength.sum(), np.finfo(strength.dtype).tiny)

    @property
    def activation_params_(self):
        """Learnt parameters of every hidden layer's activation, (n_params, n_units)."""
        return [params.copy() for params in self._fitted("activation_params_").network.activation_params]

    @property
    def n_iter_(self):
        """Epochs that have been trained."""
        return self._fitted("n_iter_").state.progress.epoch

    @property
    def loss_curve_(self):
        """Mean training loss of every epoch."""
        return [record.train_loss for record in self._fitted("loss_curve_").state.history]

    @property
    def loss_(self):
        """Mean training loss of the last epoch."""
        return self._measured("loss_", "train_loss")[-1]

    @property
    def best_loss_(self):
        """Lowest mean training loss of an epoch."""
        return min(self._measured("best_loss_", "train_loss"))

    @property
    def validation_scores_(self):
        """Validation score of every epoch, NaN for epochs without validation data."""
        return self._measured("validation_scores_", "validation_score")

    @property
    def best_validation_score_(self):
        """Highest validation score of an epoch."""
        return float(np.nanmax(self._measured("best_validation_score_", "validation_score")))

    @property
    def best_epoch_(self):
        """Epoch of the last fit, counted from 1 over all, with the best validation loss or, by `scoring`, score.

        Only epochs with as many weights as the last one count.
        """
        state = self._fitted("best_epoch_").state
        sign, field = (-1, "validation_loss") if self.scoring is None else (1, "validation_score")
        self._measured("best_epoch_", field, state.progress.plan_epoch)
        records = state.history.of_last_size(state.progress.plan_epoch)
        return records[int(np.nanargmax([sign * getattr(record, field) for record in records]))].epoch

    @property
    def n_layers_(self):
        """Layers of units, the inputs and the outputs included."""
        return len(self._fitted("n_layers_").network.layer_sizes)

    @property
    def n_outputs_(self):
        """Output units."""
        return self._fitted("n_outputs_").network.layer_sizes[-1]

    @property
    def out_activation_(self):
        """Activation of the output units: "softmax", "logistic", "identity" or "exp"."""
        self._fitted("out_activation_")
        return self._make_loss().out_activation

    @property
    def n_parameters_(self):
        """Stored numbers that are trained: weights, biases and what activations learn."""
        return self._fitted("n_parameters_").network.params.size

    @property
    def weight_steps_(self):
        """Number of weights, added up over all steps of the training."""
        return self._fitted("weight_steps_").state.progress.weight_steps

    @property
    def history_(self):
        """Records of all epochs as lists of equal length; see `truesparse.training.state.EpochRecord`."""
        return self._fitted("history_").state.history.as_dict()

    @property
    def density_(self):
        """Connections as a share of all pairs, over all layers."""
        return self._fitted("density_").network.density

    def _measured(self, attribute, field, before=0):
        """Return an entry of the records after the first ones, unless it is NaN in all."""
        values = self._fitted(attribute).state.history.as_dict()[field][before:]
        if all(map(math.isnan, values)):
            lacking = "validation data" if field.startswith("validation") else "a whole epoch"
            raise AttributeError(f"{type(self).__name__} has no attribute {attribute!r} after a fit without {lacking}.")
        return values

    def _fitted(self, attribute):
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"{type(self).__name__} has no attribute {attribute!r} before it is fitted.")
        return self._run
