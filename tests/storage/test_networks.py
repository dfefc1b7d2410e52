"""A network and its training come back as they were from a file, and nothing that does not fit is accepted."""

import io
import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from residual import images_for
from storage.residual_networks import IMAGE_SHAPES, logits_of, network_of

from truesparse.network.activations import PiecewiseLinear
from truesparse.network.mlp import MLP
from truesparse.storage import (
    Arrays,
    ModelFormatError,
    Section,
    read_archive,
    restore_network,
    restore_run,
    store_network,
    store_run,
    write_archive,
)
from truesparse.topology import Pattern
from truesparse.training.state import BestEpoch, EpochRecord, EpochSums, History, Progress, TrainingState

RELU = PiecewiseLinear()


def written(network, state=None):
    """The bytes of a file."""
    metadata, arrays = store_network(network)
    content = {"network": metadata}
    if state is not None:
        content["run"], more = store_run(state, training=True)
        arrays |= more
    file = io.BytesIO()
    write_archive(file, content, arrays)
    return file.getvalue()


def read(content, activation, dtype):
    """The network and the state in a file."""
    metadata, stored = read_archive(io.BytesIO(content))
    section, arrays = Section(metadata, "metadata.json"), Arrays(stored)
    network = restore_network(section.section("network"), arrays, activation, dtype)
    state = restore_run(section.section("run"), arrays, network) if section.has("run") else None
    section.close()
    arrays.close()
    return network, state


def restored(metadata, arrays, activation=None, dtype=np.float32):
    """The network of metadata, as JSON gives them, and arrays."""
    section, arrays = Section(json.loads(json.dumps(metadata)), "network"), Arrays(arrays)
    network = restore_network(section, arrays, activation, np.dtype(dtype))
    arrays.close()
    return network


def perceptron():
    rng = np.random.default_rng(0)
    network = MLP.from_patterns([Pattern.sample(shape, 9, rng) for shape in ((6, 4), (3, 6))], RELU)
    network.params[:] = rng.standard_normal(network.params.size)
    return network


def state_of(network, seed=0):
    """The state within the second epoch of a training, with moments and a best epoch of another topology."""
    rng = np.random.default_rng(seed)
    best = network_of(seed=7, dtype=network.dtype)
    vectors = [rng.standard_normal(network.params.size).astype(network.dtype) for _ in range(4)]
    nnz, replaced = [layer.nnz for layer in network.layers], [3] * len(network.layers)
    return TrainingState(
        {"mean": vectors[0], "square": vectors[1]},
        12,
        Progress(step=12, epoch=1, epoch_step=2, planned_steps=20, weight_steps=12 * network.n_weights),
        History([EpochRecord(1, 0.5, 0.4, 0.9, 0.01, nnz, replaced, 0.1)]),
        BestEpoch([layer.pattern for layer in best.layers], [best.params, *vectors[2:]], 10),
        EpochSums(np.array(replaced), 2, 1.5, 64, 0.01, 0.2),
    )


@pytest.mark.parametrize("image_shape", IMAGE_SHAPES)
@pytest.mark.parametrize("depth", [8, 14])
def test_a_residual_network_comes_back(image_shape, depth, dtype):
    network = network_of(image_shape, depth=depth, dtype=dtype)
    content = written(network)
    again, _ = read(content, None, dtype)
    assert written(again) == content
    assert again.architecture == network.architecture
    assert again.params.dtype == dtype
    X = images_for(network, 40)
    assert_array_equal(logits_of(again, X), logits_of(network, X))


def test_layers_without_connections_and_with_all_of_them_come_back():
    for density in (0, 1):
        content = written(network_of(density=density))
        assert written(read(content, None, np.float32)[0]) == content


def test_a_restored_network_shares_nothing_with_the_arrays():
    metadata, arrays = store_network(network_of())
    before = arrays["params"].copy()
    restored(metadata, arrays).params[:] = 0
    assert_array_equal(arrays["params"], before)


def test_numbers_of_numpy_in_an_architecture_are_stored():
    network = network_of(tuple(np.array([7, 5, 1])), depth=np.int64(8), width=np.int32(4))
    assert written(network) == written(network_of())


def test_a_training_comes_back():
    network = network_of()
    state = state_of(network)
    content = written(network, state)
    again, state_again = read(content, None, np.float32)
    assert written(again, state_again) == content
    assert state_again.progress == state.progress
    for name, moments in state.optimizer_state.items():
        assert_array_equal(state_again.optimizer_state[name], moments)
    again.restore((state_again.best.patterns, state_again.best.vectors[:1]))
    expected = network_of(seed=7)
    X = images_for(network, 10)
    assert_array_equal(logits_of(again, X), logits_of(expected, X))


def test_the_state_of_a_multilayer_perceptron_has_no_kind():
    """Files of earlier versions have none, and files of multilayer perceptrons are as they were."""
    metadata, arrays = store_network(perceptron())
    assert metadata == {
        "layers": [{"shape": [6, 4], "dense": False}, {"shape": [3, 6], "dense": False}],
        "dropout": 0.0,
    }
    assert list(arrays) == [
        f"layer{index}.{part}" for index in (0, 1) for part in ("indptr", "indices", "data", "bias")
    ]
    assert_array_equal(restored(metadata, arrays, RELU).params, perceptron().params)


def test_another_network_cannot_be_stored():
    with pytest.raises(TypeError, match="must be an MLP or a ResNet"):
        store_network("a network")


def changed(array, place, value):
    array = array.copy()
    array[place] = value
    return array


@pytest.mark.parametrize(
    "damage",
    [
        lambda indptr, indices: (indptr, changed(indices, -1, 9)),  # outside of the shape (4, 9)
        lambda indptr, indices: (indptr, changed(indices, 0, -1)),
        lambda indptr, indices: (indptr, changed(indices, 1, indices[0])),  # twice
        lambda indptr, indices: (indptr, changed(indices, slice(2), indices[1::-1])),  # not sorted
        lambda indptr, indices: (changed(indptr, 1, indptr[2] + 1), indices),  # falls
        lambda indptr, indices: (changed(indptr, 0, 1), indices),
        lambda indptr, indices: (changed(indptr, -1, indices.size - 1), indices),
        lambda indptr, indices: (np.append(indptr, indptr[-1:]), indices),  # a row more
        lambda indptr, indices: (indptr.astype(np.int64), indices),
        lambda indptr, indices: (indptr, indices.astype(np.int8)),
        lambda indptr, indices: (indptr, indices.astype(np.float64)),
    ],
)
def test_damaged_patterns_are_refused(damage):
    metadata, arrays = store_network(network_of())
    names = "layer0.indptr", "layer0.indices"
    damaged = damage(*(arrays[name] for name in names))
    with pytest.raises(ModelFormatError, match="layer0"):
        restored(metadata, arrays | dict(zip(names, damaged, strict=True)))


HUGE = 2**62


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "unet"}, "kind='unet', but 'resnet' is needed"),
        ({"kind": "mlp"}, "kind='mlp', but 'resnet' is needed"),
        ({"kind": None}, "kind=None must be str"),
        ({"depth": 9}, r"depth=9 must be 6 n \+ 2"),
        ({"depth": 2}, r"depth=2 must be 6 n \+ 2"),
        ({"depth": -4}, "depth must lie between"),
        ({"depth": 6 * HUGE + 2}, "depth must lie between"),
        ({"depth": 6 * 10**9 + 2}, "depth must lie between"),
        ({"depth": 8.0}, r"depth=8.0 must be int"),
        ({"depth": 14}, "layer3.* has dtype"),
        ({"depth": 32762}, "layer3.* has dtype"),
        ({"width": 5}, "layer0.* has dtype"),
        ({"width": 0}, "width must lie between 1"),
        ({"width": True}, "width=True must be int"),
        ({"width": HUGE}, "layer 0: the product of .* must be less than"),
        ({"width": 2**28}, "layer0.* has dtype"),
        ({"n_outputs": 4}, "layer9.* has dtype"),
        ({"n_outputs": 0}, "n_outputs must lie between 1"),
        ({"n_outputs": HUGE}, "layer 9: the product of .* must be less than"),
        ({"image_shape": [7, 5]}, "image_shape=.* must hold 3 integers"),
        ({"image_shape": [7, 5, 1, 1]}, "image_shape=.* must hold 3 integers"),
        ({"image_shape": [7, 5, 0]}, "image_shape=.* must hold 3 integers between 1"),
        ({"image_shape": [7, 5, "1"]}, "image_shape=.* must hold 3 integers"),
        ({"image_shape": 7}, "image_shape=7 must be list"),
        ({"image_shape": [3, 5, 1]}, "at least 4 rows and columns"),
        ({"image_shape": [7, HUGE, 1]}, "image_shape: the product of .* must be less than"),
        ({"image_shape": [7, 5, 10**17]}, "connections of layer0 are damaged"),
        ({"more": 1}, "unknown keys"),
        ({"layers": []}, "unknown keys"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(change, message):
    metadata, arrays = store_network(network_of())
    with pytest.raises(ModelFormatError, match=message):
        restored(metadata | change, arrays)


@pytest.mark.parametrize("key", ["image_shape", "depth", "width", "n_outputs", "kind"])
def test_metadata_that_are_missing_are_refused(key):
    metadata, arrays = store_network(network_of())
    del metadata[key]
    with pytest.raises(ModelFormatError, match=f"has no '{key}'|kind='mlp'"):
        restored(metadata, arrays)


N_NORMALISED = 84  # channels of the network, and variances at the end of its parameters


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda params: params[:-1], "shape"),
        (lambda params: np.append(params, params[:1]), "shape"),
        (lambda params: params[None], "shape"),
        (lambda params: params.astype(np.float64), "dtype float64, not float32"),
        (lambda params: params.astype(np.int32), "dtype int32"),
        (lambda params: changed(params, 0, np.nan), "NaN or infinity"),
        (lambda params: changed(params, -1, np.inf), "NaN or infinity"),
        (lambda params: changed(params, -1, -1e-30), "negative variances"),
        (lambda params: changed(params, -N_NORMALISED, -1), "negative variances"),
    ],
)
@pytest.mark.parametrize("name", ["params", "best.params"])
def test_parameters_that_do_not_fit_are_refused(name, change, message):
    network = network_of()
    metadata, arrays = store_network(network)
    run, run_arrays = store_run(state_of(network), training=True)
    arrays |= run_arrays
    arrays = Arrays(arrays | {name: change(arrays[name])})
    with pytest.raises(ModelFormatError, match=f"'{name}' .*{message}"):
        restore_run(
            Section(run, "run"), arrays, restore_network(Section(metadata, "network"), arrays, None, np.float32)
        )


def test_a_variance_may_be_zero_and_a_mean_negative():
    network = network_of()
    assert network.params.size - network.norms[0].variance.size > N_NORMALISED
    network.params[-N_NORMALISED:] = 0
    network.params[-N_NORMALISED - 1] = -1
    assert_array_equal(restored(*store_network(network)).params, network.params)


@pytest.mark.parametrize("change", [lambda moment: moment[:-1], lambda moment: changed(moment, 0, np.nan)])
@pytest.mark.parametrize("name", ["moment.mean", "best.moment.square"])
def test_moments_that_do_not_fit_are_refused(name, change):
    network = network_of()
    metadata, arrays = store_run(state_of(network), training=True)
    with pytest.raises(ModelFormatError, match=f"'{name}'"):
        restore_run(Section(metadata, "run"), Arrays(arrays | {name: change(arrays[name])}), network)


def test_counts_of_layers_in_a_training_are_checked():
    network = network_of()
    metadata, arrays = store_run(state_of(network), training=True)
    for replaced in ([3] * 9, [3] * 9 + [-1], [3] * 9 + [True]):
        sums = metadata["sums"] | {"replaced": replaced}
        with pytest.raises(ModelFormatError, match=r"sums: replaced=.* must hold 10 integers"):
            restore_run(Section(metadata | {"sums": sums}, "run"), Arrays(arrays), network)


@pytest.mark.parametrize("name", ["params", "layer0.indptr", "layer9.indices"])
def test_arrays_that_are_missing_are_refused(name):
    metadata, arrays = store_network(network_of())
    del arrays[name]
    with pytest.raises(ModelFormatError, match=f"'{name}' is missing"):
        restored(metadata, arrays)


def test_arrays_that_are_left_are_refused():
    metadata, arrays = store_network(network_of())
    with pytest.raises(ModelFormatError, match="unknown arrays"):
        restored(metadata, arrays | {"layer10.indptr": arrays["layer9.indptr"]})


def test_a_network_of_the_other_kind_is_refused():
    with pytest.raises(ModelFormatError, match="kind='resnet', but 'mlp' is needed"):
        restored(*store_network(network_of()), RELU)
    with pytest.raises(ModelFormatError, match="kind='mlp', but 'resnet' is needed"):
        restored(*store_network(perceptron()), None)
