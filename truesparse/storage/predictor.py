"""Predictions of a network that truesparse has trained, from this file and weights.npz, with NumPy and SciPy only.

    from predictor import load
    model = load("directory")  # where weights.npz is
    model.predict(X)           # as the estimator's; for classes also model.predict_proba(X) and model.classes_

X is an array or a SciPy sparse matrix, (n_samples, n_features), with the columns in the order of training. Memory is
n_units times n_samples numbers: many samples are best predicted some hundred at a time.
"""

import numpy as np
from scipy.sparse import csr_array, issparse
from scipy.special import expit, softmax

FUNCTIONS = {"tanh": np.tanh, "logistic": expit, "softmax": lambda z: softmax(z, axis=0), "exp": np.exp} | {
    "identity": lambda z: z,
    "piecewise_linear": lambda z, slope: np.where(z > 0, z, slope * z),
    "srelu": lambda z, lo, hi, a, b: np.clip(z, lo, hi) + a * np.minimum(z - lo, 0) + b * np.maximum(z - hi, 0),
}


def load(directory="."):
    """Return the model in a directory that ``export_numpy`` wrote."""
    with np.load(f"{directory}/weights.npz", allow_pickle=False) as arrays:
        return Predictor(dict(arrays))


class Predictor:
    """The network in the arrays of weights.npz, or the ensemble, whose predictions are a weighted mean."""

    def __init__(self, arrays):
        self.mix = arrays.get("mix", np.ones(1))
        prefixes = [f"{i}." for i in range(len(self.mix))] if "mix" in arrays else [""]
        self.members = [{key[len(p) :]: a for key, a in arrays.items() if key.startswith(p)} for p in prefixes]
        self.arrays, self.classes_ = self.members[0], self.members[0].get("classes")
        if arrays["format"] != 1:
            raise ValueError(f"weights.npz has format {arrays['format']}, but this predictor.py reads 1 only.")

    def predict(self, X):
        """Return classes, (n_samples,), labels as 0 or 1, or a regression, (n_samples,) or (n_samples, n_outputs)."""
        z, p = self._forward(X)
        if len(self.members) > 1:
            z = p - 0.5 if self.arrays["out_activation"] == "logistic" else p
        if self.classes_ is None:
            return p[:, 0] if self.arrays["single_output"] else p
        return np.int64(z > 0) if self.arrays["out_activation"] == "logistic" else self.classes_[z.argmax(axis=1)]

    def predict_proba(self, X):
        """Return the probabilities of classes or labels, (n_samples, n_classes)."""
        if self.classes_ is None:
            raise AttributeError("This model predicts numbers, which have no probabilities.")
        return self._forward(X)[1]

    def _forward(self, X):
        """Return the sums and the predictions; those of an ensemble are weighted means."""
        parts = [[float(w) * part for part in self._of(a, X)] for w, a in zip(self.mix, self.members, strict=True)]
        return tuple(map(sum, zip(*parts, strict=True)))

    def _of(self, a, X):
        n_features = a["shapes"][0, 1]
        X = (csr_array if issparse(X) else np.asarray)(X, dtype=a["bias_0"].dtype)
        if X.ndim != 2 or X.shape[1] != n_features or not np.isfinite(X.data if issparse(X) else X).all():
            raise ValueError(f"X must hold finite numbers, (n_samples, {n_features}); its shape is {X.shape}.")
        z = X.T
        for i, shape in enumerate(a["shapes"]):
            w = a[f"weights_{i}"]  # (nnz,), or (fan_out, fan_in) if it is a layer with all weights
            w = csr_array((w, a[f"indices_{i}"], a[f"indptr_{i}"]), shape=shape) if w.ndim == 1 else w
            z = FUNCTIONS[str(a[f"activation_{i}"])](w @ z + a[f"bias_{i}"][:, None], *a[f"activation_params_{i}"])
        return z.T, FUNCTIONS[str(a["out_activation"])](z).T * a["scale"] + a["shift"]
