"""Estimators with scikit-learn's interface, their files, warm-up, and feature selection.

Names of scikit-learn that are not public are used where it has no public one: ``sklearn.base._fit_context``; the
constraints of ``sklearn.utils._param_validation``; of `BaseEstimator` ``_get_param_names``, ``_parameter_constraints``,
``_validate_params``, ``_repr_html_inner`` and ``_repr_mimebundle_``; ``_score_func`` of scorers; and of callbacks (1.9
or later) ``_init_callback_context`` and the attributes ``sklearn_callbacks._MANAGED``.
"""

from typing import TYPE_CHECKING, Any

from truesparse.estimators.autoencoder import denoising_autoencoder
from truesparse.estimators.classifier import SparseMLPClassifier
from truesparse.estimators.ensemble_classifier import SparseMLPEnsembleClassifier
from truesparse.estimators.ensemble_regressor import SparseMLPEnsembleRegressor
from truesparse.estimators.persistence import load, save
from truesparse.estimators.regressor import SparseMLPRegressor
from truesparse.estimators.resnet_classifier import SparseResNetClassifier
from truesparse.estimators.warmup import warmup
from truesparse.transforms import GaussianNoise

if TYPE_CHECKING:
    from truesparse.estimators.feature_selector import SparseFeatureSelector

__all__ = [
    "GaussianNoise",
    "SparseFeatureSelector",
    "SparseMLPClassifier",
    "SparseMLPEnsembleClassifier",
    "SparseMLPEnsembleRegressor",
    "SparseMLPRegressor",
    "SparseResNetClassifier",
    "denoising_autoencoder",
    "load",
    "save",
    "warmup",
]


def __getattr__(name: str) -> Any:
    if name == "SparseFeatureSelector":  # its base class takes a while to import
        from truesparse.estimators.feature_selector import SparseFeatureSelector

        return SparseFeatureSelector
    raise AttributeError(f"module 'truesparse.estimators' has no attribute {name!r}")
