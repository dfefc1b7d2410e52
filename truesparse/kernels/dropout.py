"""Dropout: which activations are kept in a step.

A unit is silenced for a sample with a given probability, and multiplied by 1 / (1 − probability) otherwise. The draws
need no array of random numbers, and no generator with a state: whether the activation of a unit (row r) for a sample
(column s of the batch) is kept depends on four of 64 random bits, which SplitMix64 makes from a counter,

    key_t = hash(key + t)   for step t,      number = hash(key_t + γ · (2³² · r + ⌊s / 4⌋)),
    kept  = bits 16 (s mod 4) to 16 (s mod 4) + 15 of the number are not below the threshold

so the draws are the same for every number of threads, and however a batch is divided. SplitMix64 passes the tests of
BigCrush with consecutive counters (Steele, Lea & Flood, 2014), and takes some ten vector instructions for 32 samples.
The probability is a multiple of 2⁻¹⁶: threshold / 2¹⁶.

Kernels take ``dropout``, a tuple (key_t, threshold, factor), and leave one bit per activation in ``kept`` for the
backward pass. `truesparse.kernels.forward` draws for activations that it applies itself, and draws nothing for units
that it skips; `silence` is for the others.
"""

from truesparse.kernels import table as fields
from truesparse.kernels.draws import draw, moved, number_in_python, where_kept
from truesparse.kernels.jit import serial
from truesparse.kernels.lanes import CHUNK, load, store


def key_of_step(key, step, column=0):
    """Return key_t, uint64, for a uint64 key; with a column, a multiple of four, draws begin with those for it."""
    return moved(number_in_python(key, step), column)


@serial
def silence(layer, a, kept, dropout, stride, width, n_tiles):
    """a ← dropout(a) in the rows of a layer; arguments as for `truesparse.kernels.forward.forward`."""
    key, threshold, factor = dropout
    for tile in range(n_tiles):
        column, keeps = tile * len(width) * CHUNK, fields.of_tile(kept, tile, n_tiles)
        for row in range(layer[fields.OUTPUTS], layer[fields.OUTPUTS] + layer[fields.FAN_OUT]):
            offset, bits = row * stride + column, row * len(width)
            draw(key, row, column, threshold, keeps, bits, width)
            store(a, offset, where_kept(load(a, offset, width), factor, keeps, bits))
