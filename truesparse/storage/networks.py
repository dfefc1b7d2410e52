"""A network as metadata and arrays, and back.

The metadata of a ResNet hold its ``kind``, "resnet". Those of an MLP hold none, as in files of earlier versions.

| array of an MLP | content |
|---|---|
| ``layer0.indptr``, ``layer0.indices``, ``layer0.data`` | weights of the first layer, CSR of shape (fan_out, fan_in) |
| ``layer0.weight`` | (fan_out, fan_in), in their place for a layer on BLAS |
| ``layer0.bias`` | (fan_out,) |
| ``layer0.activation`` | (n_params, fan_out), where the activation learns |

| array of a ResNet | content |
|---|---|
| ``layer0.indptr``, ``layer0.indices`` | connections of the first layer, CSR of shape (channels out, columns) |
| ``params`` | (n_params,), all parameters in the order of `truesparse.network.resnet` |
"""

import math
from functools import singledispatch
from typing import Any

import numpy as np

from truesparse._typing import FloatArray
from truesparse.network.activations import Activation
from truesparse.network.architecture import Architecture
from truesparse.network.layers import DenseLinear, Layer, SparseLinear
from truesparse.network.mlp import MLP
from truesparse.network.protocol import Network
from truesparse.network.resnet import ResNet
from truesparse.storage.archive import ModelFormatError
from truesparse.storage.sections import Arrays, Section
from truesparse.topology import Pattern

Stored = tuple[dict[str, Any], dict[str, np.ndarray]]  # metadata and arrays

_DEEPEST = 2**15  # more layers than the metadata of a file can declare arrays for


@singledispatch
def store_network(network: Network) -> Stored:
    """Return the patterns and the parameters of a network."""
    raise TypeError(f"network={network!r:.200} must be an MLP or a ResNet.")


@store_network.register
def _(network: MLP) -> Stored:
    arrays: dict[str, np.ndarray] = {}
    layers = []
    for index, layer in enumerate(network.layers):
        pattern = layer.stored_pattern
        layers.append({"shape": list(layer.shape), "dense": pattern is None})
        if pattern is None:
            arrays[f"layer{index}.weight"] = layer.weight
        else:
            arrays |= store_pattern(f"layer{index}", pattern) | {f"layer{index}.data": layer.data}
        arrays[f"layer{index}.bias"] = layer.bias
    for index, params in enumerate(network.activation_params):
        if params.size:
            arrays[f"layer{index}.activation"] = params
    return {"layers": layers, "dropout": network.dropout}, arrays


@store_network.register
def _(network: ResNet) -> Stored:
    architecture = network.architecture
    metadata = {
        "kind": "resnet",
        "image_shape": [int(n) for n in architecture.image_shape],
        "depth": int(architecture.depth),
        "width": int(architecture.width),
        "n_outputs": int(network.layer_sizes[-1]),
    }
    arrays = {"params": network.params}
    for index, layer in enumerate(network.layers):
        arrays |= store_pattern(f"layer{index}", layer.pattern)
    return metadata, arrays


def restore_network(section: Section, arrays: Arrays, activation: Activation | None, dtype: np.dtype) -> Any:
    """Return the network of `store_network`, an MLP or a ResNet, after every pattern is checked whole.

    `activation` is that of an MLP's hidden layers; None asks for a ResNet. Raises ModelFormatError for a network of
    the other kind, and for anything that does not fit.
    """
    kind = section.take("kind", str) if section.has("kind") else "mlp"
    needed = "resnet" if activation is None else "mlp"
    if kind != needed:
        raise ModelFormatError(f"The network has kind={kind!r:.100}, but {needed!r} is needed.")
    dtype = np.dtype(dtype)
    network: Network
    if activation is None:
        network = _restore_resnet(section, arrays, dtype)
    else:
        network = _restore_mlp(section, arrays, activation, dtype)
    section.close()
    return network


def store_pattern(name: str, pattern: Pattern) -> dict[str, np.ndarray]:
    """Return the arrays of a pattern, whose names begin with `name`."""
    return {f"{name}.indptr": pattern.indptr, f"{name}.indices": pattern.indices}


def restore_pattern(name: str, shape: tuple[int, int], arrays: Arrays, nnz: int | None = None) -> Pattern:
    """Return the pattern of `store_pattern`, with `nnz` connections or, if that is None, any number."""
    indptr, indices = arrays.index(f"{name}.indptr", shape[0] + 1), arrays.index(f"{name}.indices", nnz)
    try:
        return Pattern.from_index_arrays(indptr, indices, shape)
    except ValueError as error:
        raise ModelFormatError(f"The connections of {name} are damaged: {error}") from error


def restore_params(name: str, arrays: Arrays, network: Network) -> FloatArray:
    """Take an array of all parameters of a network, (n_params,), in which no running variance is negative."""
    params = arrays.numbers(name, network.dtype, network.params.shape)
    if isinstance(network, ResNet):
        n_variances = sum(norm.variance.size for norm in network.norms)
        if (params[-n_variances:] < 0).any():
            raise ModelFormatError(f"The array {name!r} holds negative variances of batch norms.")
    return params


def _restore_mlp(section, arrays, activation, dtype):
    layers: list[Layer] = []
    vectors = []
    for index, content in enumerate(section.take("layers", list)):
        described = Section(content, f"layer {index}")
        fan_out, fan_in = described.counts("shape", 2, least=1)
        shape = fan_out, fan_in
        _refuse_sizes(f"layer {index}", shape)
        if layers and layers[-1].shape[0] != shape[1]:
            raise ModelFormatError(f"layer {index}: shape={shape} does not fit the layer below, {layers[-1].shape}.")
        if described.take("dense", bool):
            layers.append(DenseLinear(shape))
            vectors.append(arrays.numbers(f"layer{index}.weight", dtype, shape).reshape(-1))
        else:
            layers.append(SparseLinear(restore_pattern(f"layer{index}", shape, arrays)))
            vectors.append(arrays.numbers(f"layer{index}.data", dtype, (layers[-1].nnz,)))
        described.close()
    if not layers:
        raise ModelFormatError("The network has no layers.")
    vectors += [arrays.numbers(f"layer{index}.bias", dtype, (layer.shape[0],)) for index, layer in enumerate(layers)]
    for index, layer in enumerate(layers[:-1]):
        n_params = activation.at_layer(index).n_params
        if n_params:
            vectors.append(arrays.numbers(f"layer{index}.activation", dtype, (n_params, layer.shape[0])).reshape(-1))
    dropout = section.number("dropout")
    if not 0 <= dropout < 1:
        raise ModelFormatError(f"dropout={dropout!r} must lie in [0, 1).")
    network = MLP(layers, activation, dropout=dropout, dtype=dtype)
    np.concatenate(vectors, out=network.params)
    return network


def _restore_resnet(section, arrays, dtype):
    image_shape = tuple(section.counts("image_shape", 3, least=1))
    depth = section.count("depth", most=_DEEPEST)
    width, n_outputs = section.count("width", least=1), section.count("n_outputs", least=1)
    try:
        architecture = Architecture(image_shape, depth, width)
    except ValueError as error:
        raise ModelFormatError(f"There is no such residual network: {error}") from error
    _refuse_sizes("image_shape", image_shape)
    patterns = []
    for index, shape in enumerate(architecture.shapes(n_outputs)):
        _refuse_sizes(f"layer {index}", shape)
        patterns.append(restore_pattern(f"layer{index}", shape, arrays))
    network = ResNet(architecture, patterns, dtype=dtype)
    network.params[:] = restore_params("params", arrays, network)
    return network


def _refuse_sizes(name, shape):
    """Refuse a shape whose elements int64 cannot number."""
    if math.prod(shape) >= 2**63:
        raise ModelFormatError(f"{name}: the product of {shape} must be less than 2**63.")
