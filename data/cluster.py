"""Runs jobs on the workers of a Dask cluster, with the same outcomes as on this machine.

Dask gives the jobs to the workers, and gives those of a lost worker to the others. It cannot end a job that hangs, and a job
that crashes takes its worker along. So a worker, too, runs every job in a process of its own (`data/isolation.py`).

Why Dask and not Ray is in docs/scale.md. Nothing of Dask is imported unless a cluster is named.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import pathlib
import pickle
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any, NamedTuple

from etils import epath

from data.isolation import Isolated, Outcome
from data.jobs import Run, ended
from xactor_jax.errors import UserError, first_line
from xactor_jax.unfinished import removed_at_end, write_whole

CONNECT_SECONDS = 120
"""A scheduler that does not answer for this time is reported, and so is one that no worker has joined."""


class Place(NamedTuple):
    """What a worker must see at the same paths as this machine: files with their sizes in bytes, and a folder to write to."""

    files: tuple[tuple[str, int], ...]
    folder: str


def require_dask() -> None:
    """Raises `UserError` if Dask is not installed."""
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise UserError("--cluster needs Dask: install requirements-cluster.txt, here and on all workers.") from None


@contextlib.contextmanager
def connected(address: str, timeout: float, files: Sequence[str], folder: epath.PathLike) -> Iterator[Run]:
    """Runs jobs on the workers of a cluster, also on those that join later.

    Args:
        address: of the scheduler, or the path of its scheduler file.
        timeout: seconds after which a job is given up and its process is killed.
        files: that the jobs read.
        folder: an existing folder that the jobs write to.

    Raises:
        UserError: there is no Dask, no scheduler or no worker; a worker lacks the project, a file or the folder.
    """
    require_dask()
    mark = epath.Path(folder) / f"{uuid.uuid4().hex}.seen"
    with removed_at_end(mark), _client(address) as client:
        write_whole(mark, "A worker that does not find this file sees another folder.")
        place = Place(tuple((str(path), epath.Path(path).stat().length) for path in (mark, *files)), str(folder))
        _check_workers(client, place)
        yield functools.partial(_run, client, timeout, place)


@contextlib.contextmanager
def _client(address: str) -> Iterator[Any]:
    """A client that has at least one worker."""
    from distributed import Client

    try:
        client = Client(**_scheduler(address), timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Dask scheduler answers at {address} ({first_line(error)}): start one with `dask scheduler`."
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            raise UserError(f"the scheduler at {address} has no worker: start some with `dask worker {address}`.") from None
        yield client


def _scheduler(address: str) -> dict[str, Any]:
    """Argument of Dask's client. A scheduler that is just starting may not have written its file yet."""
    if not address.endswith(".json"):
        return {"address": address}
    end = time.monotonic() + CONNECT_SECONDS
    while not pathlib.Path(address).exists() and time.monotonic() < end:
        time.sleep(0.1)
    if not pathlib.Path(address).exists():
        raise UserError(f"there is no scheduler file {address}: start one with `dask scheduler --scheduler-file {address}`.")
    return {"scheduler_file": address}


def _check_workers(client: Any, place: Place) -> None:
    """Raises `UserError` for the first worker, by its address, that cannot do the work."""
    answers: Mapping[str, Any] = client.run(problem, place, on_error="return")
    for worker, answer in sorted(answers.items()):
        if isinstance(answer, ImportError):
            raise UserError(f"the worker {worker} does not have this project ({first_line(answer)}): install it there, too.")
        if isinstance(answer, BaseException):
            raise UserError(f"the worker {worker} cannot be used ({first_line(answer)}).")
        if answer:
            raise UserError(f"the worker {worker} {answer}")


def problem(place: Place) -> str:
    """Why a worker cannot read the files or write to the folder; empty if it can."""
    for path, size in place.files:
        try:
            if epath.Path(path).stat().length != size:
                return f"sees another file {path} than this machine: give it the same folders under the same paths."
        except Exception as error:  # of any file system
            return f"does not see {path} ({first_line(error)}): give it the same folders under the same paths."
    own = epath.Path(place.folder) / f"{uuid.uuid4().hex}.written"
    try:
        own.write_bytes(b"")
        own.unlink()
    except Exception as error:
        return f"cannot write to {place.folder} ({first_line(error)}): give it the right to."
    return ""


def _run(client: Any, timeout: float, place: Place, function: Callable[[Any], Any], jobs: Sequence[Any]) -> Iterator[Outcome]:
    """Outcomes of all jobs, in the order in which they end. See `jobs.Run`."""
    from distributed import KilledWorker

    submit = client.get_executor(pure=False).submit
    for job, future in ended(lambda job: submit(_work, timeout, place, pickle.dumps((function, job))), jobs):
        try:
            yield future.result()._replace(job=job)
        except KilledWorker as error:  # Dask gives a job up when several workers were lost during it
            yield Outcome(job, None, first_line(error))
        except CancelledError:
            raise UserError(
                "the Dask scheduler was lost: start it and the same command again; finished files are kept."
            ) from None


def _work(timeout: float, place: Place, call: bytes) -> Outcome:
    """Runs one job on a worker. Raises `UserError` on a worker that joined later and cannot do the work."""
    if reason := _problem_once(place):
        raise UserError(f"the worker on {socket.gethostname()} {reason}")
    with _FIRST:
        isolated = _isolated(timeout)
    return isolated(call)


_problem_once = functools.cache(problem)
_FIRST = threading.Lock()


@functools.cache
def _isolated(timeout: float) -> Isolated:
    """The processes of this worker."""
    multiprocessing.current_process().daemon = False  # Dask's nanny makes it one, and daemons may not start processes
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # not every process takes the machine's accelerators
    return Isolated(_called, timeout)


def _called(call: bytes) -> Any:
    """The result of a pickled (function, job). The worker does not unpickle it, so it imports neither decoders nor JAX."""
    function, job = pickle.loads(call)
    return function(job)
