"""Reference implementations of the kernels, in plain, dense NumPy.

Read this file first. The tests compare each compiled kernel with its twin here, which has the same name and arguments
and returns what the kernel writes; a comment names the file of the kernels that follow. These are the only functions of
the package that make arrays of ``fan_out × fan_in``; only tests and examples call them.
"""

import numpy as np
from scipy.special import expit, xlogy

from truesparse.kernels.length_three import PATHS_WITHIN, UNITS
from truesparse.kernels.losses import ABSOLUTE, BINARY, HUBER, POISSON, SQUARED


def dense_weight(data, indices, indptr, fan_in):
    """Return the dense (fan_out, fan_in) matrix of CSR arrays."""
    weight = np.zeros((indptr.size - 1, fan_in), dtype=data.dtype)
    weight[rows_of(indptr), indices] = data
    return weight


def rows_of(indptr):
    """Return the row of every slot of a CSR pattern."""
    return np.repeat(np.arange(indptr.size - 1), np.diff(indptr))


def _all_rows(features, x, fan_in):
    inputs = np.zeros((fan_in, x.shape[1]), dtype=x.dtype)
    inputs[features] = x
    return inputs


# forward.py
def forward(data, indices, indptr, bias, x, slope, factors=1):
    """Return factors · f(W · x + bias), and where the sums are positive; (fan_out, batch) each."""
    return activate(dense_weight(data, indices, indptr, x.shape[0]) @ x + bias[:, None], slope, factors)


def forward_sparse_inputs(data, indices, indptr, bias, features, x, fan_in, slope, factors=1):
    """Return the same for inputs whose rows are zero except those of the given features."""
    return forward(data, indices, indptr, bias, _all_rows(features, x, fan_in), slope, factors)


def activate(z, slope, factors=1):
    """Return factors · f(z) for a piecewise-linear f, and where z is positive."""
    return factors * np.where(z > 0, z, slope * z), z > 0


# backward.py
def backward(data, indices, indptr, delta, x, derivative, factors=1):
    """Return the gradients of the stored weights and of the biases, and the errors of the inputs x of one layer."""
    errors = input_errors(data, indices, indptr, delta, derivative, factors)
    return weight_gradient(indices, indptr, delta, x), delta.sum(axis=1), errors


def backward_sparse_inputs(indices, indptr, delta, features, x, fan_in):
    """Return the gradient of the stored weights for inputs whose rows are zero except those of the given features."""
    return weight_gradient(indices, indptr, delta, _all_rows(features, x, fan_in))


def errors_of_products(d, derivative, factors=1):
    """Return d · factors · derivative, and its sum over the batch: the gradient of the biases."""
    errors = d * factors * derivative
    return errors, errors.sum(axis=1)


def weight_gradient(indices, indptr, delta, x):
    """Return the gradient delta · xᵀ at the stored pairs."""
    return (delta @ x.T)[rows_of(indptr), indices]  # (nnz,)


def input_errors(data, indices, indptr, delta, derivative, factors=1):
    """Return (Wᵀ · delta) · factors · derivative, for the derivative of the activation that gave the inputs."""
    products = dense_weight(data, indices, indptr, derivative.shape[0]).T @ delta  # (fan_in, batch)
    return errors_of_products(products, derivative, factors)[0]


# srelu.py
def srelu(z, unit_params):
    """Return f(z) for sums (n_units, batch) and parameters (4, n_units)."""
    t_l, a_l, w, a_r = unit_params[:, :, None]
    t_r = t_l + np.abs(w)
    return np.where(z > t_r, t_r + a_r * (z - t_r), np.where(z < t_l, t_l + a_l * (z - t_l), z))


def srelu_errors(d, z, unit_params):
    """Return ∂L/∂z, and the gradient of the parameters, (4, n_units), from d = ∂L/∂f."""
    t_l, a_l, w, a_r = unit_params[:, :, None]
    t_r = t_l + np.abs(w)
    left, right = z < t_l, z > t_r
    by_t_l, by_a_l = np.where(right, 1 - a_r, left * (1 - a_l)), left * (z - t_l)
    by_w, by_a_r = right * np.sign(w) * (1 - a_r), right * (z - t_r)
    gradient = np.stack([(d * df).sum(axis=1) for df in (by_t_l, by_a_l, by_w, by_a_r)])
    return d * np.where(right, a_r, np.where(left, a_l, 1)), gradient


# dropout.py
def key_of_step(key, step):
    """Return the random number of a key with the index `step`."""
    return number(key, step)


def silence(a, first_row, key, threshold, factor):
    """Return factor · a where activations are kept, else 0; `first_row` is that of the unit a[0]."""
    return a * factor * draw(key, range(first_row, first_row + len(a)), a.shape[1], threshold)


def draw(key, rows, batch, threshold):
    """Return which activations are kept, (n_rows, batch) bool."""
    kept = np.empty((len(rows), batch), dtype=bool)
    for place, row in enumerate(rows):
        for lane in range(batch):
            kept[place, lane] = (number(key, (row << 32) + lane // 4) >> 16 * (lane % 4)) % 2**16 >= threshold
    return kept


def number(key, index):
    """Return SplitMix64's number with this index, as an int."""
    x = (key + index * 0x9E3779B97F4A7C15) % 2**64
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
    return x ^ x >> 31


# paths.py
def mark_inputs(indptr, indices, on_path):
    """Return the inputs, as indices, of the units that are on a path."""
    return np.unique(indices[on_path[rows_of(indptr)] == 1])


def transpose(indptr, indices, units):
    """Return the rows, the columns and the slots of the entries of some rows, column by column."""
    rows = rows_of(indptr)
    slots = np.flatnonzero(np.isin(rows, units))
    slots = slots[np.lexsort((rows[slots], indices[slots]))]
    return rows[slots], indices[slots], slots


# update.py
def all_finite(values):
    """Return whether there is neither NaN nor infinity."""
    return np.isfinite(values).all()


def sgd_step(params, gradient, velocity, learning_rate, momentum, nesterov, alpha, n_penalised, tiny):
    """Return new parameters and velocity."""
    g = gradient + alpha * np.where(np.arange(params.size) < n_penalised, params, 0)
    v = flush(momentum * velocity - learning_rate * g, tiny)
    step = momentum * v - learning_rate * g if nesterov else v
    return flush(params + step, tiny), v


def adam_step(params, gradient, mean, square, step_size, beta1, beta2, root_eps, alpha, n_penalised, tiny):
    """Return new parameters, mean and mean square of the gradients."""
    g = gradient + alpha * np.where(np.arange(params.size) < n_penalised, params, 0)
    m = flush(beta1 * mean + (1 - beta1) * g, tiny)
    v = flush(beta2 * square + (1 - beta2) * g**2, tiny)
    return flush(params - step_size * m / (np.sqrt(v) + root_eps), tiny), m, v


def flush(values, tiny):
    """Return the values, subnormal ones replaced by zero."""
    return np.where(np.abs(values) < tiny, 0, values)


# select.py
def k_smallest(scores, k):
    """Return a mask of the k smallest, the first ones among equals."""
    chosen = np.zeros(scores.size, dtype=bool)
    chosen[np.argsort(scores, kind="stable")[:k]] = True
    return chosen


def nth_absent(ranks, keys, n_pairs):
    """Return the absent keys out of ``range(n_pairs)`` that have the given ranks."""
    return np.setdiff1d(np.arange(n_pairs), keys)[ranks]


# rewire.py

FINE, TWICE, PRESENT = range(3)


def split_keys(keys, fan_in, n_rows):
    """Return ``indptr`` and ``indices`` of the pattern with some sorted keys."""
    return np.append(0, np.cumsum(np.bincount(keys // fan_in, minlength=n_rows))), keys % fan_in


def without(indptr, indices, dropped):
    """Return ``indptr`` and ``indices`` of the pattern without the marked slots."""
    n_kept = np.bincount(rows_of(indptr)[~dropped], minlength=indptr.size - 1)
    return np.append(0, np.cumsum(n_kept)), indices[~dropped]


def keys_of(indptr, indices, chosen, fan_in):
    """Return row · fan_in + column of the chosen slots."""
    return (rows_of(indptr) * fan_in + indices)[chosen]


def clash(indptr, indices, fan_in, keys):
    """Return what is wrong with the first of some sorted keys that cannot be added to a pattern, or `FINE`."""
    present = np.isin(keys, keys_of(indptr, indices, slice(None), fan_in))
    wrong = np.flatnonzero(present | (np.diff(keys, prepend=-1) == 0))
    if wrong.size == 0:
        return FINE
    return PRESENT if present[wrong[0]] else TWICE


def replace(indptr, indices, dropped, fan_in, grown_keys):
    """Return ``indptr`` and ``indices`` after an update, and the old slot of each new one, −1 for grown pairs."""
    keys = keys_of(indptr, indices, slice(None), fan_in)
    new = np.union1d(keys[~dropped], grown_keys)
    source = np.where(np.isin(new, keys), np.searchsorted(keys, new), -1)
    return np.searchsorted(new, np.arange(indptr.size) * fan_in), new % fan_in, source


def carry(values, source):
    """Return the values at `source`, zero where it is negative."""
    return np.where(source < 0, 0, values[source])


# losses.py
def softmax_cross_entropy(z, target, smoothing):
    """Return probabilities minus smoothed targets, and −log p of the target, for outputs (n_classes, batch)."""
    p = np.exp(z - z.max(axis=0))
    p /= p.sum(axis=0)
    batch = np.arange(z.shape[1])
    losses = -np.log(p[target, batch])
    p[target, batch] -= 1 - smoothing
    return p - smoothing / len(z), losses


def losses_of_outputs(kind, parameter, z, values):
    """Return the loss of each sample and the gradient with respect to z, (n_outputs, batch), in float64."""
    z, t = np.asarray(z, dtype=np.float64), np.asarray(values, dtype=np.float64).T
    if kind == BINARY:
        return (np.logaddexp(0, z) - t * z).sum(axis=0), expit(z) - (1 - parameter) * t - parameter / 2
    if kind == POISSON:
        return (np.exp(z) - t + xlogy(t, t) - t * z).sum(axis=0), np.exp(z) - t
    size, within = np.abs(z - t), np.clip(z - t, -parameter, parameter)
    losses, gradient = {
        SQUARED: (size**2 / 2, z - t),
        ABSOLUTE: (size, np.sign(z - t)),
        HUBER: (np.abs(within) * (size - np.abs(within) / 2), within),
    }[kind]
    return losses.sum(axis=0), gradient


def weigh(gradient, losses, weights, batch):
    """Return the gradient times weights over the size of the batch, and the losses times weights."""
    return gradient * (weights / batch), losses * weights


# gather.py
def gather_dense(x, samples):
    """Return the chosen samples as columns."""
    return x[samples].T


def present_features(indices, indptr, samples):
    """Return the features that the chosen samples of a CSR matrix store, in the order of their appearance."""
    return np.array(list(dict.fromkeys(j for s in samples for j in indices[indptr[s] : indptr[s + 1]])))


def gather_csr(data, indices, indptr, samples, n_features):
    """Return the features that the chosen samples of a CSR matrix store, and the samples as columns of these."""
    features = np.unique(np.concatenate([indices[indptr[s] : indptr[s + 1]] for s in samples]))
    return features, dense_weight(data, indices, indptr, n_features)[samples].T[features]


# similarity.py
def add_to_sketch(a, units, shift, bucket, sign, width):
    """Return the count sketch of some shifted units over a batch, and their sums."""
    projection = np.zeros((a.shape[1], width))
    projection[np.arange(a.shape[1]), bucket] = sign
    shifted = a[units] - shift[:, None]
    return shifted @ projection, shifted.sum(axis=1)


def centre(signatures, shift, ones, normalised):
    """Return shifted signatures, and their lengths; 0 where they are constant or subnormal."""
    centred = signatures - np.outer(shift, ones).astype(signatures.dtype)
    squares = (centred.astype(np.float64) ** 2).sum(axis=1)
    least = np.maximum(
        1e-9 * (signatures.astype(np.float64) ** 2).sum(axis=1), float(np.finfo(signatures.dtype).tiny) ** 2
    )
    lengths = np.where(squares > least, np.sqrt(squares), 0)
    factors = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return centred * factors[:, None] if normalised else centred, lengths


def pair_products(rows, columns, vectors):
    """Return ⟨vectors_row, vectors_column⟩ for each pair."""
    return (vectors @ vectors.T)[rows, columns]


def top_absent_pairs(row_signatures, column_signatures, indices, indptr, k):
    """Return keys and scores of the k absent pairs with the largest |inner product|, ties by key, without zeros."""
    scores = np.abs(row_signatures @ column_signatures.T)  # (fan_out, fan_in)
    scores[rows_of(indptr), indices] = 0
    scores = scores.ravel()
    best = np.argsort(-scores, kind="stable")[:k]
    best = best[scores[best] > 0]
    return best, scores[best]


# cells.py
def top_absent_pairs_in_cells(row_signatures, column_signatures, indices, indptr, k):
    """Return all the pairs of which the kernel may miss a few: those of `top_absent_pairs`."""
    return top_absent_pairs(row_signatures, column_signatures, indices, indptr, k)


# products.py
def top_absent_products(row_factors, column_factors, indices, indptr, k):
    """Return keys and scores of the k absent pairs with the largest product, without zeros.

    Ties go to the row that comes first in the order of factors, then to the column that does.
    """
    rows, columns = (np.argsort(-factors, kind="stable") for factors in (row_factors, column_factors))
    scores = np.outer(row_factors / row_factors.max(), column_factors / column_factors.max())  # (fan_out, fan_in)
    scores[rows_of(indptr), indices] = 0
    scores = scores[rows][:, columns].ravel()
    best = np.argsort(-scores, kind="stable")[:k]
    best = best[scores[best] > 0]
    p, q = np.divmod(best, columns.size)
    return rows[p] * columns.size + columns[q], scores[best]


# length_three.py
def path_scores(indptr, indices, fan_in, kind):
    """Return the scores of all pairs, straight from the sets of the definition; zero where there is no path."""
    fan_out = indptr.size - 1
    of_row: list[set[int]] = [set() for _ in range(fan_out)]
    of_column: list[set[int]] = [set() for _ in range(fan_in)]
    for row, column in zip(rows_of(indptr).tolist(), indices.tolist(), strict=True):
        of_row[row].add(column)
        of_column[column].add(row)
    scores = np.zeros((fan_out, fan_in))
    for u, v in zip(*np.nonzero(dense_weight(np.ones(indices.size), indices, indptr, fan_in) == 0), strict=True):
        paths = [(z, y) for z in of_row[u] for y in of_column[z] & of_column[v]]
        columns, rows = {z for z, _ in paths}, {y for _, y in paths}
        column_share = {z: (1 + len(of_column[z] & rows), 1 + len(of_column[z] - rows - {u})) for z in columns}
        row_share = {y: (1 + len(of_row[y] & columns), 1 + len(of_row[y] - columns - {v})) for y in rows}
        if kind == UNITS:
            scores[u, v] = sum(
                inside / outside for share in (column_share, row_share) for inside, outside in share.values()
            )
            continue
        for z, y in paths:
            (inside_z, outside_z), (inside_y, outside_y) = column_share[z], row_share[y]
            within = inside_z * inside_y if kind == PATHS_WITHIN else 1
            scores[u, v] += np.sqrt(within / (outside_z * outside_y))
    return scores


def top_pairs_on_paths(indptr, indices, fan_in, k, kind):
    """Return keys of the absent pairs with the highest scores, the highest first."""
    scores = path_scores(indptr, indices, fan_in, kind).ravel()
    best = np.argsort(-scores, kind="stable")[:k]
    return best[scores[best] > 0]
