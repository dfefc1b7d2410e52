"""Can threads share a model, and processes a path?

python benchmarks/stress/shared_models.py [--seed 0] [--csv FILE] [--quick]
"""

import io
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from _cases import main
from _models import content, training_run, unfinished
from _workers import Worker

import truesparse


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


def crowd(cases, folder, seed, quick):
    """Threads share a model, processes a path."""
    started, rounds, failures = time.monotonic(), 5 if quick else 100, []
    worker = Worker(__file__)
    try:
        wrong = worker.do("threads_share", rounds=rounds)
        failures += ["a prediction differs"] * wrong
    except EOFError as error:
        failures.append(f"crash: {error}")
    cases.row("crowd", "8 threads predict with one model", 8 * rounds, failures, started, {})

    started, times, failures, counts = time.monotonic(), 5 if quick else 50, [], Counter()
    path = folder / "crowd.npz"
    workers = [worker, *(Worker(__file__) for _ in range(3))]
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
    cases.row("crowd", "loads while 4 processes save to one path", n, failures, started, counts)


if __name__ == "__main__":
    sys.exit(main(__doc__.splitlines()[0], crowd, jobs=[threads_share, save_often]))
