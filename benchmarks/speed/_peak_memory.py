"""Run as a process by `peers.py`: peak memory of training a network with one library, which nothing else shares.

Reads a peer's name and tasks, pickled, from standard input. Prints the peak in bytes before the first task and after an
epoch of each.
"""

import json
import pickle
import sys
import warnings

from _peers import installed
from threadpoolctl import threadpool_limits


def peak_memory():
    """Highest resident memory of this process in bytes.

    On Linux it is read from ``/proc``: ``getrusage`` there begins with the peak of the process that started this one.
    """
    try:
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main():
    warnings.simplefilter("ignore")
    name, tasks = pickle.load(sys.stdin.buffer)
    peer, peaks = installed([name])[name], [peak_memory()]
    with threadpool_limits(tasks[0].threads):
        for task in tasks:
            peer(task).train(1)
            peaks.append(peak_memory())
    print(json.dumps(peaks))


if __name__ == "__main__":
    main()
