"""Truly sparse training of neural networks: sparse in memory, in arithmetic, and from the first step on.

Names are imported when they are first used, because importing scikit-learn and Numba takes a second.
"""

from typing import TYPE_CHECKING, Any

from truesparse._version import __version__

if TYPE_CHECKING:
    from truesparse import inspection
    from truesparse.estimators import (
        SparseFeatureSelector,
        SparseMLPClassifier,
        SparseMLPEnsembleClassifier,
        SparseMLPEnsembleRegressor,
        SparseMLPRegressor,
        SparseResNetClassifier,
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
    "SparseMLPEnsembleClassifier",
    "SparseMLPEnsembleRegressor",
    "SparseMLPRegressor",
    "SparseResNetClassifier",
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

_ROOMS = (
    "callbacks", "data", "distributed", "estimators", "evolution", "inspection", "kernels", "network", "runtime",
    "storage", "topology", "training", "transforms",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__ and name not in _ROOMS:
        raise AttributeError(f"module 'truesparse' has no attribute {name!r}")
    import truesparse.estimators as estimators  # with all rooms, and so with all plug-ins whose names are taken
    import truesparse.evolution as evolution
    import truesparse.runtime.plugins as plugins

    if name == "distributed":  # which nothing else imports
        import truesparse.distributed as distributed

        return distributed
    if name in _ROOMS:
        return globals()[name]
    if name == "plugin":
        return plugins.plugin
    return getattr(evolution if name in evolution.__all__ else estimators, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
