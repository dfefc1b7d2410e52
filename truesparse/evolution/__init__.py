"""How the topology changes during training: prune × grow × schedule, and the methods made of them."""

from truesparse.evolution.evolve import Evolution, Vacancy, due_fraction, evolve
from truesparse.evolution.grow import AfterStall, Cosine, Random
from truesparse.evolution.presets import FIRST_TOPOLOGIES, PRESETS, paper_settings, preset
from truesparse.evolution.prune import Magnitude, SignedMagnitude
from truesparse.evolution.schedule import Constant, CosineAnnealing, Linear
from truesparse.evolution.units import ImportancePruning

__all__ = [
    "FIRST_TOPOLOGIES",
    "PRESETS",
    "AfterStall",
    "Constant",
    "Cosine",
    "CosineAnnealing",
    "Evolution",
    "ImportancePruning",
    "Linear",
    "Magnitude",
    "Random",
    "SignedMagnitude",
    "Vacancy",
    "due_fraction",
    "evolve",
    "paper_settings",
    "preset",
]
