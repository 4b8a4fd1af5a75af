"""Lists of jobs: they are split over processes, and continue where they were stopped."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from etils import epath

from xactor_jax.errors import UserError
from xactor_jax.media.tables import read_text
from xactor_jax.paths import place_of
from xactor_jax.sampling.request import Request, check_paths, check_request

REQUIRED = ("image", "audio", "out")
TYPES = {
    "image": str,
    "audio": str,
    "out": str,
    "seed": int,
    "emotion": str,
    "crop": str,
    "face_index": int,
    "detector": str,
    "save_motion": str,
    "mark": str,
    "paste_back": bool,
}


FILES = ("image", "audio", "out", "save_motion")

Item, Done = TypeVar("Item"), TypeVar("Done")


class Failure(NamedTuple):
    """A job that failed, and the reason."""

    job: str
    reason: str

    def __str__(self) -> str:
        return " ".join(f"{self.job}: {self.reason}".splitlines())


class Job(NamedTuple):
    """A line of the file, as a request."""

    name: str
    request: Request


def read_lines(path: epath.PathLike) -> list[tuple[int, str]]:
    """(line number, text) of the lines that are not blank; numbers start at 1.

    Raises:
        UserError: the file is missing, is not text, or has only blank lines.
    """
    text = read_text(path, "list of jobs")
    lines = [(number, line) for number, line in enumerate(io.StringIO(text), 1) if line.strip()]
    if not lines:
        raise UserError(f"the list of jobs {path} is empty: write one JSON object with image, audio and out on each line.")
    return lines


def parse_job(line: str, defaults: dict[str, Any]) -> Request:
    """Parses the request of one line; `defaults` fill the keys that it does not have.

    Raises:
        UserError: the line is not a JSON object, lacks a key, has an unknown key or an impossible value.
    """
    try:
        job = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"not JSON ({error})") from None
    if not isinstance(job, dict):
        raise UserError("not a JSON object")
    if missing := [key for key in REQUIRED if key not in job]:
        raise UserError(f"without {', '.join(missing)}")
    for key, value in job.items():
        if key not in TYPES:
            raise UserError(f"unknown key {key!r}: use {', '.join(TYPES)}")
        if type(value) is not TYPES[key]:  # a bool is an int
            raise UserError(f"{key} must be of type {TYPES[key].__name__}, not {value!r}")
    files = {key: os.path.expanduser(job[key]) for key in FILES if key in job}
    request = Request(**{**defaults, **job, **files})
    check_paths(request)
    return request


def parse_jobs(lines: Sequence[tuple[int, str]], defaults: dict[str, Any]) -> tuple[list[Job], list[Failure]]:
    """Parses all lines. Returns the valid jobs, and the invalid ones, including conflicts between jobs (see `apart`)."""

    def parsed(line: tuple[int, str]) -> Job:
        request = parse_job(line[1], defaults)
        return Job(f"job in line {line[0]} ({request.out})", request)

    jobs, failures = attempted(lines, parsed, lambda line: f"job in line {line[0]}")
    jobs, clashing = apart(jobs)
    return jobs, failures + clashing


def attempted(
    items: Iterable[Item], do: Callable[[Item], Done], name: Callable[[Item], str]
) -> tuple[list[Done], list[Failure]]:
    """Applies `do` to each item. Returns the results and the failures: an error of one item does not stop the others."""
    done, failures = [], []
    for item in items:
        try:
            done.append(do(item))
        except Exception as error:
            failures.append(Failure(name(item), reason(error)))
    return done, failures


def reason(error: Exception) -> str:
    """Text of an error in one line; with the name of its class if it is not a `UserError`."""
    lines = str(error).splitlines() or [""]
    return " ".join(lines) if isinstance(error, UserError) else f"{type(error).__name__}: {lines[0]}"


def apart(jobs: Sequence[Job]) -> tuple[list[Job], list[Failure]]:
    """Separates jobs with conflicts: those that write a file which another job reads or an earlier job writes."""
    read = {place_of(path): job for job in jobs for path in job.request.read}
    taken: dict[str, Job] = {}

    def check(job: Job) -> Job:
        places = {place_of(path): path for path in job.request.written}
        for place, path in places.items():
            if place in taken:
                raise UserError(f"{path} is written by an earlier job: name another file")
            if read.get(place, job) is not job:
                raise UserError(f"{path} is read by the {read[place].name}: name another file to write")
        taken.update(dict.fromkeys(places, job))
        return job

    return attempted(jobs, check, lambda job: job.name)


def balanced(seconds: Sequence[float], count: int) -> list[int]:
    """Process of each job, of `count` processes: the longest job first, each to the process with the least work so far.

    The largest load of a process is then at most 4/3 of that of the best split (Graham 1969).
    """
    loads, shares = [0.0] * count, [0] * len(seconds)
    for index in sorted(range(len(seconds)), key=lambda i: -seconds[i]):
        shares[index] = loads.index(min(loads))
        loads[shares[index]] += seconds[index]
    return shares


def unfinished(jobs: Sequence[Job]) -> list[Job]:
    """Jobs whose video does not exist yet, or for which this cannot be checked."""
    finished, _ = attempted(jobs, lambda job: job if job.request.finished else None, lambda job: job.name)
    finished = set(finished)
    return [job for job in jobs if job not in finished]


def checked(jobs: Sequence[Job]) -> tuple[list[Job], list[Failure]]:
    """Checks each job with `check_request`. Returns the jobs that pass, and the failures."""

    def check(job: Job) -> Job:
        check_request(job.request)
        return job

    return attempted(jobs, check, lambda job: job.name)
