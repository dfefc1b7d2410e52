"""What the parameters of both estimators may be. Their docstrings and signatures are written out in both."""

import math
from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions

from truesparse.evolution import PRESETS, Evolution
from truesparse.evolution.first import FIRST_TOPOLOGIES
from truesparse.evolution.presets import preset
from truesparse.network.activations import Activation
from truesparse.network.initial_weights import INITIALIZERS
from truesparse.runtime.plugins import names
from truesparse.training.lr_schedules import LEARNING_RATES
from truesparse.training.optimizers import OPTIMIZERS


class ShortNames(StrOptions):
    """Constraint: a short name of a kind of plug-in, also one that is registered after the import."""

    def __init__(self, kind: str):
        super().__init__(set(names(kind)))
        self._kind = kind

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether `val` is a short name now."""
        self.options = set(names(self._kind))
        return super().is_satisfied_by(val)


class Parameters(BaseEstimator):
    """Holds the constraints that scikit-learn checks before ``fit``."""

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "evolution": [StrOptions(set(PRESETS)), Evolution, None],
        "epsilon": [Interval(Real, 0, None, closed="neither"), None],
        "density": [Interval(Real, 0, 1, closed="right"), None],
        "drop_fraction": [Interval(Real, 0, 1, closed="both"), None],
        "update_every": [Interval(Integral, 1, None, closed="left"), StrOptions({"epoch"}), None],
        "topology_init": [StrOptions(set(FIRST_TOPOLOGIES)), callable],
        "activation": [ShortNames("activation"), Activation, None],
        "weight_init": [StrOptions(set(INITIALIZERS)), HasMethods("bounds"), None],
        "dropout": [Interval(Real, 0, 1, closed="left"), None],
        "solver": [StrOptions(set(OPTIMIZERS)), HasMethods(["init", "step"])],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions(set(LEARNING_RATES)), HasMethods("factor")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "batch_transform": [callable, None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "early_stopping": ["boolean"],
        "scoring": [StrOptions({"loss", *get_scorer_names()}), callable, None],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {math.inf})],
        "n_jobs": [Interval(Integral, None, -1, closed="right"), Interval(Integral, 1, None, closed="left"), None],
        "dtype": [StrOptions({"float32", "float64"})],
        "callbacks": [list, tuple, None],
    }

    def _validate_params(self):
        if self.evolution in ("snip", "dense"):  # say what to write instead
            preset(self.evolution)
        super()._validate_params()
