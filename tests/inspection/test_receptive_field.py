"""Receptive fields: sums over paths against dense products, and the picture of them."""

import matplotlib as mpl
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from truesparse import SparseMLPClassifier
from truesparse.inspection import ReceptiveFieldDisplay, receptive_fields
from truesparse.topology import LocalFields

mpl.use("Agg")
import matplotlib.pyplot as plt

SHAPE = (6, 6, 3)


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100, 108))
    fields = LocalFields(SHAPE, [(6, 6, 2), (3, 3, 5)], 3)
    settings = {"topology_init": fields, "evolution": "set", "update_every": 5, "max_iter": 3, "random_state": 0}
    return SparseMLPClassifier(None, **settings).fit(X, rng.integers(0, 4, 100))


@pytest.mark.parametrize("layer", [0, 1, 2, -1])
def test_paths_against_dense_products(model, layer):
    product = np.eye(108)
    for coef in model.coefs_[: range(3)[layer] + 1]:
        product = product @ np.abs(coef.toarray().astype(np.float64))
    units = [3, 0, 2]
    assert_allclose(receptive_fields(model, layer, units), product.T[units], rtol=1e-12)


def test_the_picture(model):
    display = ReceptiveFieldDisplay.from_estimator(model, image_shape=SHAPE, layer=1, units=[4, 7, 9])
    first, _, last = (values.reshape(SHAPE) / values.max() for values in receptive_fields(model, 1, [4, 7, 9]))
    assert_allclose(display.mosaic[:6, :6], first)
    assert_allclose(display.mosaic[7:, :6], last)
    assert (display.mosaic[:, 6] == 1).all()
    assert (display.mosaic[6] == 1).all()
    assert_array_equal(display.artist_.get_array(), display.mosaic)
    assert display.ax_.get_title() == "hidden 2: what 3 units see"
    plt.close(display.figure_)
    figure, ax = plt.subplots()
    assert ReceptiveFieldDisplay.from_estimator(model, image_shape=SHAPE, ax=ax).figure_ is figure
    assert ax.get_title() == "hidden 1: what 32 units see"
    plt.close(figure)
    grey = ReceptiveFieldDisplay(values=display.values, image_shape=(36, 3, 1))
    assert (grey.mosaic[..., 0] == grey.mosaic[..., 2]).all()
    silent = ReceptiveFieldDisplay(values=np.zeros((2, 4)), image_shape=(2, 2, 1))
    assert_array_equal(silent.mosaic[:, :2], 0)


def test_errors(model):
    for layer in (3, -4, 0.0, None):
        with pytest.raises(ValueError, match=rf"layer={layer!r} must be an integer in \[-3, 3\)"):
            ReceptiveFieldDisplay.from_estimator(model, image_shape=SHAPE, layer=layer)
    for units in ([72], [0.5], "first", [[0, 1], [2]], [[0, 1], [2, 3]]):
        with pytest.raises(ValueError, match=r"must be .*indices of the layer's 72 units"):
            receptive_fields(model, 0, units)
    for image_shape in ((6, 18), (108,), (6, 6, -3), 6):
        with pytest.raises(ValueError, match=r"must be \(height, width, channels\)"):
            ReceptiveFieldDisplay.from_estimator(model, image_shape=image_shape)
    with pytest.raises(ValueError, match=r"image_shape=\(6, 6, 1\) has 36 values, but there are 108 features"):
        ReceptiveFieldDisplay.from_estimator(model, image_shape=(6, 6, 1))
    assert receptive_fields(model, 1, []).shape == (0, 108)
    with pytest.raises(ValueError, match="must have shape \\(n_units, n_features\\)"):
        ReceptiveFieldDisplay(values=np.zeros(4), image_shape=(2, 2, 1))
