"""One update of the topology by hand
==================================

Make one update of the topology on a layer small enough to print: drop the smallest weights, grow between similar units.

::

    python examples/04_evolution_by_hand.py
"""

import numpy as np

from truesparse.evolution import Cosine, Evolution, Magnitude, evolve
from truesparse.network.layers import SparseLinear
from truesparse.topology import Pattern

rng = np.random.default_rng(0)

# Four input units and three output units. Six of the twelve pairs are connected.
pattern = Pattern.from_edges(rows=np.array([0, 0, 1, 1, 2, 2]), columns=np.array([0, 3, 1, 2, 0, 3]), shape=(3, 4))
layer = SparseLinear(pattern)
weights = np.array([0.9, -0.05, 0.8, 0.4, -0.7, 0.02])
layer.bind(weights, np.zeros(3), np.zeros(6), np.zeros(3))


def show(layer_pattern, values, title):
    """Print a layer as a table, with a dot for each absent pair."""
    print(f"{title}\n          " + "".join(f"input {i:<4}" for i in range(4)))
    stored = dict(zip(zip(layer_pattern.rows, layer_pattern.indices, strict=True), values, strict=True))
    for j in range(3):
        cells = (f"{stored[j, i]:+.2f}" if (j, i) in stored else "  .  " for i in range(4))
        print((f"output {j}  " + "".join(f"{cell:<10}" for cell in cells)).rstrip())


show(pattern, weights, "Before:")

# %%
# Drop
# ----
# A third of the six weights is dropped: the two of the smallest magnitude.

(dropped,) = Magnitude()([layer.weight], n_drop=[2])
print(
    "\nDropped pairs (output, input):",
    [(int(j), int(i)) for j, i in zip(pattern.rows[dropped], pattern.indices[dropped], strict=True)],
)

# %%
# Score
# -----
# The score of a pair is the absolute cosine similarity of its two units' activations over the samples. Here output 0
# follows input 2, output 2 follows input 1 with the opposite sign, and the rest is noise.

a = rng.standard_normal((4, 200))
z = 0.3 * rng.standard_normal((3, 200))
z[0] += a[2]
z[2] -= a[1]


class Activations:
    """A stream of activations with a single batch. During training, the network makes such streams."""

    layer_sizes, n_samples, dtype = [4, 3], 200, np.dtype(float)
    places = np.arange(200)  # all samples are in this process

    def reduce(self, array):
        """Add up over processes; here is only one."""
        return array

    def __iter__(self):
        yield [a, z]


centred_a, centred_z = a - a.mean(axis=1, keepdims=True), z - z.mean(axis=1, keepdims=True)
norms = np.outer(np.linalg.norm(centred_z, axis=1), np.linalg.norm(centred_a, axis=1))
print("\n|cos| of all pairs, outputs in rows (the library never makes this matrix):")
print(np.array2string(np.abs(centred_z @ centred_a.T) / norms, precision=2))
print("The two absent pairs with the highest scores are grown.")

# %%
# Grow
# ----
# `evolve` drops, scores and grows. It does not change the layer. It returns a Rewiring, which holds for each new slot
# the old slot of its weight, or −1 if the connection was grown.

(rewiring,) = evolve(
    [layer],
    Evolution(prune=Magnitude(), grow=Cosine(search="exact")),
    drop_fraction=1 / 3 + 1e-9,
    rng=rng,
    signals={"activations": lambda n_samples: Activations()},
)
print("\nOld slot of each weight, −1 for a grown connection:", rewiring.source)
show(rewiring.pattern, rewiring.carry(weights), "\nAfter the update (grown weights are zero so far):")
grown = list(zip(rewiring.pattern.rows[rewiring.grown], rewiring.pattern.indices[rewiring.grown], strict=True))
assert grown == [(0, 2), (2, 1)]
print("\nThe similar pairs are connected now: output 0 – input 2, and output 2 – input 1.")
