"""Hints in error messages: what to write for names and values of MLPClassifier and other libraries."""

from collections.abc import Iterable
from numbers import Real
from typing import Any

from truesparse.runtime.plugins import did_you_mean

# Parameters that are not here, and what to write.
_NAMES = {
    "beta_1": "solver=truesparse.training.Adam(beta1=0.9)",
    "beta_2": "solver=truesparse.training.Adam(beta2=0.999)",
    "momentum": "solver=truesparse.training.SGD(momentum=0.9)",
    "nesterovs_momentum": "solver=truesparse.training.SGD(nesterov=True)",
    "power_t": "learning_rate='step' or 'cosine'; there is no 'invscaling', to which power_t belongs",
    "max_fun": "max_iter; there is no 'lbfgs', to which max_fun belongs",
    "epochs": "max_iter",
    "n_epochs": "max_iter",
    "lr": "learning_rate_init",
    "optimizer": "solver",
    "patience": "n_iter_no_change",
    "seed": "random_state",
    "sparsity": "density, which is 1 - sparsity",
    "weight_decay": "alpha",
}

# Values that are not allowed here, and what to write.
_VALUES = {
    ("activation", "sigmoid"): "activation='logistic'",
    ("batch_size", "auto"): "batch_size=200, which MLPClassifier's 'auto' is for 200 samples or more",
    ("learning_rate", "adaptive"): "learning_rate='step', which divides the rate twice, or 'cosine'",
    ("learning_rate", "invscaling"): "learning_rate='step', which divides the rate twice, or 'cosine'",
    ("loss", "l1"): "loss='absolute_error'",
    ("loss", "l2"): "loss='squared_error'",
    ("loss", "mae"): "loss='absolute_error'",
    ("loss", "mse"): "loss='squared_error'",
    ("solver", "lbfgs"): "solver='adam', the default, or 'sgd': a topology evolves between steps on batches",
}


def for_name(name: str, names: Iterable[str], of_estimator: Iterable[str] = ()) -> str:
    """Return a sentence that says what to write for an unknown parameter, or "", with a space in front.

    `names` are the parameters that there are, `of_estimator` those of the parameter ``estimator``.

    Examples
    --------
    >>> from truesparse.estimators import hints
    >>> hints.for_name("momentum", ["alpha", "solver"])
    ' Write solver=truesparse.training.SGD(momentum=0.9).'
    """
    if name in of_estimator:
        return f" It is a parameter of the network: estimator=SparseMLP…({name}=…)."
    return f" Write {_NAMES[name]}." if name in _NAMES else did_you_mean(name, names)


def for_value(name: str, value: Any, choices: Iterable[str]) -> str:
    """Return a sentence that says what to write for a value that is not allowed, or "", with a space in front."""
    if name == "learning_rate" and isinstance(value, Real):
        return f" Write learning_rate_init={value!r}."
    if not isinstance(value, str):
        return ""
    return f" Write {_VALUES[name, value]}." if (name, value) in _VALUES else did_you_mean(value, choices)
