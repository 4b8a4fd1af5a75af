"""Runs jobs in processes that may crash or hang without stopping the others.

`concurrent.futures` gives up all jobs when one process dies, and cannot end a job that hangs; here the job's own outcome says
so and a fresh process takes the next one. Processes are spawned, not forked: decoders and accelerators hold threads.
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
    """What became of a job: its result, or one line about its failure."""

    job: Any
    result: Any
    failure: str = ""


@contextlib.contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Processes started inside are not reached by Ctrl-C, which terminals send to all: who started them ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """One process, its pipe and the job that it has."""

    def __init__(self, function: Callable[[Any], Any]):
        self.pipe, theirs = _context.Pipe()
        self.process = _context.Process(target=_serve, args=(function, theirs), daemon=True)
        with deaf_to_interrupts():
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
            except Exception as error:  # whatever a damaged file sets off is that file's outcome
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
    """Outcomes in the order in which jobs end.

    Args:
        function: of one job; at the top level of a module that is cheap to import.
        processes: how many; 0 runs the jobs here, without protection.
        timeout: seconds after which a job is given up and its process killed.
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
    """Waits until a job ends or its time is up."""
    ready = wait([worker.pipe for worker in workers], timeout=1.0)
    ended = [(worker, _collect(worker)) for worker in workers if worker.pipe in ready]
    for worker in workers:
        if worker.pipe not in ready and time.monotonic() - worker.since > timeout:
            worker.process.kill()
            worker.process.join()
            ended.append((worker, Outcome(worker.job, None, f"took longer than {timeout:g} s")))
    return ended
