"""Pictures of trainings and of the networks that come out of them.

| class | shows |
|---|---|
| `LearningCurveDisplay` | loss and validation score over the epochs |
| `TopologyChangeDisplay` | how many connections were replaced in every epoch, and how much was explored |
| `ConnectivityDisplay` | how many connections every input feature has, or how strong they are |
| `DegreeDisplay` | how the connections are spread over the units of every layer |
| `LayerSpyDisplay` | which pairs of units a layer connects |
| `ConnectivityRecorder` | a callback that makes a film of the input connections |

They work as those of scikit-learn: ``SomeDisplay.from_estimator(model, ax=ax)`` draws into axes of your own or into a
new figure, and leaves both at ``ax_`` and ``figure_``; nothing is shown, and no global setting of matplotlib changes. A
display holds arrays of its own, so that ``plot`` draws it again without the model, also after pickling; its picture is
not pickled. Wherever an estimator is asked for, an `truesparse.network.MLP` will do, unless its history is needed.

Pictures need matplotlib (``pip install matplotlib``), which is imported when the first one is drawn.
"""

from truesparse.plotting.connectivity import ConnectivityDisplay
from truesparse.plotting.degrees import DegreeDisplay
from truesparse.plotting.film import ConnectivityRecorder
from truesparse.plotting.layer_spy import LayerSpyDisplay
from truesparse.plotting.learning_curve import LearningCurveDisplay
from truesparse.plotting.topology_change import TopologyChangeDisplay

__all__ = [
    "ConnectivityDisplay",
    "ConnectivityRecorder",
    "DegreeDisplay",
    "LayerSpyDisplay",
    "LearningCurveDisplay",
    "TopologyChangeDisplay",
]
