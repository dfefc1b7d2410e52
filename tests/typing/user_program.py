"""A program as a user would write it: it runs, and mypy accepts it.

It trains a classifier and a regressor, stores a model, and has a grow rule and a callback of its own.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes, load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import truesparse
from truesparse import (
    Evolution,
    SparseMLPClassifier,
    SparseMLPEnsembleClassifier,
    SparseMLPRegressor,
    load,
    preset,
    save,
)
from truesparse.evolution import Constant, Magnitude, Vacancy
from truesparse.network.mlp import MLP
from truesparse.training.state import EpochRecord
from truesparse.transforms import Compose, Crop, MixUp

Edges = tuple[NDArray[np.integer], NDArray[np.integer]]


@dataclass(frozen=True)
class LeastConnected:
    """Grows connections of the inputs that have the fewest, to random outputs."""

    n_inputs: int = 50
    needs: ClassVar[tuple[str, ...]] = ()

    def __call__(self, vacancies: Sequence[Vacancy], *, rng: np.random.Generator) -> list[Edges]:
        """Return one pair of arrays (rows, columns) per layer."""
        return [self._edges(vacancy, rng) for vacancy in vacancies]

    def _edges(self, vacancy: Vacancy, rng: np.random.Generator) -> Edges:
        fan_out, fan_in = vacancy.pattern.shape
        degrees = np.bincount(vacancy.pattern.keys % fan_in, minlength=fan_in)
        columns = np.argsort(degrees, kind="stable")[: self.n_inputs]
        keys = rng.integers(fan_out, size=columns.size) * fan_in + columns
        absent = np.setdiff1d(keys, vacancy.pattern.keys)[: vacancy.n_grow]
        return absent // fan_in, absent % fan_in


class StopAt:
    """Asks to stop at a training loss."""

    def __init__(self, loss: float) -> None:
        self.loss = loss
        self.losses: list[float] = []

    def on_epoch_end(self, network: MLP, record: EpochRecord) -> bool:
        """Return True to stop."""
        self.losses.append(record.train_loss)
        return record.train_loss < self.loss


def classify() -> float:
    """Return the accuracy on scikit-learn's digits, by a model that was stored and loaded."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
    model = SparseMLPClassifier((200, 200), epsilon=5, evolution="cte", max_iter=15, random_state=0)
    model.fit(X_train, y_train)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        save(model, path)
        loaded = load(path)
    predictions: NDArray[np.integer] = loaded.predict(X_test)
    assert np.array_equal(predictions, model.predict(X_test))
    assert model.predict_proba(X_test).shape == (len(X_test), 10)
    density: float = model.density_
    history: dict[str, list] = model.history_
    assert 0 < density < 1
    assert len(history["train_loss"]) == model.n_iter_
    return float(model.score(X_test, y_test))


def regress() -> float:
    """Return R² on scikit-learn's diabetes data, with a rule and a callback of one's own."""
    X, y = load_diabetes(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    # The protocols of rules in truesparse/_typing.py do not accept frozen dataclasses yet. Once they do, mypy calls
    # these comments unused.
    evolution = Evolution(
        prune=Magnitude(),
        grow=LeastConnected(n_inputs=20),
        schedule=Constant(drop_fraction=0.2),
    )
    base = preset("set")
    assert base is not None  # preset("static") is None, and so are those of "snip" and "dense"
    replaced = replace(base, grow=LeastConnected())
    assert replaced.grow == LeastConnected()
    callback = StopAt(loss=0.2)
    model = SparseMLPRegressor((100,), evolution=evolution, max_iter=50, callbacks=[callback], random_state=0)
    model.fit(X_train, y_train)
    assert 0 < len(callback.losses) <= 50
    return float(model.score(X_test, y_test))


def average() -> float:
    """Return the out-of-fold accuracy on scikit-learn's digits of networks of two methods, one of them a rule."""
    X, y = load_digits(return_X_y=True)
    augment = Compose([Crop((8, 8, 1), padding=1), MixUp(alpha=0.2)])
    network = SparseMLPClassifier((100,), epsilon=3, max_iter=5, batch_transform=augment)
    methods: list[str | Evolution] = ["cte", Evolution(schedule=Constant(drop_fraction=0.2))]
    ensemble = SparseMLPEnsembleClassifier(network, evolution=methods, n_folds=2, random_state=0)
    ensemble.fit(X / 16, y)
    weights: NDArray[np.floating] = ensemble.weights_
    assert len(ensemble.estimators_) == weights.size
    print(ensemble.summary())
    return ensemble.oof_score_


if __name__ == "__main__":
    print(f"truesparse {truesparse.__version__}: accuracy {classify():.3f} on digits, R² {regress():.2f} on diabetes")
    print(f"an ensemble: {average():.3f}")
