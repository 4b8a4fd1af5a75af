"""Gives many jobs to the threads of an executor of `concurrent.futures`, here or on other machines (`data/cluster.py`)."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from data.isolation import Isolated, Outcome

AHEAD = 10_000
"""Jobs that an executor has at the same time; a scheduler of many machines needs about a kilobyte for each."""

Run = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Outcome]]
"""Called with (function, jobs); yields outcomes in the order in which jobs end."""


def run_jobs(function: Callable[[Any], Any], jobs: Sequence[Any], *, processes: int, timeout: float) -> Iterator[Outcome]:
    """Runs all jobs on this machine, and yields outcomes in the order in which jobs end.

    Args:
        function: see `Isolated`.
        processes: number of processes; 0 runs the jobs in this process, without protection.
        timeout: seconds after which a job is given up and its process is killed.
    """
    if processes == 0 or not jobs:
        yield from (Outcome(job, function(job)) for job in jobs)
        return
    isolated, threads = Isolated(function, timeout), ThreadPoolExecutor(min(processes, len(jobs)))
    try:
        for _, future in ended(lambda job: threads.submit(isolated, job), jobs):
            yield future.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        isolated.end()
        threads.shutdown()


def ended(submit: Callable[[Any], Future], jobs: Sequence[Any]) -> Iterator[tuple[Any, Future]]:
    """(job, its future) as jobs end. At most `AHEAD` jobs are submitted at the same time."""
    queue: SimpleQueue[tuple[Any, Future]] = SimpleQueue()
    left = iter(jobs)

    def add(count: int) -> None:
        for job in itertools.islice(left, count):
            submit(job).add_done_callback(lambda future, job=job: queue.put((job, future)))

    add(AHEAD)
    for _ in jobs:
        yield queue.get()
        add(1)


@contextlib.contextmanager
def here(processes: int, timeout: float) -> Iterator[Run]:
    """`run_jobs` with its settings, as `cluster.connected` gives it for other machines."""
    yield lambda function, jobs: run_jobs(function, jobs, processes=processes, timeout=timeout)
