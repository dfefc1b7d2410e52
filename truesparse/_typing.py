"""Types of arrays."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
"""float32 or float64."""

IndexArray = NDArray[np.integer]
"""int32 where the numbers fit, else int64."""

Edges = tuple[IndexArray, IndexArray]
"""Pairs of a layer as (rows, columns): row = output unit, column = input unit."""
