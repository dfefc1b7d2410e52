"""Training on several processes, which may be on several machines: `fit_mpi`, and estimators for Dask collections."""

from typing import TYPE_CHECKING, Any

from truesparse.distributed.mpi import fit_mpi

if TYPE_CHECKING:
    from truesparse.distributed.dask import DaskSparseMLPClassifier, DaskSparseMLPRegressor

__all__ = ["DaskSparseMLPClassifier", "DaskSparseMLPRegressor", "fit_mpi"]


def __getattr__(name: str) -> Any:
    if name in ("DaskSparseMLPClassifier", "DaskSparseMLPRegressor"):  # Dask is optional
        import truesparse.distributed.dask as dask

        return getattr(dask, name)
    raise AttributeError(f"module 'truesparse.distributed' has no attribute {name!r}")
