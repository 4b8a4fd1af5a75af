"""Runs jobs in processes of their own, so that a job that crashes or hangs ends only itself.

`concurrent.futures` gives up all jobs when one process dies, and cannot end a job that hangs; Dask restarts a process that dies
and also cannot end a job that hangs. Here the failure becomes the outcome of the job, and a new process takes the next one.
Who gives the jobs to whom is not decided here: threads call `Isolated` (`data/jobs.py`), on this machine or on many.

Processes are spawned, not forked, because decoders and accelerators hold threads.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

_context = multiprocessing.get_context("spawn")


class Outcome(NamedTuple):
    """The outcome of a job: its result, or one line about its failure."""

    job: Any
    result: Any
    failure: str = ""


@contextlib.contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C, which a terminal sends to all processes: the parent ends its children itself."""
    resource_tracker.ensure_running()  # starting it with the first process would unblock the signal before that process starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """One process and its pipe."""

    def __init__(self, function: Callable[[Any], Any]):
        self.pipe, theirs = _context.Pipe()
        self.process = _context.Process(target=_serve, args=(function, theirs), daemon=True)
        with interrupts_blocked():
            self.process.start()
        theirs.close()

    def run(self, job: Any, timeout: float) -> Outcome:
        """The outcome of one job. After a failure of the process itself, the process has ended."""
        try:
            self.pipe.send(job)
            if not self.pipe.poll(timeout):
                self.end()
                return Outcome(job, None, f"took longer than {timeout:g} s")
            return Outcome(job, *self.pipe.recv())
        except (EOFError, OSError):
            self.process.join(1.0)
            return Outcome(job, None, f"the process that read it died (exit code {self.process.exitcode})")

    def end(self) -> None:
        self.process.kill()
        self.process.join()


def _serve(function: Callable[[Any], Any], pipe: Connection) -> None:
    """Body of a process: jobs in, (result, failure) out, until the pipe is closed or the parent is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        while True:
            job = pipe.recv()
            try:
                answer = (function(job), "")
            except Exception as error:  # a damaged file can raise anything; it becomes the outcome of that file
                answer = (None, f"{type(error).__name__}: {error}")
            pipe.send(answer)
    except (EOFError, OSError, KeyboardInterrupt):
        return


def _end_with_parent() -> None:
    """Ends this process when its parent was killed, so that no job goes on that nobody waits for."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


class Isolated:
    """`function` with every call in a process of its own. Threads may call it at the same time; each waits for its outcome.

    A process is kept for the next call, because starting one takes seconds.

    Args:
        function: takes one job; it must be at the top level of a module that is cheap to import.
        timeout: seconds after which a job is given up and its process is killed.
    """

    def __init__(self, function: Callable[[Any], Any], timeout: float):
        self._function, self._timeout = function, timeout
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._lock = threading.Lock()  # `multiprocessing` may be used by one thread at a time
        self._ended = False

    def __call__(self, job: Any) -> Outcome:
        with self._lock:
            worker = self._take()
        outcome = worker.run(job, self._timeout)
        with self._lock:
            self._busy.discard(worker)
            self._idle.append(worker)
        return outcome

    def _take(self) -> _Worker:
        if self._ended:
            raise RuntimeError("no job may be given after the end")
        while self._idle:
            if (worker := self._idle.pop()).process.is_alive():
                break
        else:
            worker = _Worker(self._function)
        self._busy.add(worker)
        return worker

    def end(self) -> None:
        """Kills all processes, with their jobs."""
        with self._lock:
            self._ended = True
            for worker in (*self._idle, *self._busy):
                worker.end()
