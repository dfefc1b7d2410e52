"""Does a training that is killed again and again end with the same bytes as one that never was?

A process that trains and writes checkpoints is killed at a random moment, often while it writes. The checkpoint must
load, and the resumed run must end with the very bytes of one that was never killed.

    python benchmarks/stress/kill_and_resume.py [--seed 0] [--csv FILE] [--quick]
"""

import sys
import time
import warnings
from collections import Counter

import numpy as np
from _cases import main
from _models import content, training_run, unfinished
from _workers import Pool, say

import truesparse
from truesparse.callbacks import Checkpoint


class SaysFirst:
    """Says when the first epoch ends: all is compiled then, and it becomes interesting."""

    def __init__(self):
        self.said = False

    def on_epoch_end(self, network, record):
        """Say it once."""
        if not self.said:
            self.said = True
            say("first epoch")


def train(index, checkpoint, result, resume):
    """Job: train, and save the result."""
    model, X, y = training_run(index)
    started = time.perf_counter()
    model.set_params(callbacks=[SaysFirst(), Checkpoint(checkpoint)])
    model.fit(X, y, resume_from=checkpoint if resume else None)
    truesparse.save(model, result)
    return time.perf_counter() - started


def kills(cases, folder, seed, quick):
    """Kill, resume, kill again, compare."""
    rng, n_kills = np.random.default_rng(seed), 4 if quick else 200
    started, counts, failures = time.monotonic(), Counter(), []
    pool, index = Pool(__file__), -1
    length = 0.4  # seconds that a run takes, about
    while counts["kills"] < n_kills:
        index += 1
        model, X, y = training_run(index)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            expected = content(model.fit(X, y))
        checkpoint, result = folder / f"run{index}.npz", folder / f"result{index}.npz"
        kills_left, epochs_before = int(rng.integers(1, 4)), 0
        while True:
            resume = checkpoint.exists()
            worker = pool.take()
            worker.begin("train", index=index, checkpoint=str(checkpoint), result=str(result), resume=resume)
            try:
                done = None
                if kills_left and counts["kills"] < n_kills:
                    if rng.random() < 0.9:
                        worker.answer()
                    done = worker.answer(rng.uniform(0, length))
                else:
                    while not isinstance(done, float):
                        done = worker.answer()
            except (EOFError, OSError) as error:
                failures.append(f"run {index}: {error!r}")
                break
            if isinstance(done, float):
                length = 0.8 * length + 0.2 * done if not resume else length
                pool.give_back(worker)
                break
            worker.kill()
            kills_left -= 1
            counts["kills"] += 1
            left = unfinished(folder)
            counts["while writing"] += len(left) > 0
            for path in left:
                path.unlink()
            if result.exists():
                counts["after the end"] += 1
                break
            if not checkpoint.exists():
                counts["before the first checkpoint"] += 1
                continue
            try:
                epochs = truesparse.load(checkpoint).n_iter_
            except Exception as error:
                failures.append(f"run {index}: the checkpoint does not load: {error!r}")
                break
            if epochs < epochs_before:
                failures.append(f"run {index}: the checkpoint went back from epoch {epochs_before} to {epochs}")
            epochs_before = epochs
            counts["resumptions"] += 1
            counts["epochs kept"] += epochs
        else:
            continue
        counts["runs"] += 1
        if result.exists() and content(truesparse.load(result)) != expected:
            failures.append(f"run {index}, {model}: the result differs from that of a run that was not killed")
        elif not result.exists() and not failures:
            failures.append(f"run {index}: no result")
    pool.close()
    n = counts.pop("kills")
    cases.row("kills", "SIGKILL at a random moment of a fit with checkpoints", n, failures, started, counts)


if __name__ == "__main__":
    sys.exit(main(__doc__.splitlines()[0], kills, jobs=[train]))
