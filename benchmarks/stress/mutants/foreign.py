"""Files that never were models."""

import gzip
import io
import pickle
from dataclasses import replace

import numpy as np

from .honest import Mutant
from .writer import npy, pack, zip_bytes


def foreign(honest, rng, files):
    """A file that never was a model."""
    contents = {
        "empty": lambda: b"",
        "text": lambda: b"This is not the model that you are looking for.\n" * int(rng.integers(1, 100)),
        "another's npz": lambda: _npz(np.savez, a=np.arange(5), b=np.ones((3, 3))),
        "the arrays, compressed": lambda: _npz(np.savez_compressed, **honest.parts()[1]),
        "the arrays": lambda: _npz(np.savez, **honest.parts()[1]),
        "an npz of objects": lambda: _npz(np.savez, a=np.array([{}, None], dtype=object)),
        "a pickle": lambda: pickle.dumps({"a": 1}),
        "gzip of the file": lambda: gzip.compress(honest.file),
        "random bytes": lambda: rng.bytes(int(rng.integers(1, 20_000))),
        "zeros": lambda: bytes(int(rng.integers(1, 20_000))),
        "an empty zip": lambda: zip_bytes([]),
        "only the metadata": lambda: zip_bytes(pack(*honest.parts())[:1]),
        "only metadata that declare nothing": lambda: zip_bytes(pack(honest.parts()[0], {})),
        "an npy": lambda: npy(np.arange(9)),
        "the file twice": lambda: honest.file + honest.file,
        "two files": lambda: files[0].file + files[1].file,
        "PK": lambda: b"PK\5\6" + bytes(18),
    }
    what = str(rng.choice(list(contents)))
    made = Mutant(honest, f"foreign: {what}", contents[what]())
    return replace(made, honest=files[1]) if what == "two files" else made


def _npz(save, **arrays):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()
