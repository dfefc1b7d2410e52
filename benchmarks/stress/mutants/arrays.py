"""Hostile arrays: not what they should be, with correct checksums."""

import numpy as np

from .writer import pack, zip_bytes


def hostile_array(honest, rng, files):
    """An array that is not what it should be, with correct checksums."""
    metadata, arrays = honest.parts()
    what = rng.choice(list(ARRAYS))
    suffixes, change, may_be_valid = ARRAYS[what]
    candidates = [name for name in arrays if name.endswith(suffixes) and arrays[name].size] or list(arrays)
    name = str(rng.choice(candidates))
    try:
        with np.errstate(all="ignore"):
            changed = np.asarray(change(arrays[name].copy(), rng))
    except (TypeError, ValueError, OverflowError):  # text into numbers: this file has no such array
        what, changed, may_be_valid = "no elements", arrays[name][:0], True
    arrays[name] = changed
    return f"array: {what}", zip_bytes(pack(metadata, arrays)), may_be_valid


def _put(array, rng, value):
    array.reshape(-1)[rng.integers(array.size)] = value
    return array


def _overflowing(indptr, rng):
    # The differences of neighbours overflow 32 bits, and look positive.
    middle = int(rng.integers(1, max(2, indptr.size - 1)))
    indptr[middle] = np.iinfo(indptr.dtype).min
    if middle + 1 < indptr.size - 1:
        indptr[middle + 1] = np.iinfo(indptr.dtype).max
    return indptr


def _swap(array, rng):
    flat = array.reshape(-1)
    i, j = rng.integers(flat.size, size=2)
    flat[[i, j]] = flat[[j, i]]
    return array


_INDICES, _INDPTR, _ANY = (".indices",), (".indptr",), ("",)
_FLOATS = (".data", ".weight", ".bias", "activation", "moment.mean", "moment.square", "moment.velocity", "params")
ARRAYS = {
    "index too large": (_INDICES, lambda a, r: _put(a, r, 10**6), True),
    "index at its bound": (_INDICES, lambda a, r: _put(a, r, 33), True),
    "index of all bits": (_INDICES, lambda a, r: _put(a, r, np.iinfo(a.dtype).max), False),
    "negative index": (_INDICES, lambda a, r: _put(a, r, -1 - int(r.integers(5))), False),
    "unsorted indices": (_INDICES, _swap, True),
    "reversed indices": (_INDICES, lambda a, r: a[::-1], True),
    "index twice": (_INDICES, lambda a, r: _put(a, r, a[r.integers(a.size)]), True),
    "indices of 64 bits": (_INDICES, lambda a, r: a.astype(np.int64), True),
    "indices of 16 bits": (_INDICES, lambda a, r: a.astype(np.int16), False),
    "unsigned indices": (_INDICES, lambda a, r: a.astype(np.uint32), False),
    "indices as floats": (_INDICES, lambda a, r: a.astype(float), False),
    "indptr not monotone": (_INDPTR, lambda a, r: _put(a, r, int(r.integers(-3, a[-1] + 4))), True),
    "indptr that overflows": (_INDPTR, _overflowing, False),
    "indptr swapped": (_INDPTR, _swap, True),
    "indptr too long": (_INDPTR, lambda a, r: np.append(a, a[-1]), True),
    "indptr of zeros": (_INDPTR, lambda a, r: a * 0, True),
    "indptr of 64 bits": (_INDPTR, lambda a, r: a.astype(np.int64), True),
    "indptr from one": (_INDPTR, lambda a, r: a + a.dtype.type(1), False),
    "NaN": (_FLOATS, lambda a, r: _put(a, r, np.nan), False),
    "infinity": (_FLOATS, lambda a, r: _put(a, r, -np.inf), False),
    "another weight": (_FLOATS, lambda a, r: _put(a, r, r.standard_normal()), True),
    "a huge weight": (_FLOATS, lambda a, r: _put(a, r, np.finfo(a.dtype).max), True),
    "a tiny weight": (_FLOATS, lambda a, r: _put(a, r, np.finfo(a.dtype).smallest_subnormal), True),
    "other precision": (_FLOATS, lambda a, r: a.astype(np.float32 if a.dtype == np.float64 else np.float64), False),
    "half precision": (_FLOATS, lambda a, r: a.astype(np.float16), False),
    "long precision": (_FLOATS, lambda a, r: a.astype(np.longdouble), False),
    "complex": (_FLOATS, lambda a, r: a.astype(complex), False),
    "history": (("history.",), lambda a, r: a, True),
    "NaN in the history": (
        ("train_loss", "learning_rate"), lambda a, r: _put(a, r, np.nan if a.dtype.kind == "f" else -1), True
    ),
    "counts below zero": (("nnz", "edges_replaced", "history.epoch"), lambda a, r: _put(a, r, -(10**6)), True),
    "names twice": (("classes", "feature_names"), lambda a, r: _put(a, r, a[0]), True),
    "names reversed": (("classes", "feature_names"), lambda a, r: a[::-1], True),
    "a surrogate in a name": (("classes", "feature_names"), lambda a, r: _put(a, r, "\ud800"), True),
    "a zero in a name": (("classes", "feature_names"), lambda a, r: _put(a, r, "a\0b"), True),
    "beyond Unicode": (
        ("classes", "feature_names"), lambda a, r: np.full(a.shape, 0x7FFFFFFF, dtype=np.uint32).view("<U1"), False
    ),
    "NaN as a class": (("classes",), lambda a, r: np.array([0.0, 1.0, np.nan])[-a.size :], False),
    "no elements": (_ANY, lambda a, r: a[:0], True),
    "one more": (_ANY, lambda a, r: np.append(a, a.reshape(-1)[:1]), True),
    "one less": (_ANY, lambda a, r: a[:-1], True),
    "no dimension": (_ANY, lambda a, r: a.reshape(-1)[0], True),
    "one more dimension": (_ANY, lambda a, r: a[None], False),
    "three dimensions": (_ANY, lambda a, r: a[None, None], False),
    "transposed": (_ANY, lambda a, r: a.T, True),
    "another byte order": (_ANY, lambda a, r: a.astype(a.dtype.newbyteorder(">")), True),
    "booleans": (_ANY, lambda a, r: a != a.reshape(-1)[0], True),
    "text": (_ANY, lambda a, r: a.astype(str), True),
    "bytes": (_ANY, lambda a, r: np.full(a.shape, b"abc"), False),
    "objects": (_ANY, lambda a, r: a.astype(object), False),
    "records": (_ANY, lambda a, r: a.view([("field", a.dtype)]), False),
    "dates": (_ANY, lambda a, r: np.full(a.shape, np.datetime64("2020-01-01")), False),
    "no bytes an element": (_ANY, lambda a, r: np.zeros(a.shape, "V0"), False),
}  # fmt: skip
