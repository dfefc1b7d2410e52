"""One seed, many independent random streams, each found by its name and step.

A stream depends on nothing but the seed, its name and its step: not on how many numbers other streams have
drawn. So adding a consumer changes no other one, and a run that goes on at step 1000 draws what it would have drawn.
"""

import zlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RandomStreams:
    """Random generators by name and step.

    Parameters
    ----------
    seed : int, not negative

    Examples
    --------
    >>> from truesparse.runtime.random_streams import RandomStreams
    >>> streams = RandomStreams(seed=0)
    >>> bool(streams("shuffle", step=3).random() == streams("shuffle", step=3).random())
    True
    """

    seed: int

    def __call__(self, name: str, step: int = 0) -> np.random.Generator:
        """The generator of that name and step, always from its start."""
        key = (zlib.crc32(name.encode()), step)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))
