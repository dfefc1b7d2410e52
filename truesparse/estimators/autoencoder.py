"""Denoising autoencoder: a network that learns to reconstruct all features from noisy ones (QuickSelection).

Source: Atashgahi et al., "Quick and robust feature selection: the strength of energy-efficient sparse training for
autoencoders", Machine Learning 111, 2022, and the settings of the authors' code: one hidden layer of 1000 sigmoid
units, linear outputs, epsilon 13, Gaussian noise of 0.2, SET with 0.2 of the weights of either sign after every epoch,
100 epochs of batches of 100, learning rate 0.01, momentum 0.9, L2 1e-5. Unlike there, we have no dropout, Nesterov
momentum, and no update after the last epoch.
"""

import numpy as np
from scipy.sparse import issparse

from truesparse.estimators.regressor import SparseMLPRegressor
from truesparse.evolution import paper_settings
from truesparse.transforms import GaussianNoise


def denoising_autoencoder() -> SparseMLPRegressor:
    """Return an unfitted regressor with the published settings; fit it with standardised features as `X` and `y`.

    Examples
    --------
    >>> from truesparse.estimators import denoising_autoencoder
    >>> quick = denoising_autoencoder().set_params(max_iter=10)  # the paper's other choice, for a quick look
    """
    published = paper_settings("set") | {
        "hidden_layer_sizes": (1000,),
        "activation": "logistic",
        "epsilon": 13,
        "alpha": 1e-5,
        "max_iter": 100,
        "early_stopping": False,
        "batch_transform": GaussianNoise(),
    }
    return SparseMLPRegressor(**published)


def standardised(values) -> np.ndarray:
    """Return the columns of an array or CSR scaled to mean 0 and standard deviation 1 (0 if constant), dense."""
    from sklearn.preprocessing import StandardScaler

    if issparse(values):
        entries, dense = values.tocoo(), np.zeros(values.shape, dtype=values.dtype)
        np.add.at(dense, (entries.row, entries.col), entries.data)
        values = dense
    return StandardScaler().fit_transform(values)
