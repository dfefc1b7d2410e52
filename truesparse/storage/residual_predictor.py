"""Predictions of a residual network that truesparse has trained, from this file and weights.npz, with NumPy and SciPy.

    from predictor import load
    model = load("directory")  # where weights.npz is
    model.predict(X)           # as the estimator's; for classes also model.predict_proba(X) and model.classes_

X is an array of images, (n_samples, height, width, channels), or of the same numbers as rows, (n_samples, n_features).
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.sparse import csr_array
from scipy.special import expit, softmax

FUNCTIONS = {"softmax": lambda z: softmax(z, axis=0), "logistic": expit, "identity": lambda z: z, "exp": np.exp}
SAMPLES = 32  # images that are predicted at a time


def load(directory="."):
    """Return the model in a directory that ``export_numpy`` wrote."""
    with np.load(f"{directory}/weights.npz", allow_pickle=False) as arrays:
        return Predictor(dict(arrays))


class Predictor:
    """The network in the arrays of weights.npz; its batch norms are part of the weights and biases."""

    def __init__(self, arrays):
        if arrays["format"] != 2:
            raise ValueError(f"weights.npz has format {arrays['format']}, but this predictor.py reads 2 only.")
        self.arrays, self.classes_ = arrays, arrays.get("classes")
        self.weights = [
            csr_array((arrays[f"weights_{i}"], arrays[f"indices_{i}"], arrays[f"indptr_{i}"]), shape=shape)
            for i, shape in enumerate(arrays["shapes"])  # rows are output channels, columns (input channel, dy, dx)
        ]

    def predict(self, X):
        """Return classes, (n_samples,), labels as 0 or 1, or a regression, (n_samples,) or (n_samples, n_outputs)."""
        z, p = self._forward(X)
        if self.classes_ is None:
            return p[:, 0] if self.arrays["single_output"] else p
        return np.int64(z > 0) if self.arrays["out_activation"] == "logistic" else self.classes_[z.argmax(axis=1)]

    def predict_proba(self, X):
        """Return the probabilities of classes or labels, (n_samples, n_classes)."""
        if self.classes_ is None:
            raise AttributeError("This model predicts numbers, which have no probabilities.")
        return self._forward(X)[1]

    def _forward(self, X):
        """Return the sums and the predictions, (n_samples, n_outputs) each."""
        X, shape = np.asarray(X, dtype=self.arrays["bias_0"].dtype), self.arrays["image_shape"].tolist()
        shapes = [shape, [int(np.prod(shape))]] + [shape[:2]] * (shape[2] == 1)  # of a sample
        if list(X.shape[1:]) not in shapes:
            raise ValueError(f"Samples of X must have one of the shapes {shapes}; the shape of X is {X.shape}.")
        if not np.isfinite(X).all():
            raise ValueError("X holds NaN or infinity; only finite numbers are allowed.")
        images = X.reshape(-1, *shape).transpose(3, 1, 2, 0)  # (channels, height, width, n_samples)
        starts = range(0, max(1, len(X)), SAMPLES)
        z = np.concatenate([self._outputs(images[..., start : start + SAMPLES]) for start in starts], axis=1)
        return z.T, FUNCTIONS[str(self.arrays["out_activation"])](z).T * self.arrays["scale"] + self.arrays["shift"]

    def _outputs(self, images):
        """Return the sums of the outputs, (n_outputs, n)."""
        h = np.maximum(self._convolved(0, images), 0)
        for first, second, projection in self.arrays["blocks"]:
            residual = h if projection < 0 else self._convolved(projection, h)
            inner = np.maximum(self._convolved(first, h), 0)
            h = np.maximum(self._convolved(second, inner) + residual, 0)
        return self._convolved(len(self.weights) - 1, h.mean(axis=(1, 2), keepdims=True))[:, 0, 0]

    def _convolved(self, i, x):
        """Return W * x + b for the planes x, (channels, rows, columns, n), around which there is a border of zeros."""
        size, stride, border = self.arrays["windows"][i], self.arrays["strides"][i], self.arrays["windows"][i] // 2
        x = np.pad(x, [(0, 0), (border, border), (border, border), (0, 0)])
        windows = sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]
        inputs = windows.transpose(0, 4, 5, 1, 2, 3)  # (channels, dy, dx, rows, columns, n)
        z = self.weights[i] @ inputs.reshape(self.weights[i].shape[1], -1) + self.arrays[f"bias_{i}"][:, None]
        return z.reshape(len(z), *inputs.shape[3:])
