"""How much faster is a truly sparse training step than a dense one whose weights are masked?

784-1000-1000-1000-10, epsilon 20, batch 128, SGD with momentum: one step is forward, loss, backward, update. The
dense baseline is what most sparse-training code does: full matrices in PyTorch, multiplied by 0/1 masks after every
step. Both take turns in one process; each row is a median over rounds, each round a mean over steps.

    python benchmarks/compare_dense.py [--threads 2] [--rounds 7] [--steps 20] [--csv FILE]

Needs torch: pip install "truesparse[benchmark]".
"""

import argparse
import time

import numpy as np
from _report import Table

from truesparse.activations import ACTIVATIONS
from truesparse.batches import BatchReader
from truesparse.initializers import FanIn, draw
from truesparse.losses import SoftmaxCrossEntropy
from truesparse.network import MLP, Workspace
from truesparse.optimizers import SGD
from truesparse.parallelism import threads
from truesparse.randomness import RandomStreams
from truesparse.topology import Pattern
from truesparse.topology.density import erdos_renyi, layer_shapes

SIZES = [784, 1000, 1000, 1000, 10]
BATCH = 128


def sparse_step(X, y, epsilon):
    """A function that makes one training step of ours, and the number of weights."""
    streams = RandomStreams(0)
    shapes = layer_shapes(SIZES)
    patterns = [
        Pattern.sample(shape, nnz, streams("topology", layer), balanced=True)
        for layer, (shape, nnz) in enumerate(zip(shapes, erdos_renyi(shapes, epsilon), strict=True))
    ]
    network = MLP.from_patterns(patterns, ACTIVATIONS["relu"])
    for layer, pattern in zip(network.layers, patterns, strict=True):
        layer.data[:] = draw(FanIn(), pattern, slice(None), streams("weights"))
    loss, sgd = SoftmaxCrossEntropy(), SGD()
    state = sgd.init(network.params)
    reader, workspace, delta = BatchReader(X, BATCH), Workspace(network, BATCH), np.empty((10, BATCH), np.float32)
    samples = np.arange(BATCH)

    def step():
        z = network.forward(reader.read(samples), workspace)
        loss(z, y[samples], delta)
        network.backward(delta, workspace)
        sgd.step(network.params, network.gradient, state, learning_rate=0.01, n_weights=network.n_weights, n_steps=1)

    return step, network.n_weights


def masked_step(X, y, epsilon):
    """The same of a dense PyTorch network with masks."""
    import torch

    torch.manual_seed(0)
    layers, masks = [], []
    shapes = layer_shapes(SIZES)
    for layer, ((fan_out, fan_in), nnz) in enumerate(zip(shapes, erdos_renyi(shapes, epsilon), strict=True)):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
        pattern = Pattern.sample((fan_out, fan_in), nnz, RandomStreams(0)("topology", layer), balanced=True)
        mask = np.zeros((fan_out, fan_in), dtype=np.float32)
        mask[pattern.rows, pattern.indices] = 1
        masks.append(torch.from_numpy(mask))
    network = torch.nn.Sequential(*layers[:-1])
    linear = [module for module in network if isinstance(module, torch.nn.Linear)]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    loss_function = torch.nn.CrossEntropyLoss()
    inputs, targets = torch.from_numpy(X[:BATCH]), torch.from_numpy(y[:BATCH])

    def step():
        optimizer.zero_grad()
        loss_function(network(inputs), targets).backward()
        optimizer.step()
        with torch.no_grad():
            for module, mask in zip(linear, masks, strict=True):
                module.weight *= mask

    return step


def time_of(step, n_steps):
    """Mean seconds of a step after a short warm-up, so that threads of the other side have gone to sleep."""
    time.sleep(0.3)
    for _ in range(5):
        step()
    started = time.perf_counter()
    for _ in range(n_steps):
        step()
    return (time.perf_counter() - started) / n_steps


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--epsilon", type=float, default=20)
    parser.add_argument("--csv")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((BATCH, SIZES[0]), dtype=np.float32)
    y = rng.integers(10, size=BATCH)
    ours, n_weights = sparse_step(X, y, arguments.epsilon)
    theirs = masked_step(X, y, arguments.epsilon)
    times = {"truesparse": [], "torch, dense with masks": []}
    for _ in range(arguments.rounds):
        with threads(arguments.threads):
            times["truesparse"].append(time_of(ours, arguments.steps))
        times["torch, dense with masks"].append(time_of(theirs, arguments.steps))
    table = Table({"training step": 24, "weights": 8, "threads": 7, "ms, median": 10, "range": 16}, arguments.csv)
    rows = [(name, np.array(values) * 1e3) for name, values in times.items()]
    rows.append(("times faster", rows[1][1] / rows[0][1]))
    for name, values in rows:
        table.row(
            **{
                "training step": name,
                "weights": n_weights,
                "threads": arguments.threads,
                "ms, median": f"{np.median(values):.2f}",
                "range": f"{values.min():.2f} to {values.max():.2f}",
            }
        )


if __name__ == "__main__":
    main()
