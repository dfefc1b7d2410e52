"""Arrays whose npy header is none, or not the declared one."""

import pickle

from .writer import npy, pack, zip_bytes


def hostile_header(honest, rng, files):
    """An array in a form that npy does not have, or that is not the declared one."""
    metadata, arrays = honest.parts()
    name = str(rng.choice(list(arrays)))
    array = arrays[name]
    dtype, shape = array.dtype.str, array.shape
    plain = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}"
    headers = {
        "nested": b"{" * 200 + b"}" * 200,
        "nested in brackets": b"(" * 400 + b")" * 400,
        "minus signs": b"{'descr': " + b"-" * 300 + b"1, 'fortran_order': False, 'shape': ()}",
        "10 MB": b"{'descr': '" + b"x" * (10 << 20) + b"'}",
        "60 kB": plain.encode() + b" " * 60_000 + b"}",
        "fortran order": f"{{'descr': {dtype!r}, 'fortran_order': True, 'shape': {shape}}}".encode(),
        "another shape": f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': (10**12,)}}".encode(),
        "a larger shape": f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': (1000000000000,)}}".encode(),
        "a negative shape": f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': (-1,)}}".encode(),
        "objects": f"{{'descr': '|O', 'fortran_order': False, 'shape': {shape}}}".encode(),
        "records": f"{{'descr': [('a', {dtype!r})], 'fortran_order': False, 'shape': {shape}}}".encode(),
        "a call": b"__import__('os').system('false')",
        "one more key": plain.encode() + b", 'more': 1}",
        "no keys": b"{}",
        "a key twice": plain.encode() + f", 'shape': {shape}}}".encode(),
        "not text": b"\xff" * 60,
        "null": plain.encode() + b"}\0",
        "empty": b"",
        "long integers": f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': ({'9' * 5000},)}}".encode(),
        "Python 2": plain.replace("(", "(").encode().replace(b",)", b"L,)") + b"}",
    }
    what = str(
        rng.choice([*headers, "version 2", "version 3", "version 9", "no magic", "column by column", "a pickle"])
    )
    if what in headers:
        data = npy(array, headers[what], version=(2, 0) if what == "10 MB" else (1, 0))
    elif what.startswith("version"):
        data = npy(array, version=(int(what[-1]), 0))
    elif what == "no magic":
        data = npy(array)[6:]
    elif what == "column by column":
        data = npy(array, order=True)
    else:
        data = pickle.dumps(array)
    return f"header: {what}", zip_bytes(pack(metadata, arrays, npys={name: data})), False
