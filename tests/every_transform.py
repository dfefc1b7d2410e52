"""One transform of each kind, for images of 72 features."""

from truesparse.data.transformed import apply_transform, changes_targets
from truesparse.transforms import (
    Compose,
    Crop,
    CutMix,
    CutOut,
    FeatureMask,
    Flip,
    GaussianNoise,
    MixUp,
    Rotate,
    Shift,
)

SHAPE = (6, 6, 2)
ALL = {
    "Crop": Crop(SHAPE, 2),
    "Flip": Flip(SHAPE),
    "Shift": Shift(SHAPE),
    "Rotate": Rotate(SHAPE, 20),
    "CutOut": CutOut(SHAPE, 3),
    "MixUp": MixUp(),
    "CutMix": CutMix(SHAPE),
    "GaussianNoise": GaussianNoise(),
    "FeatureMask": FeatureMask(),
    "FeatureMask of samples": FeatureMask(fill="samples"),
    "Compose": Compose([Crop(SHAPE), Flip(SHAPE), CutOut(SHAPE, 2), FeatureMask(), MixUp(), CutMix(SHAPE)]),
}


def called(transform, X, target, rng):
    """A transformed batch and its targets."""
    return apply_transform(transform, X, target, rng, with_target=changes_targets(transform))
