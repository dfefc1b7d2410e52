"""The network of `_resnets.py` in PyTorch: its steps, dense or with SparseProp's convolutions, and its training."""

import math
import time

import numpy as np
import torch
from _resnets import resnet_of
from torch.nn.functional import cross_entropy, relu

from truesparse.network.architecture import Architecture


def dense_steps(network, batch):
    """Return steps of a dense copy of one of our networks, for both memory formats of images, by name."""
    formats = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}
    return {f"torch, {name}": _step_of(TorchResNet(network), batch, kind) for name, kind in formats.items()}


def sparseprop_steps(network, batch):
    """Return the step of a copy whose layers, but for the first and the last one, are SparseProp's."""
    return {"SparseProp": _step_of(TorchResNet(network, sparse_for=len(batch.images)), batch)}


def dense_epochs(model, X, y, n_classes):
    """Train a dense network with the parameters of an estimator; yield it after every epoch.

    Beside it come its number of weights, the learning rate, the mean loss of the epoch and its seconds. First weights
    and the order of the images are drawn by other generators than in the estimator.
    """
    torch.set_num_threads(model.n_jobs)
    rng = np.random.default_rng(model.random_state)
    architecture = Architecture(model.image_shape, model.depth, model.width)
    network = TorchResNet(resnet_of(architecture, n_classes, 1.0, seed=model.random_state))
    network = network.to(memory_format=torch.channels_last)
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim == 1]  # of batch norms, and biases
    groups = [{"params": weights, "weight_decay": model.alpha}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=model.learning_rate_init, momentum=0.9, nesterov=True)
    size = model.batch_size
    n_steps = model.max_iter * math.ceil(len(X) / size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / n_steps)) / 2)
    y, n_weights = torch.from_numpy(y.astype(np.int64)), sum(p.numel() for p in weights)
    for _ in range(model.max_iter):
        losses, begun = [], time.perf_counter()
        network.train()
        for batch in np.array_split(rng.permutation(len(X)), np.arange(size, len(X), size)):
            z = network(images_of(model.batch_transform(X[batch], rng), model.image_shape))
            loss = cross_entropy(z, y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item() * len(batch))
        seconds = time.perf_counter() - begun
        yield network, n_weights, schedule.get_last_lr()[0], sum(losses) / len(X), seconds


def images_of(x, image_shape):
    """Return rows of pixels as images (n, channels, height, width) in PyTorch's faster format."""
    return torch.from_numpy(x.reshape(-1, *image_shape)).permute(0, 3, 1, 2)


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
