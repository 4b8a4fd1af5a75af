"""Many samples: a list of jobs, split over processes, gone on with where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from etils import epath

from xactor_jax.errors import UserError
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
    "save_motion": str,
}


class Failure(NamedTuple):
    """A job that could not be done, and why."""

    job: str
    reason: str

    def __str__(self) -> str:
        return " ".join(f"{self.job}: {self.reason}".splitlines())


class Job(NamedTuple):
    """A line of the file, and what it asks for."""

    name: str
    request: Request


def read_lines(path: epath.PathLike) -> list[tuple[int, str]]:
    """(line number from 1, text) of the lines that are not blank.

    Raises:
        UserError: the file is missing, is no text, or has no line.
    """
    try:
        text = epath.Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the list of jobs {path} cannot be read ({error}): name a file of one JSON object a line.") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise UserError(f"the list of jobs {path} is empty: write one JSON object with image, audio and out on each line.")
    return lines


def parse_job(line: str, defaults: dict[str, Any]) -> Request:
    """The request of one line; `defaults` for what it does not say.

    Raises:
        UserError: the line is no JSON object, lacks a key, has an unknown one, or one whose value cannot be.
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
        if not isinstance(value, TYPES[key]) or isinstance(value, bool):
            raise UserError(f"{key} must be of type {TYPES[key].__name__}, not {value!r}")
    request = Request(**{**defaults, **job})
    check_paths(request)
    return request


def parse_jobs(lines: Sequence[tuple[int, str]], defaults: dict[str, Any]) -> tuple[list[Job], list[Failure]]:
    """The jobs that make sense, and those that do not; of two that write the same file the second does not."""
    jobs, failures, taken = [], [], set()
    for number, line in lines:
        name = f"job in line {number}"
        try:
            request = parse_job(line, defaults)
            if request.out in taken:
                raise UserError(f"{request.out} is written by an earlier job: name another file")
        except UserError as error:
            failures.append(Failure(name, str(error)))
            continue
        taken.add(request.out)
        jobs.append(Job(f"{name} ({request.out})", request))
    return jobs, failures


def balanced(seconds: Sequence[float], count: int) -> list[int]:
    """Which of `count` processes does each job: the longest first, each to the process with the least to do by then.

    No process then has more to do than 4/3 of what the best split would leave it (Graham 1969).
    """
    loads, shares = [0.0] * count, [0] * len(seconds)
    for index in sorted(range(len(seconds)), key=lambda i: -seconds[i]):
        shares[index] = loads.index(min(loads))
        loads[shares[index]] += seconds[index]
    return shares


def unfinished(jobs: Sequence[Job]) -> list[Job]:
    """Jobs whose video is not there yet."""
    return [job for job in jobs if not job.request.finished]


def checked(jobs: Sequence[Job]) -> tuple[list[Job], list[Failure]]:
    """`check_request` of each: the jobs that pass, and those that do not."""
    passed, failures = [], []
    for job in jobs:
        try:
            check_request(job.request)
            passed.append(job)
        except UserError as error:
            failures.append(Failure(job.name, str(error)))
    return passed, failures
