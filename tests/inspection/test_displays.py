import copy
import math
import pickle
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import pattern_of
from numpy.testing import assert_allclose, assert_array_equal, assert_array_less
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.inspection import (
    ConnectivityDisplay,
    ConnectivityRecorder,
    DegreeDisplay,
    LayerSpyDisplay,
    LearningCurveDisplay,
    TopologyChangeDisplay,
    TopologyRecorder,
)
from truesparse.network.activations import PiecewiseLinear
from truesparse.network.layers import DenseLinear, SparseLinear
from truesparse.network.mlp import MLP
from truesparse.topology import Pattern

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from PIL import Image  # noqa: E402

DISPLAYS = [ConnectivityDisplay, DegreeDisplay, LayerSpyDisplay, LearningCurveDisplay, TopologyChangeDisplay]

# Features a b c d, hidden units x y z, outputs p q. a → x, b → x, b → y, d → y; x → p, z → p.
SMALL = [[[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]], [[1, 0, 1], [0, 0, 0]]]


@pytest.fixture(autouse=True)
def _no_figure_stays():
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture
def small():
    network = MLP([SparseLinear(pattern_of(matrix)) for matrix in SMALL], PiecewiseLinear())
    network.layers[0].data[:] = [1, -2, 3, -4]
    return network


@pytest.fixture(scope="module")
def fitted(digits):
    """A classifier, and the recorders that watched it."""
    X, _, y, _ = digits
    topology, connectivity = TopologyRecorder(), ConnectivityRecorder()
    model = SparseMLPClassifier(
        (30, 20), evolution="set", update_every=5, max_iter=3, early_stopping=True, random_state=0,
        callbacks=[topology, connectivity],
    )  # fmt: skip
    return model.fit(X[:300], y[:300]), topology, connectivity


def axes_of(display_class):
    """A figure of its own with the axes that a display takes."""
    return plt.subplots(1, 2 if display_class is DegreeDisplay else 1)


# What all displays promise.


@pytest.mark.parametrize("display_class", DISPLAYS)
def test_a_display_draws_into_the_axes_it_is_given_and_makes_no_figure(fitted, display_class):
    figure, ax = axes_of(display_class)
    display = display_class.from_estimator(fitted[0], ax=ax)
    assert plt.get_fignums() == [figure.number]
    assert display.figure_ is figure
    assert_array_equal(display.ax_, ax)
    figure.canvas.draw()


@pytest.mark.parametrize("display_class", DISPLAYS)
@pytest.mark.parametrize("n_panels", [1, 2])
def test_nothing_is_cut_off(fitted, display_class, n_panels):
    """Neither in a figure of usual size nor in a quarter of a larger one."""
    if n_panels == 1:
        figure = display_class.from_estimator(fitted[0]).figure_
    else:
        figure, panels = plt.subplots(2, 2, figsize=(10, 8), layout="constrained")
        ax = panels[0] if display_class is DegreeDisplay else panels[0, 0]
        display_class.from_estimator(fitted[0], ax=ax)
    figure.canvas.draw()
    drawn = figure.get_tightbbox()
    assert min(drawn.x0, drawn.y0) >= 0
    assert_array_less([drawn.x1, drawn.y1], figure.get_size_inches() + 1e-6)


@pytest.mark.parametrize("display_class", DISPLAYS)
def test_a_display_makes_one_figure_if_it_is_given_none_and_changes_no_setting(fitted, display_class):
    before = dict(matplotlib.rcParams)
    display = display_class.from_estimator(fitted[0])
    assert plt.get_fignums() == [display.figure_.number]
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("display_class", DISPLAYS)
def test_a_pickled_display_is_drawn_without_the_estimator(fitted, display_class):
    display = display_class.from_estimator(fitted[0])
    copied = pickle.loads(pickle.dumps(display))
    assert not hasattr(copied, "ax_")
    assert not hasattr(copied, "figure_")
    pictures = []
    for each in (display, copied):
        figure = each.plot().figure_
        figure.canvas.draw()
        pictures.append(np.asarray(figure.canvas.buffer_rgba()))
    assert_array_equal(*pictures)


@pytest.mark.parametrize("display_class", DISPLAYS)
@pytest.mark.parametrize("estimator", [SparseMLPClassifier(), SparseMLPRegressor()])
def test_an_unfitted_estimator_is_refused(display_class, estimator):
    with pytest.raises(NotFittedError, match="'fit' first"):
        display_class.from_estimator(estimator)
    assert not plt.get_fignums()


@pytest.mark.parametrize("display_class", DISPLAYS)
def test_what_is_no_estimator_and_what_are_no_axes_are_refused(fitted, display_class):
    with pytest.raises(TypeError, match="got int"):
        display_class.from_estimator(3)
    for ax in ("axes", plt.figure(), [*axes_of(DegreeDisplay)[1], None]):
        with pytest.raises(TypeError, match=r"ax=.* must be .*matplotlib Axes or None"):
            display_class.from_estimator(fitted[0], ax=ax)


@pytest.mark.parametrize("display_class", [LearningCurveDisplay, TopologyChangeDisplay])
def test_a_network_has_no_history(small, display_class):
    with pytest.raises(TypeError, match="history_, got MLP"):
        display_class.from_estimator(small)


def test_a_display_of_a_network_does_not_follow_it(small):
    display = ConnectivityDisplay.from_estimator(small, by="strength")
    small.params[:] = 0
    assert_array_equal(display.values, [1, 5, 0, 4])


def test_matplotlib_is_imported_when_a_picture_is_drawn_and_missed_in_words():
    code = """
import sys
sys.modules["matplotlib"] = None  # as if it were not installed
from truesparse.inspection import ConnectivityDisplay, ConnectivityRecorder
from types import SimpleNamespace
display = ConnectivityDisplay(values=[1, 2])
recorder = ConnectivityRecorder()
recorder._records = [(0, display.values, display.values)]
for draw in (display.plot, lambda: recorder.save_gif("film.gif")):
    try:
        draw()
    except ImportError as error:
        assert "pip install matplotlib" in str(error), error
    else:
        raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "import sys, truesparse.inspection; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Learning curves.


def test_curves_are_those_of_the_history(fitted):
    model = fitted[0]
    display = LearningCurveDisplay.from_estimator(model)
    for line, name in zip(display.lines_, ("train_loss", "validation_loss", "validation_score"), strict=True):
        assert_array_equal(line.get_xdata(), [1, 2, 3])
        assert_allclose(line.get_ydata(), model.history_[name])
    assert [line.axes for line in display.lines_] == [display.ax_, display.ax_, display.score_ax_]
    assert display.score_ax_.get_ylabel() == "validation accuracy"
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["training loss", "validation loss", "validation accuracy"]


def test_without_validation_data_there_is_one_curve(rng):
    X, y = rng.standard_normal((60, 4)), rng.standard_normal(60)
    model = SparseMLPRegressor((8,), max_iter=2, evolution="static", random_state=0).fit(X, y)
    figure, ax = plt.subplots()
    display = LearningCurveDisplay.from_estimator(model, ax=ax, color="black", linewidth=3)
    (line,) = display.lines_
    assert_allclose(line.get_ydata(), model.loss_curve_)
    assert (line.get_color(), line.get_linewidth()) == ("black", 3)
    assert display.score_ax_ is None
    assert figure.axes == [ax]
    model.set_params(early_stopping=True).fit(X, y)
    assert LearningCurveDisplay.from_estimator(model).score_ax_.get_ylabel() == "validation R²"
    for scoring, name in (("loss", "minus loss"), ("max_error", "max error"), (lambda *_: 0.0, "score")):
        model.set_params(scoring=scoring)
        assert LearningCurveDisplay.from_estimator(model).score_ax_.get_ylabel() == f"validation {name}"


def test_a_history_needs_numbers_of_one_length():
    history = {"epoch": [1, 2], "train_loss": [1], "validation_loss": [1, 2], "validation_score": [1, 2]}
    with pytest.raises(ValueError, match="as many numbers of each kind"):
        LearningCurveDisplay.from_history(history)
    with pytest.raises(ValueError, match="at least one"):
        LearningCurveDisplay.from_history({name: [] for name in history})


# Input connections.


def test_connections_of_a_network_worked_by_hand(small):
    number = ConnectivityDisplay.from_estimator(small)
    assert_array_equal(number.values, [1, 2, 0, 1])
    assert [bar.get_height() for bar in number.artist_] == [1, 2, 0, 1]
    strength = ConnectivityDisplay.from_estimator(small, by="strength")
    assert_array_equal(strength.values, [1, 5, 0, 4])
    assert (number.ax_.get_ylabel(), strength.ax_.get_ylabel()) == ("connections", "connection strength Σ|w|")


def test_connections_of_a_full_layer():
    network = MLP([DenseLinear((3, 2))], PiecewiseLinear())
    network.layers[0].data[:] = [1, -2, 3, -4, 5, -6]
    assert_array_equal(ConnectivityDisplay.from_estimator(network).values, [3, 3])
    assert_array_equal(ConnectivityDisplay.from_estimator(network, by="strength").values, [9, 12])


def test_an_image_has_rows_and_columns_in_the_order_of_the_features(small):
    display = ConnectivityDisplay.from_estimator(small, image_shape=(2, 2, 1))
    assert_array_equal(display.artist_.get_array(), [[1, 2], [0, 1]])
    assert display.colorbar_.ax.get_ylabel() == "connections per pixel"
    channels_last = np.arange(12).reshape(2, 3, 2)
    display = ConnectivityDisplay(values=channels_last.ravel(), image_shape=(2, 3, 2)).plot()
    assert_array_equal(display.artist_.get_array(), channels_last.sum(axis=2))


def test_few_features_have_their_names(rng):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(rng.standard_normal((40, 3)), columns=["age", "size", "weight"])
    model = SparseMLPClassifier((6,), max_iter=1, evolution="static", random_state=0).fit(X, rng.integers(0, 2, 40))
    display = ConnectivityDisplay.from_estimator(model)
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["age", "size", "weight"]
    assert [bar.get_width() for bar in display.artist_] == list(display.values)
    display = ConnectivityDisplay.from_estimator(model, feature_names=["a", "b", "c"])
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["a", "b", "c"]


def test_many_features_are_lines_and_groups_of_them_can_be_drawn_apart(rng):
    values = rng.integers(0, 9, 500)
    display = ConnectivityDisplay(values=values, feature_names=[f"x{i}" for i in range(500)])
    _, ax = plt.subplots()
    chosen = values > 5
    for features, label in ((~chosen, "few"), (np.flatnonzero(chosen), "many")):
        display.plot(ax, features=features, label=label)
    few, many = ax.collections
    assert [few.get_label(), many.get_label()] == ["few", "many"]
    ends = np.concatenate([lines.get_segments() for lines in (few, many)])
    assert_array_equal(ends[np.argsort(ends[:, 0, 0])], [[[i, 0], [i, value]] for i, value in enumerate(values)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": "sum"}, "by='sum' must be one of 'number', 'strength'"),
        ({"by": ["number"]}, "must be one of"),
        ({"image_shape": (2, 3, 1)}, r"image_shape=\(2, 3, 1\) has 6 values, but there are 4 features"),
        ({"image_shape": (4,)}, "must be"),
        ({"image_shape": 4}, "must be"),
        ({"image_shape": (-2, -2)}, "must be"),
        ({"image_shape": (2.0, 2.0)}, "must be"),
        ({"feature_names": ["a"]}, "1 entries for 4 features"),
        ({"features": [4]}, "choose among 4 features"),
        ({"features": [True, False]}, "choose among 4 features"),
        ({"features": [0], "image_shape": (2, 2, 1)}, "because of image_shape"),
    ],
)
def test_what_does_not_fit_the_features_is_refused(small, arguments, message):
    with pytest.raises(ValueError, match=message):
        ConnectivityDisplay.from_estimator(small, **arguments)
    assert not plt.get_fignums()


# Degrees.


def test_degrees_of_a_network_worked_by_hand(small):
    display = DegreeDisplay.from_estimator(small)
    assert_array_equal(display.in_degrees[0], [2, 2, 0])
    assert_array_equal(display.out_degrees[0], [1, 2, 0, 1])
    assert_array_equal(display.in_degrees[1], [2, 0])
    assert_array_equal(display.out_degrees[1], [1, 0, 1])
    curves = [line.get_xydata().tolist() for line in display.lines_]
    two_thirds = pytest.approx(200 / 3)
    assert curves[0] == [[0, 100], [2, two_thirds], [2, 0]]  # all units have 0 or more, two of three 2
    assert curves[1] == [[0, 100], [2, 50], [2, 0]]
    assert curves[2] == [[0, 100], [1, 75], [2, 25], [2, 0]]
    assert curves[3] == [[0, 100], [1, two_thirds], [1, 0]]
    assert [line.axes for line in display.lines_] == [display.ax_[0]] * 2 + [display.ax_[1]] * 2


def test_degrees_without_units_that_have_none():
    display = DegreeDisplay(in_degrees=[np.full(4, 3)], out_degrees=[np.full(3, 4)]).plot()
    assert display.lines_[0].get_xydata().tolist() == [[0, 100], [3, 100], [3, 0]]
    assert display.lines_[0].get_label() == "output"


@pytest.mark.parametrize(
    ("in_degrees", "out_degrees", "message"),
    [
        ([], [], "at least one"),
        ([[1]], [[1], [1]], "as many of both"),
        ([[1.5]], [[1]], "integers"),
        ([[-1]], [[1]], "at least 0"),
        ([[]], [[1]], "one or more units"),
    ],
)
def test_what_are_no_degrees_is_refused(in_degrees, out_degrees, message):
    with pytest.raises(ValueError, match=message):
        DegreeDisplay(in_degrees=in_degrees, out_degrees=out_degrees)


# Changes of the topology.


def test_changes_are_stacked_and_given_as_numbers_or_shares():
    data = {"epochs": [3, 4], "edges_replaced": [[1, 2], [0, 4]], "weights": [[10, 10], [10, 30]]}
    display = TopologyChangeDisplay(**data).plot(by="number")
    first, second = (step.get_data() for step in display.steps_)
    assert_array_equal(first.edges, [2, 3, 4])
    assert_array_equal(first.values, [1, 0])
    assert_array_equal(second.baseline, first.values)
    assert_array_equal(second.values, [3, 4])
    display.plot()
    assert_allclose(display.steps_[1].get_data().values, [15, 10])  # 3 of 20, 4 of 40
    assert display.exploration_ax_ is None


def test_changes_are_those_of_the_history_and_the_recorder(fitted):
    model, recorder, _ = fitted
    display = TopologyChangeDisplay.from_estimator(model, recorder=recorder)
    assert_array_equal(display.edges_replaced, model.history_["edges_replaced"])
    assert display.edges_replaced.sum() == sum(sum(update.edges_replaced) for update in recorder.updates) > 0
    # 270 samples in batches of 32 are 9 steps an epoch, and an update comes before every fifth.
    assert_allclose(display.exploration_epochs, [update.step / 9 for update in recorder.updates])
    (line,) = display.exploration_ax_.lines
    times, rates = line.get_data()
    assert_allclose(rates[:-1], [100 * update.exploration_rate for update in recorder.updates])
    assert (times[-1], rates[-1]) == (3, rates[-2])


def test_a_recorder_of_another_training_is_refused(fitted, digits):
    X, _, y, _ = digits
    model, recorder, _ = fitted
    other = SparseMLPClassifier((30,), max_iter=1, evolution="static", random_state=0).fit(X[:100], y[:100])
    with pytest.raises(ValueError, match="did not have"):
        TopologyChangeDisplay.from_estimator(other, recorder=recorder)
    more = copy.deepcopy(recorder)
    more.updates.append(replace(more.updates[-1], step=10**9))
    with pytest.raises(ValueError, match="did not have"):
        TopologyChangeDisplay.from_estimator(model, recorder=more)
    with pytest.raises(TypeError, match="got ConnectivityRecorder"):
        TopologyChangeDisplay.from_estimator(model, recorder=fitted[2])
    assert TopologyChangeDisplay.from_estimator(model, recorder=TopologyRecorder()).exploration_ax_ is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": [1, 2]},
        {"weights": [[1]]},
        {"edges_replaced": [1, 2]},
        {"epochs": [], "edges_replaced": np.zeros((0, 2)), "weights": np.zeros((0, 2))},
        {"exploration_epochs": [1]},
    ],
)
def test_changes_of_shapes_that_do_not_fit_are_refused(wrong):
    data = {"epochs": [1], "edges_replaced": [[1, 2]], "weights": [[3, 4]]}
    with pytest.raises(ValueError, match="shapes"):
        TopologyChangeDisplay(**(data | wrong))


def test_changes_by_something_else_are_refused(fitted):
    with pytest.raises(ValueError, match="by='strength' must be 'share' or 'number'"):
        TopologyChangeDisplay.from_estimator(fitted[0], by="strength")
    assert not plt.get_fignums()


# The pattern of a layer.


def test_a_small_layer_is_shown_pair_by_pair(small):
    display = LayerSpyDisplay.from_estimator(small)
    assert display.cell_ == (1, 1)
    assert_array_equal(display.image_.get_array(), 100 * np.array(SMALL[0]))
    assert display.image_.get_extent() == [-0.5, 3.5, 2.5, -0.5]  # units at whole numbers, the first row on top
    assert display.colorbar_ is None
    assert display.ax_.get_title() == "hidden 1: 4 of 12 pairs connected"
    assert LayerSpyDisplay.from_estimator(small, layer=-1).ax_.get_title() == "output: 2 of 6 pairs connected"


@pytest.mark.parametrize("shape", [(60, 45), (7, 100), (61, 46)])
def test_cells_hold_the_share_of_their_pairs_that_is_connected(rng, shape):
    pattern = Pattern.sample(shape, 600, rng)
    dense = np.zeros(shape)
    dense[pattern.rows, pattern.indices] = 100
    display = LayerSpyDisplay(pattern=pattern).plot(resolution=10)
    height, width = display.cell_
    assert (height, width) == (math.ceil(shape[0] / 10), math.ceil(shape[1] / 10))
    expected = [
        [dense[i : i + height, j : j + width].mean() for j in range(0, shape[1], width)]
        for i in range(0, shape[0], height)
    ]
    assert_allclose(display.image_.get_array(), expected)
    assert display.ax_.get_xlim() == (-0.5, shape[1] - 0.5)
    assert display.ax_.get_ylim() == (shape[0] - 0.5, -0.5)
    assert display.image_.get_extent()[1] == width * len(expected[0]) - 0.5


def test_a_large_layer_takes_memory_for_its_connections_only(rng):
    """100,000 connections of 10¹⁰ pairs."""
    pattern = Pattern.sample((100_000, 100_000), 100_000, rng)
    _, ax = plt.subplots()
    tracemalloc.start()
    try:
        display = LayerSpyDisplay(pattern=pattern).plot(ax)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6
    assert display.image_.get_array().size <= ax.bbox.width * ax.bbox.height
    display.figure_.canvas.draw()


def test_a_layer_without_connections(rng):
    for shape in ((3, 4), (3000, 4)):
        display = LayerSpyDisplay(pattern=Pattern.sample(shape, 0, rng)).plot()
        assert not display.image_.get_array().any()
        display.figure_.canvas.draw()


def test_layers_and_resolutions_that_there_are_not_are_refused(small):
    for layer in (2, -3, 0.0, None):
        with pytest.raises(ValueError, match=rf"layer={layer!r} must be an integer in \[-2, 2\)"):
            LayerSpyDisplay.from_estimator(small, layer=layer)
    for resolution in (0, 2001, 10.0, True):
        with pytest.raises(ValueError, match=f"resolution={resolution!r} must be an integer"):
            LayerSpyDisplay.from_estimator(small, resolution=resolution)
    with pytest.raises(TypeError, match="got list"):
        LayerSpyDisplay(pattern=SMALL[0])
    assert not plt.get_fignums()


# The film.


def at(epoch):
    return SimpleNamespace(epoch=epoch)


def test_records_of_a_network_worked_by_hand(small):
    recorder = ConnectivityRecorder()
    recorder.on_train_begin(small)
    small.layers[0].data[:] = [5, 6, 7, 8]
    recorder.on_epoch_end(small, at(1))
    assert recorder.epochs == [0, 1]
    assert_array_equal(recorder.counts, [[1, 2, 0, 1]] * 2)
    assert_array_equal(recorder.strengths, [[1, 5, 0, 4], [5, 13, 0, 8]])


def test_a_recorder_sees_the_network_that_training_ends_with(digits):
    X, _, y, _ = digits
    recorder = ConnectivityRecorder()
    model = SparseMLPClassifier((30,), max_iter=2, update_every=3, random_state=0, callbacks=[recorder])
    model.fit(X[:200], y[:200])
    assert recorder.epochs == [0, 1, 2]
    assert_array_equal(recorder.counts[-1], np.diff(model.coefs_[0].tocsr().indptr))
    assert_allclose(recorder.strengths[-1], abs(model.coefs_[0]).sum(axis=1), rtol=1e-5)
    assert (recorder.counts.sum(axis=1) == model.coefs_[0].nnz).all()
    assert (recorder.counts[0] != recorder.counts[-1]).any()


def test_a_training_that_goes_on_is_recorded_as_such_and_a_new_one_anew(digits):
    X, _, y, _ = digits
    recorder = ConnectivityRecorder(every=2)
    model = SparseMLPClassifier((30,), max_iter=3, evolution="static", random_state=0, callbacks=[recorder])
    model.fit(X[:100], y[:100])
    assert recorder.epochs == [0, 2]
    model.set_params(warm_start=True).fit(X[:100], y[:100])
    assert recorder.epochs == [0, 2, 4, 6]
    model.set_params(warm_start=False).fit(X[:100], y[:100])
    assert recorder.epochs == [0, 2]
    model.fit(X[:100, :50], y[:100])
    assert recorder.counts.shape == (2, 50)


def test_a_recorder_can_be_copied_and_keeps_no_network(fitted):
    recorder = fitted[2]
    assert recorder._first is None
    copied = pickle.loads(pickle.dumps(recorder))
    assert copied.epochs == recorder.epochs
    assert_array_equal(copied.strengths, recorder.strengths)
    running = ConnectivityRecorder()
    running.on_train_begin(fitted[0]._network)
    assert clone(SparseMLPClassifier(callbacks=[running])).callbacks[0]._first is None
    for other in (recorder, running):
        assert not any(isinstance(value, MLP) for value in vars(other).values())


@pytest.mark.parametrize("arguments", [{}, {"image_shape": (8, 8, 1), "by": "strength"}])
def test_a_film_has_a_frame_for_each_record(fitted, tmp_path, arguments):
    path, recorder = tmp_path / "film.gif", fitted[2]
    before = dict(matplotlib.rcParams)
    recorder.save_gif(path, dpi=30, fps=4, **arguments)
    with Image.open(path) as film:
        durations = []
        for frame in range(film.n_frames):  # Pillow joins equal ones
            film.seek(frame)
            durations.append(film.info["duration"])
    assert sum(durations) == 250 * len(recorder.epochs) + 2000
    assert durations[:3] == [250] * 3
    assert not plt.get_fignums()
    assert dict(matplotlib.rcParams) == before


def test_films_that_cannot_be_made_are_refused(fitted, tmp_path):
    path = tmp_path / "film.gif"
    with pytest.raises(NotFittedError, match="Nothing is recorded"):
        ConnectivityRecorder().save_gif(path)
    for name in ("film.png", "film"):
        with pytest.raises(ValueError, match=r"must end with '\.gif'"):
            fitted[2].save_gif(tmp_path / name)
    for wrong in ({"by": "sum"}, {"image_shape": (3, 3)}, {"fps": 0}, {"dpi": 1.5}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
            fitted[2].save_gif(path, **wrong)
    with pytest.raises(ValueError, match="every=0 must be a positive integer"):
        ConnectivityRecorder(every=0)
    assert not list(tmp_path.iterdir())
