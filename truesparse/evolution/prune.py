"""Which stored weights go.

Each rule is called with the weights of the layers that can change, as SciPy CSR arrays, and with the exact number
of weights to drop in each. It returns one mask per layer.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from truesparse.kernels.select import k_smallest


@dataclass(frozen=True)
class Magnitude:
    """Drop the smallest |w|; among equals the first in CSR order.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from truesparse.evolution import Magnitude
    >>> Magnitude()([csr_array([[3.0, -0.1], [0.2, 0.0]])], n_drop=[1])
    [array([False,  True, False])]
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def __call__(self, weights, n_drop):
        """Masks of the weights to drop."""
        return [k_smallest(np.abs(weight.data), n) for weight, n in zip(weights, n_drop, strict=True)]


@dataclass(frozen=True)
class SignedMagnitude:
    """Drop the smallest positive and the largest negative weights, in proportion to their numbers.

    The rule of SET (Mocanu et al., 2018, Algorithm 1). Weights that are exactly zero go first. It keeps the balance
    of signs, where `Magnitude` drops more of the sign whose weights are smaller.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from truesparse.evolution import SignedMagnitude
    >>> weight = csr_array([[0.1, 0.2, -3.0], [0.3, 0.4, -4.0]])
    >>> SignedMagnitude()([weight], n_drop=[3])  # four positive, two negative: two and one
    [array([ True,  True,  True, False, False, False])]
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def __call__(self, weights, n_drop):
        """Masks of the weights to drop."""
        return [self._one_layer(weight.data, n) for weight, n in zip(weights, n_drop, strict=True)]

    def _one_layer(self, w, n):
        dropped = k_smallest(np.abs(w), min(n, np.count_nonzero(w == 0)))
        n -= np.count_nonzero(dropped)
        positive, negative = np.flatnonzero(w > 0), np.flatnonzero(w < 0)
        n_signed = positive.size + negative.size
        n_positive = int(np.floor(n * positive.size / n_signed + 0.5)) if n_signed else 0
        dropped[positive[k_smallest(w[positive], n_positive)]] = True
        dropped[negative[k_smallest(-w[negative], n - n_positive)]] = True
        return dropped
