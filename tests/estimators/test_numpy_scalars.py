"""Every parameter as each of NumPy's scalars that can hold it: the same fit, saved, loaded and resumed alike."""

import inspect
import io
from dataclasses import dataclass, fields
from importlib import import_module
from typing import ClassVar

import numpy as np
import pytest
from helpers import assert_same_run, random_csr
from sklearn.base import clone
from sklearn.datasets import dump_svmlight_file
from sklearn.model_selection import GridSearchCV

import truesparse
from truesparse import (
    Evolution,
    SparseFeatureSelector,
    SparseMLPClassifier,
    SparseMLPEnsembleClassifier,
    SparseMLPEnsembleRegressor,
    SparseMLPRegressor,
    callbacks,
    data,
    plugin,
)
from truesparse.callbacks import Checkpoint, EarlyStopping, EpochPrinter
from truesparse.estimators import GaussianNoise, denoising_autoencoder
from truesparse.evolution import Constant, Given, InputRemoval, NeuronGrow, NeuronPrune, Random
from truesparse.inspection import ConnectivityRecorder
from truesparse.network.losses import SquaredError
from truesparse.runtime.checks import plain
from truesparse.runtime.plugins import IN_FILES, classes
from truesparse.storage import Missing
from truesparse.training import Recipe

INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
FLOATS = [np.float16, np.float32, np.float64, np.longdouble]

rng = np.random.default_rng(0)
X = rng.standard_normal((300, 9)).astype(np.float32)
Y = {
    SparseMLPClassifier: np.digitize(X[:, 0] + X[:, 1], [-0.5, 0.5]),
    SparseMLPRegressor: np.exp(X[:, 0]),
}
SMALL = {"hidden_layer_sizes": (20, 20), "epsilon": 3, "max_iter": 4, "update_every": 3, "random_state": 0}

# A value of each parameter that can be a scalar. Products of the integers with numbers of samples and steps do not fit
# into the narrowest types, and halves and quarters are exact in all floats.
VALUES = {
    "hidden_layer_sizes": 100,
    "evolution": "set",
    "epsilon": 20.0,
    "density": 0.25,
    "drop_fraction": 0.25,
    "update_every": 3,
    "topology_init": "erdos_renyi",
    "activation": "leaky_relu",
    "weight_init": "dense",
    "dropout": 0.25,
    "solver": "sgd",
    "alpha": 0.125,
    "batch_size": 100,
    "learning_rate": "step",
    "learning_rate_init": 0.0078125,
    "max_iter": 50,
    "shuffle": False,
    "random_state": 7,
    "tol": 0.0009765625,
    "verbose": 2,
    "warm_start": True,
    "early_stopping": True,
    "scoring": "loss",
    "validation_fraction": 0.25,
    "n_iter_no_change": 100,
    "n_jobs": 1,
    "dtype": "float64",
    "loss": "huber",
    "label_smoothing": 0.125,
    "n_folds": 2,
    "combine": "mean",
    "n_features_to_select": 4,
    "strategy": "strength",
}
NO_SCALARS = {"batch_transform", "callbacks", "class_weight", "estimator"}
ENSEMBLES = {SparseMLPEnsembleClassifier: SparseMLPClassifier, SparseMLPEnsembleRegressor: SparseMLPRegressor}


def kinds_of(value):
    """NumPy's scalars for a value, which all hold it exactly."""
    if isinstance(value, bool):
        return [np.bool_]
    if isinstance(value, str):
        return [np.str_]
    return INTEGERS if isinstance(value, int) else FLOATS


def as_scalars(values, number):
    """The values as NumPy's scalars; the next number takes the next type of each."""
    made = {}
    for name, value in values.items():
        if isinstance(value, tuple):
            made[name] = tuple(as_scalars(dict(enumerate(value)), number).values())
        else:
            kinds = kinds_of(value)
            made[name] = kinds[number % len(kinds)](value)
    return made


def parameters_of(kind):
    return [name for name in inspect.signature(kind).parameters if name not in NO_SCALARS]


def through_a_file(model):
    file = io.BytesIO()
    truesparse.save(model, file)
    file.seek(0)
    return truesparse.load(file)


def bytes_of(model):
    file = io.BytesIO()
    truesparse.save(model, file)
    return file.getvalue()


def assert_plain(value):
    """No number of NumPy is left in what a file or a recipe holds."""
    assert not isinstance(value, np.generic)
    for item in value if isinstance(value, tuple) else vars(value).values() if hasattr(value, "__dict__") else ():
        if not isinstance(item, np.ndarray | type):
            assert_plain(item)


def assert_same_and_resumable(kind, parameters, scalars, path):
    """Both fits are the same, and so are the loaded one and one that goes on from a checkpoint."""
    X_, y = X, Y[kind]
    expected = kind(**parameters).fit(X_, y)
    model = kind(**scalars)
    assert model.get_params(deep=False).items() >= scalars.items()  # as scikit-learn wants it
    assert all(type(getattr(clone(model), name)) is type(value) for name, value in scalars.items())
    model.set_params(callbacks=[Checkpoint(path, every=np.int8(3)), EarlyStopping("train_loss", patience=np.int8(100))])
    assert_same_run(model.fit(X_, y), expected)
    loaded = through_a_file(model)
    assert_same_run(loaded, expected)
    for name in parameters:
        value = getattr(loaded, name)
        assert value == getattr(expected, name) or isinstance(value, Missing)  # `Given`
        assert_plain(value)
    assert_same_run(kind(**scalars).fit(X_, y, resume_from=path), expected)
    assert_same_run(kind(**parameters).fit(X_, y, resume_from=path), expected)


@pytest.mark.parametrize("kind", [SparseMLPClassifier, SparseMLPRegressor])
@pytest.mark.parametrize("name", [name for name in VALUES if name in inspect.signature(SparseMLPRegressor).parameters])
def test_a_parameter_of_an_estimator(kind, name, capsys):
    if name not in inspect.signature(kind).parameters:
        return
    parameters = {**SMALL, name: VALUES[name]}
    if name == "density":
        del parameters["epsilon"]
    if name in ("validation_fraction", "scoring"):
        parameters["early_stopping"] = True
    expected = kind(**parameters).fit(X, Y[kind])
    for of in kinds_of(VALUES[name]):
        model = kind(**{**parameters, name: of(VALUES[name])}).fit(X, Y[kind])
        assert_same_run(model, expected)
        assert_same_run(through_a_file(model), expected)


@pytest.mark.parametrize("kind", [*Y, *ENSEMBLES, SparseFeatureSelector], ids=lambda kind: kind.__name__)
def test_no_parameter_is_left_out(kind):
    assert set(parameters_of(kind)) <= VALUES.keys()


@pytest.mark.parametrize("kind", Y)
@pytest.mark.parametrize("number", range(8))
def test_all_parameters_at_once(kind, number, tmp_path, capsys):
    parameters = {name: VALUES[name] for name in parameters_of(kind) if name != "density"}
    assert_same_and_resumable(kind, parameters, as_scalars(parameters, number), tmp_path / "checkpoint.npz")


@pytest.mark.parametrize("ensemble", ENSEMBLES)
@pytest.mark.parametrize("number", range(8))
def test_ensembles(ensemble, number, tmp_path, capsys):
    kind = ENSEMBLES[ensemble]
    names = [name for name in parameters_of(ensemble) if name != "evolution"]
    values, member = {name: VALUES[name] for name in names}, {**SMALL, "max_iter": 2}
    expected = ensemble(kind(**member), evolution=("set", "cte"), **values).fit(X, Y[kind])
    scalars = as_scalars(values, number)
    model = ensemble(kind(**as_scalars(member, number)), evolution=(np.str_("set"), "cte"), **scalars).fit(
        X, Y[kind], checkpoint=tmp_path / "members"
    )
    for one, other in zip(model.estimators_, expected.estimators_, strict=True):
        assert_same_run(one, other)
    assert bytes_of(through_a_file(model))
    resumed = clone(model).fit(X, Y[kind], checkpoint=tmp_path / "members")
    np.testing.assert_array_equal(resumed.predict(X), expected.predict(X))


def test_more_members_than_a_narrow_type_can_count():
    options = {"evolution": ("set",) * 15, "n_folds": 10, "combine": "mean"}
    member = SparseMLPRegressor(**{**SMALL, "hidden_layer_sizes": (3,), "max_iter": 1})
    models = [SparseMLPEnsembleRegressor(member, **options | changes) for changes in ({}, {"n_folds": np.int8(10)})]
    first, second = (model.fit(X, X[:, 0]).predict(X) for model in models)
    assert first.shape == second.shape


@pytest.mark.parametrize("number", range(8))
def test_selector(number):
    for strategy, wanted in (("strength", 4), ("strength", 0.25), ("neuron_evolution", 4)):
        values = {"n_features_to_select": wanted, "strategy": strategy, "random_state": 7, "n_jobs": 1}
        network = SparseMLPClassifier(**SMALL)
        expected = SparseFeatureSelector(estimator=network, **values).fit(X, Y[SparseMLPClassifier])
        model = SparseFeatureSelector(estimator=network, **as_scalars(values, number)).fit(X, Y[SparseMLPClassifier])
        assert_same_run(model.estimator_, expected.estimator_)
        np.testing.assert_array_equal(model.ranking_, expected.ranking_)
        assert type(model.n_features_to_select_) is int


@pytest.mark.parametrize("number", range(8))
def test_autoencoder(number):
    settings = SMALL | {"batch_transform": GaussianNoise(0.25)}
    expected = denoising_autoencoder().set_params(**settings).fit(X, X)
    scalars = as_scalars(SMALL, number) | {"batch_transform": GaussianNoise(**as_scalars({"scale": 0.25}, number))}
    model = denoising_autoencoder().set_params(**scalars).fit(X, X)
    assert_same_run(model, expected)
    assert_same_run(through_a_file(model), expected)


# Rules, schedules, solvers, losses and all else that is registered.

PLUGINS = [(kind, cls) for kind in IN_FILES for cls in classes(kind) if cls.__module__.startswith("truesparse.")]
FIELDS = {  # where the default or the value of the field's type does not do
    "update_every": 3, "begin_step": 1, "end_step": 0.75, "momentum": 0.5, "beta1": 0.5, "beta2": 0.75,
    "eps": 0.0009765625, "gamma": 0.5, "milestones": (0.25, 0.5), "n_inputs": 4, "width": 100, "n_samples": 120,
    "search": "sketch", "removal": InputRemoval(4), "every": 2, "begin": 0.25, "end": 0.75, "connected": True,
    "grow_init": 0.5, "slope": 0.25, "start": 2.0, "score": "ch2_l3", "image_shape": (3, 3, 1), "fill": "zeros",
    "maps": ((5, 4, 1), (5, 2, 2)), "border": "wrap", "channels": 0.5, "window": 3,
}  # fmt: skip
OF_TYPE = {bool: True, int: 2, float: 0.5}


def scalar_fields(cls):
    """A value of each field of a plug-in that can be a scalar."""
    values = {part.name: FIELDS.get(part.name, OF_TYPE.get(part.type)) for part in fields(cls) if part.init}
    return {name: value for name, value in values.items() if isinstance(value, bool | int | float | str | tuple)}


def as_parameter(kind, instance):
    """The parameter of an estimator that has a plug-in in it."""
    if isinstance(instance, InputRemoval):
        return {"evolution": Evolution(NeuronPrune(instance), NeuronGrow(instance, Random()), Constant(0.3, 3))}
    if kind in ("prune", "grow", "schedule", "density"):
        return {"evolution": Evolution(**{kind: instance}), "update_every": None if kind == "schedule" else 3}
    if kind == "evolution" and not isinstance(instance, Evolution):
        return {"evolution": Evolution(unit_pruning=instance), "update_every": 3}
    names = {"initializer": "weight_init", "optimizer": "solver", "topology": "topology_init"}
    return {names.get(kind, kind): instance}


@pytest.mark.parametrize(("kind", "cls"), PLUGINS, ids=lambda part: getattr(part, "__name__", part))
def test_fields_of_plugins(kind, cls, tmp_path):
    values = scalar_fields(cls)
    others = {"removal": FIELDS["removal"]} if cls in (NeuronPrune, NeuronGrow) else {}
    settings = SMALL | {"update_every": None}
    if cls is Given:
        sizes = [(20, 9), (20, 20), (1, 20)]
        others = {"patterns": [random_csr(shape, 0.5, rng) for shape in sizes]}
        settings["epsilon"] = None
    if not values:
        return
    estimator = SparseMLPRegressor
    for number in range(max(len(kinds_of(value)) for value in values.values())):
        parameters, scalars = (
            settings | as_parameter(kind, cls(**others, **part)) for part in (values, as_scalars(values, number))
        )
        assert_same_and_resumable(estimator, parameters, scalars, tmp_path / "checkpoint.npz")


def test_a_recipe_holds_pythons_numbers_only():
    schedule = Constant(np.float16(0.5), np.uint8(100), begin_step=np.int16(3))
    recipe = Recipe(SquaredError(), np.array([30, 20])[:1], evolution=Evolution(schedule=schedule), alpha=np.float32(1))
    assert (recipe.alpha, type(recipe.alpha)) == (1.0, float)
    assert recipe.evolution.schedule == Constant(0.5, 100, begin_step=3)
    assert_plain(recipe.evolution.schedule)


def test_float32_is_the_number_that_it_holds():
    assert plain(np.float32(0.1)) == 0.10000000149011612
    assert plain([np.int8(3), {"a": (np.bool_(True), "b")}]) == [3, {"a": (True, "b")}]
    unchanged = [1, (2.0, "c"), {"d": None}, Evolution(), np.ones(2)]
    assert plain(unchanged) is unchanged


def test_plugins_of_ones_own():
    @plugin("grow")
    @dataclass(frozen=True)
    class Own:
        share: float
        needs: ClassVar = ()

        def __post_init__(self):
            object.__setattr__(self, "derived", 2 * self.share)

        def __call__(self, vacancies, *, rng):
            assert type(self.share) is float
            return Random()(vacancies, rng=rng)

    @dataclass
    class Counts:  # it has state, and must stay itself
        n: int = np.int8(0)
        needs: ClassVar = ()

        def __call__(self, vacancies, *, rng):
            self.n += 1
            return Random()(vacancies, rng=rng)

    counts = Counts()
    for rule in (Own(np.float32(0.5)), counts):
        SparseMLPClassifier(**SMALL, evolution=Evolution(grow=rule)).fit(X, Y[SparseMLPClassifier])
    assert counts.n > 0


# What else has parameters.

CALLBACKS = {
    "every": 2, "every_chunks": 3, "monitor": "train_loss", "patience": 2, "min_delta": 0.5, "last_epoch": 100,
    "nested": False,
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in callbacks.__all__ if name != "Callback"])
def test_no_parameter_of_a_callback_is_left_out(name):
    assert set(inspect.signature(getattr(callbacks, name)).parameters) <= {*CALLBACKS, "path", "directory"}


@pytest.mark.parametrize("number", range(8))
def test_callbacks(number, tmp_path, capsys):
    def outcome(values):
        stop = EarlyStopping(values["monitor"], patience=values["patience"], min_delta=values["min_delta"])
        recorder = ConnectivityRecorder(values["every"])
        watching = [Checkpoint(tmp_path / "file", values["every"]), EpochPrinter(values["last_epoch"]), recorder, stop]
        settings = {**SMALL, "hidden_layer_sizes": (3,), "max_iter": 300, "callbacks": watching}
        model = SparseMLPClassifier(**settings).fit(X[:40], Y[SparseMLPClassifier][:40])
        return model.n_iter_, recorder.epochs, watching[0].every

    long = CALLBACKS | {"patience": 100}
    for values in (CALLBACKS, long):
        assert outcome(as_scalars(values, number)) == outcome(values)


def test_a_checkpoint_within_an_epoch(tmp_path):
    y = Y[SparseMLPClassifier]
    for kind in INTEGERS:
        checkpoint = Checkpoint(tmp_path / "file", 100, every_chunks=kind(CALLBACKS["every_chunks"]))
        source = data.Chunks([(X[i : i + 50], y[i : i + 50]) for i in range(0, 300, 50)], window=1)
        SparseMLPClassifier(**SMALL | {"max_iter": 1}, callbacks=[checkpoint]).fit(source)
        assert checkpoint.path.exists()


def test_an_epoch_beyond_the_range_of_a_callbacks_period(tmp_path):
    checkpoint = Checkpoint(tmp_path / "file", np.int8(100))
    settings = {**SMALL, "hidden_layer_sizes": (3,), "max_iter": 140, "tol": 0, "n_iter_no_change": 200}
    SparseMLPClassifier(**settings, callbacks=[checkpoint]).fit(X[:40], Y[SparseMLPClassifier][:40])
    assert truesparse.load(checkpoint.path).n_iter_ == 100


def test_class_weights():
    y = Y[SparseMLPClassifier]
    weights = {0: 1.0, 1: 2.0, 2: 4.0}
    expected = SparseMLPClassifier(**SMALL, class_weight=weights).fit(X, y)
    for kind in [*INTEGERS, *FLOATS]:
        scalars = {np.int64(label): kind(weight) for label, weight in weights.items()}
        model = SparseMLPClassifier(**SMALL, class_weight=scalars).fit(X, y)
        assert_same_run(model, expected)
        assert through_a_file(model).class_weight == weights


DATA = {
    "window": 2, "dtype": "float32", "n_features": 9, "zero_based": True, "prefetch": False, "n_samples": 300,
    "first": 0, "n_outputs": 3,
}  # fmt: skip


def test_sources(tmp_path):
    for name in data.__all__:
        taken = set(inspect.signature(getattr(data, name)).parameters)
        arrays = {"X", "target", "chosen", "chunks", "classes", "source", "reduce", "transform", "make_rng"}
        assert taken <= DATA.keys() | arrays | {"args", "kwargs"}, name
    y = Y[SparseMLPClassifier]
    for i in range(0, 300, 50):
        dump_svmlight_file(X[i : i + 50], y[i : i + 50], str(tmp_path / f"{i}.svmlight"))
    settings = {name: DATA[name] for name in ("window", "dtype", "n_features", "zero_based", "prefetch")}

    def of_chunks(settings):
        return SparseMLPClassifier(**SMALL).fit(data.Chunks(tmp_path, **settings))

    expected = of_chunks(settings)
    for number in range(len(INTEGERS)):
        assert_same_run(of_chunks(as_scalars(settings, number)), expected)
    for kind in INTEGERS[2:]:
        shard = data.Shard(data.ArraySource(X), first=kind(0), n_samples=kind(300))
        assert [batch.dtype for batch in shard.batches(200)] == [np.int64, np.int64]


def test_a_search_over_arrays():
    grid = {
        "max_iter": np.arange(2, 4, dtype=np.int8),
        "epsilon": np.geomspace(1, 16, 2),
        "shuffle": np.array([True, False]),
        "evolution": np.array(["set", "cte"]),
    }
    search = GridSearchCV(SparseMLPClassifier(**SMALL), grid, cv=2).fit(X, Y[SparseMLPClassifier])
    through_a_file(search.best_estimator_)


def test_hidden_layer_sizes_in_an_array_of_no_dimension():
    y = Y[SparseMLPClassifier]
    sizes = [10, np.array(10), np.array([10]), np.int16(10), (np.uint8(10),)]
    first, *others = (SparseMLPClassifier(**{**SMALL, "hidden_layer_sizes": size}).fit(X, y) for size in sizes)
    for other in others:
        assert_same_run(through_a_file(other), first)


def test_warmup(monkeypatch):
    seen = []
    module = import_module("truesparse.estimators.warmup")
    monkeypatch.setattr(module, "_compile", seen.extend)
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    truesparse.warmup(batch_sizes=np.array([100], dtype=np.int8), dtypes=np.array(["float64"]))
    assert [list(map(type, job)) for job in seen] == [[str, int, str]] * 2
