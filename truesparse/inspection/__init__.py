"""What a network consists of, what it costs, and how its topology has changed.

| function | answers |
|---|---|
| `layer_summaries` | how many weights each layer holds, of how many that it could, and in how many bytes |
| `layer_flops` | how many operations a sample costs, and would cost if the layer were full |
| `layer_degrees` | how the connections are spread over the units |
| `paths` | how many ways lead from the inputs to the outputs, also through a unit or a weight |
| `layer_connectivity` | how many weights lie on no such way |
| `total` | any of these tables added up |
| `TopologyRecorder` | what each update of the topology replaced, and which pairs have ever been connected |

All of them take a network or a fitted estimator, change nothing, and need time and memory O(nnz + units).

| class | shows |
|---|---|
| `LearningCurveDisplay` | loss and validation score over the epochs |
| `TopologyChangeDisplay` | how many connections were replaced in every epoch, and how much was explored |
| `ConnectivityDisplay` | how many connections every input feature has, or how strong they are |
| `DegreeDisplay` | how the connections are spread over the units of every layer |
| `LayerSpyDisplay` | which pairs of units a layer connects |
| `ConnectivityRecorder` | a callback that makes a film of the input connections |

Displays work as those of scikit-learn: ``SomeDisplay.from_estimator(model, ax=ax)`` draws into axes of your own or into
a new figure, and leaves both at ``ax_`` and ``figure_``; nothing is shown, and no global setting of matplotlib changes.
A display holds arrays of its own, so that ``plot`` draws it again without the model, also after pickling; its picture
is not pickled. A display takes a network as well, unless it needs the history of a fit.

Pictures need matplotlib (``pip install matplotlib``), which is imported when the first one is drawn.
"""

from truesparse.inspection.connectivity import LayerConnectivity, Paths, layer_connectivity, paths
from truesparse.inspection.connectivity_display import ConnectivityDisplay
from truesparse.inspection.degrees import LayerDegrees, layer_degrees
from truesparse.inspection.degrees_display import DegreeDisplay
from truesparse.inspection.film import ConnectivityRecorder
from truesparse.inspection.layer_spy import LayerSpyDisplay
from truesparse.inspection.learning_curve import LearningCurveDisplay
from truesparse.inspection.recorder import TopologyRecorder, TopologyUpdate
from truesparse.inspection.sizes import LayerFlops, LayerSummary, layer_flops, layer_summaries
from truesparse.inspection.tables import network_of, total
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
    "TopologyChangeDisplay",
    "TopologyRecorder",
    "TopologyUpdate",
    "layer_connectivity",
    "layer_degrees",
    "layer_flops",
    "layer_summaries",
    "network_of",
    "paths",
    "total",
]
