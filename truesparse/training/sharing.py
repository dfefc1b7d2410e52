"""How many threads work on a training step, and what they share.

The work of a step is counted in products of a parameter and a sample. Launching threads costs some microseconds, in
which one thread makes some hundred thousand products. Whatever is chosen, the results have the same bytes.

| samples of a batch | products of a step | threads share |
|---|---|---|
| more than 64 | at least 2²¹ | the tiles of the batch, in two launches a step |
| up to 64 | at least 2²² | the rows of each layer, in a launch for each layer and pass |
| any, and more than 2²² parameters | | the rows: a gradient for each tile would take too much memory |
| any | fewer | nothing: one thread does all the work |
"""

from truesparse.kernels.lanes import PART

_LEAST_WORK = 2**21
_LEAST_WORK_BY_ROWS = 2**22
_MOST_COPIED = 2**22  # parameters


def useful_threads(n_params: int, batch_size: int, most: int) -> int:
    """Return how many of `most` threads make a training fastest: one or all."""
    least = _LEAST_WORK if batch_size > PART else _LEAST_WORK_BY_ROWS
    return most if n_params * batch_size >= least else 1


def least_batch(n_params: int) -> int:
    """Return the smallest batch size from which several threads make a training faster."""
    by_rows = -(-_LEAST_WORK_BY_ROWS // n_params)
    return by_rows if by_rows <= PART else max(PART + 1, -(-_LEAST_WORK // n_params))


def shares_rows(n_params: int, batch_size: int, n_threads: int) -> bool:
    """Return whether threads share the rows of each layer, in steps that are not compiled as a whole."""
    return n_threads > 1 and (n_params > _MOST_COPIED or batch_size <= PART)
