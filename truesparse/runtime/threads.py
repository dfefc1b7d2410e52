"""How many threads work for us, and that BLAS does not work against them.

Our kernels and BLAS each keep a pool of threads that wait busily for more work. When both pools are as large as the
machine, they take turns in keeping each other from running: a step then takes five times as long. The dense products
of a sparse network are small, so BLAS gets one thread while our kernels are at work.

The number of BLAS threads belongs to the whole process. The first user lowers it and the last one restores it, so that
several threads can predict at the same time without restoring what another one has set. The number of kernel threads
belongs to the Python thread that sets it.

What works, and always with the same bytes:

| an estimator is used | with one thread | with several |
|---|---|---|
| by several Python threads at a time (joblib's "threading") | yes | yes; they multiply; on Numba's workqueue in turns |
| in fresh processes (joblib's "loky", "spawn", "forkserver") | yes | yes |
| in a forked process | yes | RuntimeError if Numba's OpenMP threads had been started before the fork |

One thread means that Numba's threads are not used at all: a parallel kernel is compiled a second time as a plain loop.
So nothing is lost at a fork, and other Python threads need not wait. Numba chooses its threading layer itself: TBB
where it is installed, else OpenMP, else workqueue; ``NUMBA_THREADING_LAYER`` asks for one. All but OpenMP
survive a fork; its threads stay behind in the parent, and Numba would end the child without a word to Python. Workqueue
would end a process in which two Python threads use it at a time, so our kernels take turns there; kernels of your own
that run in other threads meanwhile do not know of that.

Workers of "loky" get the machine's threads divided by their number, through ``NUMBA_NUM_THREADS``, which is the most
that `n_jobs` can be in a process: larger numbers mean as many as that. ``joblib.parallel_config`` can say otherwise by
``inner_max_num_threads``; a value that you set in the environment is not divided. Workers of "threading" and
"multiprocessing" get no such share: leave `n_jobs` at None in the estimator and set it in the search.
"""

import os
import threading
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

from truesparse.kernels.jit import threads as kernel_threads


@contextmanager
def threads(n_threads):
    """Run a ``with`` block with `n_threads` threads for our kernels and one for BLAS; both are restored afterwards.

    Raises
    ------
    RuntimeError
        For several threads in a process whose threads stayed behind when it was forked.
    """
    with kernel_threads(n_threads):
        user = object()
        try:
            _one_blas_thread.enter(user)
            yield
        finally:
            try:
                _one_blas_thread.leave(user)
            except BaseException:  # Ctrl-C while we waited
                _one_blas_thread.leave(user)
                raise


class _OneBlasThread:
    """BLAS runs on one thread from the first entry to the last exit.

    A thread of its own lowers the number and restores it: what threadpoolctl sets belongs to a thread while that lives,
    but who leaves last need not be who came first, and Ctrl-C reaches only the main thread. There it may come at any
    line, so a user may leave twice, or without having entered.
    """

    def __init__(self):
        self._lock = lock = threading.RLock()
        self._users = set()
        self._keeper = self._ended = None
        if hasattr(os, "register_at_fork"):  # a child must not inherit a lock whose holder it has not
            os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)

    def enter(self, user):
        """Lower the number of threads, if nobody has."""
        with self._lock:
            if self._keeper is None:
                lowered, self._ended = threading.Event(), threading.Event()
                arguments = _blas_libraries(), lowered, self._ended
                self._keeper = threading.Thread(target=_keep_lowered, args=arguments, daemon=True)
                self._keeper.start()
                lowered.wait()
            self._users.add(user)

    def leave(self, user):
        """Restore it, if nobody else is left."""
        with self._lock:
            self._users.discard(user)
            if not self._users and self._keeper is not None:
                self._ended.set()
                if self._keeper.is_alive():  # not in a process forked meanwhile
                    self._keeper.join()
                self._keeper = None


_one_blas_thread = _OneBlasThread()


def _keep_lowered(libraries, lowered, ended):
    with libraries.limit(limits=1, user_api="blas"):
        lowered.set()
        ended.wait()


@cache
def _blas_libraries():
    """The BLAS libraries of this process; looking for them takes milliseconds, so it is done once."""
    return ThreadpoolController()
