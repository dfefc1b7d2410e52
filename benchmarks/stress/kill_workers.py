"""Does a training on Dask whose workers are killed end with the same bytes as one whose workers live?

Two workers, processes of their own, train a network in 20 rounds with updates of the topology in between. In each of 20
runs, one is killed in another round, before or after it has made its steps. In others, one is killed between two rounds
or while sums for an update are added up, or both are killed at once.

    python benchmarks/stress/kill_workers.py [--csv FILE] [--quick]
"""

import os
import signal
import sys
import time
import warnings
from contextlib import contextmanager

import numpy as np
from _cases import main

from truesparse.distributed import DaskSparseMLPClassifier, dask_replay, dask_rounds

N_ROUNDS, LOCAL_STEPS, EPOCHS = 20, 4, 4
MARK, TRAIN, REPLAY = "died", dask_rounds.train_part, dask_replay.replay


class Deadly:
    """The function of a task that kills its worker once, in one round: before its steps, or once they are made."""

    def __init__(self, number, folder, after):
        self.number, self.folder, self.after = number, str(folder), after

    def __call__(self, share, *args):
        """Run the task, or die."""
        is_hit = args[-1].progress.step == self.number * LOCAL_STEPS and (share.first > 0) == self.number % 2
        if is_hit and not self.after:
            die_once(self.folder)
        made = TRAIN(share, *args)
        if is_hit:
            die_once(self.folder)
        return made


class DeadlySums:
    """The same for the task that knows so many sums."""

    def __init__(self, n_known, folder):
        self.n_known, self.folder = n_known, str(folder)

    def __call__(self, share, n_samples, drop_fraction, begun, *known):
        """Run the task, or die."""
        if len(known) == self.n_known and (share.first > 0) == self.n_known % 2:
            die_once(self.folder)
        return REPLAY(share, n_samples, drop_fraction, begun, *known)


def die_once(folder):
    """Kill this process, if no other has died for this run."""
    try:
        os.close(os.open(os.path.join(folder, MARK), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


class KillsBetween:
    """A callback that kills workers after a round."""

    def __init__(self, client, number, n_workers, folder):
        self.client, self.step, self.n_workers, self.folder = client, number * LOCAL_STEPS, n_workers, folder

    def on_step(self, network, step):
        """Kill."""
        if step == self.step:
            for pid in list(self.client.run(os.getpid).values())[: self.n_workers]:
                os.kill(pid, signal.SIGKILL)
            (self.folder / MARK).touch()


def data():
    """640 samples in eight partitions, of which each part has ten batches an epoch."""
    import dask.array as da

    rng = np.random.default_rng(0)
    X = rng.standard_normal((640, 20)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] * X[:, 2] > 0)
    return da.from_array(X, chunks=(80, -1)), da.from_array(y, chunks=80)


def trained(client, *callbacks):
    """The bytes of a trained network, of its topology and of the moments; and the rounds that its training had."""
    steps = []

    class Count:
        def on_step(self, network, step):
            steps.append(step)

    model = DaskSparseMLPClassifier(
        (60, 40), epsilon=3, max_iter=EPOCHS, update_every=2 * LOCAL_STEPS, batch_size=32, random_state=0,
        local_steps=LOCAL_STEPS, n_parts=2, client=client, callbacks=[Count(), *callbacks],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model.fit(*data())
    run = model._run
    patterns = [layer.pattern.keys.tobytes() for layer in run.network.layers]
    moments = [moment.tobytes() for moment in run.state.optimizer_state.values()]
    return b"".join([run.network.params.tobytes(), *patterns, *moments]), len(steps)


@contextmanager
def tasks(module, name, function):
    """Replace the function of a task."""
    before = getattr(module, name)
    setattr(module, name, function)
    try:
        yield
    finally:
        setattr(module, name, before)


def kills(cases, folder, seed, quick):
    """Kill in every round, and in other moments."""

    def in_a_round(number, here, client):
        with tasks(dask_rounds, "train_part", Deadly(number, here, after=number % 4 > 1)):
            return trained(client)[0]

    def between(number, here, client):
        return trained(client, KillsBetween(client, number, 1, here))[0]

    def all_between(number, here, client):
        return trained(client, KillsBetween(client, number, 2, here))[0]

    def by_sums(n_known, here, client):
        with tasks(dask_replay, "replay", DeadlySums(n_known, here)):
            return trained(client)[0]

    count = _Runs(cases, folder)
    with two_workers() as client:
        expected, n_rounds = trained(client)
    assert n_rounds == N_ROUNDS
    rounds = [3, 16] if quick else range(N_ROUNDS)
    count.row("SIGKILL in each of 20 rounds in turn", in_a_round, rounds, expected)
    rounds = rounds[1:]  # another one has gone before
    count.row("SIGKILL between two rounds", between, rounds, expected)
    count.row("SIGKILL of both workers between two rounds", all_between, rounds[-1 if quick else -5 :], expected)
    dask_rounds._MOST_FETCHED = 0  # so that sums are added up
    with two_workers() as client:
        expected = trained(client)[0]
    count.row("SIGKILL in an update of the topology by sums", by_sums, [2] if quick else range(8), expected)


@contextmanager
def two_workers():
    """A client of a new cluster. One in which a worker dies while it starts may have a single one for good."""
    import dask
    from dask.distributed import Client, LocalCluster

    with (
        dask.config.set({"logging.distributed": "critical"}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


class _Runs:
    """Runs with a kill each, and rows of a table that count them."""

    def __init__(self, cases, folder):
        self.cases, self.folder = cases, folder

    def row(self, what, run, numbers, expected):
        """Make a run for each number, and compare its bytes."""
        started, failures = time.monotonic(), []
        for number in numbers:
            here = self.folder / f"{run.__name__}{number}"
            here.mkdir()
            with two_workers() as client:
                found = run(number, here, client)
            if not (here / MARK).exists():
                failures.append(f"{what}, number {number}: no worker was killed")
            elif found != expected:
                failures.append(f"{what}, number {number}: the bytes differ")
        self.cases.row("Dask", what, len(numbers), failures, started, {"the same bytes": len(numbers) - len(failures)})


if __name__ == "__main__":
    sys.exit(main(__doc__.splitlines()[0], kills))
