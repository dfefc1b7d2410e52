"""Hostile metadata: values that a file must not have, and false claims about the whole."""

import copy
import json

from .writer import pack, zip_bytes


class _Raw(str):
    """JSON text that is put in as it is."""


def hostile_metadata(honest, rng, files):
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
        what, value = VALUES[int(rng.integers(len(VALUES)))]
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
    *(("class", value) for value in ("MLPClassifier", "os.system", "object", "BaseSparseNetwork", "", None, 1,
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
