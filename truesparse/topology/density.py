"""Numbers of connections of the layers.

Erdős–Rényi (Mocanu et al., 2018, eq. 3): a layer of shape (fan_out, fan_in) gets

    nnz = min(fan_in · fan_out, ⌊epsilon · (fan_in + fan_out) + ½⌋)

so wide layers are sparser than narrow ones, and the cost of a network grows with its units, not with their products.
Either ``epsilon`` is given, or the ``density`` of the whole network, for which the matching ``epsilon`` is found.
"""

import bisect
from itertools import pairwise

import numpy as np


def layer_shapes(layer_sizes):
    """Return the shapes (fan_out, fan_in) of the layers, e.g. [4, 3, 2] → [(3, 4), (2, 3)]."""
    return [(fan_out, fan_in) for fan_in, fan_out in pairwise(layer_sizes)]


def erdos_renyi(shapes, epsilon):
    """Return the number of connections of each layer for Erdős–Rényi's `epsilon`.

    Parameters
    ----------
    shapes, epsilon : list of (fan_out, fan_in); float, positive

    Raises
    ------
    ValueError
        If a layer would have no connection; the message names the smallest `epsilon` that works.

    Examples
    --------
    >>> from truesparse.topology.density import erdos_renyi
    >>> erdos_renyi([(1000, 784), (10, 1000)], epsilon=20)
    [35680, 10000]
    """
    counts = _rounded(shapes, [sum(shape) for shape in shapes], epsilon)
    if min(counts) == 0:
        smallest = 0.5 / min(sum(shape) for shape in shapes)
        other = " (MLPClassifier's epsilon is here solver=truesparse.training.Adam(eps=…))" if epsilon <= 1e-6 else ""
        raise ValueError(
            f"epsilon={epsilon!r} leaves a layer without a single connection{other}; for the layer shapes "
            f"(fan_out, fan_in) {shapes} it must be at least {smallest!r}."
        )
    return counts


def global_density(shapes, density, sizes=None):
    """Return the number of connections of each layer for a share of all pairs, spread as by Erdős–Rényi.

    They add up to ``density`` times the number of all pairs, rounded.

    Parameters
    ----------
    shapes, density : list of (fan_out, fan_in); float, in (0, 1]
    sizes : list of int, optional
        What takes the place of fan_in + fan_out: the share of each layer.

    Raises
    ------
    ValueError
        If a layer would have no connection; the message names the smallest `density` that works.

    Examples
    --------
    >>> from truesparse.topology.density import global_density
    >>> global_density([(100, 100), (10, 100)], density=0.1)
    [710, 390]
    """
    n_pairs = sum(fan_out * fan_in for fan_out, fan_in in shapes)
    sizes = [sum(shape) for shape in shapes] if sizes is None else sizes
    counts = _spend(shapes, sizes, round(density * n_pairs))
    if min(counts) == 0:
        budgets = range(1, n_pairs + 1)
        smallest = budgets[bisect.bisect_left(budgets, True, key=lambda budget: min(_spend(shapes, sizes, budget)) > 0)]
        raise ValueError(
            f"density={density!r} leaves a layer without a single connection; for the layer shapes "
            f"(fan_out, fan_in) {shapes} it must be at least {smallest / n_pairs!r}."
        )
    return counts


def convolution_counts(convolutions, density, distribution):
    """Return the number of connections of each convolution for a share of all pairs.

    Parameters
    ----------
    convolutions : sequence of objects with `shape` (channels out, channels in · window²) and `window`
    density : float, in (0, 1]
    distribution : {"erdos_renyi_kernel", "uniform"} or sequence of float
        With the first, nnz = epsilon · (channels in + channels out + 2 window) (Evci et al., 2020, section 3). With the
        second, all layers have the same density. A sequence holds the density of each layer.

    Raises
    ------
    ValueError
        If a layer would have no connection, or there is not one density in (0, 1] for each layer.

    Examples
    --------
    >>> from truesparse.network.architecture import Architecture
    >>> from truesparse.topology.density import convolution_counts
    >>> layers, _ = Architecture((8, 8, 1), depth=8, width=4).layers(n_outputs=10)
    >>> convolution_counts(layers, 0.5, "erdos_renyi_kernel")
    [36, 144, 144, 288, 379, 32, 517, 654, 128, 160]
    """
    shapes = [tuple(convolution.shape) for convolution in convolutions]
    if isinstance(distribution, str) and distribution == "erdos_renyi_kernel":
        windows = [convolution.window for convolution in convolutions]
        sizes = [n_out + n_in // w**2 + 2 * w for (n_out, n_in), w in zip(shapes, windows, strict=True)]
        return global_density(shapes, density, sizes)
    densities = [density] * len(shapes) if isinstance(distribution, str) else list(distribution)
    if len(densities) != len(shapes):
        raise ValueError(f"distribution={distribution!r} must hold a density for each of the {len(shapes)} layers.")
    counts = [int(share * n_out * n_in + 0.5) for share, (n_out, n_in) in zip(densities, shapes, strict=True)]
    if min(counts) == 0:
        layer = counts.index(0)
        raise ValueError(
            f"The density {densities[layer]!r} leaves layer {layer} of shape {shapes[layer]} without a single "
            f"connection; it must be at least {0.5 / (shapes[layer][0] * shapes[layer][1]):.3g}."
        )
    return counts


def _rounded(shapes, sizes, epsilon):
    bounded = zip(shapes, sizes, strict=True)
    return [int(min(fan_out * fan_in, np.floor(epsilon * size + 0.5))) for (fan_out, fan_in), size in bounded]


def _spend(shapes, sizes, budget):
    """Return the counts of the largest epsilon within the budget; the rest of it goes to the first layers."""
    low, high = 0.0, float(max(fan_out * fan_in for fan_out, fan_in in shapes))
    while (middle := (low + high) / 2) not in (low, high):
        if sum(_rounded(shapes, sizes, middle)) <= budget:
            low = middle
        else:
            high = middle
    counts = _rounded(shapes, sizes, low)
    # Layers of one size reach their next connection at the same epsilon, so the budget may end between them.
    left = budget - sum(counts)
    for layer, most in enumerate(_rounded(shapes, sizes, high)):
        taken = min(most - counts[layer], left)
        counts[layer] += taken
        left -= taken
    return counts
