"""Truly sparse training of multilayer perceptrons: sparse in memory, in arithmetic, and from the first step on."""

from truesparse import inspection
from truesparse._version import __version__
from truesparse.compilation import warmup
from truesparse.estimators import SparseMLPClassifier, SparseMLPRegressor
from truesparse.evolution import Evolution, paper_settings, preset, recommended_settings
from truesparse.persistence import load, save

__all__ = [
    "Evolution",
    "SparseMLPClassifier",
    "SparseMLPRegressor",
    "__version__",
    "inspection",
    "load",
    "paper_settings",
    "preset",
    "recommended_settings",
    "save",
    "warmup",
]
