"""What each MPI process of test_mpi.py does: ``mpiexec -n 2 python mpi_program.py folder name …``.

Every named function returns arrays, which each rank writes into the folder. Ranks take consecutive parts of the data.
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from mpi4py import MPI
from scipy.sparse import csr_array

from truesparse import Evolution, SparseMLPClassifier, SparseMLPRegressor, SparseResNetClassifier
from truesparse.callbacks import Checkpoint
from truesparse.data import Chunks
from truesparse.distributed import fit_mpi
from truesparse.evolution import AfterStall, Constant, Cosine, Cubic, Random, preset
from truesparse.training import trainer
from truesparse.training.agreement import check_same_network

COMM = MPI.COMM_WORLD
RANK, N_RANKS = COMM.Get_rank(), COMM.Get_size()
N = 1280
SMALL = {"hidden_layer_sizes": (60, 40), "epsilon": 3, "max_iter": 4, "update_every": 2, "random_state": 7}
METHODS = {name: preset(name) for name in ("cte", "omp", "rigl", "set")} | {
    "falling": replace(preset("cte"), density=Cubic(2)),
    "ctre_seq": Evolution(grow=AfterStall(first=Cosine(), then=Random(), patience=1)),
}


def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, 20)).astype(np.float32)
    return X, (X[:, 0] > 0).astype(int) + (X[:, 1] * X[:, 2] > 0)


def own(*arrays, sizes=None):
    """This rank's part of each array; in equal parts if there are no sizes."""
    n = arrays[0].shape[0]
    ends = np.arange(N_RANKS + 1) * n // N_RANKS if sizes is None else np.cumsum([0, *sizes])
    return [array[ends[RANK] : ends[RANK + 1]] for array in arrays]


def learnt(model, *, topologies=()):
    """The parameters and the topology of a model, and what it wrote down."""
    network, history = model._run.network, model.history_
    return {
        "params": network.params,
        "keys": np.concatenate([layer.pattern.keys for layer in network.layers]),
        "losses": np.array([history["train_loss"], history["validation_loss"], history["validation_score"]]),
        **{f"update_{k}": keys for k, keys in enumerate(topologies)},
    }


class Topologies:
    """The connections after each update."""

    def __init__(self):
        self.keys = []

    def on_topology_change(self, network, step, rewirings):
        self.keys.append(np.concatenate([layer.pattern.keys for layer in network.layers]))


def methods(dtype):
    """Twenty updates by each method, in five epochs of ten steps."""
    results = {}
    for name, evolution in METHODS.items():
        watch = Topologies()
        settings = {**SMALL, "dtype": dtype, "batch_size": 128, "callbacks": [watch], "max_iter": 5}
        settings |= {"tol": 0.2} if name == "ctre_seq" else {}  # it stalls, so that both rules are used
        settings["evolution"] = replace(evolution, schedule=Constant(drop_fraction=0.2, update_every=2, end_step=41))
        X, y = own(*data())
        model = fit_mpi(SparseMLPClassifier(**settings).set_params(update_every=None), X, y)
        for key, value in learnt(model, topologies=watch.keys).items():
            results[f"{name}_{key}"] = value
    return results


def methods_float32():
    return methods("float32")


def methods_float64():
    return methods("float64")


def _fitted(*arrays, sizes=None, model=SparseMLPClassifier, n_val=0, **changes):
    settings = {**SMALL, "dtype": "float64", "batch_size": 96, **changes}
    validation = {}
    if n_val:
        X_val, y_val = own(*(array[-n_val:] for array in arrays[:2]))
        arrays, validation = [array[:-n_val] for array in arrays], {"X_val": X_val, "y_val": y_val}
    X, y, *weights = own(*arrays, sizes=sizes)
    return learnt(fit_mpi(model(**settings), X, y, *weights, **validation))


def uneven():
    sizes = {1: [N], 2: [N - 3, 3], 3: [1, N - 31, 30]}[N_RANKS]
    return _fitted(*data(), sizes=sizes)


def sorted_by_class():
    """Most ranks lack a class."""
    X, y = data()
    order = np.argsort(y, kind="stable")
    return _fitted(X[order], np.array(["a", "bb", "ccc"])[y[order]])


def sparse():
    X, y = data()
    X[X < 0.5] = 0
    return _fitted(csr_array(X.astype(np.float64)), y)


def snip():
    return _fitted(*data(), topology_init="snip", evolution="static")


def weighted():
    X, y = data()
    weights = np.random.default_rng(1).uniform(0.5, 2, N)
    weights[::7] = 0
    return _fitted(X, y, weights, class_weight="balanced")


def early_stopping():
    return _fitted(*data(), early_stopping=True, max_iter=30, n_iter_no_change=2)


def validation():
    return _fitted(*data(), n_val=200, early_stopping=True, max_iter=10, scoring="balanced_accuracy")


def labels():
    X, _ = data()
    return _fitted(X, (X[:, :3] > 0).astype(int))


def regression():
    X, _ = data()
    targets = np.column_stack([30 * X[:, 0] + 5, X[:, 1] * X[:, 2]])
    return _fitted(X, targets, model=SparseMLPRegressor)


def robust_regression():
    X, _ = data()
    return _fitted(X, 30 * X[:, 0] + 5, model=SparseMLPRegressor, loss="huber", n_val=100)


def chunks():
    """Each rank reads chunks of its own; which samples make up a batch depends on that."""
    X, y = own(*data())
    source = Chunks([(X[start : start + 100], y[start : start + 100]) for start in range(0, len(X), 100)], window=2)
    model = fit_mpi(SparseMLPClassifier(**SMALL, batch_size=96), source)
    return learnt(model) | {"score": np.array(model.score(*data()))}


def noisy():
    X, y = own(*data())
    model = SparseMLPClassifier(**SMALL, batch_transform=_add_noise, batch_size=96)
    return learnt(fit_mpi(model, X, y))


def _add_noise(X, rng):
    return X + 0.1 * rng.standard_normal(X.shape)


OTHERS = (
    uneven, sorted_by_class, sparse, snip, weighted, early_stopping, validation, labels, regression, robust_regression,
)  # fmt: skip


def others():
    return {f"{case.__name__}_{key}": value for case in OTHERS for key, value in case().items()}


def of_rank_0():
    """Callbacks and random numbers are those of rank 0, where a callback asks to stop."""
    heard = []

    class Listener:
        def on_epoch_end(self, network, record):
            heard.append(record.epoch)
            return record.epoch == 3

    X, y = own(*data())
    settings = SMALL | {"random_state": np.random.RandomState(RANK), "max_iter": 9}
    callbacks = [Listener()]
    model = SparseMLPClassifier(**settings, callbacks=callbacks, verbose=RANK)
    state = model.random_state.get_state()[1].copy()
    fit_mpi(model, X, y)
    untouched = model.callbacks is callbacks and model.verbose == RANK
    untouched &= RANK == 0 or np.array_equal(state, model.random_state.get_state()[1])
    return learnt(model) | {"heard": np.array(heard), "untouched": np.array(untouched)}


def names():
    import pandas as pd

    X, y = own(*data())
    frame = pd.DataFrame(X, columns=[f"f{k}" for k in range(20)])
    return {"names": fit_mpi(SparseMLPClassifier(**SMALL), frame, y).feature_names_in_.astype(str)}


def refusals():
    """Each case is an error in all ranks; the model keeps what it had learnt."""
    X, y = own(*data())
    model = fit_mpi(SparseMLPClassifier(**SMALL), X, y)
    before = model._run.network.params.copy()
    last = RANK == N_RANKS - 1

    def bad_callback(epoch):
        class Bad:
            def on_epoch_end(self, network, record):
                if record.epoch == epoch:
                    raise OSError("the disk is full")

        return SparseMLPClassifier(**SMALL).set_params(callbacks=[Bad()])

    broken = _chunks_that_break(X, y) if last else Chunks([(X, y)])
    with_nan = X.copy()
    with_nan[3, 4] = np.nan if last else 0
    other = SparseMLPClassifier(**SMALL).set_params(epsilon=4 if last else 3)
    cases = {
        "features": lambda: fit_mpi(model, X[:, :19] if last else X, y),
        "nan": lambda: fit_mpi(model, with_nan, y),
        "lengths": lambda: fit_mpi(model, X, y[1:] if last else y),
        "kinds": lambda: fit_mpi(model, csr_array(X) if last else X, y),
        "targets": lambda: fit_mpi(model, X, y.astype(str) if last else y),
        "columns": lambda: fit_mpi(model, X, np.column_stack([y, y]) % 2 if last else y),
        "class": lambda: fit_mpi(model, X, y, X_val=X, y_val=np.full(len(y), 5) if last else y),
        "validation": lambda: fit_mpi(model, X, y, **({} if last else {"X_val": X, "y_val": y})),
        "parameters": lambda: fit_mpi(other, X, y),
        "empty": lambda: fit_mpi(model, X[:0] if last else X, y[:0] if last else y),
        "dtype": lambda: fit_mpi(model, Chunks([(X, y)], dtype="float64" if last else "float32")),
        "no_model": lambda: fit_mpi("cte" if last else model, X, y),
        "batch_norm": lambda: fit_mpi(SparseResNetClassifier((4, 5)), X, y),
        "diverges": lambda: fit_mpi(SparseMLPClassifier(**SMALL).set_params(learning_rate_init=1e30), X, y),
        "callback": lambda: fit_mpi(bad_callback(3), X, y),
        "last_callback": lambda: fit_mpi(bad_callback(4), X, y),
        "chunk": lambda: fit_mpi(SparseMLPClassifier(**SMALL), broken),
        "no_checkpoint": lambda: fit_mpi(model, X, y, resume_from="/does/not/exist"),
    }
    said = {}
    for name, case in cases.items():
        try:
            case()
            said[name] = np.array("no error")
        except Exception as error:
            said[name] = np.array(f"{type(error).__name__}: {error}")
    assert model._run.network.params.tobytes() == before.tobytes()
    fit_mpi(model, X, y)
    assert model._run.network.params.tobytes() == before.tobytes()
    return said


def _chunks_that_break(X, y):
    """The third time that the second chunk is read, it has another width."""
    reads = []

    def second():
        reads.append(1)
        return (X[100:, : 20 if len(reads) < 3 else 19], y[100:])

    return Chunks([(X[:100], y[:100]), second], window=1)


CHECKPOINT = Path(sys.argv[1]) / "checkpoint.npz" if len(sys.argv) > 1 else None
LONG = SMALL | {"max_iter": 8, "batch_size": 96, "dtype": "float64", "early_stopping": True, "n_iter_no_change": 50}


def _long(*callbacks, resume=False):
    X, y = own(*data())
    model = SparseMLPClassifier(**LONG, callbacks=[Checkpoint(CHECKPOINT), *callbacks])
    return learnt(fit_mpi(model, X, y, resume_from=CHECKPOINT if resume else None))


def unbroken():
    return _long()


def killed():
    """The last rank dies in the fourth epoch."""

    epochs = []

    def check_and_die(*args):
        epochs.append(1)
        if len(epochs) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        check_same_network(*args)

    if RANK == N_RANKS - 1:
        trainer.check_same_network = check_and_die
    return _long()


def resumed():
    return _long(resume=True)


def disagreement():
    """A rank whose network differs is found at the end of the epoch."""

    class Meddle:
        def on_epoch_begin(self, network, epoch):
            network.params[0] += 1

    X, y = own(*data())
    try:
        fit_mpi(SparseMLPClassifier(**SMALL, callbacks=[Meddle()]), X, y)
    except RuntimeError as error:
        return {"said": np.array(str(error))}
    return {"said": np.array("no error")}


def docstrings():
    import doctest

    from truesparse.distributed import mpi

    return {"failed": np.array(doctest.testmod(mpi).failed), "tried": np.array(doctest.testmod(mpi).attempted)}


if __name__ == "__main__":
    for name in sys.argv[2:]:
        np.savez(f"{sys.argv[1]}/{name}.{RANK}.npz", **globals()[name]())
