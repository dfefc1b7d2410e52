"""Model files that are damaged or hostile, each made from an honest one, its number and nothing else.

`honest_files` makes three models and their files; `mutant` is one of endlessly many changed files. Some kinds only
damage bytes; others are written by a writer that lies where it likes and still gets all checksums right.
"""

import numpy as np

from .arrays import hostile_array
from .damage import damaged, exchanged
from .foreign import foreign
from .headers import hostile_header
from .honest import Mutant, honest_files
from .metadata import hostile_metadata, targeted
from .writer import pack, zip_bytes
from .zips import hostile_zip

__all__ = ["honest_files", "mutant", "pack", "zip_bytes"]

# Kinds of mutants, in turns.
KINDS = [damaged] * 8 + [exchanged] * 2 + [hostile_array] * 4 + [hostile_metadata] * 4 + [targeted] * 3
KINDS += [hostile_zip] * 2 + [hostile_header, foreign]


def mutant(files, index, seed=0):
    """The mutant with this number."""
    rng = np.random.default_rng([seed, index])
    kind = KINDS[index % len(KINDS)]
    honest = files[index // len(KINDS) % len(files)]
    made = kind(honest, rng, files)
    return made if isinstance(made, Mutant) else Mutant(honest, *made)
