"""The module of `to_torch` computes what the estimator does, with sparse weights, and can be differentiated."""

import copy
import io
import subprocess
import sys

import numpy as np
import pytest
from residual import images_for
from scipy.special import expit, softmax
from sklearn.exceptions import NotFittedError
from storage.residual_networks import IMAGE_SHAPES, logits_of, network_of

from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.network.activations import AllReLU
from truesparse.runtime.plugins import names
from truesparse.storage.head import Head

CLASSES, LABELS = Head("softmax", np.arange(5)), Head("logistic", np.arange(5))
SMALL = {"hidden_layer_sizes": (30, 20, 10), "epsilon": 3, "max_iter": 3, "update_every": 3, "random_state": 0}


@pytest.fixture(scope="module")
def torch():
    """PyTorch, whose tanh was called once by one thread.

    Its first call, by two threads at once, may take a kernel of low accuracy (pytorch, issue 188792).
    """
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.float64):
        torch.tanh(torch.zeros(1, dtype=dtype))
    return torch


@pytest.fixture(scope="module")
def data():
    X = np.random.default_rng(0).standard_normal((200, 12))
    return X, X[:, :4].argmax(axis=1)


def fitted(data, kind="classes", **options):
    X, y = data
    targets = {"classes": y, "labels": (X[:, :3] > 0).astype(int), "number": 9 * X[:, 0], "numbers": 9 * X[:, :3]}
    cls = SparseMLPRegressor if kind in ("number", "numbers") else SparseMLPClassifier
    return cls(**SMALL | options).fit(X, targets[kind])


def assert_predicts_the_same(torch, model, module, X):
    with torch.no_grad():
        found = module(torch.from_numpy(X.astype(model.dtype))).numpy()
    expected = model.predict_proba(X) if isinstance(model, SparseMLPClassifier) else model.predict(X)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    scale = 1 if isinstance(model, SparseMLPClassifier) else abs(expected).max()
    assert abs(found - expected).max() <= 1e-6 * scale


@pytest.mark.parametrize("kind", ["classes", "labels", "number", "numbers"])
def test_all_targets(torch, data, kind):
    model = fitted(data, kind)
    assert_predicts_the_same(torch, model, model.to_torch(), data[0])


@pytest.mark.parametrize("activation", [*names("activation"), AllReLU(0.3)], ids=str)
def test_all_activations(torch, data, activation, dtype):
    model = fitted(data, activation=activation, dtype=dtype.__name__)
    assert_predicts_the_same(torch, model, model.to_torch(), data[0])


def test_layers_with_all_weights_and_their_random_numbers(torch, data):
    """Full layers are torch's own; making them leaves its generator as it is."""
    model = fitted(data, evolution="static", topology_init="full", epsilon=None, hidden_layer_sizes=(70, 80))
    before = torch.get_rng_state()
    module = model.to_torch()
    assert torch.equal(torch.get_rng_state(), before)
    assert [type(part).__name__ for part in module] == [
        "SparseLinear",
        "ReLU",
        "Linear",
        "ReLU",
        "SparseLinear",
        "Softmax",
    ]
    assert_predicts_the_same(torch, model, module, data[0])


@pytest.mark.parametrize("loss", ["poisson", "huber"])
def test_losses_and_units_of_targets(torch, data, loss):
    model = SparseMLPRegressor(**SMALL, loss=loss).fit(data[0], 1e3 + data[0][:, 0] ** 2)
    assert_predicts_the_same(torch, model, model.to_torch(), data[0])


def test_logits_are_what_the_softmax_is_of(torch, data):
    model = fitted(data)
    module, x = model.to_torch(), torch.from_numpy(data[0].astype(np.float32))
    assert torch.equal(torch.softmax(module[:-1](x), dim=1), module(x))


@pytest.mark.parametrize("activation", ["tanh", "srelu", "leaky_relu"])
def test_gradients_of_inputs_weights_and_what_activations_learn(torch, data, activation):
    """Against differences, in double precision; the samples are away from the corners of the activations."""
    module = fitted(data, activation=activation, dtype="float64").to_torch()
    x = torch.from_numpy(data[0][:3]).requires_grad_()
    assert torch.autograd.gradcheck(module, x)
    names, parameters = zip(*module.named_parameters(), strict=True)
    values = [parameter.detach().clone().requires_grad_() for parameter in parameters]

    def of_parameters(*values):
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), x.detach())

    assert torch.autograd.gradcheck(of_parameters, values)


def test_training_in_torch_keeps_the_connections_and_the_estimator(torch, data):
    model = fitted(data)
    before = model._network.params.copy()
    module, x, y = model.to_torch(), torch.from_numpy(data[0].astype(np.float32)), torch.from_numpy(data[1])
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    losses = []
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(module[:-1](x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert sum(part.numel() for part in module.parameters()) == before.size
    np.testing.assert_array_equal(model._network.params, before)


def test_the_state_goes_into_a_file_and_back(torch, data):
    model, other = fitted(data, activation="srelu"), fitted(data, activation="srelu", alpha=0.1, evolution="static")
    file = io.BytesIO()
    torch.save(model.to_torch().state_dict(), file)
    file.seek(0)
    module = fitted(data, activation="srelu", evolution="static").to_torch()
    module.load_state_dict(torch.load(file, weights_only=True))
    assert_predicts_the_same(torch, model, module, data[0])
    assert_predicts_the_same(torch, other, copy.deepcopy(other.to_torch()), data[0])


def test_a_module_goes_into_a_file_and_back(torch, data):
    model = fitted(data, "numbers", activation="srelu")
    file = io.BytesIO()
    torch.save(model.to_torch(), file)
    file.seek(0)
    assert_predicts_the_same(torch, model, torch.load(file, weights_only=False), data[0])


def test_torch_export_takes_batches_of_any_size(torch, data):
    model = fitted(data)
    batch = torch.export.Dim("batch", min=2)
    x = torch.from_numpy(data[0][:5].astype(np.float32))
    program = torch.export.export(model.to_torch(), (x,), dynamic_shapes=({0: batch},))
    assert_predicts_the_same(torch, model, program.module(), data[0])


def test_the_gradient_is_never_of_dense_size(torch):
    """A layer of 30,000 × 30,000 pairs has 3.6 GB; the process may not even reserve 2 GB more than torch does."""
    code = """
import resource, numpy as np, torch
torch.set_num_threads(1)
from truesparse.storage.head import Head
from truesparse.storage.torch_export import as_module
from truesparse.network.activations import PiecewiseLinear
from truesparse.network.mlp import MLP
from truesparse.topology import Pattern
n, rng = 30_000, np.random.default_rng(0)
patterns = [Pattern.sample((n, n), 2 * n, rng) for _ in range(2)]
network = MLP.from_patterns(patterns, PiecewiseLinear())
network.params[:] = 1e-3
module = as_module(network, Head("identity"))
reserved = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (reserved + 2**31,) * 2)
x = torch.ones(4, n, requires_grad=True)
module(x).sum().backward()
assert x.grad.shape == (4, n) and module[0].weight.grad.shape == (2 * n,)
print("done")
"""
    if not sys.platform.startswith("linux"):
        pytest.skip("needs RLIMIT_AS and /proc")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "done\n"


def residual_module(network, head=CLASSES):
    from truesparse.storage.torch_export import as_module

    return as_module(network, head)


def outputs_of(torch, module, X):
    with torch.no_grad():
        return module(torch.from_numpy(X)).numpy()


@pytest.mark.parametrize("image_shape", IMAGE_SHAPES)
@pytest.mark.parametrize("depth", [8, 14])
def test_outputs_of_a_residual_network(torch, image_shape, depth, dtype):
    network = network_of(image_shape, depth=depth, dtype=dtype)
    X, module = images_for(network, 40), residual_module(network)
    expected = logits_of(network, X)
    close = {"rtol": 0, "atol": 20 * np.finfo(dtype).eps}
    logits, probabilities = outputs_of(torch, module[:-1], X), outputs_of(torch, module, X)
    assert logits.dtype == probabilities.dtype == dtype
    np.testing.assert_allclose(logits, expected, **close)
    np.testing.assert_allclose(probabilities, softmax(expected, axis=1), **close)
    assert not module.training


def test_a_residual_network_takes_images_too_but_not_with_channels_first(torch):
    network = network_of((7, 5, 3))
    module, x = residual_module(network), torch.randn(4, 7, 5, 3)
    with torch.no_grad():
        assert torch.equal(module(x), module(x.reshape(4, -1)))
    grey, x_grey = residual_module(network_of((7, 5, 1))), torch.randn(4, 7, 5)
    with torch.no_grad():
        assert torch.equal(grey(x_grey), grey(x_grey.reshape(4, -1)))
    with pytest.raises(ValueError, match=r"x must be \(n, \*\(7, 5, 3\)\) or \(n, n_features\), got \(4, 3, 7, 5\)"):
        module(x.permute(0, 3, 1, 2))


def test_heads_of_a_residual_network(torch):
    network = network_of()
    X = images_for(network, 20)
    expected = logits_of(network, X)
    labels = outputs_of(torch, residual_module(network, LABELS), X)
    np.testing.assert_allclose(labels, expit(expected), rtol=0, atol=1e-6)
    numbers = residual_module(network, Head("identity", scale=np.full(5, 2.0), shift=np.arange(5.0)))
    np.testing.assert_allclose(outputs_of(torch, numbers, X), 2 * expected + np.arange(5), rtol=0, atol=1e-5)


@pytest.mark.parametrize("density", [0, 1])
def test_residual_layers_without_connections_and_with_all_of_them(torch, density):
    network = network_of(density=density)
    X = images_for(network, 9)
    np.testing.assert_allclose(
        outputs_of(torch, residual_module(network), X), softmax(logits_of(network, X), axis=1), rtol=0, atol=1e-6
    )


def test_a_wrong_number_of_features_is_refused(torch):
    module = residual_module(network_of((7, 5, 1)))
    for shape in ((2, 34), (2, 1, 7, 5), (2, 5, 7)):
        with pytest.raises(ValueError, match=r"x must be \(n, \*\(7, 5, 1\)\) or \(n, n_features\)"):
            module(torch.zeros(shape))


def test_weights_of_a_residual_network_are_vectors(torch):
    """All that the folded network has are parameters; connections are buffers."""
    network = network_of()
    module = residual_module(network)
    weights = [part for name, part in module.named_parameters() if name.endswith("weight")]
    order = [0, *(index for block in network.blocks for index in block if index is not None), len(network.layers) - 1]
    assert [tuple(part.shape) for part in weights] == [(network.layers[index].nnz,) for index in order]
    n_biases = sum(layer.shape[0] for layer in network.layers)
    assert sum(part.numel() for part in module.parameters()) == network.n_weights + n_biases
    keys = [part for name, part in module.named_buffers() if name.endswith("keys")]
    for part, index in zip(keys, order[:-1], strict=True):
        np.testing.assert_array_equal(part.numpy(), network.layers[index].pattern.keys)
    assert module.state_dict().keys() == dict([*module.named_parameters(), *module.named_buffers()]).keys()


def test_gradients_of_inputs_and_weights_of_a_residual_network(torch):
    module = residual_module(network_of((4, 5, 1), dtype=np.float64))
    x = torch.from_numpy(np.random.default_rng(3).standard_normal((2, 20))).requires_grad_()
    assert torch.autograd.gradcheck(module, x)
    names, parameters = zip(*module.named_parameters(), strict=True)
    values = [parameter.detach().clone().requires_grad_() for parameter in parameters]

    def of_parameters(*values):
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), x.detach())

    assert torch.autograd.gradcheck(of_parameters, values, fast_mode=True)


def test_training_a_residual_network_in_torch_leaves_ours_as_it_is(torch):
    network = network_of()
    before = network.params.copy()
    module, x = residual_module(network), torch.from_numpy(images_for(network, 30))
    y = torch.arange(30) % 5
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    losses = []
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(module[:-1](x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(network.params, before)


def test_a_residual_network_in_files_of_torch(torch):
    network, other = network_of(), network_of(seed=7)
    X = images_for(network, 9)
    expected = outputs_of(torch, residual_module(network), X)
    state, whole = io.BytesIO(), io.BytesIO()
    torch.save(residual_module(network).state_dict(), state)
    torch.save(residual_module(network), whole)
    state.seek(0)
    whole.seek(0)
    module = residual_module(other)
    module.load_state_dict(torch.load(state, weights_only=True))  # connections come with it
    np.testing.assert_array_equal(outputs_of(torch, module, X), expected)
    np.testing.assert_array_equal(outputs_of(torch, torch.load(whole, weights_only=False), X), expected)


def test_torch_export_takes_images_in_batches_of_any_size(torch):
    network = network_of()
    X, module = images_for(network, 9), residual_module(network)
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(module, (torch.from_numpy(X[:5]),), dynamic_shapes=({0: batch},))
    np.testing.assert_allclose(
        outputs_of(torch, program.module(), X), outputs_of(torch, module, X), rtol=1e-6, atol=1e-6
    )


def test_another_network_is_refused(torch):
    with pytest.raises(TypeError, match="must be an MLP or a ResNet"):
        residual_module("a network")


def test_not_fitted(torch):
    with pytest.raises(NotFittedError):
        SparseMLPClassifier().to_torch()


def test_without_torch_the_error_names_it(data, monkeypatch):
    model = fitted(data)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "truesparse.storage.torch_export", raising=False)
    monkeypatch.delattr("truesparse.storage.torch_export", raising=False)
    with pytest.raises(ImportError, match="to_torch needs PyTorch"):
        model.to_torch()
