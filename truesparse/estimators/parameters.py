"""Constraints of the parameters that both estimators share, and errors that say what to write instead."""

import functools
import inspect
import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, TypeVar, cast

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    validate_parameter_constraints,
)

from truesparse.estimators import hints
from truesparse.evolution import Evolution
from truesparse.evolution.presets import FIRST_TOPOLOGIES, preset
from truesparse.network.activations import Activation
from truesparse.runtime.plugins import names
from truesparse.storage.parameters import Missing

# The parameters by which a training may end before an update of the topology is due, or replaces a connection.
TIMING = (
    "evolution", "drop_fraction", "update_every", "max_iter", "batch_size", "early_stopping", "n_iter_no_change",
    "callbacks",
)  # fmt: skip

Init = TypeVar("Init", bound=Callable[..., Any])


class Choice(StrOptions):
    """Constraint: one of some strings, which messages list in order."""

    def __init__(self, *choices: str):
        super().__init__(set(choices))

    def choices(self) -> list[str]:
        """Return the strings, sorted."""
        return sorted(self.options)

    def is_satisfied_by(self, value):
        """Return whether `value` is one of them."""
        return isinstance(value, str) and value in self.choices()

    def __str__(self):
        return f"a str among {self.choices()}"


class Named(Choice):
    """Constraint: a short name of a kind of plug-in that is registered when the parameter is checked."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind

    def choices(self) -> list[str]:
        """Return the short names, sorted."""
        return names(self.kind)


class Scoring(Choice):
    """Constraint: ``"loss"`` or the name of one of scikit-learn's scorers, which are imported to check a str."""

    def choices(self) -> list[str]:
        """Return the names, sorted."""
        from sklearn.metrics import get_scorer_names

        return sorted({"loss", *get_scorer_names()})


def explained(init: Init) -> Init:
    """Let an ``__init__`` refuse unknown keywords by a TypeError that names the class and says what to write."""

    allowed = sorted(inspect.signature(init).parameters.keys() - {"self"})

    @functools.wraps(init)
    def checked(self, *args, **given):
        _check_names(type(self).__name__, given, allowed, TypeError)
        init(self, *args, **given)

    return cast(Init, checked)


class HelpfulParameters(BaseEstimator):
    """Base whose errors about parameters say what to write."""

    _parameter_constraints: ClassVar[dict]

    def set_params(self, **params):
        """Set parameters, and return the estimator; ``estimator__name`` sets one of a nested estimator."""
        given = [name.partition("__")[0] for name in params]
        _check_names(type(self).__name__, given, self._get_param_names(), ValueError)
        return super().set_params(**params)

    def _validate_params(self):
        self._check_values(self.get_params(deep=False))

    def _check_values(self, given):
        for name, value in given.items():
            try:
                validate_parameter_constraints(self._parameter_constraints, {name: value}, type(self).__name__)
            except InvalidParameterError as error:
                named = [part for part in self._parameter_constraints[name] if isinstance(part, Choice)]
                hint = hints.for_value(name, value, [choice for part in named for choice in part.choices()])
                raise InvalidParameterError(f"{error}{hint}") from None


def _check_names(caller, given, allowed, error):
    for name in given:
        if name not in allowed:
            of_estimator = Parameters._parameter_constraints if "estimator" in allowed else ()
            hint = hints.for_name(name, allowed, of_estimator)
            raise error(f"{caller} has no parameter {name!r}.{hint} Its parameters are {allowed}.")


class Parameters(HelpfulParameters):
    """Base with the constraints that scikit-learn checks before ``fit``."""

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left"), None],
        "evolution": [Named("method"), Evolution, None],
        "epsilon": [Interval(Real, 0, None, closed="neither"), None],
        "density": [Interval(Real, 0, 1, closed="right"), None],
        "drop_fraction": [Interval(Real, 0, 1, closed="both"), None],
        "update_every": [Interval(Integral, 1, None, closed="left"), Choice("epoch", "auto"), None],
        "topology_init": [Named("topology"), callable],
        "activation": [Named("activation"), Activation, None],
        "weight_init": [Named("initializer"), HasMethods("bounds"), None],
        "dropout": [Interval(Real, 0, 1, closed="left"), None],
        "solver": [Named("optimizer"), HasMethods(["init", "step"])],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Named("learning_rate"), HasMethods("factor")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "batch_transform": [callable, None],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "early_stopping": ["boolean"],
        "scoring": [Scoring(), callable, None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {math.inf})],
        "n_jobs": [Interval(Integral, None, -1, closed="right"), Interval(Integral, 1, None, closed="left"), None],
        "dtype": [Choice("float32", "float64")],
        "callbacks": [list, tuple, None],
    }

    def _given(self, names):
        """Return the assignments of those of the parameters that do not have their defaults; methods have names."""
        given = []
        for name, parameter in inspect.signature(type(self).__init__).parameters.items():
            value = getattr(self, name, parameter.default)
            if name in names and value != parameter.default and not (name == "evolution" and isinstance(value, str)):
                given.append(f"{name}={value!r:.100}")
        return given

    def _validate_params(self):
        """Check all parameters but those that a file could only name, which predictions do not need."""
        if isinstance(self.evolution, str) and self.evolution in FIRST_TOPOLOGIES:
            preset(self.evolution)  # raises an error that names the parameters to use
        given = {name: value for name, value in self.get_params(deep=False).items() if not isinstance(value, Missing)}
        self._check_values(given)
