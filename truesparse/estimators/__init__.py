"""Estimators with scikit-learn's interface, and what belongs to them: files, warm-up, feature selection."""

from truesparse.estimators.autoencoder import GaussianNoise, denoising_autoencoder
from truesparse.estimators.classifier import SparseMLPClassifier
from truesparse.estimators.feature_selector import SparseFeatureSelector
from truesparse.estimators.persistence import load, save
from truesparse.estimators.regressor import SparseMLPRegressor
from truesparse.estimators.warmup import warmup

__all__ = [
    "GaussianNoise",
    "SparseFeatureSelector",
    "SparseMLPClassifier",
    "SparseMLPRegressor",
    "denoising_autoencoder",
    "load",
    "save",
    "warmup",
]
