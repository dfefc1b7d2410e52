"""Evolution of the topology: first topologies, prune rules, grow rules, schedules, and methods made of them."""

from truesparse.evolution.cannistraci_hebb import CHT
from truesparse.evolution.combine import AfterStall, Confirmed, Mixed
from truesparse.evolution.density_decay import Cubic, Sigmoid
from truesparse.evolution.evolve import Evolution, due_fraction, evolve
from truesparse.evolution.first import Balanced, Full, Given
from truesparse.evolution.grow import OMP, Cosine, Gradient, GuidedStochastic, PathWeightGrow, Random, SensitivityGrow
from truesparse.evolution.input_removal import InputRemoval, NeuronGrow, NeuronPrune, input_strength, neuron_evolution
from truesparse.evolution.presets import PRESETS, method, preset
from truesparse.evolution.prune import (
    MEST,
    Magnitude,
    PathWeightPrune,
    SensitivityPrune,
    SignedMagnitude,
    SoftMagnitude,
)
from truesparse.evolution.rules import Vacancy
from truesparse.evolution.schedule import Constant, CosineAnnealing, Linear
from truesparse.evolution.settings import paper_settings, recommended_settings, suited_settings
from truesparse.evolution.snip import SNIP
from truesparse.evolution.unit_removal import ImportancePruning

__all__ = [
    "CHT",
    "MEST",
    "OMP",
    "PRESETS",
    "SNIP",
    "AfterStall",
    "Balanced",
    "Confirmed",
    "Constant",
    "Cosine",
    "CosineAnnealing",
    "Cubic",
    "Evolution",
    "Full",
    "Given",
    "Gradient",
    "GuidedStochastic",
    "ImportancePruning",
    "InputRemoval",
    "Linear",
    "Magnitude",
    "Mixed",
    "NeuronGrow",
    "NeuronPrune",
    "PathWeightGrow",
    "PathWeightPrune",
    "Random",
    "SensitivityGrow",
    "SensitivityPrune",
    "Sigmoid",
    "SignedMagnitude",
    "SoftMagnitude",
    "Vacancy",
    "due_fraction",
    "evolve",
    "input_strength",
    "method",
    "neuron_evolution",
    "paper_settings",
    "preset",
    "recommended_settings",
    "suited_settings",
]
