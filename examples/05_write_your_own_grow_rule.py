"""Write a grow rule
=================

Write a grow rule of your own and compare it with built-in rules.

The rule of this example grows connections between units whose activations vary much. It draws both ends of a new
connection at random, each unit with a probability proportional to its standard deviation over some training samples.

::

    python examples/05_write_your_own_grow_rule.py
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

from truesparse import SparseMLPClassifier, preset


@dataclass(frozen=True)
class Lively:
    """Grow connections between units that vary much."""

    n_samples: int = 500
    needs: ClassVar = ("activations",)  # the signals that the rule reads; each arrives as a keyword argument

    def __call__(self, vacancies, *, rng, activations):
        """Return (rows, columns) of at most ``n_grow`` absent pairs per layer."""
        stream = activations(self.n_samples)
        sums = [np.zeros((2, n_units)) for n_units in stream.layer_sizes]
        for batch in stream:  # a list of (n_units, batch), from the features to the outputs
            for total, a in zip(sums, batch, strict=True):
                total += a.sum(axis=1), (a**2).sum(axis=1)
        spread = [np.sqrt(np.maximum(q - s**2, 0)) + 1e-9 for s, q in (total / stream.n_samples for total in sums)]
        edges = []
        for vacancy in vacancies:
            _, fan_in = vacancy.pattern.shape
            ends = [
                rng.choice(units.size, size=4 * vacancy.n_grow, p=units / units.sum())
                for units in (spread[vacancy.layer + 1], spread[vacancy.layer])
            ]
            keys = np.unique(ends[0] * fan_in + ends[1])
            keys = rng.permutation(np.setdiff1d(keys, vacancy.pattern.keys))[: vacancy.n_grow]
            edges.append(np.divmod(keys, fan_in))  # if these are too few, random pairs fill up
        return edges


# %%
# Train three networks with each rule, from three seeds.

X, y = make_classification(3000, 200, n_informative=12, n_redundant=8, n_clusters_per_class=4, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=1000, random_state=0)
rules = {name: preset(name) for name in ("static", "set", "cte")}
rules["lively"] = replace(preset("cte"), grow=Lively())
for name, evolution in rules.items():
    scores = [
        SparseMLPClassifier((300, 300), evolution=evolution, max_iter=60, random_state=seed)
        .fit(X_train, y_train).score(X_test, y_test) for seed in range(3)
    ]  # fmt: skip
    print(f"{name:<8} test accuracy {np.mean(scores):.3f} ± {np.std(scores):.3f}", flush=True)
