"""Does a model or a run survive a crash at any moment, and a damaged or hostile file?

Runs `kill_and_resume.py`, `crash_while_saving.py`, `damaged_files.py` and `shared_models.py`, and makes one table of
what they count; the exit status is 1 if anything failed.

    python benchmarks/stress/faults.py [--seed 0] [--csv FILE] [--quick]
"""

import sys

from _cases import main
from crash_while_saving import saves
from damaged_files import files
from kill_and_resume import kills
from shared_models import crowd

if __name__ == "__main__":
    sys.exit(main(__doc__.splitlines()[0], kills, saves, files, crowd))
