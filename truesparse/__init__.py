"""Truly sparse training of multilayer perceptrons: sparse in memory, in arithmetic, and from the first step on."""

from truesparse import inspection
from truesparse._version import __version__
from truesparse.estimators import (
    SparseFeatureSelector,
    SparseMLPClassifier,
    SparseMLPRegressor,
    load,
    save,
    warmup,
)
from truesparse.evolution import Evolution, paper_settings, preset, recommended_settings
from truesparse.runtime.plugins import plugin

__all__ = [
    "Evolution",
    "SparseFeatureSelector",
    "SparseMLPClassifier",
    "SparseMLPRegressor",
    "__version__",
    "inspection",
    "load",
    "paper_settings",
    "plugin",
    "preset",
    "recommended_settings",
    "save",
    "warmup",
]
