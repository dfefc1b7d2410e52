"""Independent random streams from one seed, each found by its name and step.

A stream does not depend on how many numbers others have drawn: a new stream changes no other one, and a run that
resumes at step 1000 draws the same numbers as one that never stopped.
"""

import zlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RandomStreams:
    """Random generators by name and step, from a `seed` of at least 0."""

    seed: int

    def __call__(self, name: str, step: int = 0) -> np.random.Generator:
        """Return the generator of that name and step, at its start."""
        key = (zlib.crc32(name.encode()), step)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))
