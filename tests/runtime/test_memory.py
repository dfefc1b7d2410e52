"""Nothing of dense size is ever made: the peak of the process is measured, compiled code included."""

import os
import subprocess
import sys

import pytest

from truesparse.evolution import PRESETS

# 16,000 × 16,000 pairs would take 1 GB as float32 and 256 MB as a mere mask.
PROGRAM = """
import resource, sys
import numpy as np
import truesparse
rng = np.random.default_rng(0)
X, y = rng.standard_normal((300, 50), dtype=np.float32), rng.integers(3, size=300)
settings = dict(epsilon=2, max_iter=2, update_every=2, batch_size=50, random_state=0)
settings |= {"snip": dict(evolution="static", topology_init="snip")}.get(sys.argv[1], dict(evolution=sys.argv[1]))
settings["early_stopping"] = True
truesparse.SparseMLPClassifier((200, 200), **settings).fit(X, y)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = truesparse.SparseMLPClassifier((16_000, 16_000), **settings).fit(X, y)
model.predict(X)
replaced = np.sum(model.history_["edges_replaced"], axis=0)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, replaced[1])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="resource is not available")
@pytest.mark.parametrize("evolution", [*sorted(PRESETS), "snip"])
def test_peak_memory_of_a_fit(evolution):
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM, evolution], capture_output=True, text=True, check=True, env=dict(os.environ)
    ).stdout
    megabytes, replaced = (float(number) for number in output.split())
    if sys.platform == "darwin":
        megabytes /= 1024
    print(f"{evolution}: {megabytes:.0f} MB")
    assert megabytes < 128
    assert (replaced > 0) == (PRESETS.get(evolution) is not None)
