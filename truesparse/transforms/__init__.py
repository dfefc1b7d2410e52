"""Transforms of training batches: images that are never twice the same, and tables with noise.

A transform is the parameter `batch_transform` of an estimator. It is called with every training batch and the random
generator of that step, changes the batch in place where it can, and returns it. Validation data stay as they are.

| transform | what it does to each sample | for |
|---|---|---|
| `Crop` | cuts it out of itself padded by some pixels: a shift by whole pixels | images, series |
| `Flip` | mirrors it left to right, with a probability | images, series |
| `Shift` | shifts it by up to some share of its size, between pixels too | images, series |
| `Rotate` | rotates it about its centre | images |
| `CutOut` | sets a random square to one value | images, series |
| `MixUp` | averages it with another sample of the batch; changes targets | any features |
| `CutMix` | pastes a random box of another sample of the batch; changes targets | images, series |
| `GaussianNoise` | adds normal noise | tables |
| `FeatureMask` | replaces random features by 0, or by those of other samples | tables |
| `Compose` | applies several, one after the other | |

Features of an image are those of an array (height, width, channels) in C order, and those of a series (length,
channels). All transforms need dense features.

The same generator gives the same bytes, for any number of threads. Kernels use the threads that the training step has.

A transform of your own is a function ``(X_batch, rng)``, or ``(X_batch, target_batch, rng)`` if it returns other
targets as well (see `mix_targets`). A frozen dataclass with the decorator ``truesparse.plugin("batch_transform")`` is
stored in files.
"""

from truesparse.network.losses import mix_targets
from truesparse.transforms.compose import Compose
from truesparse.transforms.cut import CutOut
from truesparse.transforms.mix import CutMix, MixUp
from truesparse.transforms.moves import Crop, Flip, Rotate, Shift
from truesparse.transforms.tables import FeatureMask, GaussianNoise

__all__ = [
    "Compose",
    "Crop",
    "CutMix",
    "CutOut",
    "FeatureMask",
    "Flip",
    "GaussianNoise",
    "MixUp",
    "Rotate",
    "Shift",
    "mix_targets",
]
