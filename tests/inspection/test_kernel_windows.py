"""Windows of convolutions: shares of connected pairs at each place, and the picture of them."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal, assert_array_less
from residual import network_of
from sklearn.exceptions import NotFittedError

from truesparse import SparseMLPClassifier, SparseResNetClassifier
from truesparse.inspection import WindowDisplay, layer_summaries, window_counts
from truesparse.network.architecture import Architecture
from truesparse.network.resnet import ResNet
from truesparse.topology import Pattern

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

WITH_WINDOWS = ["hidden 1", "hidden 2", "hidden 3", "hidden 4", "hidden 5", "hidden 7", "hidden 8"]  # of 8 layers


@pytest.fixture(autouse=True)
def _no_figure_stays():
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture
def network():
    return network_of()


@pytest.fixture
def by_hand():
    """Images of one channel, four channels in the first stage; the other layers have one connection each."""
    architecture = Architecture((4, 4, 1), 8, 4)
    patterns = [Pattern.from_keys(np.array([0]), shape) for shape in architecture.shapes(5)]
    # Rows are output channels, columns (input channel, row, column of the window).
    first = {(0, 4), (1, 4), (2, 4), (0, 0), (3, 5)}  # middle, above on the left, on the right
    second = {(0, 1), (0, 10), (0, 19), (2, 28), (3, 35)}  # above of all four inputs, below on the right of the last
    for layer, pairs in enumerate((first, second)):
        n_columns = patterns[layer].shape[1]
        keys = sorted(row * n_columns + column for row, column in pairs)
        patterns[layer] = Pattern.from_keys(np.array(keys), patterns[layer].shape)
    return ResNet(architecture, patterns)


def test_shares_of_a_network_worked_by_hand(by_hand):
    shares = window_counts(by_hand)
    assert_allclose(shares[0], [[1 / 4, 0, 0], [0, 3 / 4, 1 / 4], [0, 0, 0]])
    assert_allclose(shares[1], [[0, 4 / 16, 0], [0, 0, 0], [0, 0, 1 / 16]])
    assert_allclose(shares[2], [[1 / 16, 0, 0], [0, 0, 0], [0, 0, 0]])
    assert_allclose(shares[5], [[1 / 32]])  # the first layer of 1 × 1, 4 → 8 channels


def test_shares_against_dense_weights(network):
    for layer, shares, row in zip(network.layers, window_counts(network), layer_summaries(network), strict=True):
        n_out, window = layer.shape[0], layer.window
        dense = layer.weight.toarray().reshape(n_out, -1, window, window)
        assert shares.dtype == np.float64
        assert_allclose(shares, (dense != 0).mean(axis=(0, 1)))
        assert_allclose(shares.mean(), row.density)


def test_a_fitted_estimator_has_the_windows_of_its_network(rng):
    X, y = rng.standard_normal((60, 8, 8)), rng.integers(0, 2, 60)
    model = SparseResNetClassifier(
        depth=8, width=4, density=0.4, batch_size=20, update_every=2, max_iter=2, random_state=0
    )
    model.fit(X, y)
    for found, expected in zip(window_counts(model), window_counts(model._network), strict=True):
        assert_array_equal(found, expected)
    (second,) = WindowDisplay.from_estimator(model, layer=1).shares
    assert_allclose(second.sum() * 4 * 4, model.coefs_[1].nnz)


def test_the_picture_has_all_layers_of_three_by_three(network):
    display = WindowDisplay.from_estimator(network)
    assert display.names == WITH_WINDOWS
    assert display.mosaic.shape == (4, 27)
    assert np.isnan(display.mosaic[0]).all()
    assert np.isnan(display.mosaic[:, 3::4]).all()
    shares = [window for window in window_counts(network) if window.size == 9]
    for number, window in enumerate(shares):
        assert_allclose(display.mosaic[1:, 4 * number : 4 * number + 3], window / window.mean())
    drawn = display.artist_.get_array()
    assert_array_equal(drawn.filled(np.nan), display.mosaic)
    texts = [text.get_text() for text in display.texts_]
    assert texts[:7] == WITH_WINDOWS
    assert texts[7:] == [f"{100 * share:.0f}" for window in shares for share in window.flat]
    row, column = 1, 2
    number = 7 + 9 * 3 + 3 * row + column  # of the fourth layer
    assert display.texts_[number].get_position() == (4 * 3 + column, 1 + row)
    assert display.colorbar_.ax.get_ylabel() == "share / mean"


def test_many_layers_have_several_rows():
    shares = np.arange(1, 91, dtype=float).reshape(10, 3, 3) / 90
    display = WindowDisplay(shares=list(shares)).plot()
    assert display.mosaic.shape == (8, 27)
    assert_allclose(display.mosaic[5:, 8:11], shares[9] / shares[9].mean())
    assert np.isnan(display.mosaic[4:, 11:]).all()
    assert display.names[9] == "layer 10"


def test_one_layer(network):
    display = WindowDisplay.from_estimator(network, layer=-3)
    assert display.names == ["hidden 8"]
    assert display.mosaic.shape == (4, 3)
    assert_array_equal(display.shares[0], window_counts(network)[7])
    assert WindowDisplay.from_estimator(network, layer=5).mosaic.tolist()[1] == [1.0]  # of 1 × 1
    for layer in (10, -11, 0.0, "first"):
        with pytest.raises(ValueError, match=rf"layer={layer!r} must be an integer in \[-10, 10\)"):
            WindowDisplay.from_estimator(network, layer=layer)


def test_letters_are_seen_on_dark_places_and_a_layer_without_connections_is_empty():
    display = WindowDisplay(shares=[[[0.0, 0.3], [0.3, 0.6]], np.zeros((2, 2))]).plot()
    assert [text.get_color() for text in display.texts_[2:6]] == ["white", "black", "black", "white"]
    assert (display.mosaic[1:, 3:] == 0).all()


# What all displays promise.


def test_a_display_draws_into_the_axes_it_is_given_and_changes_no_setting(network):
    before = dict(matplotlib.rcParams)
    figure, ax = plt.subplots()
    display = WindowDisplay.from_estimator(network, ax=ax, cmap="Greys")
    assert plt.get_fignums() == [figure.number]
    assert display.figure_ is figure
    assert display.ax_ is ax
    assert display.artist_.get_cmap().name == "Greys"
    assert dict(matplotlib.rcParams) == before
    with pytest.raises(TypeError, match=r"ax=.* must be .*matplotlib Axes or None"):
        display.plot(figure)


@pytest.mark.parametrize("place", ["alone", "quarter"])
@pytest.mark.parametrize("layer", [None, 0])
def test_nothing_is_cut_off(network, place, layer):
    ax = None if place == "alone" else plt.subplots(2, 2, figsize=(10, 8), layout="constrained")[1][0, 0]
    display = WindowDisplay.from_estimator(network, layer=layer, ax=ax)
    display.figure_.canvas.draw()
    drawn = display.figure_.get_tightbbox()
    assert min(drawn.x0, drawn.y0) >= 0
    assert_array_less([drawn.x1, drawn.y1], display.figure_.get_size_inches() + 1e-6)


@pytest.mark.parametrize("depth", [8, 32])
@pytest.mark.parametrize("own", [True, False])
def test_letters_do_not_overlap(depth, own):
    ax = None if own else plt.subplots(figsize=(4, 3), layout="constrained")[1]
    display = WindowDisplay.from_estimator(network_of(depth=depth), ax=ax)
    display.figure_.canvas.draw()
    boxes = [text.get_window_extent() for text in display.texts_]
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])


def test_a_pickled_display_is_drawn_without_the_network(network):
    display = WindowDisplay.from_estimator(network)
    copied = pickle.loads(pickle.dumps(display))
    assert not hasattr(copied, "ax_")
    network.rewire([None] * len(network.layers))
    pictures = []
    for each in (display, copied):
        figure = each.plot().figure_
        figure.canvas.draw()
        pictures.append(np.asarray(figure.canvas.buffer_rgba()))
    assert_array_equal(*pictures)


def test_what_has_no_windows_is_refused(rng):
    with pytest.raises(NotFittedError, match="'fit' first"):
        WindowDisplay.from_estimator(SparseResNetClassifier())
    with pytest.raises(TypeError, match="got int"):
        window_counts(3)
    model = SparseMLPClassifier((4,), evolution="static", max_iter=1).fit(rng.standard_normal((9, 3)), [0, 1, 2] * 3)
    with pytest.raises(TypeError, match="holds a multilayer perceptron; this function needs a convolutional network"):
        WindowDisplay.from_estimator(model)
    assert not plt.get_fignums()


def test_what_does_not_fit_together_is_refused():
    for shares in ([], [np.zeros(3)], [np.zeros((3, 3)), np.zeros((1, 1))]):
        with pytest.raises(ValueError, match="must hold arrays \\(window, window\\) of one size"):
            WindowDisplay(shares=shares)
    with pytest.raises(ValueError, match="names has 1 entries for 2 layers"):
        WindowDisplay(shares=[np.zeros((3, 3))] * 2, names=["first"])
