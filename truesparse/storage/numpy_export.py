"""A network as two files: its arrays, and a short program that predicts with them.

``predictor.py`` is `truesparse.storage.predictor` as it is. ``weights.npz`` has the following arrays, i being the
number of a layer, counted from 0. All numbers have the network's dtype.

| name | shape | |
|---|---|---|
| ``format`` | () | the version of this table |
| ``shapes`` | (n_layers, 2) | fan_out and fan_in of each layer |
| ``weights_i``, ``indices_i``, ``indptr_i`` | (nnz,), (nnz,), (fan_out + 1,) | CSR |
| ``weights_i`` | (fan_out, fan_in) | instead, of layers that have all weights and run on BLAS |
| ``bias_i`` | (fan_out,) | |
| ``activation_i`` | () | the name of a function in ``predictor.py``; of the last layer the identity |
| ``activation_params_i`` | (n_params, …) | a slope; or thresholds and outer slopes of every unit, (4, fan_out, 1) |
| ``out_activation``, ``scale``, ``shift``, ``single_output``, ``classes`` | | see `truesparse.storage.head` |
"""

import os
from importlib import resources
from pathlib import Path

import numpy as np

from truesparse.network.mlp import MLP
from truesparse.storage.archive import replaced_when_whole
from truesparse.storage.head import Head
from truesparse.storage.predictor import FUNCTIONS

FORMAT = 1  # which predictor.py names as well
_PREDICTOR, _WEIGHTS = "predictor.py", "weights.npz"


def write(path: str | os.PathLike, network: MLP, head: Head) -> None:
    """Write both files; see `truesparse.SparseMLPClassifier.export_numpy`."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path={path!r:.200} must be a path.")
    directory = Path(path)
    program = resources.files("truesparse.storage").joinpath(_PREDICTOR).read_bytes()
    _refuse_others(directory, program)
    arrays = arrays_of(network, head)
    directory.mkdir(exist_ok=True)
    # The weights come last: without them there is no model, and a program for another format refuses them.
    with replaced_when_whole(directory / _PREDICTOR) as file:
        file.write(program)
    with replaced_when_whole(directory / _WEIGHTS) as file:
        np.savez(file, **arrays)


def arrays_of(network: MLP, head: Head) -> dict[str, np.ndarray]:
    """What ``weights.npz`` holds."""
    scale, shift = head.scaling(network.dtype)
    arrays = {
        "format": FORMAT,
        "shapes": [layer.shape for layer in network.layers],
        "out_activation": head.out_activation,
        "scale": scale,
        "shift": shift,
        "single_output": head.single_output,
    }
    if head.classes is not None:
        arrays["classes"] = head.classes
    functions = [*map(_function, network.activations, network.activation_params), ("identity", np.empty(0))]
    for i, (layer, (name, params)) in enumerate(zip(network.layers, functions, strict=True)):
        pattern = layer.stored_pattern
        if pattern is None:
            parts = {"weights": layer.weight}
        else:
            parts = {"weights": layer.data, "indices": pattern.indices, "indptr": pattern.indptr}
        parts |= {"bias": layer.bias, "activation": name, "activation_params": np.asarray(params, dtype=network.dtype)}
        arrays |= {f"{part}_{i}": array for part, array in parts.items()}
    return {name: np.asarray(array) for name, array in arrays.items()}


def _function(activation, params):
    """The function in ``predictor.py`` that an activation is, and its arguments besides the sums."""
    name, arguments = activation.exported(params)
    if name not in FUNCTIONS:
        raise ValueError(f"activation={activation!r} cannot be exported: {name!r} is none of {sorted(FUNCTIONS)}.")
    return name, arguments


def _refuse_others(directory, program):
    """Refuse what is neither free, nor empty, nor an earlier export, which the first line of its program tells."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    title = program.splitlines()[0]
    earlier = directory / _PREDICTOR
    if not (earlier.is_file() and earlier.read_bytes()[: len(title)] == title):
        raise FileExistsError(
            f"path={str(directory)!r} exists, and is neither an empty directory nor one that export_numpy wrote."
        )
