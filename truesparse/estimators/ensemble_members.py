"""Members of an ensemble: each is trained alone, side by side with others, and can be kept in a folder of checkpoints.

A member that is done is a file of its own in the folder, so a fit that is killed goes on with those that are there.
``ensemble.npz`` holds the parameters, the seeds, and a fingerprint of the data.
"""

import copy
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from joblib.parallel import get_active_backend
from sklearn.base import _fit_context
from sklearn.utils.parallel import Parallel, delayed

from truesparse._typing import FloatArray, IndexArray
from truesparse.data.source import Source
from truesparse.estimators.base import BaseSparseNetwork
from truesparse.estimators.checkpoints import changed_parameter, warn_if_other_libraries
from truesparse.estimators.samples import Samples
from truesparse.estimators.storing import restore, store, versions
from truesparse.network.losses import Weighted
from truesparse.runtime.checks import check_path, plain
from truesparse.runtime.interrupts import raise_on_interrupt
from truesparse.runtime.threads import threads
from truesparse.runtime.warnings import collecting, topic, warn
from truesparse.storage import naming, read_archive, write_archive
from truesparse.training.inference import forward_all
from truesparse.training.state import Start

_PRIVATE = "c"  # joblib's maps of arrays that are in memory are read as memory


@dataclass(frozen=True, eq=False)
class Data:
    """Samples of all members, in one object, so that they travel once and not with every member."""

    samples: Samples
    folds: IndexArray | None = None  # fold of each sample, (n_samples,)
    aside: Samples | None = None  # validation data in place of the folds
    classes: np.ndarray | None = None  # of the whole ensemble: a fold may lack one

    def split(self, fold: int) -> tuple[Source, Source | None]:
        """Return the samples that train a member, and those that end its training early and that it predicts.

        The sources are the member's own, as threads need.
        """
        if self.folds is not None:
            out = self.folds == fold
            return given_source(self.samples[np.flatnonzero(~out)]), given_source(self.samples[np.flatnonzero(out)])
        held_out = None if self.aside is None else given_source(self.aside[np.arange(self.aside.size)])
        return given_source(self.samples[np.arange(self.samples.size)]), held_out


@dataclass(frozen=True, eq=False)
class Task:
    """A member to train."""

    member: BaseSparseNetwork
    fold: int  # that it leaves out
    file: Path | None = None  # of a checkpoint
    fingerprint: str | None = None  # of the data, for the file


def given_source(samples: Samples) -> Source:
    """Return samples as ``fit`` takes them in place of X and y: with the user's targets and weights."""
    y = samples.y[:, 0] if samples.y.ndim == 2 and samples.y.shape[1] == 1 else samples.y
    return samples.source.with_target(y if samples.weights is None else Weighted(y, samples.weights))


def train_member(task: Task, data: Data) -> tuple[BaseSparseNetwork, FloatArray | None]:
    """Return the trained member, or the one in the file, and its predictions for the held-out samples.

    They are (n_outputs, n_samples). Ctrl-C raises KeyboardInterrupt at once: a member that it stopped is not done.
    """
    member, (train, held_out) = task.member, data.split(task.fold)
    if task.file is not None and task.file.exists():
        _restore_into(member, task.file, task.fingerprint)
    else:
        with raise_on_interrupt():
            _fit(member, train, held_out, data.classes)
        if task.file is not None:
            write_archive(task.file, *store(member, data=task.fingerprint))
    if held_out is None:
        return member, None
    with threads(1):
        return member, forward_all(member._run.network, held_out.with_target(None), member._outputs)


@_fit_context(prefer_skip_nested_validation=True)  # for callbacks of scikit-learn
def _fit(member, train, held_out, classes):
    validation = None if held_out is None else (held_out, None, None)
    member._train(train, None, None, validation, start=Start.NEW, classes=classes)


def continue_member(member: BaseSparseNetwork, data: Data) -> BaseSparseNetwork:
    """Return a member after an epoch of ``partial_fit``; the one that was given stays as it is."""
    member = copy.copy(member)  # its network is copied before it is trained
    train, _ = data.split(0)
    with raise_on_interrupt():
        member._train(train, None, None, start=Start.PART, classes=data.classes)
    return member


def side_by_side(function: Callable, tasks: Sequence[Any], data: Data, n_jobs: int | None) -> Iterator[Any]:
    """Yield ``function(task, data)`` for each task, in order, as the results come from joblib's backend.

    They come all at once from a backend that cannot give them one by one. What several tasks warn of is said once.
    """
    said = set()
    for result, warnings in _results(functools.partial(collecting, function), tasks, data, plain(n_jobs)):
        for message, category, once in warnings:
            known = topic(message) if once else message
            if known not in said:
                warn(message, category, once=once)
            said.add(known)
        yield result


def _results(function, tasks, data, n_jobs):
    if effective_n_jobs(n_jobs) == 1:
        yield from (function(task, data) for task in tasks)
        return
    backend, _ = get_active_backend()
    if hasattr(backend, "client"):  # Dask would send the data with every task, or make tasks wait for one worker
        data = backend.client.scatter(data, broadcast=True, hash=False)
    calls = (delayed(function)(task, data) for task in tasks)
    try:
        parallel = Parallel(n_jobs=n_jobs, mmap_mode=_PRIVATE, return_as="generator")
    except ValueError:  # "multiprocessing" and Ray
        yield from Parallel(n_jobs=n_jobs, mmap_mode=_PRIVATE)(calls)
        return
    with closing(parallel(calls)) as results:
        yield from results


class CheckpointFolder:
    """A folder with the members of a fit that are done.

    Raises ValueError if it is of a fit with other parameters or data, and names what differs.
    """

    def __init__(self, path: str | os.PathLike):
        check_path("checkpoint", path)
        self._folder = Path(path)
        self._head = self._folder / "ensemble.npz"
        self.data = ""
        if self._folder.exists() and not self._folder.is_dir():
            raise ValueError(f"checkpoint={str(path)!r} is a file; a folder is allowed, or a path where none is.")
        if not self._folder.parent.is_dir():
            raise ValueError(f"checkpoint={str(path)!r} is in a folder that does not exist.")

    def seeds(self, drawn: np.ndarray) -> np.ndarray:
        """Return the seeds of the fit that began here, or those drawn for a new one; both are (1 + n_members,)."""
        if not self._head.exists():
            return drawn
        with naming(self._head):
            seeds = read_archive(self._head)[1].get("seeds")
        if seeds is None or seeds.shape != drawn.shape or seeds.dtype != drawn.dtype or seeds.min() < 0:
            return drawn  # which `begin` refuses
        return seeds

    def begin(self, parameters: dict[str, Any], seeds: np.ndarray, data: str) -> None:
        """Note parameters, as JSON, seeds and the fingerprint of the data of a new fit; compare those of an old one."""
        self.data = data
        if not self._head.exists():
            self._folder.mkdir(exist_ok=True)
            metadata = {"class": "checkpoint", "parameters": parameters, "data": data, "libraries": versions()}
            write_archive(self._head, metadata, {"seeds": seeds})
            return
        with naming(self._head):
            stored, arrays = read_archive(self._head)
        of = f"checkpoint={str(self._folder)!r} is of a fit"
        remedy = "Choose another folder, or the parameters and data of that fit."
        if (difference := changed_parameter(stored.get("parameters"), parameters)) is not None:
            raise ValueError(f"{of} with {difference}. {remedy}")
        if stored.get("data") != data or arrays.get("seeds", np.empty(0)).tolist() != seeds.tolist():
            raise ValueError(f"{of} with other data (X, y, weights, groups or validation data). {remedy}")
        warn_if_other_libraries(f"checkpoint={str(self._folder)!r}", stored.get("libraries"))

    def file(self, number: int) -> Path:
        """Return the path of a member, absolute: joblib's processes keep the directory that they were started in."""
        return self._folder.absolute() / f"member_{number:03}.npz"


def _restore_into(member, file, data):
    """Take over what the member in a file has learnt; parameters and code stay those of `member`."""
    with naming(file):
        saved, of_data = restore(*read_archive(file), {type(member).__name__: type(member)})
    if of_data != data or not hasattr(saved, "_run"):
        raise ValueError(f"{str(file)!r} is no member of a fit with these data; remove it to train that member again.")
    parameters = member.get_params(deep=False)
    vars(member).update({name: value for name, value in vars(saved).items() if name not in parameters})
