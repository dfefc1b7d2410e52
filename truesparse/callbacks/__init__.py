"""Callbacks, which watch a training run. They change nothing, but may ask to stop.

They go into an estimator's ``callbacks``; the fits of a search have a copy each. Anything with one or several of the
methods of `Callback` is one. Callbacks of scikit-learn (from version 1.9 on) go into the estimator's ``set_callbacks``.
"""

from truesparse.callbacks.checkpoint import Checkpoint
from truesparse.callbacks.csv_logger import CSVLogger
from truesparse.callbacks.early_stopping import EarlyStopping
from truesparse.callbacks.loggers import MLflowLogger, TensorBoardLogger
from truesparse.callbacks.progress import EpochPrinter
from truesparse.inspection import TopologyRecorder
from truesparse.training.events import Callback

__all__ = [
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "EpochPrinter",
    "MLflowLogger",
    "TensorBoardLogger",
    "TopologyRecorder",
]
