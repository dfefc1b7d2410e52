"""Is a damaged or hostile file refused, without a crash and without much memory?

Such files (`mutants/`) must be refused with a `ModelFormatError`, or be read as an equal model; never crash, never take
twice the memory of the honest file (half a megabyte is free, and 32 bytes for each that the file is longer). A change
that leaves all consistent, as of a weight and its checksum, makes another model: it must predict, train, and come back
from a file of its own.

    python benchmarks/stress/damaged_files.py [--seed 0] [--csv FILE] [--quick]
"""

import io
import mmap
import sys
import time
import traceback
import tracemalloc
import warnings
from collections import Counter
from functools import cache
from pathlib import Path

import mutants
import numpy as np
from _cases import main
from _models import content
from _workers import Worker

import truesparse
from truesparse.estimators.persistence import ModelFormatError

MOST_MEMORY = 2  # times what loading the honest file takes, or
FREE_MEMORY = 1 << 19  # bytes, such as those of an error and its message; and
MEMORY_PER_BYTE = 32  # bytes for each that the mutant is longer: JSON and a zip's directory become Python's objects
MOST_SECONDS = 20


def _memory_allowed(mutant, honest_peak):
    longer = max(0, len(mutant.file) - len(mutant.honest.file))
    return max(MOST_MEMORY * honest_peak, FREE_MEMORY) + MEMORY_PER_BYTE * longer


def judge(honest, mutant, expected, peak_allowed):
    """What comes of loading a mutant: "refused", "equal", "another valid model", or what is wrong; and its peak."""
    started, model = time.process_time(), None
    tracemalloc.start()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            model = truesparse.load(io.BytesIO(mutant.file))
        except ModelFormatError:
            outcome = "refused"
        except BaseException as error:
            tracemalloc.stop()
            return f"load raised {error!r:.300}", 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if peak > peak_allowed:
        return f"took {peak} bytes, {peak_allowed} are allowed, file {len(mutant.file)}", peak
    if time.process_time() - started > MOST_SECONDS:
        return f"took {time.process_time() - started:.1f} s to load", peak
    if [warning for warning in warned if warning.category is not UserWarning] or len(warned) > 1:
        return f"warned: {[str(warning.message) for warning in warned][:3]}", peak
    if model is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                outcome = _judge_model(honest, mutant, expected, model)
            except Exception as error:
                place = traceback.extract_tb(error.__traceback__)[-1]
                outcome = f"loaded, then raised {error!r:.300} in {Path(place.filename).name}:{place.lineno}"
    return outcome, peak


def _judge_model(honest, mutant, expected, model):
    if content(model) == expected[0]:
        same = np.array_equal(model.predict(honest.X), expected[1])
        return "equal" if same else "is equal, but predicts otherwise"
    if not mutant.may_be_valid:
        return "loads, and is another model"
    # Another model: whatever it is, it must behave.
    file = io.BytesIO()
    truesparse.save(model, file)
    file.seek(0)
    if content(truesparse.load(file)) != content(model):
        return "is another model that does not come back from its own file"
    if not hasattr(model, "_network"):
        return "another valid model, not fitted"
    X, y = honest.X, honest.y
    if model.n_features_in_ != X.shape[1]:
        if model.n_features_in_ > 10**5:
            return "another valid model, of many features"
        X = np.zeros((len(y), model.n_features_in_))
    try:
        model.predict(X)
    except ValueError as error:  # weights that are finite, but so large that outputs are not
        if "infinite or NaN" not in str(error):
            raise
        return "another valid model, whose outputs overflow"
    try:
        model.set_params(n_jobs=1, verbose=0).partial_fit(X, y)
    except ValueError as error:  # said in words: other classes, a loss that becomes infinite, a rule that does not fit
        return f"another valid model, which refuses to go on: {error!s:.60}"
    return "another valid model"


def read_mutants(folder, first, end, seed, at):
    """Job: judge the mutants of these numbers; `at` is a file that tells which one was at work, in case of a crash."""
    files = mutants.honest_files(folder)
    expected, peaks = _expectations(folder)
    outcomes, failures, largest = Counter(), [], 0.0
    with open(at, "r+b") as file, mmap.mmap(file.fileno(), 8) as place:
        for index in range(first, end):
            place[:] = index.to_bytes(8, "little")
            mutant = mutants.mutant(files, index, seed)
            honest = mutant.honest
            peak_allowed = _memory_allowed(mutant, peaks[honest.name])
            outcome, peak = judge(honest, mutant, expected[honest.name], peak_allowed)
            largest = max(largest, peak / peak_allowed)
            kind = outcome.partition(",")[0]
            if kind in ("refused", "equal", "another valid model"):
                outcomes[f"{mutant.what.partition(':')[0]}|{kind}"] += 1
            else:
                failures.append(f"mutant {index}, {honest.name}, {mutant.what}: {outcome}")
                outcomes[f"{mutant.what.partition(':')[0]}|failed"] += 1
    return [outcomes, failures, largest]


@cache
def _expectations(folder):
    """What honest files must give, and the memory that takes."""
    expected, peaks = {}, {}
    for honest in mutants.honest_files(folder):
        for _ in range(2):  # the second time nothing is imported or cached any more
            tracemalloc.start()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = truesparse.load(io.BytesIO(honest.file))
            peaks[honest.name] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected[honest.name] = content(model), model.predict(honest.X)
    return expected, peaks


def files(cases, folder, seed, quick):
    """Judge many mutants, in a process that may crash."""
    n_files = 300 if quick else 20_000
    started, outcomes, failures, crashes, largest = time.monotonic(), Counter(), [], 0, 0.0
    at = folder / "at"
    at.write_bytes(bytes(8))
    worker, first, size = Worker(__file__), 0, min(n_files, 200)
    while first < n_files:
        end = min(first + size, n_files)
        try:
            found, failed, peak = worker.do(
                "read_mutants", folder=str(folder), first=first, end=end, seed=seed, at=str(at)
            )
            outcomes.update(found)
            failures += failed
            largest = max(largest, peak)
            first = end
        except (EOFError, OSError) as error:
            worker.kill()
            index = int.from_bytes(at.read_bytes(), "little")
            mutant = mutants.mutant(mutants.honest_files(str(folder)), index, seed)
            failures.append(f"mutant {index}, {mutant.honest.name}, {mutant.what}: crash: {error}")
            crashes += 1
            first = index + 1  # what was judged before it in this job is lost, and not counted
            worker = Worker(__file__)
    worker.kill()
    seconds = time.monotonic() - started
    for kind in sorted({name.partition("|")[0] for name in outcomes}):
        counted = {name.partition("|")[2]: n for name, n in outcomes.items() if name.partition("|")[0] == kind}
        n = sum(counted.values())
        failed = counted.pop("failed", 0)
        note = ", ".join(f"{n} {name}" for name, n in sorted(counted.items()))
        cases.part_of_row("files", kind, n, failed, note)
    note = {"crashes": crashes, f"memory up to {largest:.2f} of what is allowed": ""}
    cases.row("files", "all files", sum(outcomes.values()) + crashes, failures, started, note, seconds)


if __name__ == "__main__":
    sys.exit(main(__doc__.splitlines()[0], files, jobs=[read_mutants]))
