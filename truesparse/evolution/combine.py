"""Grow rules made of two others: side by side, by confirmation on other samples, or one after the other."""

from dataclasses import dataclass, field, replace

import numpy as np

from truesparse.evolution.checks import check_rule, checked_keys, one_per_layer, signals_for
from truesparse.evolution.grow import OMP, Cosine, Random
from truesparse.evolution.rules import Grow, edges_of
from truesparse.evolution.search import SideBySide, sums_of_products
from truesparse.runtime.checks import check_count, check_number
from truesparse.runtime.plugins import plugin


@plugin("grow", mixed={})
@dataclass(frozen=True)
class Mixed:
    """A share of each layer's new connections picked by one rule, the rest by another that does not see these picks.

    Where the first rule finds fewer, the second picks more.

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
        """Signals of both rules."""
        return tuple(dict.fromkeys((*self.first.needs, *self.second.needs)))

    def __call__(self, vacancies, *, rng, **signals):
        """Return the edges to grow, per layer."""
        parts = [replace(vacancy, n_grow=round(float(self.share) * vacancy.n_grow)) for vacancy in vacancies]
        first = keys_of(self.first, parts, rng, signals)
        rest = [vacancy.after(keys) for vacancy, keys in zip(vacancies, first, strict=True)]
        second = keys_of(self.second, rest, rng, signals)
        return edges_of(map(np.concatenate, zip(first, second, strict=True)), vacancies)


@plugin("grow", confirmed={})
@dataclass(frozen=True)
class Confirmed:
    """Pairs picked by errors where other samples confirm the gain, and by another rule in the remaining layers.

    The first rule sees one half of the samples. With g the gradient of the loss on that half and g′ on the other half,
    the confirmed share of a layer's picks is

        Σ_picks sign(g_ji) · g′_ji / Σ_picks |g_ji|

    1 if both halves ask for the same steps, around 0 if the first half was noise. A rule of this library: growth by
    errors fits noise when pairs are many and samples few (Madelon), and growth by similarity ignores the loss.

    Parameters
    ----------
    first, otherwise : Grow
        The first one reads ``errors``, always of half of `n_samples`.
    least : float, in [0, 1]
        The share that must be confirmed.
    n_samples : int or None
        Training samples, drawn anew for each update; None for all of them.
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
        """Errors, and the signals of both rules."""
        return tuple(dict.fromkeys(("errors", *self.first.needs, *self.otherwise.needs)))

    def __call__(self, vacancies, *, rng, **signals):
        """Return the edges to grow, per layer."""
        half, other_half = signals["errors"](self.n_samples).halves()
        picks = keys_of(self.first, vacancies, rng, {**signals, "errors": lambda n_samples: half})
        gradients, other_gradients = (_gradients(errors, vacancies, picks) for errors in (half, other_half))
        shares = [
            (np.sign(g) * g_other).sum() / max(np.abs(g).sum(), np.finfo(g.dtype).tiny)
            for g, g_other in zip(gradients, other_gradients, strict=True)
        ]
        refused = [place for place, share in enumerate(shares) if not share >= self.least]
        others = [vacancies[place] for place in refused]
        for place, picked in zip(refused, keys_of(self.otherwise, others, rng, signals), strict=True):
            picks[place] = picked
        return edges_of(picks, vacancies)


@plugin("grow", after_stall={})
@dataclass(frozen=True)
class AfterStall:
    """One rule until training stalls, and another from then on (CTRE-seq; Atashgahi et al., 2022).

    Training has stalled once the monitored quantity (the validation score, or without ``early_stopping`` the training
    loss) has not improved for `patience` epochs. The second rule then stays to the end.
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
        """Progress of training, and the signals of both rules."""
        return ("progress", *dict.fromkeys((*self.first.needs, *self.then.needs)))

    def __call__(self, vacancies, *, rng, progress, **signals):
        """Return the edges to grow, per layer."""
        rule = self.then if progress.longest_stall >= self.patience else self.first
        return rule(vacancies, rng=rng, **signals_for(rule, signals | {"progress": progress}))


def keys_of(rule, vacancies, rng, signals):
    """Return the sorted keys that a rule picks per vacancy, asking it only about vacancies with pairs to grow."""
    keys = [np.empty(0, dtype=np.int64) for _ in vacancies]
    asked = [place for place, vacancy in enumerate(vacancies) if vacancy.n_grow > 0]
    if asked:
        edges = rule([vacancies[place] for place in asked], rng=rng, **signals_for(rule, signals))
        for place, picked in zip(asked, one_per_layer(rule, edges, len(asked)), strict=True):
            keys[place] = checked_keys(rule, picked, vacancies[place])
    return keys


def _gradients(errors, vacancies, picks):
    """Return the gradient of the mean loss over a stream's samples at the pairs with some sorted keys of each layer."""
    stream = SideBySide(errors)
    patterns = [vacancy.pattern_of(keys) for vacancy, keys in zip(vacancies, picks, strict=True)]
    return sums_of_products(stream, [vacancy.layer for vacancy in vacancies], stream.first_error, patterns)
