"""A network that gives its input back without the noise, for want of targets (QuickSelection).

What a feature is good for shows in how strongly the network reads it to reconstruct all features.

Source: Atashgahi et al., "Quick and robust feature selection: the strength of energy-efficient sparse training for
autoencoders", Machine Learning 111, 2022; and the settings of the authors' code: one hidden layer of 1000 sigmoid
units, linear outputs, epsilon 13, Gaussian noise of 0.2, SET with 0.2 of the weights of either sign after every epoch,
100 epochs of batches of 100, learning rate 0.01, momentum 0.9, L2 1e-5. Other than there, there is no dropout, the
momentum is Nesterov's, and the topology rests in the last epoch.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import issparse
from sklearn.preprocessing import StandardScaler

from truesparse.estimators.regressor import SparseMLPRegressor
from truesparse.evolution import paper_settings
from truesparse.runtime.checks import check_number


@dataclass(frozen=True)
class GaussianNoise:
    """A `batch_transform` that adds independent normal numbers to all features.

    Parameters
    ----------
    scale : float
        Their standard deviation.
    """

    scale: float = 0.2

    def __post_init__(self):
        check_number("scale", self.scale, least=0)

    def __call__(self, X_batch, rng):
        """A batch (n, n_features), dense, with noise."""
        X_batch += float(self.scale) * rng.standard_normal(X_batch.shape, dtype=X_batch.dtype)
        return X_batch


def denoising_autoencoder() -> SparseMLPRegressor:
    """An unfitted regressor with the published settings, to be fitted with standardised features as `X` and as `y`.

    Examples
    --------
    >>> from truesparse.estimators import denoising_autoencoder
    >>> quick = denoising_autoencoder().set_params(max_iter=10)  # the paper's other choice, for a quick look
    """
    published = {
        "hidden_layer_sizes": (1000,),
        "activation": "logistic",
        "epsilon": 13,
        "alpha": 1e-5,
        "max_iter": 100,
        "early_stopping": False,
        "batch_transform": GaussianNoise(),
    }
    return SparseMLPRegressor(**paper_settings("set") | published)


def standardised(values) -> np.ndarray:
    """The columns with mean 0 and standard deviation 1, or 0 where they are constant, as a dense array.

    Parameters
    ----------
    values : array or CSR, (n_samples, n_columns)
    """
    if issparse(values):
        entries, dense = values.tocoo(), np.zeros(values.shape, dtype=values.dtype)
        np.add.at(dense, (entries.row, entries.col), entries.data)
        values = dense
    return StandardScaler().fit_transform(values)
