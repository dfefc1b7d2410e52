"""Damage: bytes changed blindly, and members exchanged, lost or added without new checksums."""

from .writer import Member, npy, pack, zip_bytes


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
