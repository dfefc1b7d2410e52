"""Sparse topologies: densities, patterns, and the change from one pattern to the next."""

from truesparse.topology.local_fields import LocalFields
from truesparse.topology.pattern import Pattern
from truesparse.topology.rewiring import Rewiring

__all__ = ["LocalFields", "Pattern", "Rewiring"]
