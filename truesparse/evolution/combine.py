"""Grow rules that are made of two others: both in every update, by what samples confirm, or one after the other."""

from dataclasses import dataclass, field, replace

import numpy as np

from truesparse.evolution.checks import check_rule, checked_keys, one_per_layer
from truesparse.evolution.grow import OMP, Cosine, Random
from truesparse.evolution.rules import Grow
from truesparse.evolution.search import SideBySide, sums_of_products
from truesparse.runtime.checks import check_count, check_number
from truesparse.runtime.plugins import plugin
from truesparse.topology import Pattern
from truesparse.topology.pattern import not_among


@plugin("grow", mixed={})
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
        check_number("share", self.share, 0, 1)

    @property
    def needs(self) -> tuple[str, ...]:
        """Those of both rules."""
        return tuple(dict.fromkeys((*self.first.needs, *self.second.needs)))

    def __call__(self, vacancies, *, rng, **signals):
        """Edges to grow, per layer."""
        asked = [replace(vacancy, n_grow=round(float(self.share) * vacancy.n_grow)) for vacancy in vacancies]
        first = keys_of(self.first, asked, rng, signals)
        left = [left_after(vacancy, keys) for vacancy, keys in zip(vacancies, first, strict=True)]
        second = keys_of(self.second, left, rng, signals)
        return [
            np.divmod(np.concatenate(keys), vacancy.pattern.shape[1])
            for vacancy, *keys in zip(vacancies, first, second, strict=True)
        ]


@plugin("grow", confirmed={})
@dataclass(frozen=True)
class Confirmed:
    """Pairs picked by errors in layers where other samples confirm what they promise, and by another rule elsewhere.

    The first rule sees one half of the samples. With g the gradient of the loss on that half and g′ on the other one,
    what its picks of a layer promise is confirmed by the share

        Σ_picks sign(g_ji) · g′_ji / Σ_picks |g_ji|

    1 if the other half asks for the same steps, around 0 if the first half was only noise. A rule of this library:
    growth by errors, when pairs are many and samples few, grows what is not there in other samples (Madelon), while
    growth by similarity does not look at the loss at all.

    Parameters
    ----------
    first : Grow
        Reads ``errors``, whose number of samples is half of `n_samples` whatever it asks for.
    otherwise : Grow
    least : float, in [0, 1]
        The share that must be confirmed.
    n_samples : int or None
        Training samples to look at, drawn anew for each update; None for all of them.

    Examples
    --------
    >>> from truesparse.evolution import Confirmed, Evolution
    >>> evolution = Evolution(grow=Confirmed())
    """

    first: Grow = field(default_factory=OMP)
    otherwise: Grow = field(default_factory=Cosine)
    least: float = 0.5
    n_samples: int | None = 1000

    def __post_init__(self):
        check_rule("first", self.first, "OMP()")
        check_rule("otherwise", self.otherwise, "Cosine()")
        check_number("least", self.least, 0, 1)
        check_count("n_samples", self.n_samples, none=True)

    @property
    def needs(self) -> tuple[str, ...]:
        """Those of both rules."""
        return tuple(dict.fromkeys(("errors", *self.first.needs, *self.otherwise.needs)))

    def __call__(self, vacancies, *, rng, **signals):
        """Edges to grow, per layer."""
        seen, others = signals["errors"](self.n_samples).halves()
        keys = keys_of(self.first, vacancies, rng, {**signals, "errors": lambda n_samples: seen})
        pairs = [np.divmod(picked, vacancy.pattern.shape[1]) for picked, vacancy in zip(keys, vacancies, strict=True)]
        promised = _gradients(seen, vacancies, pairs)
        found = _gradients(others, vacancies, pairs)
        shares = [
            (np.sign(g) * g_other).sum() / max(np.abs(g).sum(), np.finfo(g.dtype).tiny)
            for g, g_other in zip(promised, found, strict=True)
        ]
        doubtful = [place for place, share in enumerate(shares) if not share >= self.least]
        instead = keys_of(self.otherwise, [vacancies[place] for place in doubtful], rng, signals)
        for place, picked in zip(doubtful, instead, strict=True):
            pairs[place] = np.divmod(picked, vacancies[place].pattern.shape[1])
        return pairs


@plugin("grow", after_stall={})
@dataclass(frozen=True)
class AfterStall:
    """A rule that is followed until training stalls, and another one that is followed from then on (CTRE-seq).

    Training has stalled once the monitored quantity (the validation score, or without ``early_stopping`` the training
    loss) has not improved for ``patience`` epochs. The second rule then stays to the end.

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
        check_count("patience", self.patience)

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


def _gradients(errors, vacancies, pairs):
    """The gradient of the mean loss over the samples of a stream, at some pairs of each layer."""
    stream = SideBySide(errors)
    return sums_of_products(stream, [vacancy.layer for vacancy in vacancies], stream.first_error, pairs)


def keys_of(rule, vacancies, rng, signals):
    """What a rule picks, as keys; it is not asked about layers where nothing is to be grown."""
    keys = [np.empty(0, dtype=np.int64) for _ in vacancies]
    asked = [place for place, vacancy in enumerate(vacancies) if vacancy.n_grow > 0]
    if asked:
        edges = rule([vacancies[place] for place in asked], rng=rng, **_asked_for(rule, signals))
        for place, picked in zip(asked, one_per_layer(rule, edges, len(asked)), strict=True):
            keys[place] = checked_keys(rule, picked, vacancies[place])
    return keys


def left_after(vacancy, keys):
    """What is left to be filled of a vacancy when pairs with these sorted keys are connected."""
    before = np.union1d(vacancy.before.keys, keys)
    dropped = np.isin(before, not_among(vacancy.dropped_keys, keys))
    return replace(
        vacancy,
        before=Pattern.from_keys(before, vacancy.before.shape),
        dropped=dropped,
        n_grow=vacancy.n_grow - keys.size,
    )
