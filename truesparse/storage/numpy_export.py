"""A network or an ensemble as two files: arrays, and a short program that predicts with them.

``predictor.py`` is a copy of `truesparse.storage.predictor` or, for a residual network, of
`truesparse.storage.residual_predictor`. ``weights.npz`` has the following arrays, where i is the number of a layer,
from 0. Weights, biases and parameters have the network's dtype.

| name | shape | |
|---|---|---|
| ``format`` | () | 1, or 2 of a residual network |
| ``shapes`` | (n_layers, 2) | fan_out and fan_in of each layer |
| ``weights_i``, ``indices_i``, ``indptr_i`` | (nnz,), (nnz,), (fan_out + 1,) | CSR |
| ``weights_i`` | (fan_out, fan_in) | instead, of layers on BLAS, which have all weights |
| ``bias_i`` | (fan_out,) | |
| ``activation_i`` | () | name of a function in ``predictor.py``; of the last layer the identity |
| ``activation_params_i`` | (n_params, …) | a slope; or thresholds and outer slopes of every unit, (4, fan_out, 1) |
| ``out_activation``, ``scale``, ``shift``, ``single_output``, ``classes`` | | see `truesparse.storage.head` |

An ensemble has all of this for each of its members, whose number and a dot precede the names, and

| name | shape | |
|---|---|---|
| ``mix`` | (n_members,) | weights of the members' predictions |

A residual network has no activations but those of its blocks. Batch norms are folded into its weights and biases, and
columns of weights are (input channel, dy, dx). It has

| name | shape | |
|---|---|---|
| ``image_shape`` | (3,) | height, width and channels: the order of the features |
| ``windows``, ``strides`` | (n_layers,) each | sides of the windows of convolutions, and steps between them |
| ``blocks`` | (n_blocks, 3) | numbers of the two layers of a block and of the projection; −1 for none |
"""

import os
from collections.abc import Collection, Mapping, Sequence
from functools import singledispatch
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from truesparse._typing import FloatArray
from truesparse.network.activations import Activation
from truesparse.network.mlp import MLP
from truesparse.network.protocol import Network
from truesparse.network.resnet import ResNet
from truesparse.storage.archive import replaced_when_whole
from truesparse.storage.head import Head
from truesparse.storage.predictor import FUNCTIONS

FORMAT, RESIDUAL_FORMAT = 1, 2  # the programs name them, too
_PROGRAMS = {FORMAT: "predictor.py", RESIDUAL_FORMAT: "residual_predictor.py"}


def write(path: str | os.PathLike, arrays: Mapping[str, Any]) -> None:
    """Write the program, and the arrays of `arrays_of` or `mixed`; see `SparseMLPClassifier.export_numpy`."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path={path!r:.200} must be a path.")
    directory = Path(path)
    storage = resources.files("truesparse.storage")
    programs = {number: storage.joinpath(name).read_bytes() for number, name in _PROGRAMS.items()}
    _refuse_others(directory, tuple(program.splitlines()[0] for program in programs.values()))
    directory.mkdir(exist_ok=True)
    # The weights come last: without them there is no model, and a program for another format refuses them.
    with replaced_when_whole(directory / "predictor.py") as file:
        file.write(programs[int(arrays["format"])])
    with replaced_when_whole(directory / "weights.npz") as file:
        np.savez(file, **arrays)


@singledispatch
def arrays_of(network: Network, head: Head) -> dict[str, Any]:
    """Return the arrays of ``weights.npz``."""
    raise TypeError(f"network={network!r:.200} must be an MLP or a ResNet.")


@arrays_of.register
def _(network: MLP, head: Head) -> dict[str, Any]:
    arrays = {"format": FORMAT} | _shared_arrays(network, head)
    learnt = zip(network.activations, network.activation_params, strict=True)
    functions = [*(exported(*pair, FUNCTIONS) for pair in learnt), ("identity", np.empty(0))]
    for i, (layer, (name, params)) in enumerate(zip(network.layers, functions, strict=True)):
        pattern = layer.stored_pattern
        if pattern is None:
            parts = {"weights": layer.weight}
        else:
            parts = {"weights": layer.data, "indices": pattern.indices, "indptr": pattern.indptr}
        parts |= {"bias": layer.bias, "activation": name, "activation_params": np.asarray(params, dtype=network.dtype)}
        arrays |= {f"{part}_{i}": array for part, array in parts.items()}
    return {name: np.asarray(array) for name, array in arrays.items()}


@arrays_of.register
def _(network: ResNet, head: Head) -> dict[str, Any]:
    arrays = {"format": RESIDUAL_FORMAT} | _shared_arrays(network, head)
    arrays |= {
        "image_shape": network.architecture.image_shape,
        "windows": [layer.window for layer in network.layers],
        "strides": [layer.stride for layer in network.layers],
        "blocks": [[-1 if number is None else number for number in block] for block in network.blocks],
    }
    for i, (layer, norm) in enumerate(zip(network.layers, [*network.norms, None], strict=True)):
        weights, bias = (layer.data, layer.bias) if norm is None else layer.folded(norm)
        parts = {"weights": weights, "indices": layer.pattern.indices, "indptr": layer.pattern.indptr, "bias": bias}
        arrays |= {f"{part}_{i}": array for part, array in parts.items()}
    return {name: np.asarray(array) for name, array in arrays.items()}


def mixed(members: Sequence[Mapping[str, np.ndarray]], weights: FloatArray) -> dict[str, np.ndarray]:
    """Return the arrays of an ensemble, whose members have these arrays and weights (n_members,)."""
    named = {f"{i}.{name}": array for i, arrays in enumerate(members) for name, array in arrays.items()}
    return named | {"mix": weights, "format": np.asarray(FORMAT)}


def exported(activation: Activation, params: FloatArray, functions: Collection[str]) -> tuple[str, FloatArray]:
    """Return the name of an activation, which must be one of these functions, and its arguments besides the sums."""
    name, arguments = activation.exported(params)
    if name not in functions:
        raise ValueError(f"activation={activation!r} cannot be exported: {name!r} is none of {sorted(functions)}.")
    return name, arguments


def _shared_arrays(network, head):
    """Return the arrays of the head, and shapes."""
    scale, shift = head.scaling(network.dtype)
    arrays = {
        "shapes": [layer.shape for layer in network.layers],
        "out_activation": head.out_activation,
        "scale": scale,
        "shift": shift,
        "single_output": head.single_output,
    }
    return arrays if head.classes is None else arrays | {"classes": head.classes}


def _refuse_others(directory, titles):
    """Refuse a path that exists, unless it is an empty directory or its program has one of our first lines."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    earlier = directory / "predictor.py"
    if not (earlier.is_file() and earlier.read_bytes().startswith(titles)):
        raise FileExistsError(
            f"path={str(directory)!r} exists, and is neither an empty directory nor one that export_numpy wrote."
        )
