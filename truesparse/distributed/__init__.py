"""Training on several processes, which may be on several machines: `truesparse.distributed.mpi`."""

from truesparse.distributed.mpi import fit_mpi

__all__ = ["fit_mpi"]
