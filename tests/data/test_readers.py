"""Chunks from folders, Parquet and SVMLight files, and from arrays by slices; what is wrong with a file is named."""

import gzip
import re
import sys

import numpy as np
import pytest
from helpers import assert_same_run
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.datasets import dump_svmlight_file

from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.data import Chunks
from truesparse.data.stored_array import stored_array

SMALL = {"hidden_layer_sizes": (20, 15), "epsilon": 4, "max_iter": 3, "update_every": 5, "random_state": 0}
N, SIZES = 90, [30, 7, 25, 28]
PARTS = [slice(end - size, end) for size, end in zip(SIZES, np.cumsum(SIZES).tolist(), strict=True)]


@pytest.fixture
def data(rng):
    X = rng.normal(size=(N, 5)).astype(np.float32)
    X[np.abs(X) < 0.5] = 0
    X[0, 0] = 1.5  # no file lacks the first feature as a whole
    return X, (X.sum(axis=1) > 0).astype(int)


# Folders.


@pytest.mark.parametrize(
    "names",
    [("X_{}.npy", "y_{}.npy"), ("{}.X.npy", "{}.y.npy"), ("x{}.npy", "y{}.npy"), ("box {}-X.npy", "box {}-y.npy")],
)
def test_a_folder_of_pairs(names, data, tmp_path):
    X, y = data
    for k, part in enumerate(PARTS):
        np.save(tmp_path / names[0].format(k), X[part])
        np.save(tmp_path / names[1].format(k), y[part])
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / ".hidden").write_text("")
    for source in (Chunks(tmp_path), Chunks(str(tmp_path), window=2)):
        assert_array_equal(source.rows(np.arange(N)), X)
        assert_array_equal(source.target, y)


def test_a_folder_of_archives_in_the_order_of_their_names(data, tmp_path):
    X, y = data
    for k, part in reversed(list(enumerate(PARTS))):
        np.savez(tmp_path / f"{k}.npz", X=X[part], y=y[part])
    assert_array_equal(Chunks(tmp_path).rows(np.arange(N)), X)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "holds no chunks"),
        (["notes.txt"], "holds 'notes.txt'; files with .npz, .npy, .parquet"),
        (["a.npz", "more.npz/"], "holds 'more.npz'"),
        (["X_0.npy"], "holds 'X_0.npy', but no 'y_0.npy'"),
        (["X_0.npy", "y_0.npy", "y_1.npy"], "holds 'y_1.npy'; the features are in files such as X_03.npy"),
        (["box.npy"], "holds 'box.npy'; the features"),
    ],
)
def test_folders_that_hold_something_else_are_refused(names, message, tmp_path):
    for name in names:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=re.escape(message)):
        Chunks(tmp_path)


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Chunks(tmp_path / "nowhere")


# Arrays in files, read into a window.


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int64, bool, ">f4"])
@pytest.mark.parametrize("kind", ["npy", "npz", "compressed", "columns", "x"])
def test_every_stored_array_is_read(kind, dtype, tmp_path, rng):
    """Whether into the window at once, with a conversion, or by numpy.load."""
    X, y = rng.integers(0, 2, size=(3000, 40)).astype(dtype), np.arange(3000)
    X = np.asfortranarray(X) if kind == "columns" else X
    items = []
    for k in range(3):
        part, path = slice(1000 * k, 1000 * (k + 1)), tmp_path / f"{k}.npz"
        of_part = np.asfortranarray(X[part]) if kind == "columns" else X[part]
        if kind == "npy":
            path = (tmp_path / f"X{k}.npy", tmp_path / f"y{k}.npy")
            np.save(path[0], of_part)
            np.save(path[1], y[part])
        else:
            save = np.savez_compressed if kind == "compressed" else np.savez
            save(path, **{"x" if kind == "x" else "X": of_part, "y": y[part]})
        items.append(path)
    assert (stored_array(items[0]) is None) == (kind in ("compressed", "columns") or dtype == ">f4")
    source = Chunks(items, window=2)
    assert_array_equal(source.rows(np.arange(3000)), X.astype(np.float32))


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_a_stored_array_that_changes_is_refused(kind, tmp_path, rng):
    X, y = rng.random((1000, 40)), np.arange(1000) % 2
    path = tmp_path / f"0.{kind}"

    def save(X):
        if kind == "npz":
            np.savez(path, X=X, y=y[: len(X)])
        else:
            np.save(path, X)
            np.save(tmp_path / "y.npy", y[: len(X)])

    save(X)
    source = Chunks([(path, tmp_path / "y.npy") if kind == "npy" else path])
    assert_allclose(source.rows(np.arange(1000)), X, rtol=1e-6)
    for change, message in (
        (lambda: save(np.where(np.arange(40) == 39, np.inf, X)), "X of chunk 0 holds NaN or infinity"),
        (lambda: save(X * 1e300), "X of chunk 0 holds NaN or infinity"),
        (lambda: save(X[:-1]), "chunk 0 has 999 samples, but had 1000 at first"),
        (lambda: save(X[:, :-1]), r"X of chunk 0 has shape \(1000, 39\)"),
        (lambda: (save(X), path.write_bytes(path.read_bytes()[:20_000])), "chunk 0, .*, holds no X and y"),
        (path.unlink, "chunk 0, .*, cannot be read"),
    ):
        change()
        source.release()
        with pytest.raises((ValueError, OSError), match=message):
            source.rows(np.arange(1))


# Parquet.


@pytest.fixture
def parquet(data, tmp_path):
    """Write parts as Parquet files, with changed columns; return their folder."""
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    from pyarrow import parquet as files

    X, y = data

    def write(change=lambda k, columns: columns):
        for k, part in enumerate(PARTS):
            columns = {f"f{j}": X[part, j] for j in range(5)} | {"label": y[part]}
            files.write_table(pyarrow.table(change(k, columns)), tmp_path / f"{k}.parquet", row_group_size=10)
        return tmp_path

    return write


def test_parquet_is_the_array(parquet, data):
    X, y = data
    source = Chunks(parquet(), target="label", window=4)
    assert_array_equal(source.rows(np.arange(N)), X)
    assert_array_equal(source.target, y)
    settings = SMALL | {"shuffle": False, "evolution": "static", "update_every": None}
    assert_same_run(SparseMLPClassifier(**settings).fit(source), SparseMLPClassifier(**settings).fit(X, y))


@pytest.mark.parametrize("kind", ["str", "categorical", "bool", "float"])
def test_targets_of_parquet_may_be_text_and_more(kind, parquet, data):
    pyarrow = pytest.importorskip("pyarrow")
    y = {"str": np.array(["no", "yes"]), "categorical": np.array(["no", "yes"]), "bool": np.array([False, True])}.get(
        kind, np.array([0.5, 2.5])
    )[data[1]]

    def change(k, columns):
        labels = pyarrow.array(y[PARTS[k]])
        return columns | {"label": labels.dictionary_encode() if kind == "categorical" else labels}

    source = Chunks(parquet(change), target="label")
    assert_array_equal(source.target, y)
    if kind == "str":
        model = SparseMLPClassifier(**SMALL).fit(source)
        assert_array_equal(model.classes_, ["no", "yes"])
        assert set(model.predict(data[0])) <= {"no", "yes"}


def test_columns_of_parquet_are_found_by_name(parquet, data):
    """In the order of the first file, with several targets, of several types of numbers."""
    X, y = data

    def change(k, columns):
        columns = {name: columns[name] for name in sorted(columns, reverse=k % 2 == 1)}
        return columns | {"other": np.arange(len(columns["label"])), "f1": columns["f1"].astype(np.float64)}

    source = Chunks(parquet(change), target=["other", "label"], window=1)
    assert_array_equal(source.rows(np.arange(N)), X)
    assert_array_equal(source.target[:, 1], y)
    assert source.target.shape == (N, 2)
    SparseMLPRegressor(**SMALL).fit(source)
    assert Chunks(parquet(change), target="label", dtype="float64").rows(np.arange(1)).dtype == np.float64


def at_2(change):
    return lambda k, columns: change(columns) if k == 2 else columns


def _missing(columns, name):
    import pyarrow

    values = columns[name].tolist()
    values[3] = None
    return columns | {name: pyarrow.array(values)}


BAD = {
    "no target": (at_2(dict), None, r"chunk 0, .*0\.parquet.*target=None must name the column of the targets, one of"),
    "another target": (at_2(dict), "class", r"chunk 0, .*target='class' must name the column"),
    "fewer columns": (
        at_2(lambda c: {name: c[name] for name in list(c)[1:]}), "label", r"chunk 2, .*columns of the features are",
    ),
    "another column": (at_2(lambda c: c | {"g": c["f0"]}), "label", r"chunk 2, .*columns of the features are .*'g'"),
    "text": (at_2(lambda c: c | {"f1": ["a"] * 25}), "label", "chunk 2, .*'f1' holds string; features must be numbers"),
    "missing": (at_2(lambda c: _missing(c, "f1")), "label", "X of chunk 2 holds NaN"),
    "missing target": (at_2(lambda c: _missing(c, "label")), "label", "chunk 2, .*'label' has 1 missing targets"),
    "nan": (at_2(lambda c: c | {"f1": np.full(25, np.nan)}), "label", "X of chunk 2 holds NaN"),
    "nan target": (at_2(lambda c: c | {"label": np.full(25, np.nan)}), "label", "y of chunk 2 holds NaN"),
    "overflow": (at_2(lambda c: c | {"f1": np.full(25, 1e300)}), "label", "X of chunk 2 holds NaN or infinity"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_parquet_that_does_not_fit_is_named(bad, parquet):
    change, target, message = BAD[bad]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        Chunks(parquet(change), target=target)


def test_a_truncated_parquet_file_is_named(parquet):
    folder = parquet()
    path = folder / "2.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises((ValueError, OSError), match=r"chunk 2, .*2\.parquet"):
        Chunks(folder, target="label")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "0.parquet").write_bytes(b"")
    with pytest.raises(ImportError, match=r"chunk 0, .*0\.parquet.*: pip install pyarrow"):
        Chunks(tmp_path, target="label")


# SVMLight.


def svmlight(folder, data, suffix=".svm", zero_based=False):
    X, y = data
    for k, part in enumerate(PARTS):
        path = folder / f"{k}{suffix}"
        dump_svmlight_file(X[part], y[part], str(path), zero_based=zero_based)
        if suffix.endswith(".gz"):
            path.write_bytes(gzip.compress(path.read_bytes()))
    return folder


@pytest.mark.parametrize("suffix", [".svm", ".svmlight", ".libsvm", ".svm.gz"])
@pytest.mark.parametrize("zero_based", [False, True])
def test_svmlight_is_the_csr_matrix(zero_based, suffix, data, tmp_path):
    X, y = data
    svmlight(tmp_path, data, suffix, zero_based)
    source = Chunks(tmp_path, n_features=7, zero_based=zero_based, window=2)
    assert source.is_sparse
    assert_allclose(source.rows(np.arange(N)).toarray(), np.pad(X, ((0, 0), (0, 2))), rtol=1e-6)
    assert_array_equal(source.target, y)
    SparseMLPClassifier(**SMALL).fit(source)


@pytest.mark.parametrize(
    ("written", "options", "message"),
    [
        (False, {}, "chunk 0, .*n_features=None: give the number of features"),
        (True, {"n_features": 5}, "there is a feature 0, but features count from 1; give zero_based=True"),
        (
            False,
            {"n_features": 5, "zero_based": True},
            "a feature 5, more than n_features=5 allows; with zero_based=False",
        ),
        (False, {"n_features": 4}, "chunk 0, .*a feature 5, more than n_features=4 allows"),
    ],
)
def test_svmlight_needs_the_number_of_features(written, options, message, data, tmp_path):
    svmlight(tmp_path, data, zero_based=written)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        Chunks(tmp_path, **options)


@pytest.mark.parametrize("line", ["1 2:x", "1 3:1 2:1", "word 1:1", "1 -2:3", "1 2:nan"])
def test_a_line_that_is_damaged_names_the_chunk(line, data, tmp_path):
    svmlight(tmp_path, data)
    path = tmp_path / "2.svm"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match="chunk 2"):
        Chunks(tmp_path, n_features=5)


# Slices of arrays.


class Lazy:
    """An object with len and slices, and no more."""

    def __init__(self, array):
        self.array, self.read = array, []

    def __len__(self):
        return len(self.array)

    def __getitem__(self, part):
        self.read.append(part)
        return self.array[part]


def _zarr(array, path):
    zarr = pytest.importorskip("zarr", reason="Zarr arrays need zarr")
    stored = zarr.open(str(path), mode="w", shape=array.shape, dtype=array.dtype, chunks=(20, *array.shape[1:]))
    stored[:] = array
    return stored


def _hdf5(array, path):
    h5py = pytest.importorskip("h5py", reason="HDF5 files need h5py")
    return h5py.File(path, "w").create_dataset("data", data=array, chunks=(20, *array.shape[1:]))


def _mapped(array, path):
    np.save(path.with_suffix(".npy"), array)
    return np.load(path.with_suffix(".npy"), mmap_mode="r")


ARRAYS = {
    "array": lambda array, path: array,
    "lazy": lambda array, path: Lazy(array),
    "list": lambda array, path: array.tolist(),
    "mapped": _mapped,
    "mapped columns": lambda array, path: _mapped(np.asfortranarray(array), path),
    "csr": lambda array, path: csr_array(array) if array.ndim == 2 else array,
    "zarr": _zarr,
    "hdf5": _hdf5,
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_slices_are_the_array(kind, data, tmp_path):
    X, y = data
    stored = ARRAYS[kind](X, tmp_path / "X"), ARRAYS[kind](y, tmp_path / "y")
    source = Chunks.from_arrays(*stored, rows=25, window=2)
    rows = source.rows(np.arange(N))
    assert_array_equal(rows.toarray() if source.is_sparse else rows, X)
    assert_array_equal(source.target, y)
    assert source._starts.tolist() == [0, 25, 50, 75, 90]
    models = [SparseMLPClassifier(**SMALL).fit(Chunks.from_arrays(*of, rows=25, window=2)) for of in (stored, (X, y))]
    assert_same_run(*models)


@pytest.mark.parametrize("kind", ["zarr", "hdf5"])
def test_slices_are_the_chunks_of_the_file_by_default(kind, data, tmp_path):
    X, y = data
    source = Chunks.from_arrays(ARRAYS[kind](X, tmp_path / "X"), y)
    assert source._starts.tolist() == [0, 20, 40, 60, 80, 90]


def test_slices_have_16_megabytes_by_default():
    X = Lazy(np.zeros((5000, 1000)))
    Chunks.from_arrays(X, np.zeros(5000))
    assert {part.stop - part.start for part in X.read[2:]} == {2**24 // 8000}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": 0}, "rows=0 must be a positive integer"),
        ({"y": np.zeros(3)}, "X has 90 rows, but y has 3"),
        ({"window": 0}, "window=0"),
    ],
)
def test_slices_that_are_not_possible_are_refused(arguments, message, data):
    X, y = data
    with pytest.raises(ValueError, match=message):
        Chunks.from_arrays(**{"X": X, "y": y} | arguments)


def test_bad_slices_name_the_chunk(data):
    X, y = data
    X[57, 2] = np.nan
    with pytest.raises(ValueError, match="X of chunk 2 holds NaN"):
        Chunks.from_arrays(X, y, rows=25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_features": 0}, "n_features=0 must be a positive integer"),
        ({"zero_based": 1}, "zero_based=1 must be True or False"),
        ({"prefetch": "yes"}, "prefetch='yes' must be True or False"),
    ],
)
def test_arguments_of_chunks_are_checked(arguments, message, data):
    with pytest.raises(ValueError, match=message):
        Chunks([data], **arguments)
