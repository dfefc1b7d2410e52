"""Rules for all files of the benchmarks."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("speed", "study", "stress")
FILES = sorted((ROOT / "benchmarks").rglob("*.py"))
SCRIPTS = [path for folder in FOLDERS for path in sorted((ROOT / "benchmarks" / folder).glob("[a-z]*.py"))]
PART_OF_FAULTS = {"kill_and_resume", "crash_while_saving", "damaged_files", "shared_models"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_file_is_longer_than_a_reader_can_hold(path):
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_is_in_the_readme_of_its_folder(path):
    assert f"| `{path.name}` |" in (path.parent / "README.md").read_text()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_ci_runs_every_script(path):
    # report.py is run by methods.py.
    if path.stem not in PART_OF_FAULTS | {"report"}:
        assert f"$python {path.relative_to(ROOT)} --" in (ROOT / ".ci" / "run").read_text()
