"""A network as a module of PyTorch, whose weights stay sparse.

A sparse layer is an ``embedding_bag``: every unit is a bag of inputs, rows of xᵀ, each times its weight. That is the
product with a CSR matrix, and the gradients of weights and inputs need no more memory than the weights and inputs.
Tensors of ``torch.sparse_csr`` would be two to eight times faster in the forward pass, but in ``F.linear`` the gradient
of their weights is dense, and ``torch.export`` does not support them (pytorch/pytorch, issue 123345).

A sparse convolution is a dense one whose weights are scattered from the stored ones in each pass.
"""

try:
    import torch
except ImportError as error:
    raise ImportError("to_torch needs PyTorch, the package torch, which cannot be imported.") from error

import math
from collections.abc import Callable, Sequence
from functools import singledispatch

import numpy as np
from torch import Tensor, nn

from truesparse.network.batch_norm import BatchNorm
from truesparse.network.convolution import SparseConv2d
from truesparse.network.layers import Layer
from truesparse.network.mlp import MLP
from truesparse.network.protocol import Network
from truesparse.network.resnet import ResNet
from truesparse.storage.head import Head
from truesparse.storage.numpy_export import exported


class SparseLinear(nn.Module):
    """x Wᵀ + b for inputs x, (n, fan_in); the connections are buffers, weights (nnz,) and biases are parameters."""

    indices: Tensor
    indptr: Tensor

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
ACTIVATION_MODULES: dict[str, Callable[[np.ndarray], nn.Module]] = {
    "piecewise_linear": lambda slope: nn.LeakyReLU(float(slope[0])) if slope[0] else nn.ReLU(),
    "tanh": lambda _: nn.Tanh(),
    "logistic": lambda _: nn.Sigmoid(),
    "identity": lambda _: nn.Identity(),
    "srelu": SReLU,
}


class Images(nn.Module):
    """Images, (n, channels, height, width), of rows of features, (n, height · width · channels), or of channels last.

    A single channel may be left out: (n, height, width).
    """

    def __init__(self, image_shape: tuple[int, int, int]):
        super().__init__()
        height, width, channels = map(int, image_shape)
        self.image_shape = height, width, channels

    def forward(self, x: Tensor) -> Tensor:
        """Return the images."""
        if x.ndim == 2 and x.shape[1] == math.prod(self.image_shape):
            x = x.unflatten(1, self.image_shape)
        elif x.ndim == 3 and self.image_shape[2] == 1:
            x = x.unsqueeze(-1)
        if tuple(x.shape[1:]) != self.image_shape:
            raise ValueError(f"x must be (n, *{self.image_shape}) or (n, n_features), got {tuple(x.shape)}.")
        return x.permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        """Return the text that printing the module adds."""
        return "height={}, width={}, channels={}".format(*self.image_shape)


class Convolution(nn.Module):
    """W * x + b, with zero padding, for planes x, (n, channels, rows, columns), including the batch norm behind it.

    Weights (nnz,) and biases are parameters, and the connections are a buffer of numbers (row of W) · columns + column.
    The products are dense, and so is the gradient of W, (channels out, channels · window²), as in ``nn.Conv2d``. Only
    what is stored and what an optimiser sees is sparse.
    """

    keys: Tensor

    def __init__(self, layer: SparseConv2d, norm: BatchNorm):
        super().__init__()
        weights, bias = layer.folded(norm)
        self.weight, self.bias = _parameter(weights), _parameter(bias)
        self.register_buffer("keys", _tensor(layer.pattern.keys))
        self.shape, self.window, self.stride = layer.shape, layer.window, layer.stride

    def forward(self, x: Tensor) -> Tensor:
        """Return the sums, (n, channels out, rows, columns)."""
        dense = self.weight.new_zeros(self.shape[0] * self.shape[1]).scatter(0, self.keys, self.weight)
        dense = dense.view(self.shape[0], -1, self.window, self.window)
        return nn.functional.conv2d(x, dense, self.bias, stride=self.stride, padding=self.window // 2)

    def extra_repr(self) -> str:
        """Return the text that printing the module adds."""
        channels = f"in_channels={self.shape[1] // self.window**2}, out_channels={self.shape[0]}"
        return f"{channels}, window={self.window}, stride={self.stride}, weights={self.weight.numel()}"


class ResidualBlock(nn.Module):
    """relu(second(relu(first(h))) + projection(h))."""

    def __init__(self, first: nn.Module, second: nn.Module, projection: nn.Module):
        super().__init__()
        self.first, self.second, self.projection = first, second, projection

    def forward(self, h: Tensor) -> Tensor:
        """Return the planes of the block's outputs."""
        return (self.second(self.first(h).relu()) + self.projection(h)).relu()


class Outputs(nn.Module):
    """Predictions of a regressor from the last layer's sums."""

    scale: Tensor
    shift: Tensor

    def __init__(self, head: Head, dtype: np.dtype):
        super().__init__()
        self.out_activation, self.single_output = head.out_activation, head.single_output
        scale, shift = head.scaling(dtype)
        self.register_buffer("scale", _tensor(scale))
        self.register_buffer("shift", _tensor(shift))

    def forward(self, z: Tensor) -> Tensor:
        """Return the predictions, (n,) or (n, n_outputs)."""
        p = (z.exp() if self.out_activation == "exp" else z) * self.scale + self.shift
        return p[:, 0] if self.single_output else p


class Mean(nn.Module):
    """Weighted mean of the outputs of an ensemble's members."""

    weights: Tensor

    def __init__(self, members: Sequence[nn.Module], weights: np.ndarray):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("weights", _tensor(weights))

    def forward(self, x: Tensor) -> Tensor:
        """Return the predictions, shaped as a member's."""
        weighted = [weight * member(x) for weight, member in zip(self.weights, self.members, strict=True)]
        return torch.stack(weighted).sum(dim=0)


@singledispatch
def as_module(network: Network, head: Head) -> nn.Sequential:
    """Return the network's layers in order, then the head; see `truesparse.SparseMLPClassifier.to_torch`.

    An MLP has layers and activations in turn. A ResNet has images, a convolution, a rectifier, blocks, the mean over
    places, and the last layer.
    """
    raise TypeError(f"network={network!r:.200} must be an MLP or a ResNet.")


@as_module.register
def _(network: MLP, head: Head) -> nn.Sequential:
    parts: list[nn.Module] = [_layer(network.layers[0])]
    learnt = zip(network.activations, network.activation_params, strict=True)
    for (activation, params), layer in zip(learnt, network.layers[1:], strict=True):
        name, arguments = exported(activation, params, ACTIVATION_MODULES)
        parts += [ACTIVATION_MODULES[name](arguments), _layer(layer)]
    return nn.Sequential(*parts, _outputs(head, network.dtype)).eval()


@as_module.register
def _(network: ResNet, head: Head) -> nn.Sequential:
    *convolutions, last = network.layers
    layers = [Convolution(layer, norm) for layer, norm in zip(convolutions, network.norms, strict=True)]
    blocks = [
        ResidualBlock(layers[first], layers[second], nn.Identity() if projection is None else layers[projection])
        for first, second, projection in network.blocks
    ]
    begin = Images(network.architecture.image_shape), layers[0], nn.ReLU()
    end = nn.AdaptiveAvgPool2d(1), nn.Flatten(), SparseLinear(last), _outputs(head, network.dtype)
    return nn.Sequential(*begin, *blocks, *end).eval()


def _outputs(head, dtype):
    if head.classes is None:
        return Outputs(head, dtype)
    return nn.Softmax(dim=1) if head.out_activation == "softmax" else nn.Sigmoid()


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
