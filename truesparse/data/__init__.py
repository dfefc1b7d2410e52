"""Sources of samples, checks of data from outside, and data sets."""

from truesparse.data.chunks import Chunks
from truesparse.data.shard import Shard
from truesparse.data.source import ArraySource, CSRSource, Source, array_source
from truesparse.data.transformed import Transformed

__all__ = ["ArraySource", "CSRSource", "Chunks", "Shard", "Source", "Transformed", "array_source"]
