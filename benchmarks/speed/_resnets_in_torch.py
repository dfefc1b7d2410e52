"""The network of `_resnets.py` in PyTorch: with dense weights, and with the sparse convolutions of SparseProp."""

import torch
from torch.nn.functional import relu


def dense_steps(network, batch):
    """Return steps of a dense copy of one of our networks, for both memory formats of images, by name."""
    formats = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}
    return {f"torch, {name}": _step_of(TorchResNet(network), batch, kind) for name, kind in formats.items()}


def sparseprop_steps(network, batch):
    """Return the step of a copy whose layers, but for the first and the last one, are SparseProp's."""
    return {"SparseProp": _step_of(TorchResNet(network, sparse_for=len(batch.images)), batch)}


class TorchResNet(torch.nn.Module):
    """A copy of one of our networks: dense, or sparse and made for batches of `sparse_for` images."""

    def __init__(self, network, sparse_for=None):
        super().__init__()
        first, *others, last = network.layers
        inner = [_sparse_convolution(layer, sparse_for) if sparse_for else _convolution(layer) for layer in others]
        self.blocks = network.blocks
        self.convolutions = torch.nn.ModuleList([_convolution(first), *inner])
        self.norms = torch.nn.ModuleList(torch.nn.BatchNorm2d(layer.shape[0]) for layer in (first, *others))
        self.output = torch.nn.Linear(last.shape[1], last.shape[0])
        with torch.no_grad():
            self.output.weight.copy_(torch.from_numpy(last.weight.toarray()))
            self.output.bias.zero_()

    def forward(self, x):
        """Return the outputs, (batch, n_outputs), of images (batch, channels, height, width)."""
        h = relu(self._normalised(0, x), inplace=True)
        for block in self.blocks:
            residual = h if block.projection is None else self._normalised(block.projection, h)
            inner = relu(self._normalised(block.first, h), inplace=True)
            h = relu(self._normalised(block.second, inner).add_(residual), inplace=True)
        return self.output(h.mean(dim=(2, 3)))

    def _normalised(self, index, x):
        return self.norms[index](self.convolutions[index](x))


def _convolution(layer):
    """Return a dense convolution with the weights of one of our layers, and zeros for absent ones."""
    channels = layer.shape[1] // layer.window**2
    convolution = torch.nn.Conv2d(
        channels, layer.shape[0], layer.window, layer.stride, padding=layer.window // 2, bias=False
    )
    with torch.no_grad():
        convolution.weight.copy_(torch.from_numpy(layer.weight.toarray()).reshape(convolution.weight.shape))
    return convolution


def _sparse_convolution(layer, batch_size):
    """Return SparseProp's convolution in the faster of its two forms, which it finds by a step of each."""
    from sparseprop.modules import sparsify_conv2d_auto  # shares PyTorch's OpenMP if it is loaded second

    convolution = _convolution(layer)
    return sparsify_conv2d_auto(convolution, (batch_size, convolution.in_channels, *layer.image_shape))


def _step_of(network, batch, memory_format=torch.contiguous_format):
    """Return a function that makes a forward and a backward pass; it returns what ours does."""
    network = network.to(memory_format=memory_format).train()
    images = torch.from_numpy(batch.images).permute(0, 3, 1, 2).contiguous(memory_format=memory_format)
    errors = torch.from_numpy(batch.errors)

    def step():
        network.zero_grad(set_to_none=True)  # or gradients would be added up
        z = network(images)
        z.backward(errors)
        gradient = network.convolutions[0].weight.grad
        return z.detach().numpy(), gradient.flatten(1).numpy()

    return step
