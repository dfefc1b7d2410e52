"""Features of tables with noise, or replaced at random."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from truesparse._typing import FloatArray
from truesparse.kernels.mixing import mask_features
from truesparse.runtime.checks import check_number
from truesparse.runtime.plugins import plugin
from truesparse.transforms.batches import writable


@plugin("batch_transform")
@dataclass(frozen=True)
class GaussianNoise:
    """Add independent normal noise to all features, which should be of about the same scale.

    Parameters
    ----------
    scale : float, default=0.2
        Standard deviation of the noise.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.transforms import GaussianNoise
    >>> noisy = GaussianNoise(0.5)(np.zeros((1000, 20)), np.random.default_rng(0))
    >>> round(float(noisy.std()), 2)
    0.5
    """

    changes_targets: ClassVar[bool] = False
    scale: float = 0.2

    def __post_init__(self):
        check_number("scale", self.scale, least=0)

    def __call__(self, X_batch: Any, rng: np.random.Generator) -> FloatArray:
        """Return the batch (n, n_features), changed in place where it can be."""
        X = writable(self, X_batch)
        X += float(self.scale) * rng.standard_normal(X.shape, dtype=X.dtype)
        return X


@plugin("batch_transform")
@dataclass(frozen=True)
class FeatureMask:
    """Replace random features of each sample, by 0 or by those of random samples of the batch.

    Values of other samples are the corruption of SCARF (Bahri et al., "SCARF: self-supervised contrastive learning
    using random feature corruption", 2022): each has the distribution of its feature.

    Parameters
    ----------
    share : float in [0, 1], default=0.3
        The probability that a feature of a sample is replaced.
    fill : {"zeros", "samples"}, default="zeros"
        By what: 0, which is the mean of standardised features; or the same feature of a sample of the batch, drawn
        anew for each feature.

    Examples
    --------
    >>> import numpy as np
    >>> from truesparse.transforms import FeatureMask
    >>> X = FeatureMask(0.25)(np.ones((1000, 20)), np.random.default_rng(0))
    >>> round(float(X.mean()), 2)
    0.75
    """

    changes_targets: ClassVar[bool] = False
    share: float = 0.3
    fill: str = "zeros"

    def __post_init__(self):
        check_number("share", self.share, 0, 1)
        if not isinstance(self.fill, str) or self.fill not in ("samples", "zeros"):
            raise ValueError(f"fill={self.fill!r} must be one of ['samples', 'zeros'].")

    def __call__(self, X_batch: Any, rng: np.random.Generator) -> FloatArray:
        """Return the batch (n, n_features), changed in place where it can be."""
        X = writable(self, X_batch)
        key, threshold = rng.integers(2**64, dtype=np.uint64), np.uint64(round(float(self.share) * 2**32))
        mask_features(X, key, threshold, self.fill == "samples")
        return X
