"""Fitted networks for use elsewhere: as files that need NumPy and SciPy only, and as modules of PyTorch.

Both are made of the layers of a network and of a `Head`, which says how the sums of the last one become predictions.
There is no export to ONNX, see `truesparse.SparseMLPClassifier.export_numpy`.
"""

from truesparse.export.head import Head

__all__ = ["Head"]
