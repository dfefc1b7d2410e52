"""Does a model or a run survive a crash at any moment, and a damaged or hostile file?

- kills: a process that trains and writes checkpoints is killed at a random moment, often while it writes. The
  checkpoint must load, and the resumed run must end with the very bytes of one that was never killed.
- saves: every system call of a save fails or kills once, and disks are full at every size. What is at the path must be
  the model before or the new one, whole; an error must reach the caller, and no unfinished file may stay.
- files: damaged and hostile files (`mutants`) must be refused with a `ModelFormatError`, or be read as an equal
  model; never crash, never take twice the memory of the honest file (half a megabyte is free, and 32 bytes for each
  that the file is longer). A change that leaves all consistent, as of a weight and its checksum, makes another model:
  it must predict, train, and come back from a file of its own.
- crowd: threads share a model, processes share a path.

Each line counts the cases and the failures; the exit status is 1 if there was one.

    python benchmarks/stress/crash_while_saving.py [--part kills saves files crowd] [--seed 0] [--csv FILE] [--quick]
"""

import argparse
import contextlib
import errno
import io
import json
import mmap
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import tracemalloc
import warnings
from collections import Counter
from functools import cache
from pathlib import Path

import mutants
import numpy as np
from scipy.sparse import csr_array

import truesparse
import truesparse.storage.archive as archive
from truesparse import SparseMLPClassifier, SparseMLPRegressor
from truesparse.callbacks import Checkpoint
from truesparse.estimators.persistence import ModelFormatError
from truesparse.estimators.storing import store
from truesparse.evolution import ImportancePruning

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share
from _result_table import Table

COLUMNS = {"part": 5, "what": 58, "cases": 6, "failed": 6, "seconds": 7, "of which": 0}


def content(model):
    """All that a model is, but the seconds that its epochs took, in a form that can be compared."""
    metadata, arrays = store(model, training=True)
    arrays.pop("history.seconds", None)
    bytes_of = {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}
    return json.dumps(metadata | {"data": None}, sort_keys=True), bytes_of


def unfinished(folder):
    return list(Path(folder).glob("*.unfinished"))


# Processes that wait, with everything imported, for what to do.


class Worker:
    """A process that does a job at a time, and may be killed at any."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._ready = False

    def begin(self, job, **arguments):
        """Send a job."""
        if not self._ready:
            self.answer()
            self._ready = True
        self.process.stdin.write(json.dumps([job, arguments]).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self, seconds=600.0):
        """The next line that it says; None if it takes longer, an EOFError if it has died."""
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return None
        line = self.process.stdout.readline()
        if not line:
            raise EOFError(f"worker ended with status {self.process.wait()}")
        return json.loads(line)

    def do(self, job, **arguments):
        """Send a job and wait for its result."""
        self.begin(job, **arguments)
        answer = self.answer()
        if answer is None:
            self.kill()
            raise EOFError(f"worker did not end {job}")
        return answer

    def kill(self):
        """End it at once."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Pool:
    """Workers that get ready while others work."""

    def __init__(self, size=2):
        self._waiting = [Worker() for _ in range(size)]

    def take(self):
        """The worker that has waited longest."""
        self._waiting.append(Worker())
        return self._waiting.pop(0)

    def give_back(self, worker):
        """Let a worker that has ended its job wait for another one."""
        self._waiting.insert(0, worker)
        self._waiting.pop().kill()

    def close(self):
        """End all."""
        for worker in self._waiting:
            worker.kill()


def say(answer):
    os.writev(1, [json.dumps(answer).encode() + b"\n"])  # other than a save, which strace lets fail in os.write


def work():
    """The life of a worker."""
    warnings.simplefilter("ignore", UserWarning)
    say("ready")
    for line in sys.stdin.buffer:
        job, arguments = json.loads(line)
        say(JOBS[job](**arguments))


# Kills.

METHODS = ("cte", "set", "rigl", "gse", "omp", "snip", "dense", "ctre_seq", "path_weight", "sensitivity", "ctre_sim")


def training_run(index):
    """The estimator and the data of a run; everything changes from one to the next."""
    rng = np.random.default_rng(index)
    X = rng.standard_normal((80, 40))
    scores = X @ rng.standard_normal((40, 3))
    X = csr_array(np.where(np.abs(X) > 1, X, 0)) if index % 3 == 1 else X
    classify = index % 4 != 3
    parameters = {
        "hidden_layer_sizes": (150, 100) if index % 2 else (120,),
        "evolution": METHODS[index % len(METHODS)],
        "epsilon": 8,
        "activation": ("all_relu", "srelu", "tanh")[index % 3],
        "solver": ("adam", "sgd")[index // 2 % 2],
        "learning_rate_init": 0.002,
        "dropout": 0.2,
        "unit_pruning": ImportancePruning(every=2) if index % 5 == 2 else None,
        "update_every": 2,
        "max_iter": 16,
        "early_stopping": index % 4 != 2,
        "n_iter_no_change": 6,
        "dtype": ("float32", "float64")[index // 5 % 2],
        "random_state": index,
        "n_jobs": 1,
    }
    model = (SparseMLPClassifier if classify else SparseMLPRegressor)(**parameters)
    return model, X, np.array(["a", "b", "c"])[scores.argmax(axis=1)] if classify else scores[:, 0]


class SaysFirst:
    """Says when the first epoch ends: all is compiled then, and it becomes interesting."""

    def __init__(self):
        self.said = False

    def on_epoch_end(self, record):
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


def kills(table, rng, n_kills, folder):
    """Kill, resume, kill again, compare."""
    started, counts, failures = time.monotonic(), Counter(), []
    pool, index = Pool(), -1
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
    report(table, "kills", "SIGKILL at a random moment of a fit with checkpoints", n, failures, started, counts)


# Saves.


@cache
def two_models():
    """Two models of different sizes."""
    models = []
    for index in (0, 1):
        model, X, y = training_run(index)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            models.append(model.set_params(max_iter=2).fit(X, y))
    return models


def whole(path, old, new):
    """Which of two models is at a path: "old", "new", or what is wrong."""
    try:
        found = content(truesparse.load(path))
    except Exception as error:
        return f"does not load: {error!r}"
    return (
        "old" if found == content(old) else "new" if found == content(new) else "is neither the old nor the new model"
    )


class Failing:
    """Lets one call among those of a save fail: a stand-in for a module or a file.

    `state` counts the calls down; the call that finds it at 0 fails instead of being made.
    """

    def __init__(self, real, names, state, log):
        self._real, self._names, self._state, self._log = real, names, state, log

    def __getattr__(self, name):
        real = getattr(self._real, name)
        if name not in self._names:
            return real

        def call(*arguments, **options):
            self._state[0] -= 1
            if self._state[0] == -1:
                self._log.append(name)
                raise OSError(self._state[1], os.strerror(self._state[1]))
            return real(*arguments, **options)

        return call

    def __enter__(self):
        self._real.__enter__()
        return self

    def __exit__(self, *exception):
        self._real.__exit__(*exception)
        self.__getattr__("close")()  # may fail


@contextlib.contextmanager
def nth_call_fails(n, number, log):
    """Within, the n-th call of a save to the operating system fails with this error, and is named in the log."""
    state = [n, number]
    file_calls = ("write", "flush", "seek", "tell", "close")

    def failing_open(*arguments, **options):
        return Failing(Failing(io, ("open",), state, log).open(*arguments, **options), file_calls, state, log)

    stand_ins = {
        "open": failing_open,
        "os": Failing(os, ("fsync", "replace", "open", "close"), state, log),
        "shutil": Failing(shutil, ("copymode",), state, log),
    }
    before = {name: vars(archive)[name] for name in stand_ins if name in vars(archive)}
    vars(archive).update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del vars(archive)[name]
        vars(archive).update(before)


def saves(table, rng, quick, folder):
    """All ways in which a save can end too early."""
    failing_calls(table, folder, [errno.ENOSPC] if quick else [errno.ENOSPC, errno.EIO], 4 if quick else 1)
    failing_system_calls(table, folder, quick)
    killing_system_calls(table, folder, quick)
    full_disks(table, folder, 10 if quick else 100)
    killed_saves(table, rng, folder, 3 if quick else 100)


def check_save(path, old, new, save, counts, failures, what, absorbed=lambda: False):
    """Save over `old`, which somehow fails, and judge what that leaves.

    A zip is written in another way to a file that says that it cannot seek: that failure may be `absorbed`.
    """
    truesparse.save(old, path)
    error = save()
    found = whole(path, old, new)
    if found not in ("old", "new"):
        failures.append(f"{what}: the file {found}")
    elif unfinished(path.parent):
        failures.append(f"{what}: an unfinished file stays")
    elif not error and not absorbed():
        failures.append(f"{what}: no error reached the caller")
    elif not error and found == "old":
        failures.append(f"{what}: no error, but the old model")
    counts[f"{found} model"] += 1
    for left in unfinished(path.parent):
        left.unlink()


def failing_calls(table, folder, errors, step):
    """Every call that Python makes fails once."""
    old, new = two_models()
    started, counts, failures, n_cases = time.monotonic(), Counter(), [], 0
    path = folder / "model.npz"
    for number in errors:
        n = 0
        while True:
            failed, before = [], len(failures)  # the call that fails, by its name

            def save(n=n, number=number, failed=failed):
                with nth_call_fails(n, number, failed):
                    try:
                        truesparse.save(new, path)
                    except OSError as error:
                        return error.errno == number
                    return None

            def absorbed(failed=failed):
                return failed in ([], ["tell"], ["seek"])

            check_save(path, old, new, save, counts, failures, f"{errno.errorcode[number]} in call {n}", absorbed)
            if not failed:  # the save was over before
                counts["new model"] -= 1
                break
            failures[before:] = [f"{failure}, {failed[0]}" for failure in failures[before:]]
            n_cases += 1
            n += step
    report(table, "saves", "a call to the operating system fails, in Python", n_cases, failures, started, counts)


def save_one(which, path):
    """Job: save one of the two models."""
    try:
        truesparse.save(two_models()[which], path)
    except OSError as error:
        return error.strerror
    except BaseException as error:
        return f"another error: {error!r}"
    return ""


@contextlib.contextmanager
def strace(worker, inject, log):
    """Within, the system calls of a worker's main thread are tampered with."""
    calls = inject.partition(":")[0]
    command = [
        "strace",
        "-p",
        str(worker.process.pid),
        "-o",
        str(log),
        "-e",
        f"trace={calls}",
        "-e",
        f"inject={inject}",
    ]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        line = tracer.stderr.readline()
        if b"attached" not in line:
            raise PermissionError(line.decode())
        yield
    finally:
        tracer.terminate()  # it detaches first
        tracer.communicate()


# Names that not every architecture has begin with a question mark.
SYSTEM_CALLS = ("openat", "write", "lseek", "fsync", "close", "?rename,?renameat,?renameat2",
                "?chmod,?fchmodat,?fchmodat2")  # fmt: skip


def failing_system_calls(table, folder, quick):
    """Every system call of a save fails once."""
    what = "a system call fails (strace)"
    if shutil.which("strace") is None:
        return left_out(table, "saves", what, "no strace here")
    old, new = two_models()
    started, counts, failures, n_cases = time.monotonic(), Counter(), [], 0
    path, log = folder / "model.npz", folder / "strace.log"
    worker = Worker()
    worker.do("save_one", which=0, path=str(path))
    for calls in SYSTEM_CALLS:
        for error in ("ENOSPC", "EIO") if not quick else ("EIO",):
            n, step = 1, 5 if quick and calls in ("write", "lseek") else 1
            while True:
                log.unlink(missing_ok=True)

                def save(n=n, calls=calls, error=error):
                    with strace(worker, f"{calls}:error={error}:when={n}", log):
                        return worker.do("save_one", which=1, path=str(path))

                before = len(failures)
                try:
                    case = f"{calls} {n} {error}"
                    check_save(path, old, new, save, counts, failures, case, lambda calls=calls: calls == "lseek")
                except PermissionError as refused:
                    worker.kill()
                    return left_out(table, "saves", what, f"strace cannot attach: {refused}"[:100])
                if "INJECTED" not in log.read_text():
                    del failures[before:]  # there are no more of them
                    counts["new model"] -= 1
                    break
                n_cases += 1
                n += step
    worker.kill()
    report(table, "saves", what, n_cases, failures, started, counts)


def killing_system_calls(table, folder, quick):
    """Every system call of a save is the last one."""
    what = "SIGKILL in a system call (strace)"
    if shutil.which("strace") is None:
        return left_out(table, "saves", what, "no strace here")
    old, new = two_models()
    started, counts, failures, n_cases = time.monotonic(), Counter(), [], 0
    path, log = folder / "model.npz", folder / "strace.log"
    pool, worker = Pool(), None
    for calls in ("fsync", SYSTEM_CALLS[-2]) if quick else SYSTEM_CALLS:  # strace counts each call by itself
        n = 1
        while True:
            if worker is None:
                worker = pool.take()
                worker.do("save_one", which=0, path=str(folder / "other.npz"))
            truesparse.save(old, path)
            survived = False
            try:
                with strace(worker, f"{calls}:signal=KILL:when={n}", log):
                    worker.begin("save_one", which=1, path=str(path))
                    with contextlib.suppress(EOFError):
                        worker.answer()
                        survived = True
            except PermissionError as refused:
                worker.kill()
                pool.close()
                return left_out(table, "saves", what, f"strace cannot attach: {refused}"[:100])
            found = whole(path, old, new)
            if survived:  # there are no more of them
                break
            worker.kill()
            worker = None
            if found not in ("old", "new"):
                failures.append(f"{calls} {n}: the file {found}")
            counts[f"{found} model"] += 1
            counts["unfinished file left"] += len(unfinished(folder))
            for left in unfinished(folder):
                left.unlink()
            n_cases += 1
            n += 1
    if worker is not None:
        worker.kill()
    pool.close()
    report(table, "saves", what, n_cases, failures, started, counts)


def full_disks(table, folder, n_sizes):
    """No file can grow beyond a limit: the write that would is short, the next one fails."""
    old, new = two_models()
    started, counts, failures = time.monotonic(), Counter(), []
    path = folder / "model.npz"
    truesparse.save(new, path)
    sizes = np.unique(np.linspace(0, path.stat().st_size - 1, n_sizes).astype(int))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for size in sizes.tolist():

        def save(size=size):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
            try:
                truesparse.save(new, path)
            except OSError as error:
                return error
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

        check_save(path, old, new, save, counts, failures, f"{size} bytes left")
    signal.signal(signal.SIGXFSZ, ignored)
    report(table, "saves", "the disk is full (RLIMIT_FSIZE)", len(sizes), failures, started, counts)


def save_alternately(path):
    """Job: save one and the other until killed."""
    models = two_models()
    say("begun")
    while True:
        for model in models:
            truesparse.save(model, path)


def killed_saves(table, rng, folder, n_kills):
    old, new = two_models()
    started, counts, failures = time.monotonic(), Counter(), []
    path = folder / "alternately.npz"
    pool = Pool()
    truesparse.save(old, path)
    for kill in range(n_kills):
        worker = pool.take()
        worker.begin("save_alternately", path=str(path))
        worker.answer()
        time.sleep(rng.uniform(0, 0.2))
        worker.kill()
        found = whole(path, old, new)
        if found not in ("old", "new"):
            failures.append(f"kill {kill}: the file {found}")
        counts["one model" if found == "old" else "the other"] += 1
        counts["while writing"] += len(unfinished(folder)) > 0
        for left in unfinished(folder):
            left.unlink()
    pool.close()
    report(table, "saves", "SIGKILL while two models are saved in turns", n_kills, failures, started, counts)


# Files.

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


def files(table, seed, n_files, folder):
    """Judge many mutants, in a process that may crash."""
    started, outcomes, failures, crashes, largest = time.monotonic(), Counter(), [], 0, 0.0
    at = folder / "at"
    at.write_bytes(bytes(8))
    worker, first, size = Worker(), 0, min(n_files, 200)
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
            worker = Worker()
    worker.kill()
    seconds = time.monotonic() - started
    for kind in sorted({name.partition("|")[0] for name in outcomes}):
        counted = {name.partition("|")[2]: n for name, n in outcomes.items() if name.partition("|")[0] == kind}
        n = sum(counted.values())
        failed = counted.pop("failed", 0)
        note = ", ".join(f"{n} {name}" for name, n in sorted(counted.items()))
        table.row(**{"part": "files", "what": kind, "cases": n, "failed": failed, "seconds": "", "of which": note})
    note = {"crashes": crashes, f"memory up to {largest:.2f} of what is allowed": ""}
    report(table, "files", "all files", sum(outcomes.values()) + crashes, failures, started, note, seconds)


# Crowd.


def threads_share(rounds, n_threads=8):
    """Job: threads predict with one model at once; returns how many results were wrong."""
    model, X, y = training_run(0)
    file = io.BytesIO()
    truesparse.save(model.fit(X, y), file)
    file.seek(0)
    model = truesparse.load(file)
    expected = model.predict(X).tolist(), model.predict_proba(X).tobytes()
    wrong, barrier = [], threading.Barrier(n_threads)

    def predict():
        for _ in range(rounds):
            barrier.wait()
            try:
                found = model.predict(X).tolist(), model.predict_proba(X).tobytes()
            except Exception as error:
                found = repr(error)
            if found != expected:
                wrong.append(1)

    crowd = [threading.Thread(target=predict) for _ in range(n_threads)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    return len(wrong)


def save_often(index, path, times):
    """Job: save a model so many times."""
    model, X, y = training_run(index)
    model.set_params(max_iter=1).fit(X, y)
    truesparse.save(model, f"{path}.{index}")
    for _ in range(times):
        truesparse.save(model, path)
    return index


def crowd(table, quick, folder):
    """Threads share a model, processes a path."""
    started, rounds, failures = time.monotonic(), 5 if quick else 100, []
    worker = Worker()
    try:
        wrong = worker.do("threads_share", rounds=rounds)
        failures += ["a prediction differs"] * wrong
    except EOFError as error:
        failures.append(f"crash: {error}")
    report(table, "crowd", "8 threads predict with one model", 8 * rounds, failures, started, {})

    started, times, failures, counts = time.monotonic(), 5 if quick else 50, [], Counter()
    path = folder / "crowd.npz"
    workers = [worker, *(Worker() for _ in range(3))]
    models = {}

    def learn():
        for index in range(4):
            if index not in models and Path(f"{path}.{index}").exists():
                models[index] = content(truesparse.load(f"{path}.{index}"))

    for index, worker in enumerate(workers):
        worker.begin("save_often", index=index, path=str(path), times=times)
    working = dict(enumerate(workers))
    while working:
        for index in [index for index, worker in working.items() if worker.answer(0) is not None]:
            working.pop(index)
        if path.exists():
            try:
                found = content(truesparse.load(path))
                if found not in models.values():
                    learn()
                index = next((index for index, model in models.items() if model == found), None)
                if index is None:
                    failures.append("the file holds none of the models")
                counts[f"model {index}"] += 1
            except Exception as error:
                failures.append(f"the file does not load: {error!r}")
    for worker in workers:
        worker.kill()
    failures += [f"left: {left}" for left in unfinished(folder)]
    n = sum(counts.values())
    counts = {f"{4 * times} saves": ""} | counts
    report(table, "crowd", "loads while 4 processes save to one path", n, failures, started, counts)


# The command.

JOBS = {job.__name__: job for job in (train, save_one, save_alternately, read_mutants, threads_share, save_often)}
FAILURES = []


def report(table, part, what, n_cases, failures, started, counts, seconds=None):
    """A row, and what failed."""
    seconds = time.monotonic() - started if seconds is None else seconds
    note = ", ".join(f"{name} {n}".strip() for name, n in counts.items() if n != 0 or "crashes" in name)
    table.row(**{"part": part, "what": what, "cases": n_cases, "failed": len(failures), "seconds": f"{seconds:.0f}",
                 "of which": note})  # fmt: skip
    for failure in failures[:50]:
        print(f"FAILED: {failure}", flush=True)
    FAILURES.extend(failures)


def left_out(table, part, what, why):
    table.row(**{"part": part, "what": what, "cases": 0, "failed": 0, "seconds": "", "of which": f"left out: {why}"})


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", nargs="+", choices=["kills", "saves", "files", "crowd"],
                        default=["kills", "saves", "files", "crowd"])  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv")
    parser.add_argument("--quick", action="store_true", help="a few cases of each kind")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        return work()
    table = Table(COLUMNS, options.csv)
    rng = np.random.default_rng(options.seed)
    for part in options.part:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            if part == "kills":
                kills(table, rng, 4 if options.quick else 200, folder)
            elif part == "saves":
                saves(table, rng, options.quick, folder)
            elif part == "files":
                files(table, options.seed, 300 if options.quick else 20_000, folder)
            else:
                crowd(table, options.quick, folder)
    return bool(FAILURES)


if __name__ == "__main__":
    sys.exit(main())
