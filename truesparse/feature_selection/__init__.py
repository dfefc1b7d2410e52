"""Selection of features by what a truly sparse network does with them."""

from truesparse.feature_selection.autoencoder import GaussianNoise, denoising_autoencoder
from truesparse.feature_selection.selector import SparseFeatureSelector

__all__ = ["GaussianNoise", "SparseFeatureSelector", "denoising_autoencoder"]
