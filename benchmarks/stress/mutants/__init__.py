"""Model files that are damaged or hostile, each made from an honest one, its number and nothing else.

`honest_files` makes three models and their files; `mutant` is one of endlessly many changed files. Some kinds only
damage bytes; others are written by a writer that lies where it likes and still gets all checksums right.
"""

import copy
import gzip
import hashlib
import io
import json
import pickle
import struct
import zipfile
import zlib
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

import truesparse
from truesparse import SparseMLPClassifier, SparseMLPRegressor, evolution
from truesparse.callbacks import Checkpoint
from truesparse.evolution import ImportancePruning
from truesparse.storage import read_archive
from truesparse.training import lr_schedules

# Honest files.


@dataclass
class Honest:
    """A model, its file, and data for it."""

    name: str
    file: bytes
    X: np.ndarray
    y: np.ndarray

    def __post_init__(self):
        with zipfile.ZipFile(io.BytesIO(self.file)) as archive:
            self._metadata = archive.read("metadata.json")
        self._arrays = read_archive(io.BytesIO(self.file))[1]

    def parts(self):
        """Metadata as in the file, and the arrays; both may be changed."""
        return json.loads(self._metadata), {name: array.copy() for name, array in self._arrays.items()}


class _Stop:
    def on_epoch_end(self, record):
        if record.epoch == 5:
            raise KeyboardInterrupt


@cache
def honest_files(folder):
    """A classifier, a regressor with a layer on BLAS, and a checkpoint with a best epoch."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((90, 33))
    names = np.array(["alder", "beech", "cédrat"])[(X @ rng.standard_normal((33, 3))).argmax(axis=1)]
    common = {"max_iter": 4, "update_every": 2, "random_state": 0}
    files = []

    def saved(name, model, y):
        file = io.BytesIO()
        truesparse.save(model, file)
        files.append(Honest(name, file.getvalue(), X, y))

    classifier = SparseMLPClassifier(
        (20, 15), epsilon=3, activation="srelu", unit_pruning=ImportancePruning(), **common
    )
    saved("classifier", classifier.fit(X, names), names)

    regressor = SparseMLPRegressor((70, 65), evolution="dense", solver="sgd", dtype="float64", **common).fit(
        X, X[:, :2]
    )
    regressor.feature_names_in_ = np.array([f"feature {index}" for index in range(33)], dtype=object)
    saved("regressor", regressor, X[:, :2])

    path = f"{folder}/checkpoint.npz"
    rules = evolution.Evolution(grow=evolution.OMP(), schedule=evolution.Constant(drop_fraction=0.2, update_every=3))
    unfinished = SparseMLPClassifier(
        (25,), evolution=rules, learning_rate=lr_schedules.Step(), early_stopping=True,
        callbacks=[Checkpoint(path), _Stop()], **common | {"max_iter": 9, "update_every": None},
    )  # fmt: skip
    try:
        unfinished.fit(X, (X[:, :2] > 0).astype(int))
    except KeyboardInterrupt:
        with open(path, "rb") as file:
            files.append(Honest("checkpoint", file.read(), X, (X[:, :2] > 0).astype(int)))
    assert any(name.startswith("best.") for name in files[-1].parts()[1])
    return files


# A writer that does as it is told.


@dataclass
class Member:
    """A member of a zip; what is not told is computed."""

    name: bytes
    data: bytes
    method: int = 0
    flags: int = 0
    crc: int | None = None
    size: int | None = None
    compressed: int | None = None
    extra: bytes = b""
    at: int | None = None  # the offset that the directory says
    local_name: bytes | None = None
    written: bool = True
    stored: bytes | None = None  # in place of the data, already compressed


def zip_bytes(members, comment=b"", n_members=None, directory_at=None):
    """A zip with these members."""
    body, directory = bytearray(), bytearray()
    for member in members:
        crc = zlib.crc32(member.data) if member.crc is None else member.crc
        stored = member.data if member.stored is None else member.stored
        if member.stored is None and member.method == zipfile.ZIP_DEFLATED:
            deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
            stored = deflate.compress(member.data) + deflate.flush()
        size = len(member.data) if member.size is None else member.size
        compressed = len(stored) if member.compressed is None else member.compressed
        at = len(body) if member.at is None else member.at
        common = struct.pack("<HHHHIII", member.flags, member.method, 0, 33, crc, compressed, size)
        if member.written:
            name = member.name if member.local_name is None else member.local_name
            body += b"PK\3\4" + struct.pack("<H", 20) + common + struct.pack("<HH", len(name), 0) + name + stored
        directory += b"PK\1\2" + struct.pack("<HH", 0x0314, 20) + common
        directory += struct.pack("<HHHHHII", len(member.name), len(member.extra), 0, 0, 0, 0, at)
        directory += member.name + member.extra
    n_members = len(members) if n_members is None else n_members
    directory_at = len(body) if directory_at is None else directory_at
    end = struct.pack("<HHHHIIH", 0, 0, n_members, n_members, len(directory), directory_at, len(comment))
    return bytes(body + directory) + b"PK\5\6" + end + comment


def npy(array, header=None, version=(1, 0), order=False):
    """An array as NumPy writes it, or with another header."""
    array = np.asarray(array)
    if header is None:
        header = repr({"descr": array.dtype.str, "fortran_order": order, "shape": array.shape}).encode()
    length = "<H" if version == (1, 0) else "<I"
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    if len(header) >= 1 << 16 and length == "<H":
        header = header[: (1 << 16) - 1]
    data = pickle.dumps(array) if array.dtype.hasobject else array.tobytes(order="F" if order else "C")
    return b"\x93NUMPY" + bytes(version) + struct.pack(length, len(header)) + header + data


def declare(array):
    """What the metadata say of an array."""
    data = pickle.dumps(array) if array.dtype.hasobject else np.ascontiguousarray(array).tobytes()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": hashlib.sha256(data).hexdigest()}


def pack(metadata, arrays, text=None, npys=None, redeclare=True):
    """Members of a file with these parts, all checksums right; `npys` replaces members by other bytes."""
    if redeclare:
        metadata = metadata | {"arrays": {name: declare(array) for name, array in arrays.items()}}
    text = json.dumps(metadata).encode() if text is None else text
    written = {name: npy(array) for name, array in arrays.items()} | (npys or {})
    return [Member(b"metadata.json", text), *(Member(f"{name}.npy".encode(), data) for name, data in written.items())]


# Mutants.


@dataclass
class Mutant:
    """A changed file: where it comes from, what was done, and whether that may have left another valid model."""

    honest: Honest
    what: str
    file: bytes
    may_be_valid: bool = False


def mutant(files, index, seed=0):
    """The mutant with this number."""
    rng = np.random.default_rng([seed, index])
    kind, table = KINDS[index % len(KINDS)]
    honest = files[index // len(KINDS) % len(files)]
    made = kind(honest, rng, files) if table is None else kind(honest, rng, table)
    return made if isinstance(made, Mutant) else Mutant(honest, *made)


def _span(rng, n, most):
    begin = int(rng.integers(n))
    return begin, min(n, begin + int(rng.integers(1, most)))


def damaged(honest, rng, files):
    """Bytes changed without a thought."""
    file = bytearray(honest.file)
    what = rng.choice(["truncated", "bit", "bit", "bit", "bit in a header", "bytes", "lost sector", "cut out", "twice",
                       "before", "after", "before and after"])  # fmt: skip
    if what == "truncated":
        del file[int(rng.integers(len(file))) :]
    elif what == "bit":
        file[rng.integers(len(file))] ^= 1 << int(rng.integers(8))
    elif what == "bit in a header":  # local headers, npy headers, the directory and its end
        places = [place for mark in (b"PK\3\4", b"PK\1\2", b"PK\5\6", b"\x93NUMPY") for place in _all(file, mark)]
        place = int(rng.choice(places)) + int(rng.integers(100))
        file[min(place, len(file) - 1)] ^= 1 << int(rng.integers(8))
    elif what == "bytes":
        for place in rng.integers(len(file), size=rng.integers(2, 40)):
            file[place] = rng.integers(256)
    elif what == "lost sector":
        begin, end = _span(rng, len(file), 4096)
        file[begin:end] = bytes(end - begin)
    elif what == "cut out":
        begin, end = _span(rng, len(file), 512)
        del file[begin:end]
    elif what == "twice":
        begin, end = _span(rng, len(file), 512)
        file[begin:begin] = file[begin:end]
    if what.startswith("before"):
        file[:0] = rng.bytes(int(rng.integers(1, 5000)))
    if what.endswith("after"):
        file += rng.bytes(int(rng.integers(1, 5000)))
    return f"damaged: {what}", bytes(file)


def _all(file, mark):
    place = file.find(mark)
    while place >= 0:
        yield place
        place = file.find(mark, place + 1)


def exchanged(honest, rng, files):
    """Members exchanged, changed, lost or added; checksums of the zip right, those of the metadata as they were."""
    metadata, arrays = honest.parts()
    names = list(arrays)
    one, other = rng.choice(names, 2, replace=False)
    what = rng.choice(
        ["two arrays swapped", "of another file", "a value", "missing", "added", "twice", "renamed", "order"]
    )
    npys = {name: npy(array) for name, array in arrays.items()}
    extra = []
    if what == "two arrays swapped":
        npys[one], npys[other] = npys[other], npys[one]
    elif what == "of another file":
        _, arrays_there = files[int(rng.integers(len(files)))].parts()
        common = [name for name in names if name in arrays_there]
        name = rng.choice(common or names)
        npys[name] = npy(arrays_there.get(name, arrays[one]))
    elif what == "a value":
        changed = bytearray(npys[one])
        changed[rng.integers(128, len(changed)) if len(changed) > 128 else -1] ^= 1
        npys[one] = bytes(changed)
    elif what == "missing":
        del npys[one]
    elif what == "added":
        extra.append(Member(b"more.npy", npys[one]))
    elif what == "twice":
        extra.append(Member(f"{one}.npy".encode(), npys[one]))
    elif what == "renamed":
        npys[f"{one}_"] = npys.pop(one)
    members = pack(metadata, {}, npys=npys, redeclare=False) + extra
    if what == "order":
        rng.shuffle(members)
    return f"exchanged: {what}", zip_bytes(members)


def hostile_array(honest, rng, table):
    """An array that is not what it should be, with correct checksums."""
    metadata, arrays = honest.parts()
    what = rng.choice(list(table))
    suffixes, change, may_be_valid = table[what]
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


class _Raw(str):
    """JSON text that is put in as it is."""


def hostile_metadata(honest, rng, table):
    """A part of the metadata that is not what it should be, with correct checksums."""
    metadata, arrays = honest.parts()
    # Most places are in the declarations of arrays, and most of the rest in the network.
    within = str(rng.choice(["parameters", "parameters", "fitted", "fitted", "arrays", ""]))
    places = [place for place in _places(metadata) if place[0] == within or (not within and len(place) == 1)]
    place = places[int(rng.integers(len(places)))]
    *path, key = place
    parent = metadata
    for step in path:
        parent = parent[step]
    what = rng.choice(["value", "value", "value", "value", "missing", "unknown key", "twice"])
    if what == "missing":
        del parent[key]
    elif what == "unknown key":
        (parent if isinstance(parent, dict) else metadata)["unknown"] = 1
    elif what == "twice":
        text = json.dumps(metadata)
        name = json.dumps(str(key))
        text = text.replace(f"{name}:", f"{name}: 0, {name}:", 1)
        return "metadata: twice", zip_bytes(pack(metadata, arrays, text.encode(), redeclare=False)), True
    else:
        what, value = table[int(rng.integers(len(table)))]
        if callable(value):
            value = value(parent[key])
        parent[key] = "@raw@" if isinstance(value, _Raw) else value
        text = json.dumps(metadata)
        if isinstance(value, _Raw):
            text = text.replace('"@raw@"', value)
        return f"metadata: {what}", zip_bytes(pack(metadata, arrays, text.encode(), redeclare=False)), True
    return f"metadata: {what}", zip_bytes(pack(metadata, arrays, redeclare=False)), True


def _places(content, path=()):
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in pairs:
        yield (*path, key)
        yield from _places(value, (*path, key))


def _one_off(value):
    return value + 1 if isinstance(value, int | float) else f"{value}_" if isinstance(value, str) else [value]


VALUES = [
    ("true for a value", True),
    ("null", None),
    ("zero", 0),
    ("minus one", -1),
    ("one off", _one_off),
    ("a fraction", 0.5),
    ("2**31", 2**31),
    ("2**62", 2**62),
    ("2**63", 2**63),
    ("10**12", 10**12),
    ("a number of 400 digits", 10**400),
    ("a number of 5000 digits", _Raw("9" * 5000)),
    ("1e400", _Raw("1e400")),
    ("NaN", _Raw("NaN")),
    ("minus infinity", _Raw("-Infinity")),
    ("infinity as text", "inf"),
    ("NaN as text", "nan"),
    ("NaN as a rule", {"type": "float", "value": "nan"}),
    ("infinity as a rule", {"type": "float", "value": "-inf"}),
    ("text", "abc"),
    ("no text", ""),
    ("a lone surrogate", "\ud800"),
    ("text of 300 kB", "x" * 300_000),
    ("a list", [1, 2]),
    ("no list", []),
    ("a list of lists", [[1, [2]], []]),
    ("an object", {"a": 1}),
    ("no object", {}),
    ("100,000 numbers", [0] * 100_000),
    ("30,000 keys", {str(index): 0 for index in range(30_000)}),
    ("nested 50 deep", _Raw("[" * 50 + "]" * 50)),
    ("nested 900 deep", _Raw("[" * 900 + "]" * 900)),
    ("nested 200,000 deep", _Raw("[" * 200_000 + "]" * 200_000)),
    ("tuples nested 300 deep", _Raw('{"type":"tuple","items":[' * 300 + "]}" * 300)),
    ("a tuple", {"type": "tuple", "items": [1, "a", None]}),
    ("a tuple of one", {"type": "tuple", "items": [7]}),
    ("a name only", {"type": "not stored", "name": "os.system"}),
    ("os.system", {"type": "os.system", "fields": {"command": "false"}}),
    ("builtins.eval", {"type": "builtins.eval", "fields": {}}),
    ("a hidden name", {"type": "evolution.__class__", "fields": {}}),
    ("a kind that is a list", {"type": ["evolution.Random"], "fields": {}}),
    ("a rule", {"type": "evolution.Magnitude", "fields": {}}),
    ("a rule with a class for a field", {"type": "evolution.Evolution", "fields": {"grow": "evolution.Random"}}),
    ("a rule with null for a field", {"type": "evolution.Evolution", "fields": {"prune": None, "grow": None}}),
    ("a rule with text for a field", {"type": "evolution.Constant", "fields": {"drop_fraction": "0.3"}}),
    ("a rule with a list for a field", {"type": "evolution.Constant", "fields": {"update_every": []}}),
    ("a rule with the wrong rules", {"type": "evolution.Evolution", "fields": {
        "prune": {"type": "evolution.Random", "fields": {}}, "grow": {"type": "evolution.Magnitude", "fields": {}}}}),
    ("a rule with a huge field", {"type": "evolution.CosineAnnealing", "fields": {"update_every": 10**30}}),
    ("a rule of itself", {"type": "evolution.Mixed", "fields": {"first": {"type": "evolution.Mixed", "fields": {}}}}),
    ("an activation", {"type": "activation.AllReLU", "fields": {"slope": "steep"}}),
    ("another activation", {"type": "activation.PiecewiseLinear", "fields": {}}),
    ("an initializer", {"type": "initializer.FanIn", "fields": {"gain": {"type": "float", "value": "nan"}}}),
    ("a schedule", {"type": "learning_rate.Step", "fields": {"at": 3}}),
    ("a first topology", {"type": "topology.SNIP", "fields": {"n_samples": "all"}}),
]  # fmt: skip


def targeted(honest, rng, files):
    """Lies about the whole: versions, classes, shapes, declarations."""
    metadata, arrays = honest.parts()
    changed = copy.deepcopy(metadata)
    what, value = TARGETS[int(rng.integers(len(TARGETS)))]
    text = None
    if what == "text":
        what, text = value[0], value[1](json.dumps(metadata).encode())
    elif what == "layers":
        layers = changed["fitted"]["network"]["layers"]
        layer = layers[int(rng.integers(len(layers)))]
        layer["shape"][int(rng.integers(2))] = value
        what = f"shape of a layer with {value!r:.30}"
    elif what == "both layers":
        layers = changed["fitted"]["network"]["layers"]
        middle = int(rng.integers(len(layers) - 1))
        layers[middle]["shape"][0] = layers[middle + 1]["shape"][1] = value
        what = f"units of a layer {value!r:.30}"
    elif what == "inputs":
        changed["fitted"]["network"]["layers"][0]["shape"][1] = value
        what = f"number of inputs {value!r:.30}"
    elif what == "no layers":
        changed["fitted"]["network"]["layers"] = []
    elif what in ("dtype", "shape", "sha256"):
        name = str(rng.choice(list(arrays)))
        changed["arrays"][name][what] = value
        what = f"declared {what} {value!r:.30}"
    else:
        changed[what] = value
        what = f"{what} {value!r:.30}"
    return f"targeted: {what}", zip_bytes(pack(changed, arrays, text, redeclare=False)), True


TARGETS = [
    *(("version", value) for value in ([2, 0], [0, 9], [1], [1, 0, 0], [True, 0], ["1", 0], [1.0, 0], None, "1.0",
                                       [10**30, 0], [1, 10**30], [1, -1])),
    *(("class", value) for value in ("MLPClassifier", "os.system", "object", "BaseSparseMLP", "", None, 1,
                                     "SparseMLPRegressor", "SparseMLPClassifier")),
    *(("format", value) for value in ("other", None, ["truesparse"])),
    *(("fitted", value) for value in (None, {}, [], "yes", True)),
    *(("parameters", value) for value in (None, {}, [], {"callbacks": []}, {"callbacks": None}, {"__class__": 1},
                                          {"self": 1}, {"hidden_layer_sizes": [10**12]})),
    *(("arrays", value) for value in (None, {}, [], {"a": 1})),
    *(("data", value) for value in (None, 1, "", "0" * 64)),
    *(("libraries", value) for value in (None, {}, [], {"truesparse": "999.0"}, {"numpy": {"a": [1] * 1000}})),
    *((where, value) for where in ("layers", "both layers", "inputs")
      for value in (0, -1, 1, True, 2**31, 2**32, 10**12, 2**62, 2**63, 10**30, 1.0, "3", None, [1])),
    ("no layers", None),
    *(("dtype", value) for value in ("<f4", "<f8", ">f4", "|O", "O", "object", "|V8", "<U0", "<U1", "<U999999999",
                                     "<i8", "<M8[ns]", "f4", "<f3", "<b1", "|b1", "|S5", "<c8", "", None,
                                     [["a", "<f4"]], "<f4,<f4", "<iü", "<U1e3", "<f4\0", "|i1", "<u4")),
    *(("shape", value) for value in ([10**12], [10**12, 10**12], [-1], [-5, -5], [0], [], [0, 10**30], [True], [1.0],
                                     ["3"], None, 3, [2**64, 0], [[3]], [1, 1, 1], [2**63], [2**32, 2**32])),
    *(("sha256", value) for value in (None, "", "0" * 64, 0, ["a"])),
    *(("text", value) for value in (
        ("empty", lambda text: b""),
        ("not JSON", lambda text: b"{" + text),
        ("not UTF-8", lambda text: text.replace(b'"seed"', b'"se\xff\xfed"')),
        ("UTF-16", lambda text: text.decode().encode("utf-16")),
        ("UTF-8 with a mark", lambda text: b"\xef\xbb\xbf" + text),
        ("a list", lambda text: b"[" + text + b"]"),
        ("a number", lambda text: b"1"),
        ("twice", lambda text: text + text),
        ("spaces", lambda text: text + b" " * 10**6),
        ("a huge string", lambda text: text[:-1] + b', "unknown": "' + b"x" * (3 << 20) + b'"}'),
        ("beyond what is allowed", lambda text: text[:-1] + b', "unknown": "' + b"x" * (17 << 20) + b'"}'),
        ("many empty lists", lambda text: text[:-1] + b', "unknown": [' + b"[]," * 10**6 + b"0]}"),
        ("many empty lists in libraries", lambda text: text.replace(
            b'"libraries": {', b'"libraries": {"more": [' + b"[]," * 10**6 + b"0],", 1)),
        ("wide text", lambda text: text[:-1] + b', "unknown": "' + ("x" * 10**6 + "\U0001f33f").encode() + b'"}'),
        ("a number of a million digits", lambda text: text[:-1] + b', "unknown": ' + b"9" * 10**6 + b"}"),
        ("nested a million deep", lambda text: text[:-1] + b', "unknown": ' + b"[" * 10**6 + b"]" * 10**6 + b"}"),
    )),
]  # fmt: skip


@cache
def _deflated_zeros(size):
    """An array of zeros, compressed: its bytes, its CRC and what the metadata say of it."""
    start = npy(np.zeros(0, np.uint8), f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({size},)}}".encode())
    deflate, crc, digest, chunk = (
        zlib.compressobj(9, zlib.DEFLATED, -15),
        zlib.crc32(start),
        hashlib.sha256(),
        bytes(1 << 24),
    )
    stored = [deflate.compress(start) + deflate.flush(zlib.Z_FULL_FLUSH)]
    again = deflate.compress(chunk) + deflate.flush(zlib.Z_FULL_FLUSH)  # refers to nothing before it
    for _ in range(size // len(chunk)):
        stored.append(again)
        crc = zlib.crc32(chunk, crc)
        digest.update(chunk)
    declared = {"dtype": "|u1", "shape": [size], "sha256": digest.hexdigest()}
    return b"".join([*stored, deflate.flush()]), crc, len(start) + size, declared


def bomb(name, size=1 << 30):
    """A small member that becomes a large one, and what the metadata say of it."""
    stored, crc, length, declared = _deflated_zeros(size)
    return Member(name, b"", method=zipfile.ZIP_DEFLATED, stored=stored, crc=crc, size=length,
                  compressed=len(stored)), declared  # fmt: skip


def hostile_zip(honest, rng, files):
    """A zip that lies about itself."""
    metadata, arrays = honest.parts()
    members = pack(metadata, arrays)
    index = int(rng.integers(1, len(members)))
    member = members[index]
    what = rng.choice(["compressed", "all compressed", "a bomb", "a declared bomb", "a stored bomb", "overlapping",
                       "one for two", "absolute", "parent", "backslash", "folder", "null in a name", "encrypted",
                       "strongly encrypted", "descriptor", "zip64 lie", "zip64 offset", "size lie",
                       "compressed size lie", "crc lie", "directory lie", "count lie", "comment", "offset lie",
                       "negative zip64", "local name", "method 99", "bzip2", "lzma", "patched", "not written",
                       "utf-8 name", "metadata compressed", "50,000 members"])  # fmt: skip
    comment, n_members, directory_at = b"", None, None
    if what == "compressed":
        member.method = zipfile.ZIP_DEFLATED
    elif what == "all compressed":
        for each in members:
            each.method = zipfile.ZIP_DEFLATED
    elif what == "a bomb":
        members[index] = bomb(member.name)[0]
    elif what == "a declared bomb":
        bombed, declared = bomb(member.name)
        metadata["arrays"] = {name: declare(array) for name, array in arrays.items()}
        metadata["arrays"][member.name.decode()[:-4]] = declared
        members = pack(metadata, arrays, redeclare=False)
        members[index] = bombed
    elif what == "a stored bomb":
        members[index], metadata["arrays"][member.name.decode()[:-4]] = bomb(member.name)
        members[index].method = 0
        members = [*pack(metadata, arrays, redeclare=False)[:index], members[index], *members[index + 1 :]]
    elif what == "overlapping":
        member.at = max(0, int(rng.integers(200)))
    elif what == "one for two":
        members[index] = replace(member, data=members[index - 1].data, at=0, written=False)
    elif what in ("absolute", "parent", "backslash", "folder", "null in a name"):
        forms = {
            "absolute": b"/%s",
            "parent": b"../%s",
            "backslash": b"..\\%s",
            "folder": b"a/%s",
            "null in a name": b"%s\0x",
        }
        member.name = forms[what] % member.name
    elif what == "encrypted":
        member.flags = 1
    elif what == "strongly encrypted":
        member.flags = 0x41
    elif what == "descriptor":
        member.flags = 8
    elif what == "patched":
        member.flags = 0x20
    elif what == "utf-8 name":
        member.flags, member.name = 0x800, b"\xff" + member.name
    elif what == "zip64 lie":
        member.size = member.compressed = 0xFFFFFFFF
        member.extra = struct.pack("<HHQQ", 1, 16, 2**40, 2**40)
    elif what == "negative zip64":
        member.size = member.compressed = 0xFFFFFFFF
        member.extra = struct.pack("<HHQQ", 1, 16, 2**64 - 1, 2**64 - 1)
    elif what == "zip64 offset":
        member.at = 0xFFFFFFFF
        member.extra = struct.pack("<HHQ", 1, 8, 2**63 + 5)
    elif what == "size lie":
        member.size = int(rng.integers(2**31))
    elif what == "compressed size lie":
        member.compressed = int(rng.integers(len(member.data)))
    elif what == "crc lie":
        member.crc = int(rng.integers(2**32))
    elif what == "directory lie":
        directory_at = int(rng.integers(2**32))
    elif what == "count lie":
        n_members = int(rng.integers(2**16))
    elif what == "comment":
        comment = rng.bytes(int(rng.integers(1, 60000)))
    elif what == "offset lie":
        member.at = int(rng.integers(2**32))
    elif what == "local name":
        member.local_name = b"else.npy"
    elif what in ("method 99", "bzip2", "lzma"):
        member.method = {"method 99": 99, "bzip2": 12, "lzma": 14}[what]
    elif what == "not written":
        member.written = False
    elif what == "metadata compressed":
        members[0].method = zipfile.ZIP_DEFLATED
    elif what == "50,000 members":
        members += [Member(b"%d.npy" % number, b"", at=0, written=False) for number in range(50_000)]
    return f"zip: {what}", zip_bytes(members, comment, n_members, directory_at), what == "comment"


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


# Kinds, in turns; None stands for a kind that wants to see the honest files.
KINDS = [(damaged, None)] * 8 + [(exchanged, None)] * 2 + [(hostile_array, ARRAYS)] * 4
KINDS += [(hostile_metadata, VALUES)] * 4 + [(targeted, None)] * 3 + [(hostile_zip, None)] * 2
KINDS += [(hostile_header, None), (foreign, None)]
