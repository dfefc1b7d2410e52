"""Tables and pictures of a network: its size and cost, its connections, and the changes of its topology.

`layer_summaries`, `layer_flops`, `layer_degrees` and `layer_connectivity` are tables with a row per layer, whose sum is
`total`, `paths` counts paths from the features to the outputs, and `window_counts` has the connections at each place of
the windows of convolutions. They take a network or a fitted estimator, change nothing, and need time and memory
O(nnz + units). The recorders are callbacks.

Displays work as those of scikit-learn. ``SomeDisplay.from_estimator(model, ax=ax)`` reads a fitted estimator, or a
network unless the history of a fit is needed, and raises NotFittedError for an unfitted one. It draws into your axes
``ax``, by default into those of a new figure. Axes and figure are the attributes ``ax_`` and ``figure_``. Nothing is
shown, and no global setting of matplotlib changes. The display has copies of all arrays: ``plot`` draws it again
without the model, also after pickling.

Pictures need matplotlib (``pip install matplotlib``), which is imported when the first one is drawn.
"""

from truesparse.inspection.connectivity import LayerConnectivity, Paths, layer_connectivity, paths
from truesparse.inspection.degrees import DegreeDisplay, LayerDegrees, layer_degrees
from truesparse.inspection.input_connections import ConnectivityDisplay, ConnectivityRecorder
from truesparse.inspection.kernel_windows import WindowDisplay, window_counts
from truesparse.inspection.layer_spy import LayerSpyDisplay
from truesparse.inspection.learning_curve import LearningCurveDisplay
from truesparse.inspection.receptive_field import ReceptiveFieldDisplay, receptive_fields
from truesparse.inspection.recorder import TopologyRecorder, TopologyUpdate
from truesparse.inspection.tables import LayerFlops, LayerSummary, layer_flops, layer_summaries, network_of, total
from truesparse.inspection.topology_change import TopologyChangeDisplay

__all__ = [
    "ConnectivityDisplay",
    "ConnectivityRecorder",
    "DegreeDisplay",
    "LayerConnectivity",
    "LayerDegrees",
    "LayerFlops",
    "LayerSpyDisplay",
    "LayerSummary",
    "LearningCurveDisplay",
    "Paths",
    "ReceptiveFieldDisplay",
    "TopologyChangeDisplay",
    "TopologyRecorder",
    "TopologyUpdate",
    "WindowDisplay",
    "layer_connectivity",
    "layer_degrees",
    "layer_flops",
    "layer_summaries",
    "network_of",
    "paths",
    "receptive_fields",
    "total",
    "window_counts",
]
