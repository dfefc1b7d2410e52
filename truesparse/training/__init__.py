"""The training loop, recipes, the state of a training, optimisers and learning-rate schedules."""

from truesparse.training.optimizers import SGD, Adam
from truesparse.training.recipe import Recipe, new_network
from truesparse.training.state import Start, TrainingState
from truesparse.training.trainer import Trainer
from truesparse.training.validation import Validation

__all__ = ["SGD", "Adam", "Recipe", "Start", "Trainer", "TrainingState", "Validation", "new_network"]
