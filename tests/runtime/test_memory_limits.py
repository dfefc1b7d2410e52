import os

import pytest

from truesparse.runtime import memory


@pytest.fixture
def group(tmp_path, monkeypatch):
    """Writes the files of a control group, and makes them the only ones."""
    files = [tmp_path / name for name in ("limit", "usage", "statistics")]
    nowhere = (str(tmp_path / "missing"),) * 3
    monkeypatch.setattr(memory, "_left_in_system", lambda: None)
    monkeypatch.setattr(memory, "_MEMORY_OF_GROUP", nowhere)
    monkeypatch.setattr(memory, "_MEMORY_OF_GROUP_V1", nowhere)

    def write(limit, usage, statistics, version="_MEMORY_OF_GROUP"):
        for file, text in zip(files, (limit, usage, statistics), strict=True):
            file.write_text(text)
        monkeypatch.setattr(memory, version, tuple(map(str, files)))

    return write


def test_available_bytes_are_a_part_of_the_physical_ones():
    available = memory.available_bytes()
    assert 0 < available <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize("version", ["_MEMORY_OF_GROUP", "_MEMORY_OF_GROUP_V1"])
def test_what_a_control_group_has_left_counts(version, group):
    """Its limit minus its usage; pages of files can be dropped, whether they were read lately or not."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    statistics = "anon 500\nfile 330\ninactive_file 200\nactive_file 100\nunevictable 30\n"
    group("max\n", "900\n", statistics, version)
    assert memory.available_bytes() == physical
    group("1000\n", "900\n", statistics, version)
    assert memory.available_bytes() == 1000 - 900 + 200 + 100
    group("1000\n", "1200\n", "anon 1200\ninactive_file 0\nactive_file 0\n", version)
    assert memory.available_bytes() == 0


def test_the_least_of_all_counts(group, monkeypatch):
    group("1000\n", "900\n", "inactive_file 0\n")
    for left, expected in ((50, 50), (150, 100)):
        monkeypatch.setattr(memory, "_left_in_system", lambda left=left: left)
        assert memory.available_bytes() == expected


@pytest.mark.parametrize("statistics", ["inactive_file\n", "inactive_file x\n", "a b c\n"])
def test_files_that_cannot_be_understood_do_not_count(statistics, group):
    group("1000\n", "900\n", statistics)
    assert memory.available_bytes() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_systems_without_either(group):
    assert memory.available_bytes() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
