"""Streams of given numbers and layers to fill, for the tests of grow rules."""

import numpy as np

from truesparse.evolution.rules import Vacancy
from truesparse.kernels import reference
from truesparse.topology import Pattern


class Stream:
    """Given activations, in batches, as `truesparse.evolution.signals.ActivationStream` gives a network's."""

    first_output = 1

    def __init__(self, layers, batch_size=32):
        self.layers, self.batch_size = [np.ascontiguousarray(layer) for layer in layers], batch_size
        self.layer_sizes = [len(layer) for layer in layers]
        self.n_samples = layers[0].shape[1]
        self.dtype = layers[0].dtype
        self.places = np.arange(self.n_samples)

    def reduce(self, array):
        return array

    def of_features(self, features):
        """As `truesparse.evolution.signals.ActivationStream.of_features`."""
        return Stream([self.layers[0][features], *self.layers[1:]], self.batch_size)

    def __iter__(self):
        for start in range(0, self.n_samples, self.batch_size):
            yield [np.ascontiguousarray(layer[:, start : start + self.batch_size]) for layer in self.layers]


def no_subset(stream):
    return lambda n_samples: stream


def similarity(a, z, centred):
    """The dense matrix of |cos|, (fan_out, fan_in), that the search never makes."""
    a, z = a.astype(np.float64), z.astype(np.float64)
    if centred:
        a, z = a - a.mean(axis=1, keepdims=True), z - z.mean(axis=1, keepdims=True)
    norms = np.outer(np.linalg.norm(z, axis=1), np.linalg.norm(a, axis=1))
    return np.abs(np.divide(z @ a.T, norms, out=np.zeros(norms.shape), where=norms > 1e-9))


class Errors(Stream):
    """Given activations and errors, in batches, as `truesparse.evolution.signals.ErrorStream` gives a network's."""

    def __init__(self, layers, errors, batch_size=32):
        super().__init__(layers, batch_size)
        self.errors = errors

    def __iter__(self):
        for start in range(0, self.n_samples, self.batch_size):
            part = slice(start, start + self.batch_size)
            yield [[np.ascontiguousarray(array[:, part]) for array in arrays] for arrays in (self.layers, self.errors)]

    def of_features(self, features):
        return Errors([self.layers[0][features], *self.layers[1:]], self.errors, self.batch_size)

    def halves(self):
        """As `truesparse.evolution.signals.ErrorStream.halves`."""
        return tuple(
            Errors(
                [a[:, first::2] for a in self.layers],
                [delta[:, first::2] for delta in self.errors],
                self.batch_size,
            )
            for first in (0, 1)
        )


def vacancies_for(layers, rng, n_grow=25):
    result = []
    for index in range(len(layers) - 1):
        shape = len(layers[index + 1]), len(layers[index])
        result.append(Vacancy(index, Pattern.sample(shape, 100, rng), np.zeros(100, dtype=bool), n_grow))
    return result


def with_dropped(vacancy, keys):
    """The same vacancy after these absent pairs have been dropped from it too."""
    all_keys = np.sort(np.concatenate([vacancy.pattern.keys, keys]))
    before = Pattern.from_keys(all_keys, vacancy.pattern.shape)
    return Vacancy(vacancy.layer, before, np.isin(all_keys, keys), vacancy.n_grow)


def best_keys(scores, vacancy, n):
    rows = reference.rows_of(vacancy.pattern.indptr)
    scores = scores.copy()
    scores[rows, vacancy.pattern.indices] = -1
    return set(np.argsort(-scores, axis=None, kind="stable")[:n].tolist())


def keys_of(edges, vacancy):
    rows, columns = edges
    return set((rows * vacancy.pattern.shape[1] + columns).tolist())
