"""Processes that wait, with everything imported, for a job, and that may be killed while they do it.

A script with jobs calls `work` when it is started with ``--worker``, as `Worker` starts it. A job is a function of the
script; its arguments and its result are JSON.
"""

import json
import os
import select
import subprocess
import sys
import warnings


class Worker:
    """A process that does one job of a script at a time, and may be killed at any moment."""

    def __init__(self, script):
        self.process = subprocess.Popen(
            [sys.executable, script, "--worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
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

    def __init__(self, script, size=2):
        self._script = script
        self._waiting = [Worker(script) for _ in range(size)]

    def take(self):
        """The worker that has waited longest."""
        self._waiting.append(Worker(self._script))
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
    """Send an answer, from within a job."""
    os.writev(1, [json.dumps(answer).encode() + b"\n"])  # other than a save, which strace lets fail in os.write


def work(jobs):
    """Do these jobs, as they are asked for, until the input ends."""
    functions = {job.__name__: job for job in jobs}
    warnings.simplefilter("ignore", UserWarning)
    say("ready")
    for line in sys.stdin.buffer:
        job, arguments = json.loads(line)
        say(functions[job](**arguments))
