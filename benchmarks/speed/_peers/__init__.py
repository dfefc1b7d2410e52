"""Libraries that train the same network, each through its public interface, behind one small interface.

A `Task` says what is trained. A `Peer` is made from it and has ``train`` (seconds of each epoch), ``train_until`` (an
accuracy is reached) and ``predict_proba``. To add a peer, write a file with a class that has ``step`` and
``predict_proba``, and name it in `PEERS`.

All have ReLU, dropout after each hidden layer, cross-entropy, an L2 penalty, Adam, the same patterns, and first weights
of the same distribution. There are three exceptions: scikit-learn has neither masks nor dropout; "torch, dense" has no
masks; and "truesparse, cte" has the estimator's own settings. "truesparse, 10 epochs" differs from the last only in its
schedules, so it takes part only where an accuracy is to be reached.
"""

from importlib import import_module

from .base import Task

__all__ = ["OURS", "PEERS", "PLANNED", "Task", "installed"]

OURS, PLANNED = "truesparse, static", "truesparse, 10 epochs"
PEERS = {
    OURS: ("ours", "Truesparse"),
    "truesparse, cte": ("ours", "TruesparseCTE"),
    PLANNED: ("ours", "TruesparsePlanned"),
    "torch, dense": ("with_torch", "Torch"),
    "torch, masked": ("with_torch", "TorchMasked"),
    "torch, CSR": ("with_torch", "TorchCSR"),
    "SparseProp": ("with_sparseprop", "SparseProp"),
    "SciPy + NumPy": ("with_scipy", "SciPy"),
    "JAX, masked": ("with_jax", "JAX"),
    "scikit-learn": ("with_sklearn", "ScikitLearn"),
}


def installed(names):
    """Return the classes of these peers by name; if a library cannot be imported, print a line that says so."""
    found = {}
    for name in names:
        module, peer = PEERS[name]
        try:
            found[name] = getattr(import_module(f"_peers.{module}"), peer)
        except ImportError as error:
            print(f"-- {name}: left out, its library cannot be imported ({error})", flush=True)
    return found
