"""Runs jobs in processes, so that a job that crashes or hangs does not stop the others.

`concurrent.futures` gives up all jobs when one process dies, and cannot end a job that hangs. Here the failure becomes the
outcome of that job, and a new process takes the next one. Processes are spawned, not forked, because decoders and
accelerators hold threads.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
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
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """One process, its pipe and its current job."""

    def __init__(self, function: Callable[[Any], Any]):
        self.pipe, theirs = _context.Pipe()
        self.process = _context.Process(target=_serve, args=(function, theirs), daemon=True)
        with interrupts_blocked():
            self.process.start()
        theirs.close()
        self.job, self.since = None, 0.0

    def give(self, job: Any) -> None:
        self.job, self.since = job, time.monotonic()
        self.pipe.send(job)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(function: Callable[[Any], Any], pipe: Connection) -> None:
    """Body of a process: jobs in, (result, failure) out, until the pipe is closed."""
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


def _collect(worker: _Worker) -> Outcome:
    try:
        result, failure = worker.pipe.recv()
        return Outcome(worker.job, result, failure)
    except (EOFError, OSError):
        worker.process.join(1.0)
        return Outcome(worker.job, None, f"the process that read it died (exit code {worker.process.exitcode})")


def run_jobs(function: Callable[[Any], Any], jobs: Sequence[Any], *, processes: int, timeout: float) -> Iterator[Outcome]:
    """Runs all jobs, and yields outcomes in the order in which jobs end.

    Args:
        function: takes one job; it must be at the top level of a module that is cheap to import.
        processes: number of processes; 0 runs the jobs in this process, without protection.
        timeout: seconds after which a job is given up and its process is killed.
    """
    if processes == 0:
        yield from (Outcome(job, function(job)) for job in jobs)
        return
    waiting, workers = list(reversed(jobs)), []
    try:
        while waiting or workers:
            while waiting and len(workers) < processes:
                workers.append(_Worker(function))
                workers[-1].give(waiting.pop())
            for worker, outcome in _ended(workers, timeout):
                if (outcome.failure and not worker.process.is_alive()) or not waiting:
                    worker.end()
                    workers.remove(worker)
                else:
                    worker.give(waiting.pop())
                yield outcome
    finally:
        for worker in workers:
            worker.end()


def _ended(workers: Sequence[_Worker], timeout: float) -> list[tuple[_Worker, Outcome]]:
    """Waits until a job ends or exceeds its time, at most a second; returns the ended workers with their outcomes."""
    ready = wait([worker.pipe for worker in workers], timeout=1.0)
    ended = [(worker, _collect(worker)) for worker in workers if worker.pipe in ready]
    for worker in workers:
        if worker.pipe not in ready and time.monotonic() - worker.since > timeout:
            worker.process.kill()
            worker.process.join()
            ended.append((worker, Outcome(worker.job, None, f"took longer than {timeout:g} s")))
    return ended
