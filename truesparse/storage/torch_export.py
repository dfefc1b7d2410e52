"""A network as a module of PyTorch, whose weights stay sparse.

A sparse layer is an ``embedding_bag``: every unit is a bag of inputs, rows of xᵀ, each times its weight. That is the
product with a CSR matrix, and the gradients of weights and inputs need no more memory than the weights and inputs.
Tensors of ``torch.sparse_csr`` would be two to eight times faster in the forward pass, but in ``F.linear`` the gradient
of their weights is dense, and ``torch.export`` does not support them (pytorch/pytorch, issue 123345).
"""

try:
    import torch
except ImportError as error:
    raise ImportError("to_torch needs PyTorch, the package torch, which cannot be imported.") from error

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from truesparse.network.layers import Layer
from truesparse.network.mlp import MLP
from truesparse.storage.head import Head
from truesparse.storage.numpy_export import exported


class SparseLinear(nn.Module):
    """x Wᵀ + b for inputs x, (n, fan_in); the connections are buffers, weights (nnz,) and biases are parameters."""

    def __init__(self, layer: Layer):
        super().__init__()
        self.shape = layer.shape
        self.weight, self.bias = _parameter(layer.data), _parameter(layer.bias)
        self.register_buffer("indices", _tensor(layer.pattern.indices))
        self.register_buffer("indptr", _tensor(layer.pattern.indptr))

    def forward(self, x: Tensor) -> Tensor:
        """Return the sums, (n, fan_out)."""
        sums = nn.functional.embedding_bag(
            self.indices, x.T, self.indptr, mode="sum", per_sample_weights=self.weight, include_last_offset=True
        )  # (fan_out, n)
        return sums.T + self.bias

    def extra_repr(self) -> str:
        """Return the text that printing the module adds."""
        return f"in_features={self.shape[1]}, out_features={self.shape[0]}, weights={self.weight.numel()}"


class SReLU(nn.Module):
    """z between two thresholds, straight lines of other slopes outside (`truesparse.network.activations.SReLU`)."""

    def __init__(self, pieces: np.ndarray):
        super().__init__()
        self.pieces = _parameter(pieces[:, :, 0])  # thresholds, and slopes below and above, (4, n_units)

    def forward(self, z: Tensor) -> Tensor:
        """Return the activations for sums z, (n, n_units)."""
        low, high, left, right = self.pieces
        z_left, z_right = (z - low).clamp(max=0), (z - high).clamp(min=0)
        return torch.minimum(torch.maximum(z, low), high) + left * z_left + right * z_right


# Modules of the functions that `Activation.exported` names, each made from its arguments.
ACTIVATION_MODULES = {
    "piecewise_linear": lambda slope: nn.LeakyReLU(float(slope[0])) if slope[0] else nn.ReLU(),
    "tanh": lambda _: nn.Tanh(),
    "logistic": lambda _: nn.Sigmoid(),
    "identity": lambda _: nn.Identity(),
    "srelu": SReLU,
}


class Outputs(nn.Module):
    """Predictions of a regressor from the last layer's sums."""

    def __init__(self, head: Head, dtype: np.dtype):
        super().__init__()
        self.out_activation, self.single_output = head.out_activation, head.single_output
        scale, shift = head.scaling(dtype)
        self.register_buffer("scale", _tensor(scale))
        self.register_buffer("shift", _tensor(shift))

    def forward(self, z: Tensor) -> Tensor:
        """Return the predictions, (n,) or (n, n_outputs)."""
        p = {"identity": torch.clone, "exp": torch.exp}[self.out_activation](z) * self.scale + self.shift
        return p[:, 0] if self.single_output else p


class Mean(nn.Module):
    """Weighted mean of the outputs of an ensemble's members."""

    def __init__(self, members: Sequence[nn.Module], weights: np.ndarray):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("weights", _tensor(weights))

    def forward(self, x: Tensor) -> Tensor:
        """Return the predictions, shaped as a member's."""
        weighted = [weight * member(x) for weight, member in zip(self.weights, self.members, strict=True)]
        return torch.stack(weighted).sum(dim=0)


def as_module(network: MLP, head: Head) -> nn.Sequential:
    """Return layers and activations in turn, then the head; see `truesparse.SparseMLPClassifier.to_torch`."""
    parts: list[nn.Module] = [_layer(network.layers[0])]
    learnt = zip(network.activations, network.activation_params, strict=True)
    for (activation, params), layer in zip(learnt, network.layers[1:], strict=True):
        name, arguments = exported(activation, params, ACTIVATION_MODULES)
        parts += [ACTIVATION_MODULES[name](arguments), _layer(layer)]
    heads = {"softmax": lambda: nn.Softmax(dim=1), "logistic": nn.Sigmoid}
    parts.append(Outputs(head, network.dtype) if head.classes is None else heads[head.out_activation]())
    return nn.Sequential(*parts).eval()


def _layer(layer):
    if layer.stored_pattern is not None:
        return SparseLinear(layer)
    linear = nn.utils.skip_init(nn.Linear, layer.shape[1], layer.shape[0])  # draws no random numbers
    linear.weight, linear.bias = _parameter(layer.weight), _parameter(layer.bias)
    return linear


def _parameter(array):
    return nn.Parameter(_tensor(array))


def _tensor(array):
    return torch.from_numpy(np.array(array))  # a copy: training on either side leaves the other as it is
