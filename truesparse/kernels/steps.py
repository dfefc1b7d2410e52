"""Many steps of training in one call: read a batch, forward, loss, backward, update of the parameters.

Between the steps of a small network, Python would take longer than the steps themselves. This loop makes the same
calls, in the same order, as the one of `truesparse.training.trainer`, and gives the same bytes; it goes on while
nothing else is due: no update of the topology, no callback.

A batch is divided into tiles of samples (see `lanes`), each of which goes through reading, both passes and the loss by
itself, so that its activations stay in the cache. Several threads share the tiles, with a vector of gradients for each
tile, and then add these up. That is two launches of threads a step, however many layers there are.
"""

from numba import prange

from truesparse.kernels import table as fields
from truesparse.kernels.backward import backward_part, bias_gradient_part
from truesparse.kernels.draws import number
from truesparse.kernels.forward import forward_part
from truesparse.kernels.gather import gather_chunk
from truesparse.kernels.jit import parallel
from truesparse.kernels.lanes import CHUNK
from truesparse.kernels.losses import SOFTMAX, losses_of_outputs_part, softmax_cross_entropy, weigh_part
from truesparse.kernels.parts import inner
from truesparse.kernels.update import BLOCK, adam_block, sgd_block


@inner
def _loss_of_tile(outputs, a, stride, column, n_lanes, batch, kind, parameter, classes, values, weights, losses):
    """Replace the sums of a tile by the gradient of the loss, and write the losses of its samples."""
    stop = max(column, min(batch, column + n_lanes))
    first = outputs[fields.OUTPUTS]
    rows = a.reshape((-1, stride))[first : first + outputs[fields.FAN_OUT]]
    rows[:, stop : column + n_lanes] = a.dtype.type(0)  # errors of lanes without a sample
    z, losses = rows[:, column:stop], losses[column:stop]
    if kind == SOFTMAX:
        softmax_cross_entropy(z, classes[column:stop], parameter, z, losses)
    else:
        losses_of_outputs_part(kind, parameter, z, values[column:stop], z, losses)
    weigh_part(z, losses, weights[column:stop], batch)


@inner
def _passes_of_tile(
    table, slopes, backward_slopes, params, gradient, a, masks, kept, dropout, stride, index, width, column, adds,
    x, rows, kind, parameter, classes, values, weights, losses,
):  # fmt: skip
    """Read the samples of one tile, and compute their losses and their share of the gradient."""
    n_layers, n_lanes = table.shape[0], len(width) * CHUNK
    for chunk in range(len(width)):
        gather_chunk(x, rows, a, table[0, fields.INPUTS], stride, column + chunk * CHUNK)
    for i in range(n_layers):
        forward_part(table[i], slopes[i], params, a, masks, kept, dropout, stride, True, index, width, column, 0, 1)
    outputs = table[n_layers - 1]
    _loss_of_tile(outputs, a, stride, column, n_lanes, rows.size, kind, parameter, classes, values, weights, losses)
    bias_gradient_part(outputs, gradient, a, stride, width, column, adds, 0, 1)
    for i in range(n_layers - 1, -1, -1):
        backward_part(
            table, backward_slopes, i, params, gradient, a, masks, kept, dropout[2], stride, True, index, width,
            column, adds, 0, 1,
        )  # fmt: skip


@parallel
def train_steps(
    table, slopes, backward_slopes, params, gradients, a, masks, kept, dropout, first_step, stride, index, width,
    n_tiles, x, rows, batch_size, kind, parameter, classes, values, weights, moments, squares, numbers, alpha,
    n_penalised, tiny, losses, n_parts,
):  # fmt: skip
    """Make a step for every row of `numbers`; `params`, `moments` and `squares` are updated in place.

    Parameters
    ----------
    table, slopes, params, a, masks, kept, stride, index, width, n_tiles : as for `truesparse.kernels.forward.forward`
    backward_slopes : `slopes` of `truesparse.kernels.backward.backward`
    gradients : (1, n_params), or (n_tiles, n_params) for several threads; zero for units that are on no path
    dropout : key of all steps, threshold, factor; see `truesparse.kernels.dropout`
    first_step : int, number of the first step, from which the draws of dropout follow
    x : (n_samples, n_features), C-contiguous
    rows : (at most n_steps · batch_size,) int64, in range: the rows of x of one step after the other
    kind, parameter : of the loss, see `truesparse.kernels.losses`
    classes, values : (rows.size,) integers for `SOFTMAX`, else (rows.size, n_outputs); the other one is of size 0
    weights : (rows.size,) float64, or of size 0
    moments, squares : (n_params,), of SGD the velocity and of size 0; of Adam the two moments
    numbers : (n_steps, 4), the scalars of `sgd_step` or `adam_step` from the learning rate on, to those before `alpha`
    alpha, n_penalised, tiny : as for `truesparse.kernels.update.adam_step`
    losses : (n_steps, batch_size) float64, overwritten by the loss of each sample
    n_parts : int, how many threads share a step; at most n_tiles, and 1 if there is one vector of gradients
    """
    key, threshold, factor = dropout
    n_lanes, n_buffers = len(width) * CHUNK, gradients.shape[0]
    for step in range(numbers.shape[0]):
        start, stop = step * batch_size, (step + 1) * batch_size
        own_rows, own_classes = rows[start:stop], classes[start:stop]
        own_values, own_weights = values[start:stop], weights[start:stop]
        drawn = number(key, first_step + step), threshold, factor
        for part in prange(n_parts):
            for tile in range(part * n_tiles // n_parts, (part + 1) * n_tiles // n_parts):
                _passes_of_tile(
                    table, slopes, backward_slopes, params, gradients[min(tile, n_buffers - 1)], a,
                    fields.of_tile(masks, tile, n_tiles), fields.of_tile(kept, tile, n_tiles), drawn,
                    stride, index, width, tile * n_lanes, tile > 0 and n_buffers == 1, x, own_rows, kind, parameter,
                    own_classes, own_values, own_weights, losses[step],
                )  # fmt: skip
        for block in prange((params.size + BLOCK - 1) // BLOCK):
            gradient = gradients[0]
            for buffer in range(1, n_buffers):
                for i in range(block * BLOCK, min((block + 1) * BLOCK, params.size)):
                    gradient[i] += gradients[buffer, i]
            if squares.size == 0:
                sgd_block(
                    block, params, gradient, moments, numbers[step, 0], numbers[step, 1], numbers[step, 2], alpha,
                    n_penalised, tiny,
                )  # fmt: skip
            else:
                adam_block(
                    block, params, gradient, moments, squares, numbers[step, 0], numbers[step, 1], numbers[step, 2],
                    numbers[step, 3], alpha, n_penalised, tiny,
                )  # fmt: skip
