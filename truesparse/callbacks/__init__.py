"""Watching a training run. A callback changes nothing, but may ask to stop.

| class | what it does |
|---|---|
| `EarlyStopping` | asks to stop when a loss or a score does not improve any more |
| `Checkpoint` | writes the state of a fit to a file, from which it can go on |
| `CSVLogger` | writes a table of the epochs |
| `TensorBoardLogger`, `MLflowLogger` | log the epochs there |
| `TopologyRecorder` | records what each update of the topology replaced |
| `Callback` | says which methods a callback of your own may have |

They go into an estimator's ``callbacks``; the fits of a search have a copy each. Callbacks of scikit-learn, which has
them from version 1.9 on, go into the estimator's ``set_callbacks``.
"""

from truesparse.callbacks.checkpoint import Checkpoint
from truesparse.callbacks.csv_logger import CSVLogger
from truesparse.callbacks.early_stopping import EarlyStopping
from truesparse.callbacks.mlflow_logger import MLflowLogger
from truesparse.callbacks.progress import EpochPrinter
from truesparse.callbacks.tensorboard_logger import TensorBoardLogger
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
