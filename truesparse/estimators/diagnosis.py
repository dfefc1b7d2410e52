"""Networks that predict hardly better than a constant, and why as far as it can be seen."""

from collections.abc import Sequence

import numpy as np

from truesparse._typing import FloatArray
from truesparse.data.source import Source, in_batches, released
from truesparse.kernels.paths import mark_inputs
from truesparse.network.losses import Loss, Target, values_and_weights
from truesparse.network.mlp import MLP
from truesparse.training.inference import forward_all
from truesparse.training.state import EpochRecord
from truesparse.training.trainer import Trainer

_N_SAMPLES = 1000  # that are looked at, at most
_SUSPICIOUS = 0.8  # loss, in multiples of the constant's, that has to be explained by features that are not scaled
_CONSTANT = 1e-6  # loss below which the targets count as constant, so that nothing else can be learnt
_SMALLEST_DEVIATION, _LARGEST_DEVIATION, _FARTHEST_MEAN = 0.01, 10.0, 10.0  # the last one in deviations
_MOST_NAMED = 3
_OVERSHOT = 10.0  # training loss, in multiples of the constant's, that too large steps alone explain


def failure(trainer: Trainer, kept: EpochRecord, names: Sequence[str] | None) -> str | None:
    """Return a warning if the network predicts its training samples no better than a constant, otherwise None.

    If features are not scaled, a little better is not enough. (Some targets hardly depend on any feature.)

    `kept` is the record of the epoch that the network is from; `names` are those of the features.
    """
    network, loss, source = trainer.network, trainer.recipe.loss, trainer.source
    samples = source.draw(_N_SAMPLES, trainer.streams("diagnosis"))
    target = source.target[samples]  # type: ignore[index]  # a source that is trained on has targets
    constant = loss_of_constant(loss, target, network.layer_sizes[-1], network.dtype)
    if constant < _CONSTANT or kept.train_loss < _SUSPICIOUS * constant:
        return None
    source = source.subset(samples)
    with released(source):
        z = forward_all(network, source)
        reached = loss(z, target, z)
        images = trainer.recipe.residual
        unscaled = _unscaled_channels(source, images.image_shape[2]) if images else _unscaled_features(source, names)
    if reached < constant * (1 if unscaled is None else _SUSPICIOUS):
        return None
    cause = (
        _no_path(network)
        or unscaled
        or _too_large_steps(trainer, constant)
        or _too_few_epochs(trainer)
        or "More epochs (max_iter), a lower learning_rate_init, "
        f"more weights ({'density' if images else 'epsilon'}) or other features may help."
    )
    degree = "no" if reached >= constant else "hardly"
    return (
        f"The network predicts the training data {degree} better than a constant: its loss is {reached:.4g}, that of "
        f"the best constant {constant:.4g}. {cause}"
    )


def loss_of_constant(loss: Loss, target: Target, n_outputs: int, dtype: np.dtype) -> float:
    """Return the lowest mean loss that the same sums z for all samples can have.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.estimators.diagnosis import loss_of_constant
    >>> from truesparse.network.losses import SquaredError
    >>> round(loss_of_constant(SquaredError(), np.array([[1.0], [3.0]]), 1, np.dtype("float64")), 6)  # z = 2
    0.5
    """
    from scipy.optimize import minimize

    shape = n_outputs, len(values_and_weights(target)[0])

    def value_and_gradient(z):
        sums = np.repeat(z.astype(dtype)[:, None], shape[1], axis=1)
        gradient = np.empty_like(sums)
        return loss(sums, target, gradient), gradient.sum(axis=1, dtype=np.float64)

    return float(minimize(value_and_gradient, np.zeros(n_outputs), jac=True, method="L-BFGS-B").fun)


def _no_path(network: MLP) -> str | None:
    if network.shares_weights:  # paths also lead around blocks
        return None
    on_path = np.ones(network.layer_sizes[-1], dtype=np.uint8)
    for layer in reversed(network.layers):
        inputs_on_path = np.zeros(layer.shape[1], dtype=np.uint8)
        mark_inputs(layer.pattern.indptr, layer.pattern.indices, on_path, inputs_on_path)
        on_path = inputs_on_path
    return None if on_path.any() else "No path of connections leads from the features to an output: raise epsilon."


def _unscaled_features(source: Source, names: Sequence[str] | None) -> str | None:
    """Name features whose mean is far from 0, or whose standard deviation is far from 1."""
    named = _unscaled(*_moments(source), "Features of the data are not scaled: ", names)
    scaler = "MaxAbsScaler()" if source.is_sparse else "StandardScaler()"
    return named and f"{named}. Put scikit-learn's {scaler} in front, by make_pipeline."


def _unscaled_channels(source: Source, n_channels: int) -> str | None:
    """Name channels of images likewise."""
    mean, deviation = (array.reshape(-1, n_channels) for array in _moments(source))
    of_channels = mean.mean(axis=0), np.sqrt((deviation**2).mean(axis=0) + mean.var(axis=0))
    named = _unscaled(*of_channels, "Channels of the images are not scaled: ", None)
    return named and f"{named}. Standardise each channel by its own mean and deviation."


def _unscaled(mean: FloatArray, deviation: FloatArray, beginning: str, names: Sequence[str] | None) -> str | None:
    varying = np.flatnonzero(deviation)
    mean, deviation = mean[varying], deviation[varying]
    excess = np.maximum(deviation / _LARGEST_DEVIATION, _SMALLEST_DEVIATION / deviation)
    excess = np.maximum(excess, np.abs(mean) / deviation / _FARTHEST_MEAN)
    n_unscaled = int((excess > 1).sum())
    if not n_unscaled:
        return None
    named = [
        f"{varying[i] if names is None else repr(names[varying[i]])} (mean {mean[i]:.3g}, deviation {deviation[i]:.3g})"
        for i in np.argsort(-excess, kind="stable")[: min(n_unscaled, _MOST_NAMED)]
    ]
    more = f" and {n_unscaled - len(named)} more" if n_unscaled > len(named) else ""
    return f"{beginning}{', '.join(named)}{more}"


def _moments(source: Source) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of every feature, (n_features,) float64; a few samples at a time."""
    total, squares, shift = np.zeros(source.n_features), np.zeros(source.n_features), None
    for samples in in_batches(np.arange(source.n_samples), 32):
        rows = source.gathered_rows(samples)
        if not source.is_sparse:
            shift = rows[0].copy() if shift is None else shift
            rows -= shift  # small beside a large mean, so that their squares do not cancel
        total += np.asarray(rows.sum(axis=0, dtype=np.float64)).reshape(-1)
        squared = rows.multiply(rows) if source.is_sparse else rows * rows
        squares += np.asarray(squared.sum(axis=0, dtype=np.float64)).reshape(-1)
    mean = total / source.n_samples
    deviation = np.sqrt(np.maximum(squares / source.n_samples - mean**2, 0))
    return mean if shift is None else mean + shift, deviation


def _too_few_epochs(trainer: Trainer) -> str | None:
    losses = [record.train_loss for record in trainer.state.history]
    if losses[-1] > min(losses):
        return None
    return "The training loss was still falling: raise max_iter."


def _too_large_steps(trainer: Trainer, constant: float) -> str | None:
    highest = max(record.train_loss for record in trainer.state.history)
    if highest < _OVERSHOT * constant:
        return None
    return (
        f"The training loss was up to {highest:.4g}, so steps were too large: lower "
        f"learning_rate_init={trainer.recipe.learning_rate:g}."
    )
