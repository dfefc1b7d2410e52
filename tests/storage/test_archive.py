"""A file is whole or not there, and nothing is believed that it says of itself."""

import errno
import io
import json
import os
import zipfile

import numpy as np
import pytest

from truesparse.storage import ModelFormatError, read_archive, write_archive
from truesparse.storage.archive import VERSION

METADATA = {"kind": "a test", "numbers": [1, 2.5, None, True]}
ARRAYS = {
    "floats": np.arange(6, dtype=np.float32).reshape(2, 3),
    "indices": np.array([3, 1], dtype=np.int64),
    "text": np.array(["ä", "bcd"]),
    "flags": np.array([True, False]),
    "nothing": np.empty((0,), dtype=np.int32),
}


def written(metadata=METADATA, arrays=ARRAYS):
    file = io.BytesIO()
    write_archive(file, metadata, arrays)
    return file.getvalue()


def members_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return file.getvalue()


def refuses(content, message):
    with pytest.raises(ModelFormatError, match=message):
        read_archive(io.BytesIO(content))


def with_metadata(**changes):
    members = members_of(written())
    metadata = json.loads(members["metadata.json"]) | changes
    return zipped(members | {"metadata.json": json.dumps(metadata)})


def with_declared(name, **changes):
    declared = json.loads(members_of(written())["metadata.json"])["arrays"]
    return with_metadata(arrays=declared | {name: declared[name] | changes})


def test_what_is_written_is_read():
    metadata, arrays = read_archive(io.BytesIO(written()))
    assert metadata == METADATA
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_equal_content_gives_equal_bytes():
    assert written() == written()


def test_a_file_is_an_npz_archive():
    with np.load(io.BytesIO(written()), allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["floats"], ARRAYS["floats"])


def test_big_endian_and_strided_arrays_are_stored_in_one_form():
    array = np.arange(8, dtype=">f8")[::2]
    _, arrays = read_archive(io.BytesIO(written(arrays={"a": array})))
    assert arrays["a"].dtype == np.float64
    np.testing.assert_array_equal(arrays["a"], [0, 2, 4, 6])


@pytest.mark.parametrize("array", [np.array([object()]), np.array([b"bytes"]), np.array(["2020"], dtype="M8[Y]")])
def test_other_arrays_are_not_stored(array):
    with pytest.raises(ModelFormatError, match="numbers and text"):
        written(arrays={"a": array})


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all", written()[:-1], written()[:100], written()[1:200]])
def test_what_is_no_archive_is_refused(content):
    refuses(content, "damaged, or no model")


def test_every_flipped_bit_is_seen_or_changes_nothing():
    content = written()
    reference = read_archive(io.BytesIO(content))
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        try:
            metadata, arrays = read_archive(io.BytesIO(bytes(damaged)))
        except ModelFormatError:
            continue
        assert metadata == reference[0]
        for name, array in reference[1].items():
            assert arrays[name].tobytes() == array.tobytes()


def test_another_npz_is_refused():
    file = io.BytesIO()
    np.savez(file, a=np.zeros(3))
    refuses(file.getvalue(), r"no metadata\.json")


@pytest.mark.parametrize("version", [[VERSION[0] + 1, 0], [0, 9]])
def test_another_major_version_is_refused(version):
    refuses(with_metadata(version=version), "format version")


@pytest.mark.parametrize("version", [None, "1.0", [1], [1.0, 0], [True, 0]])
def test_a_version_must_be_one(version):
    refuses(with_metadata(version=version), "version=")


def test_a_newer_minor_version_is_read():
    assert read_archive(io.BytesIO(with_metadata(version=[VERSION[0], VERSION[1] + 7])))[0] == METADATA


def test_compressed_members_are_refused_before_they_are_read():
    bomb = members_of(written()) | {"nothing.npy": b"\0" * 10_000_000}
    refuses(zipped(bomb, zipfile.ZIP_DEFLATED), "larger than the file|compressed")
    refuses(zipped(members_of(written()), zipfile.ZIP_DEFLATED), "larger than the file|compressed")


@pytest.mark.parametrize("shape", [[10**12], [-1], [3, 2, 1], [2.0, 3], "6", [7], [2**63, 2**63], [True, 6]])
def test_a_declared_shape_must_fit_the_member(shape):
    refuses(with_declared("floats", shape=shape), "shape")


@pytest.mark.parametrize("dtype", ["<f4,<f4"])
def test_a_declared_dtype_must_be_one_number_or_text(dtype):
    members = members_of(written(arrays={"a": np.arange(2.0)}))
    metadata = json.loads(members["metadata.json"])
    metadata["arrays"]["a"] |= {"dtype": dtype, "shape": [2]}
    refuses(zipped(members | {"metadata.json": json.dumps(metadata)}), "not allowed")


@pytest.mark.parametrize("dtype", ["|O", "<f4,<f4", "<V24", "float32", "<U0", "<U9999999999", 4, None, ">f4", "<M8[s]"])
def test_a_declared_dtype_must_be_allowed(dtype):
    refuses(with_declared("floats", dtype=dtype), "dtype|size|damaged")


def test_a_changed_number_is_seen_even_if_the_zip_agrees():
    members = members_of(written())
    members["floats.npy"] = members["floats.npy"][:-1] + b"\x41"
    refuses(zipped(members), "SHA-256")


def test_the_header_in_front_of_an_array_must_agree():
    members = members_of(written())
    members["floats.npy"] = members["floats.npy"].replace(b"(2, 3)", b"(3, 2)")
    refuses(zipped(members), "dtype and shape that are declared")
    members["floats.npy"] = b"\x93NUMPY\x01\x00" + b"\x76\x00" + b"(" * 118 + bytes(24)
    refuses(zipped(members), "damaged")


def test_members_that_begin_within_another_one_are_refused():
    inner = zipped({"inner.npy": members_of(written())["floats.npy"]})
    content = bytearray(zipped({"metadata.json": members_of(written())["metadata.json"], "outer.npy": inner}))
    entry = content.rindex(b"outer.npy") - 46  # of the central directory: let it point to what lies within
    offset = int.from_bytes(content[entry + 42 : entry + 46], "little")
    content[entry + 42 : entry + 46] = (offset + 4).to_bytes(4, "little")
    refuses(bytes(content), "reaches into the next one|damaged")


def test_lone_surrogates_are_no_text():
    array = np.array(["ab"])
    array.view(np.uint32)[0] = 0xD800
    refuses(written(arrays={"a": array}), "no text")


@pytest.mark.parametrize("file", [None, 3, b"path", object()])
def test_what_is_no_file_is_refused(file):
    with pytest.raises(TypeError, match="file="):
        read_archive(file)
    with pytest.raises(TypeError, match="file="):
        write_archive(file, METADATA, ARRAYS)


def test_an_error_of_the_disk_is_no_damaged_file():
    class Broken(io.BytesIO):
        def read(self, *args):
            if self.tell() < 100:  # where the first member lies; the directory of members is at the end
                raise OSError(errno.EIO, "input/output error")
            return super().read(*args)

    with pytest.raises(OSError, match="input/output"):
        read_archive(Broken(written()))


def test_a_directory_or_a_device_is_not_replaced(tmp_path):
    with pytest.raises(OSError, match="directory or a device"):
        write_archive(tmp_path, METADATA, ARRAYS)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="directory or a device"):
        write_archive(tmp_path / "pipe", METADATA, ARRAYS)


def test_pickled_objects_are_never_read():
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array([{}]), allow_pickle=True)
    members = members_of(written()) | {"nothing.npy": file.getvalue()}
    refuses(zipped(members), "size|dtype")


def test_arrays_must_be_those_declared():
    members = members_of(written())
    refuses(zipped(members | {"more.npy": members["flags.npy"]}), "metadata declare")
    refuses(zipped({name: content for name, content in members.items() if name != "flags.npy"}), "metadata declare")
    with pytest.warns(UserWarning, match="Duplicate name"):
        refuses(zipped([*members.items(), ("flags.npy", members["flags.npy"])]), "two members of one name")


@pytest.mark.parametrize("text", ['{"format": "truesparse", "format": "truesparse"}', "[" * 100_000, '{"a": NaN}', "1"])
def test_hostile_metadata_are_refused(text):
    refuses(zipped({"metadata.json": text}), "twice|damaged|NaN|does not say")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.npz"
    write_archive(path, {"which": "old"}, ARRAYS)
    return path


def failing(error):
    def fail(*args, **kwargs):
        raise error

    return fail


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_other(path, name, monkeypatch):
    monkeypatch.setattr(os, name, failing(OSError(errno.ENOSPC, "disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_archive(path, {"which": "new"}, ARRAYS)
    monkeypatch.undo()
    assert read_archive(path)[0] == {"which": "old"}
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupted_write_leaves_the_old_file_and_no_other(path, monkeypatch):
    monkeypatch.setattr(np.lib.format, "write_array", failing(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write_archive(path, {"which": "new"}, ARRAYS)
    assert read_archive(path)[0] == {"which": "old"}
    assert list(path.parent.iterdir()) == [path]


def test_a_new_file_keeps_the_permissions_of_the_old_one(path):
    path.chmod(0o640)
    write_archive(path, {"which": "new"}, ARRAYS)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_goes_on_pointing_to_its_file(path, tmp_path):
    link = tmp_path / "link.npz"
    link.symlink_to(path)
    write_archive(link, {"which": "new"}, ARRAYS)
    assert link.is_symlink()
    assert read_archive(path)[0] == {"which": "new"}
