"""Residual networks: their gradient, prediction, threads and memory."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from residual import images_for, network_of, read

from truesparse.kernels.jit import threads
from truesparse.network.architecture import Architecture
from truesparse.network.image_workspace import ImageWorkspace
from truesparse.network.resnet import ResNet
from truesparse.runtime.random_streams import Draws
from truesparse.topology import Pattern, Rewiring

TRAINS = Draws(0, 0)


@pytest.fixture(autouse=True)
def one_thread():
    """Kernels for several threads take three times as long to compile; only tests that compare both need them."""
    with threads(1):
        yield


@pytest.mark.parametrize("draws", [TRAINS, None])
@pytest.mark.parametrize("image_shape", [(8, 8, 3), (5, 7, 1), (12, 9, 2)])
def test_gradient(image_shape, draws):
    """The gradient of a whole network, with two tiles of which one is not full, against differences."""
    network, n = network_of(image_shape), 37
    X, target = images_for(network, n), images_for(network, n)[:, :5].T
    workspace, before = network.workspace(n), network.params.copy()
    first_average = network._norm_slices()[1].start

    def loss():
        read(workspace, X)
        z = network.forward(workspace, draws, all_units=True)
        network.params[first_average:] = before[first_average:]
        return 0.5 * ((z - target) ** 2).sum(), z

    _, z = loss()
    z -= target
    network.backward(workspace)
    gradient = network.gradient.copy()
    assert not gradient[first_average:].any()
    chosen = np.random.default_rng(2).choice(network.n_weights, 60, replace=False)
    step = 1e-6
    for place in [*chosen, *range(network.n_weights, first_average, 3)]:
        at = network.params[place]
        network.params[place] = at + step
        above = loss()[0]
        network.params[place] = at - step
        below = loss()[0]
        network.params[place] = at
        assert_allclose(gradient[place], (above - below) / (2 * step), rtol=1e-6, atol=1e-6)


def test_prediction_folds_batch_norms_into_weights(dtype):
    network = network_of(dtype=dtype)
    workspace, X = network.workspace(40), images_for(network, 40)
    read(workspace, X)
    expected = network.forward(workspace, all_units=True).copy()
    read(workspace, X)
    close = {"rtol": 2e-4, "atol": 2e-4} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    assert_allclose(network.forward(workspace), expected, **close)


def test_a_sample_has_the_same_outputs_in_every_batch():
    network = network_of(dtype=np.float32)
    X = images_for(network, 70)
    workspace = network.workspace(70)
    read(workspace, X)
    together = network.forward(workspace).copy()
    for n in (1, 31, 33):
        read(workspace, X[:n])
        assert_array_equal(network.forward(workspace), together[:, :n])


def test_training_keeps_averages_and_prediction_does_not():
    network, X = network_of(), images_for(network_of(), 40)
    workspace = network.workspace(40)
    read(workspace, X)
    before = network.params.copy()
    network.forward(workspace)
    network.forward(workspace, all_units=True)
    assert_array_equal(network.params, before)
    network.forward(workspace, TRAINS)
    _, means, variances = network._norm_slices()
    assert_array_equal(network.params[: means.start], before[: means.start])
    assert (network.params[means.start : variances.stop] != before[means.start : variances.stop]).all()


@pytest.mark.parametrize("n", [70, 96])
def test_one_and_two_threads_give_the_same_bytes(n):
    X, out = images_for(network_of(dtype=np.float32), n), []
    for n_threads in (1, 2):
        network = network_of(dtype=np.float32)
        workspace = network.workspace(n)
        with threads(n_threads):
            read(workspace, X)
            z = network.forward(workspace, TRAINS).copy()
            network.backward(workspace)
        out.append(z.tobytes() + network.gradient.tobytes() + network.params.tobytes())
    assert out[0] == out[1]


@pytest.mark.parametrize("image_shape", [(8, 8, 3), (5, 7, 1), (4, 6, 1)])
def test_batches_that_fill_tiles(image_shape, dtype, monkeypatch):
    """Planes inside of blocks, which are then made of sums when they are read, are those that would be stored."""
    results = []
    for stores in (True, False):
        network, n = network_of(image_shape, dtype=dtype), 64
        if stores:
            monkeypatch.setattr(ImageWorkspace, "fills_tiles", False)
        workspace, X = network.workspace(n), images_for(network, n)
        for size in (37, n):  # the first batch leaves numbers behind
            read(workspace, X[:size])
            z = network.forward(workspace, TRAINS).copy()
            network.backward(workspace)
        planes = [network.outputs_of(workspace, layer) for layer in range(len(network.layers) - 1)]
        planes += [network.inputs_of(workspace, layer) for layer in range(len(network.layers))]
        results.append([z, network.gradient.copy(), network.params, *(p[:, :, 1:-1, 1:-1].copy() for p in planes)])
        network.forward(workspace, all_units=True)
        network.backward(workspace, watch=lambda index, errors: results[-1].append(errors.copy()))
        monkeypatch.undo()
    for one, other in zip(*results, strict=True):
        assert_array_equal(one, other)


def test_memory_is_what_is_announced():
    network = network_of((16, 16, 3), depth=14, width=8, dtype=np.float32)
    workspace = network.workspace(64)
    read(workspace, images_for(network, 64))
    network.forward(workspace, TRAINS)
    network.backward(workspace)
    for layer in range(len(network.layers) - 1):  # signals read the outputs and the errors of all layers
        network.outputs_of(workspace, layer)
    network.backward(workspace, watch=lambda index, errors: None)
    made = {key: planes.shape for key, planes in workspace._planes.items()}
    assert made.keys() == network._planes_of_training()
    bytes_of_planes = sum(planes.nbytes for planes in workspace._planes.values())
    assert bytes_of_planes < network.bytes_needed(64) < 1.5 * bytes_of_planes


def test_rewiring_keeps_weights(rng):
    network = network_of()
    before = [layer.weight.toarray() for layer in network.layers]
    rewirings = []
    for layer in network.layers:
        dropped = np.zeros(layer.nnz, bool)
        dropped[:3] = True
        grown = layer.pattern.sample_absent_keys(3, rng)
        rewirings.append(Rewiring.replace(layer.pattern, dropped, grown))
    network.rewire(rewirings)
    for layer, old, rewiring in zip(network.layers, before, rewirings, strict=True):
        new = layer.weight.toarray()
        assert layer.nnz == rewiring.pattern.nnz
        assert ((new == old) | (new == 0) | (old == 0)).all()
        assert not layer.data[rewiring.grown].any()


def test_copies_and_pickles_predict_the_same():
    network, workspace = network_of(), network_of().workspace(40)
    read(workspace, images_for(network, 40))
    expected = network.forward(workspace).copy()
    for copied in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert_array_equal(copied.forward(workspace), expected)
        copied.params[:] = 0
    assert_array_equal(network.forward(workspace), expected)


@pytest.mark.parametrize(("depth", "n_layers", "n_blocks"), [(8, 10, 3), (20, 22, 9), (44, 46, 21)])
def test_architecture(depth, n_layers, n_blocks):
    layers, blocks = Architecture((32, 32, 3), depth, 16).layers(10)
    assert (len(layers), len(blocks)) == (n_layers, n_blocks)
    n_weights = sum(shape[0] * shape[1] for shape, *_ in layers)
    per_block = depth // 6 * 2 * 9 * 16**2  # of the first stage; later ones have four and sixteen times as many
    expected = 432 + 640 + 21 * per_block + (16 * 32 + 32 * 64) * (1 - 9)
    assert n_weights == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((32, 32, 3), 21, 16), r"depth=21 must be 6 n \+ 2, .* 20 is nearest"),
        (((32, 32, 3), 2, 16), r"depth=2 must be 6 n \+ 2, .* 8 is nearest"),
        (((32, 3, 3), 20, 16), r"image_shape=\(32, 3, 3\) must be .* at least 4 rows and columns"),
    ],
)
def test_bad_architectures(arguments, message):
    with pytest.raises(ValueError, match=message):
        Architecture(*arguments)


def test_patterns_must_fit():
    with pytest.raises(ValueError, match="The patterns must have the shapes"):
        ResNet(Architecture((8, 8, 3), 8, 4), [Pattern.full((4, 27)), Pattern.full((5, 16))])


def test_what_a_residual_network_cannot_do():
    network = network_of()
    with pytest.raises(ValueError, match="Images must be dense arrays"):
        network.workspace(4, dense_inputs=False)
    with pytest.raises(ValueError, match="unit_pruning cannot remove channels"):
        network.keep_units([])
