"""Record golden fits anew.

python tests/golden/record.py                 all cases
python tests/golden/record.py "defaults *"    those whose names match; others stay as they are
"""

import json
import sys
from fnmatch import fnmatchcase
from pathlib import Path


def main(patterns):
    """Train the cases that match any of the patterns, and write what they end with."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import conftest  # noqa: F401  (before numba: a cache of compiled kernels that is not out of date)
    import numpy as np
    from golden.cases import CASES
    from golden.test_golden import ARCHIVE, MACHINE, fingerprint, on_the_recording_machine, recorded

    names = [name for name in CASES if any(fnmatchcase(name, pattern) for pattern in patterns)]
    kept = {}
    if len(names) < len(CASES):
        if not on_the_recording_machine():
            raise SystemExit("The other cases were recorded on another machine; record all of them.")
        kept = {key: array for key, array in recorded().items() if key.rsplit("/", 1)[0] in CASES.keys() - set(names)}
    new = {f"{name}/{array}": numbers for name in names for array, numbers in CASES[name](n_jobs=1).items()}
    arrays = kept | new
    np.savez_compressed(ARCHIVE, **{key: arrays[key] for key in sorted(arrays)})
    MACHINE.write_text(json.dumps(fingerprint(), indent=2) + "\n")
    print(f"{len(names)} of {len(CASES)} cases recorded, {ARCHIVE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:] or ["*"])
