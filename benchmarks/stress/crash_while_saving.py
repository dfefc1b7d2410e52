"""Does a model survive when saving it fails, at any moment and in any way?

Every system call of a save fails or kills once, and disks are full at every size. What is at the path must be the model
before or the new one, whole; an error must reach the caller, and no unfinished file may stay.

    python benchmarks/stress/crash_while_saving.py [--seed 0] [--csv FILE] [--quick]

System calls are made to fail by strace, and left out where that is not installed or may not attach.
"""

import contextlib
import errno
import io
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
from _cases import main
from _models import content, two_models, unfinished
from _workers import Pool, Worker, say

import truesparse
import truesparse.storage.archive as archive


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


def saves(cases, folder, seed, quick):
    """All ways in which a save can end too early."""
    failing_calls(cases, folder, [errno.ENOSPC] if quick else [errno.ENOSPC, errno.EIO], 4 if quick else 1)
    failing_system_calls(cases, folder, quick)
    killing_system_calls(cases, folder, quick)
    full_disks(cases, folder, 10 if quick else 100)
    killed_saves(cases, np.random.default_rng(seed), folder, 3 if quick else 100)


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


def failing_calls(cases, folder, errors, step):
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
    cases.row("saves", "a call to the operating system fails, in Python", n_cases, failures, started, counts)


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


def failing_system_calls(cases, folder, quick):
    """Every system call of a save fails once."""
    what = "a system call fails (strace)"
    if shutil.which("strace") is None:
        return cases.left_out("saves", what, "no strace here")
    old, new = two_models()
    started, counts, failures, n_cases = time.monotonic(), Counter(), [], 0
    path, log = folder / "model.npz", folder / "strace.log"
    worker = Worker(__file__)
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
                    return cases.left_out("saves", what, f"strace cannot attach: {refused}"[:100])
                if "INJECTED" not in log.read_text():
                    del failures[before:]  # there are no more of them
                    counts["new model"] -= 1
                    break
                n_cases += 1
                n += step
    worker.kill()
    cases.row("saves", what, n_cases, failures, started, counts)


def killing_system_calls(cases, folder, quick):
    """Every system call of a save is the last one."""
    what = "SIGKILL in a system call (strace)"
    if shutil.which("strace") is None:
        return cases.left_out("saves", what, "no strace here")
    old, new = two_models()
    started, counts, failures, n_cases = time.monotonic(), Counter(), [], 0
    path, log = folder / "model.npz", folder / "strace.log"
    pool, worker = Pool(__file__), None
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
                return cases.left_out("saves", what, f"strace cannot attach: {refused}"[:100])
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
    cases.row("saves", what, n_cases, failures, started, counts)


def full_disks(cases, folder, n_sizes):
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
    cases.row("saves", "the disk is full (RLIMIT_FSIZE)", len(sizes), failures, started, counts)


def save_alternately(path):
    """Job: save one and the other until killed."""
    models = two_models()
    say("begun")
    while True:
        for model in models:
            truesparse.save(model, path)


def killed_saves(cases, rng, folder, n_kills):
    old, new = two_models()
    started, counts, failures = time.monotonic(), Counter(), []
    path = folder / "alternately.npz"
    pool = Pool(__file__)
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
    cases.row("saves", "SIGKILL while two models are saved in turns", n_kills, failures, started, counts)


if __name__ == "__main__":
    sys.exit(main(__doc__.splitlines()[0], saves, jobs=[save_one, save_alternately]))
