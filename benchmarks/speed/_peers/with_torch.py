"""PyTorch: all weights, weights times masks, and CSR."""

import numpy as np
import torch

from .base import Peer


class Torch(Peer):
    """PyTorch with all weights; `layer` makes the module of a layer."""

    sparse = False

    def __init__(self, task):
        super().__init__(task)
        torch.manual_seed(task.seed)
        torch.set_num_threads(task.threads)
        self.layers, modules = [self.layer(weight) for weight in task.weights], []
        for layer in self.layers:
            modules += [layer, torch.nn.ReLU(), torch.nn.Dropout(task.dropout)]
        self.network = torch.nn.Sequential(*modules[:-2])
        self.loss = torch.nn.CrossEntropyLoss()
        groups = [{"params": [p for name, p in self.network.named_parameters() if name.endswith("bias") == is_bias],
                   "weight_decay": 0 if is_bias else task.alpha} for is_bias in (False, True)]  # fmt: skip
        self.optimizer = torch.optim.Adam(groups, lr=task.learning_rate, fused=True)  # PyTorch's fastest
        self.X, self.y = torch.from_numpy(task.X), torch.from_numpy(task.y)

    def layer(self, weight):
        """Return a dense layer that begins with these weights, csr_array (fan_out, fan_in)."""
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(self.first_values(weight)))
            linear.bias.zero_()
        return linear

    def first_values(self, weight):
        """Return first weights (fan_out, fan_in): of all pairs, drawn like the sparse ones for more inputs."""
        bound = np.sqrt(6 / weight.shape[1])
        return self.rng.uniform(-bound, bound, weight.shape).astype(np.float32)

    def step(self, samples):
        """See `Peer`."""
        self.optimizer.zero_grad()
        self.loss(self.network(self.X[samples]), self.y[samples]).backward()
        self.update()

    def update(self):
        """Make a step of the optimiser."""
        self.optimizer.step()

    def predict_proba(self, X):
        """See `Peer`."""
        self.network.eval()
        with torch.no_grad():
            probabilities = torch.softmax(self.network(torch.from_numpy(X)), dim=1).numpy()
        self.network.train()
        return probabilities


class TorchMasked(Torch):
    """Dense weights that are multiplied by masks after each step, as most code for sparse training does it."""

    sparse = True

    def __init__(self, task):
        super().__init__(task)
        self.masks = [torch.from_numpy((w.toarray() != 0).astype(np.float32)) for w in task.weights]

    def first_values(self, weight):
        """Return the weights with zeros for absent pairs."""
        return weight.toarray()

    def update(self):
        """Make a step of the optimiser, and set absent weights to zero."""
        self.optimizer.step()
        with torch.no_grad():
            for layer, mask in zip(self.layers, self.masks, strict=True):
                layer.weight *= mask


class TorchCSR(Torch):
    """Weights as ``torch.sparse_csr`` tensors in ``torch.sparse.mm``.

    Of this product, a CSR tensor that is a leaf gets a CSR gradient; of ``F.linear`` and ``@`` it gets one of dense
    size. A CSR tensor made from a parameter of values in each step is several times slower. Adam refuses CSR tensors,
    so it gets their values and the values of their gradients.
    """

    sparse = True

    def layer(self, weight):
        """Return a sparse layer."""

        class Linear(torch.nn.Module):
            def __init__(self):
                super().__init__()
                parts = (torch.tensor(part) for part in (weight.indptr, weight.indices, weight.data))
                self.matrix = torch.sparse_csr_tensor(*parts, size=weight.shape)
                self.values = torch.nn.Parameter(self.matrix.values())  # the same memory
                self.matrix.requires_grad_()
                self.bias = torch.nn.Parameter(torch.zeros(weight.shape[0]))

            def forward(self, x):
                return torch.sparse.mm(self.matrix, x.T).T + self.bias

        return Linear()

    def update(self):
        """Make a step of the optimiser with the values of the gradients."""
        for layer in self.layers:
            layer.values.grad = layer.matrix.grad.values()
            layer.matrix.grad = None
        self.optimizer.step()
