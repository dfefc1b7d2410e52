"""Training on several processes, which may be on several machines: `fit_mpi`, and estimators for Dask collections.

mpi4py and Dask are imported when they are first used.
"""

from truesparse.distributed.dask import DaskSparseMLPClassifier, DaskSparseMLPRegressor
from truesparse.distributed.mpi import fit_mpi

__all__ = ["DaskSparseMLPClassifier", "DaskSparseMLPRegressor", "fit_mpi"]
