import os

from truesparse.runtime import memory


def test_available_bytes_are_a_part_of_the_physical_ones():
    available = memory.available_bytes()
    assert 0 < available <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_the_limit_of_a_control_group_counts(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_CGROUP_LIMITS", (str(limit), str(tmp_path / "missing")))
    limit.write_text("max\n")
    assert memory.available_bytes() > 1000
    limit.write_text("1000\n")
    assert memory.available_bytes() == 1000


def test_systems_without_either(monkeypatch):
    monkeypatch.setattr(memory, "_of_linux", lambda: None)
    monkeypatch.setattr(memory, "_CGROUP_LIMITS", ())
    assert memory.available_bytes() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
