"""Windows of chunks: two in memory at most, of which a thread may load one while the other is used.

An epoch tells which window it is in and which comes next. A batch may take samples of two windows; when the epoch has
passed it, a thread loads the next window in place of the one before. A thread lives while it loads; an error in it is
raised when its window is needed. So results and errors are those of a program without a thread.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truesparse._typing import IndexArray
from truesparse.data.source import ArraySource


@dataclass(frozen=True, eq=False)
class Extent:
    """The samples of a window of chunks."""

    numbers: tuple[int, ...]  # of the chunks, in increasing order
    firsts: IndexArray  # number of the first sample of each chunk, among all samples
    ends: IndexArray  # number after that of the last one

    def locate(self, samples: IndexArray) -> tuple[IndexArray, NDArray[np.bool_]]:
        """Return the rows of samples in the window, and which samples are there; other rows mean nothing."""
        places = np.searchsorted(self.firsts, samples, side="right") - 1
        sizes = self.ends - self.firsts
        shifts = self.firsts - (np.cumsum(sizes) - sizes)
        return samples - shifts[places], (places >= 0) & (samples < self.ends[places])


@dataclass(frozen=True, eq=False)
class Window:
    """The features of some chunks, one chunk below the other in one array or CSR matrix."""

    extent: Extent
    source: ArraySource
    buffer: Any  # in which the features are, or None


Load = Callable[[Extent, Any, Callable[[], bool]], Window]
"""``load(extent, buffer, is_cancelled)`` returns a window; once it is cancelled, what it returns is not used."""


class Windows(threading.local):
    """The windows in memory. Every thread that reads has its own, so that trainings do not get into each other's way.

    Parameters
    ----------
    load, make_buffer : callable
        See `Load`; called by a thread as well if `in_thread`, but never twice at the same time. ``make_buffer()``
        returns room for any window, which is used again and again, or None if windows need none.
    in_thread : bool
        Whether windows are loaded ahead.
    """

    def __init__(self, load: Load, make_buffer: Callable[[], Any], in_thread: bool):
        self._load, self._make_buffer, self._in_thread = load, make_buffer, in_thread
        self._buffers: list[Any] = []  # that no window is in
        self._held: list[Window] = []  # the most recently used one is the last
        self._loading: _Loading | None = None
        self._owner: object = None  # the epoch that has set the present window
        self.present: Extent | None = None  # the window that is read as a whole if a sample of it is needed
        self._following: Extent | None = None
        self.announced: Extent | None = None  # the first window of the next epoch
        self._before = 0  # chunks of the epoch before the present window
        self.passed = 0  # chunks of the epoch before the window in which `proceed` was called last

    @property
    def in_epoch(self) -> bool:
        """Whether an epoch is in the present window."""
        return self._owner is not None

    @property
    def held(self) -> list[Window]:
        """The windows in memory, the most recently used one last."""
        return list(self._held)

    def enter(self, owner: object, extent: Extent, before: int, following: Extent | None) -> None:
        """Let the epoch `owner` be in a window, with so many chunks before it.

        `following` is the next window, and None stands for the announced one.

        If the window is being loaded, wait here, and not in a step, whose time is measured.
        """
        if _same(extent, self.announced):
            self.announced = None
        self._owner, self.present, self._before, self._following = owner, extent, before, following
        self.passed = min(self.passed, before)
        self.finish_if(lambda loading: _same(loading, extent))

    def leave(self, owner: object) -> None:
        """End the epoch `owner`, unless another one has begun."""
        if self._owner is owner:
            self._owner = self._following = None

    def get(self, extent: Extent) -> Window:
        """Return a window, loaded now if it is not in memory."""
        self.finish_if(lambda loading: _same(loading, extent))
        for window in self._held:
            if _same(window.extent, extent):
                self._held.remove(window)
                self._held.append(window)
                return window
        self.finish_if(lambda loading: True)  # two loads at the same time would take more memory
        if len(self._held) > 1:
            others = [window for window in self._held if _same(window.extent, self.announced)]
            self._keep(others or self._held[-1:])
        self._held.append(self._load(extent, self._buffer(), lambda: False))
        return self._held[-1]

    def proceed(self) -> None:
        """Let a thread load the next window, because no window before the present one is needed any more.

        It does not if two others are needed, the present and the announced one.
        """
        extent = self._following or self.announced
        if self.present is None:
            return
        self.get(self.present)
        self.passed = self._before
        if self._in_thread and extent is not None and self._loading is None:
            needed = [other.numbers for other in (self.present, self.announced) if other is not None]
            wanted = [window for window in self._held if window.extent.numbers in needed]
            if len(wanted) < 2 and not any(_same(window.extent, extent) for window in wanted):
                self._keep(wanted)
                self._loading = _Loading(self._load, extent, self._buffer())

    def finish_if(self, is_needed: Callable[[Extent], bool]) -> None:
        """Wait for the window that is being loaded, if there is one and it is needed."""
        if self._loading is not None and is_needed(self._loading.extent):
            loading, self._loading = self._loading, None
            self._held.append(loading.window())

    def release(self) -> None:
        """Let go of all windows, and end the thread."""
        loading, self._loading = self._loading, None
        self._held, self._buffers = [], []
        self._owner = self.present = self._following = self.announced = None
        if loading is not None:
            loading.cancel()

    def _keep(self, windows):
        """Let go of all other windows."""
        self._buffers += [window.buffer for window in self._held if window not in windows]
        self._held = windows

    def _buffer(self):
        return self._buffers.pop() if self._buffers else self._make_buffer()


def _same(extent, other):
    return other is not None and extent.numbers == other.numbers


class _Loading:
    """A window that a thread is loading."""

    def __init__(self, load, extent, buffer):
        self.extent = extent
        self._load, self._buffer, self._window, self._error = load, buffer, None, None
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="truesparse-chunks", daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._window = self._load(self.extent, self._buffer, self._cancelled.is_set)
        except BaseException as error:  # raised where the window is needed
            self._error = error

    def window(self):
        """Return the window when it is loaded; raise the error of the thread."""
        try:
            self._thread.join()
        except BaseException:  # Ctrl-C
            self.cancel()
            raise
        if self._error is not None:
            raise self._error
        return self._window

    def cancel(self):
        """End the thread before its next chunk."""
        self._cancelled.set()
        self._thread.join()
