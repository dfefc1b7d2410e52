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
"""

from truesparse.inspection.connectivity import LayerConnectivity, Paths, layer_connectivity, paths
from truesparse.inspection.degrees import LayerDegrees, layer_degrees
from truesparse.inspection.recorder import TopologyRecorder, TopologyUpdate
from truesparse.inspection.sizes import LayerFlops, LayerSummary, layer_flops, layer_summaries
from truesparse.inspection.tables import network_of, total

__all__ = [
    "LayerConnectivity",
    "LayerDegrees",
    "LayerFlops",
    "LayerSummary",
    "Paths",
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
