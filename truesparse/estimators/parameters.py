"""Constraints of the parameters that both estimators share."""

import math
from numbers import Integral, Real
from typing import ClassVar

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions, validate_parameter_constraints

from truesparse.evolution import Evolution
from truesparse.evolution.presets import FIRST_TOPOLOGIES, preset
from truesparse.network.activations import Activation
from truesparse.runtime.plugins import names
from truesparse.storage.parameters import Missing


class Named(StrOptions):
    """Constraint: a short name of a kind of plug-in that is registered when the parameter is checked."""

    def __init__(self, kind: str):
        super().__init__(set())
        self.kind = kind

    def is_satisfied_by(self, value):
        """Return whether `value` is such a name."""
        return isinstance(value, str) and value in names(self.kind)

    def __str__(self):
        return f"a str among {names(self.kind)}"


class Scoring(StrOptions):
    """Constraint: ``"loss"`` or the name of one of scikit-learn's scorers, which are imported to check a str."""

    def __init__(self):
        super().__init__({"loss"})

    def is_satisfied_by(self, value):
        """Return whether `value` is such a name."""
        return isinstance(value, str) and value in _scorings()

    def __str__(self):
        return f"a str among {_scorings()}"


def _scorings():
    from sklearn.metrics import get_scorer_names

    return sorted({"loss", *get_scorer_names()})


class Parameters(BaseEstimator):
    """Base with the constraints that scikit-learn checks before ``fit``."""

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "evolution": [Named("method"), Evolution, None],
        "epsilon": [Interval(Real, 0, None, closed="neither"), None],
        "density": [Interval(Real, 0, 1, closed="right"), None],
        "drop_fraction": [Interval(Real, 0, 1, closed="both"), None],
        "update_every": [Interval(Integral, 1, None, closed="left"), StrOptions({"epoch", "auto"}), None],
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
        "dtype": [StrOptions({"float32", "float64"})],
        "callbacks": [list, tuple, None],
    }

    def _validate_params(self):
        """Check all parameters but those that a file could only name, which predictions do not need."""
        if isinstance(self.evolution, str) and self.evolution in FIRST_TOPOLOGIES:
            preset(self.evolution)  # raises an error that names the parameters to use
        given = {name: value for name, value in self.get_params(deep=False).items() if not isinstance(value, Missing)}
        validate_parameter_constraints(self._parameter_constraints, given, caller_name=type(self).__name__)
