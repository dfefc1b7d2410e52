"""Grow rules that are made of two others: both in every update, or one after the other."""

from dataclasses import dataclass, field, replace
from numbers import Real

import numpy as np

from truesparse._typing import Grow
from truesparse.evolution.checks import check_rule, checked_keys, one_per_layer
from truesparse.evolution.grow import Cosine, Random
from truesparse.evolution.search import not_among
from truesparse.topology import Pattern


@dataclass(frozen=True)
class Mixed:
    """A share of the pairs is picked by one rule, the rest by another, which does not see the picks of the first.

    Parameters
    ----------
    first, second : Grow
    share : float, in [0, 1]
        Share of each layer's new connections that the first rule picks. Where it finds fewer, the second picks more.

    Examples
    --------
    >>> from truesparse.evolution import OMP, Cosine, Evolution, Mixed
    >>> evolution = Evolution(grow=Mixed(Cosine(), OMP(), share=0.7))
    """

    first: Grow = field(default_factory=Cosine)
    second: Grow = field(default_factory=Random)
    share: float = 0.5

    def __post_init__(self):
        check_rule("first", self.first, "Cosine()")
        check_rule("second", self.second, "Random()")
        if not (isinstance(self.share, Real) and 0 <= self.share <= 1):
            raise ValueError(f"share={self.share!r} must be a number in [0, 1].")

    @property
    def needs(self) -> tuple[str, ...]:
        """Those of both rules."""
        return tuple(dict.fromkeys((*self.first.needs, *self.second.needs)))

    def __call__(self, vacancies, *, rng, **signals):
        """Edges to grow, per layer."""
        asked = [replace(vacancy, n_grow=round(self.share * vacancy.n_grow)) for vacancy in vacancies]
        first = _keys_of(self.first, asked, rng, signals)
        left = [_after(vacancy, keys) for vacancy, keys in zip(vacancies, first, strict=True)]
        second = _keys_of(self.second, left, rng, signals)
        return [
            np.divmod(np.concatenate(keys), vacancy.pattern.shape[1])
            for vacancy, *keys in zip(vacancies, first, second, strict=True)
        ]


@dataclass(frozen=True)
class AfterStall:
    """A rule that is followed until training stalls, and another one that is followed from then on (CTRE-seq).

    Training has stalled once the monitored quantity (the validation score, or without validation data the
    training loss) has not improved for ``patience`` epochs. The second rule then stays to the end.

    Parameters
    ----------
    first, then : Grow
    patience : int
        In epochs.
    """

    first: Grow = field(default_factory=Cosine)
    then: Grow = field(default_factory=Random)
    patience: int = 40

    def __post_init__(self):
        check_rule("first", self.first, "Cosine()")
        check_rule("then", self.then, "Random()")
        if not (isinstance(self.patience, (int, np.integer)) and self.patience > 0):
            raise ValueError(f"patience={self.patience!r} must be a positive number of epochs.")

    @property
    def needs(self) -> tuple[str, ...]:
        """Those of both rules, and the progress of training."""
        return ("progress", *dict.fromkeys((*self.first.needs, *self.then.needs)))

    def __call__(self, vacancies, *, rng, progress, **signals):
        """Edges to grow, per layer."""
        rule = self.then if progress.longest_stall >= self.patience else self.first
        return rule(vacancies, rng=rng, **_asked_for(rule, signals | {"progress": progress}))


def _asked_for(rule, signals):
    return {name: signals[name] for name in rule.needs}


def _keys_of(rule, vacancies, rng, signals):
    """What a rule picks, as keys; it is not asked about layers where nothing is to be grown."""
    keys = [np.empty(0, dtype=np.int64) for _ in vacancies]
    asked = [place for place, vacancy in enumerate(vacancies) if vacancy.n_grow > 0]
    if asked:
        edges = rule([vacancies[place] for place in asked], rng=rng, **_asked_for(rule, signals))
        for place, picked in zip(asked, one_per_layer(rule, edges, len(asked)), strict=True):
            keys[place] = checked_keys(rule, picked, vacancies[place])
    return keys


def _after(vacancy, keys):
    """What is left to be filled of a vacancy when pairs with these keys are connected."""
    before = np.union1d(vacancy.before.keys, keys)
    dropped = np.isin(before, not_among(vacancy.dropped_keys, keys))
    return replace(
        vacancy,
        before=Pattern.from_keys(before, vacancy.before.shape),
        dropped=dropped,
        n_grow=vacancy.n_grow - keys.size,
    )
