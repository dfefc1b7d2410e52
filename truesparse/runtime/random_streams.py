"""Independent random streams from one seed, each found by its name and step.

A stream does not depend on how many numbers others have drawn: a new stream changes no other one, and a run that
resumes at step 1000 draws the same numbers as one that never stopped.
"""

import zlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Draws(NamedTuple):
    """Random numbers of one step that kernels make by counting (see `truesparse.kernels.dropout`)."""

    key: int  # below 2⁶⁴
    step: int
    column: int = 0  # a multiple of `truesparse.kernels.draws.LANES_PER_NUMBER`: place in the batch of the first sample


@dataclass(frozen=True)
class RandomStreams:
    """Random generators by name and step, from a `seed` of at least 0.

    Processes that train together draw the same numbers, but where `place`, a number of their own, is given.
    """

    seed: int

    def __call__(self, name: str, step: int = 0, place: int = 0) -> np.random.Generator:
        """Return the generator of that name, step and place, at its start."""
        return np.random.default_rng(self._sequence(name, step, place))

    def key(self, name: str) -> int:
        """Return the key of `Draws` in all steps."""
        return int(self._sequence(name, 0, 0).generate_state(1, np.uint64)[0])

    def _sequence(self, name, step, place):
        by_place = (place,) if place else ()
        return np.random.SeedSequence(self.seed, spawn_key=(zlib.crc32(name.encode()), step, *by_place))
