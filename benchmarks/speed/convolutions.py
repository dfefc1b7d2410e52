"""How fast are sparse convolutions, and up to which density are they faster than dense ones?

Four questions, each a table (`--only` picks one):

- `kernels`: GF/s of the forward pass of `SparseConv2d` (two operations per stored weight, place and sample) and of its
  backward pass (four: the gradients of weights and inputs), for layers of the three stages of a ResNet-20, beside sgemm
  of 512 × 512 × 512. Windows of 3 × 3, one tile of 32 samples, one thread;
- `step`: milliseconds of a forward and a backward pass of a whole ResNet-20 with 128 images of 32 × 32 × 3, beside
  PyTorch with dense weights; where ours stops being faster is the break-even density;
- `sparseprop`: the same beside the sparse convolutions of SparseProp (Nikdan et al., ICML 2023);
- `epoch`: seconds of an epoch of `SparseResNetClassifier.fit` at its defaults, and with the same density in all layers,
  beside the same training of a dense network in PyTorch: crops and flips, loss, backward pass and update. It is the
  second of two epochs of 12,800 images of noise, times 50,000 / 12,800.

For steps, the first and the last layer are full, and all others have the density of the row. A step is the two passes
and nothing else: no reading of data, no loss, no update. There PyTorch gets its images in two memory formats, and the
faster one counts. SparseProp chooses the faster of its two forms for each layer. An epoch has 50,000 images.

All contenders take turns in one process. Each figure is a median over rounds, and a ratio is the median of the rounds'
ratios. A round takes the fastest of the calls for `kernels`, and the mean of the calls for steps.

    python benchmarks/speed/convolutions.py [--only step] [--threads 2] [--rounds 7] [--csv PREFIX] [--quick]

Needs torch (pip install "truesparse[benchmark]") and sparseprop; what is not installed is left out.
"""

import argparse
import sys
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from truesparse import SparseResNetClassifier
from truesparse.kernels.jit import threads
from truesparse.network.architecture import Architecture
from truesparse.network.convolution import SparseConv2d
from truesparse.network.image_workspace import SAMPLES, ImageWorkspace
from truesparse.topology import Pattern
from truesparse.transforms import Compose, Crop, Flip

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _resnets import Batch, resnet_of, step_of
from _result_table import Table
from _turns import best_of, break_even, per_call, take_turns

STAGES = [(16, 32), (32, 16), (64, 8)]  # channels, rows and columns
KERNEL_DENSITIES = [0.01, 0.05, 0.1, 0.3, 1.0]
DENSITIES = [0.01, 0.05, 0.1, 0.3, 0.5, 1.0]
OURS, N_OUTPUTS, EPOCH = "truesparse", 10, 50_000


def passes_of(channels, side, density):
    """A forward and a backward pass of one layer, its number of weights, and the operations of the forward pass."""
    rng = np.random.default_rng(0)
    shape = channels, 9 * channels
    layer = SparseConv2d(Pattern.sample(shape, round(density * shape[0] * shape[1]), rng), (side, side))
    data, data_gradient = rng.standard_normal((2, layer.nnz), dtype=np.float32)
    bias, bias_gradient = np.zeros((2, channels), dtype=np.float32)
    layer.bind(data, bias, data_gradient, bias_gradient)
    workspace = ImageWorkspace((side, side, channels), N_OUTPUTS, SAMPLES, np.float32)
    x, z, delta, errors = (workspace.planes(name, layer.inputs(SAMPLES).shape) for name in ("x", "z", "dz", "dx"))
    for planes in (x, delta):
        inside = planes[:, :, 1:-1, 1:-1]  # the border remains zero
        inside[:] = rng.standard_normal(inside.shape, dtype=np.float32)
    products = workspace.room(16 * layer.nnz)
    passes = {
        "forward": lambda: layer.sums(x, z, bias=bias),
        "backward": lambda: layer.backward(delta, x, errors, products),
    }
    return passes, layer.nnz, 2 * layer.nnz * layer.places * SAMPLES


def compare_kernels(arguments, csv):
    a, b = np.random.default_rng(0).standard_normal((2, 512, 512), dtype=np.float32)
    out = np.empty_like(a)
    table = Table({"channels": 8, "image": 7, "density": 7, "weights": 7, "forward": 8, "backward": 8, "sgemm": 6,
                   "share of sgemm": 14}, csv)  # fmt: skip
    cases = [(*stage, density) for stage in STAGES for density in KERNEL_DENSITIES]
    for channels, side, density in cases[-2:-1] if arguments.quick else cases:
        passes, nnz, operations = passes_of(channels, side, density)
        functions = {**passes, "sgemm": lambda: np.matmul(a, b, out=out)}
        contenders = {name: lambda seconds, f=function: best_of(f, seconds) for name, function in functions.items()}
        with threads(1), threadpool_limits(1):
            times = take_turns(contenders, arguments.rounds, seconds=0.05)
        counts = {"forward": operations, "backward": 2 * operations, "sgemm": 2 * 512**3}
        rates = {name: counts[name] / times[name] / 1e9 for name in functions}
        table.row(
            **{
                "channels": channels,
                "image": f"{side}x{side}",
                "density": density,
                "weights": nnz,
                **{name: f"{np.median(values):.1f}" for name, values in rates.items()},
                "share of sgemm": " ".join(f"{np.median(rates[name] / rates['sgemm']):.2f}" for name in passes),
            }
        )


def compare_steps(arguments, csv, others):
    """Fill a table with a row for each density; `others` makes the steps of the other contenders. Return the ratios."""
    columns = {"density": 7, "weights": 7, "batch": 5, "threads": 7, "ms": 7, "epoch, s": 8, "other": 20,
               "other, ms": 9, "other epoch, s": 14, "ratio": 6, "ratio, range": 14}  # fmt: skip
    table, ratios = Table(columns, csv), []
    architecture = Architecture((8, 8, 3), 8, 16) if arguments.quick else Architecture((32, 32, 3), 20, 16)
    size = 32 if arguments.quick else 128
    batch = Batch(architecture.image_shape, N_OUTPUTS, size)
    for density in densities_of(arguments):
        network = resnet_of(architecture, N_OUTPUTS, density)
        with threads(arguments.threads), threadpool_limits(arguments.threads):
            steps = {OURS: step_of(network, batch), **others(network, batch)}
            contenders = {name: per_call(step) for name, step in steps.items()}
            take_turns(contenders, 1)  # compiles
            times = take_turns(contenders, arguments.rounds, seconds=0.01 if arguments.quick else 0.5)
        ours = times.pop(OURS)
        other = min(times, key=lambda name: np.median(times[name]), default=None)
        row = {
            "density": density,
            "weights": network.n_weights,
            "batch": size,
            "threads": arguments.threads,
            "ms": f"{np.median(ours) * 1e3:.1f}",
            "epoch, s": f"{np.median(ours) * -(-EPOCH // size):.1f}",
        }
        if other is not None:
            theirs = times[other]
            ratios.append(np.median(theirs / ours))
            row |= {
                "other": other,
                "other, ms": f"{np.median(theirs) * 1e3:.1f}",
                "other epoch, s": f"{np.median(theirs) * -(-EPOCH // size):.1f}",
                **ratio_cells(theirs / ours),
            }
        table.row(**dict.fromkeys(columns, "") | row)
    return ratios


def ratio_cells(ratios):
    """Return the median and the range of the rounds' ratios as cells of a row."""
    return {"ratio": f"{np.median(ratios):.2f}", "ratio, range": f"{ratios.min():.2f} to {ratios.max():.2f}"}


def densities_of(arguments):
    return [0.1, 1.0] if arguments.quick else DENSITIES


def compare_with_dense(arguments, csv):
    try:
        from _resnets_in_torch import dense_steps
    except ImportError as error:
        print(f"-- torch: left out, it cannot be imported ({error})", flush=True)
        compare_steps(arguments, csv, lambda network, batch: {})
    else:
        print(break_even(densities_of(arguments), compare_steps(arguments, csv, dense_steps)))


def compare_with_sparseprop(arguments, csv):
    try:
        from _resnets_in_torch import sparseprop_steps

        import_module("sparseprop")  # after PyTorch, whose OpenMP it then shares
    except ImportError as error:
        print(f"-- SparseProp: left out, it cannot be imported ({error})", flush=True)
    else:
        compare_steps(arguments, csv, sparseprop_steps)


def compare_epochs(arguments, csv):
    try:
        from _resnets_in_torch import dense_epochs
    except ImportError as error:
        print(f"-- torch: left out, it cannot be imported ({error})", flush=True)
        dense_epochs = None
    rng, shape, n = np.random.default_rng(0), (32, 32, 3), 128 if arguments.quick else 12_800
    X, y = rng.standard_normal((n, np.prod(shape)), dtype=np.float32), rng.integers(N_OUTPUTS, size=n)
    columns = {"distribution": 18, "weights": 7, "threads": 7, "epoch, s": 8, "torch, epoch, s": 15, "ratio": 6,
               "ratio, range": 14}  # fmt: skip
    table = Table(columns, csv)
    for distribution in ("erdos_renyi_kernel", "uniform"):
        model = SparseResNetClassifier(
            shape,
            depth=8 if arguments.quick else 20,
            distribution=distribution,
            batch_transform=Compose([Crop(shape, padding=4, fill="zeros"), Flip(shape)]),
            max_iter=2,
            random_state=0,
            n_jobs=arguments.threads,
        )
        contenders = {OURS: lambda _, model=model: model.fit(X, y).history_["seconds"][-1] * EPOCH / n}
        if dense_epochs:
            contenders["torch"] = lambda _, model=model: (
                [seconds for *_, seconds in dense_epochs(model, X, y, N_OUTPUTS)][-1] * EPOCH / n
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # nothing can be learnt from noise
            times = take_turns(contenders, arguments.rounds)
        row = {
            "distribution": distribution,
            "weights": sum(model.history_["nnz"][-1]),
            "threads": arguments.threads,
            "epoch, s": f"{np.median(times[OURS]):.1f}",
        }
        if dense_epochs:
            row |= {
                "torch, epoch, s": f"{np.median(times['torch']):.1f}",
                **ratio_cells(times["torch"] / times[OURS]),
            }
        table.row(**dict.fromkeys(columns, "") | row)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["kernels", "step", "sparseprop", "epoch"])
    parser.add_argument("--threads", type=int, default=2, help="of steps and epochs")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--csv", metavar="PREFIX", help="writes PREFIX_kernels.csv and so on")
    parser.add_argument("--quick", action="store_true", help="one layer, a small network, two rounds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds = 2
    questions = {"kernels": compare_kernels, "step": compare_with_dense, "sparseprop": compare_with_sparseprop,
                 "epoch": compare_epochs}  # fmt: skip
    for name, compare in questions.items():
        if arguments.only in (None, name):
            compare(arguments, arguments.csv and f"{arguments.csv}_{name}.csv")


if __name__ == "__main__":
    main()
