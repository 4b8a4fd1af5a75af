"""Runs a program of the project in a process of its own, with a time limit. Its memory on the device is free afterwards."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from launch._root import ROOT

GRACE_SECONDS = 20.0
"""Time for a program to save and end after SIGTERM; then it is killed."""

NO_MEMORY = ("RESOURCE_EXHAUSTED", "CUDA_ERROR_OUT_OF_MEMORY", "CUDA out of memory")
"""What JAX, CUDA and PyTorch write if the memory of a device does not suffice."""


class NotMeasuredError(Exception):
    """A program gave no numbers. The message is a sentence that says why."""


class OutOfMemoryError(NotMeasuredError):
    """Because the memory did not suffice."""


class OutOfTimeError(NotMeasuredError):
    """Because its time ran out."""


class Ended(NamedTuple):
    """How a program ended."""

    status: int | None
    """Exit status, or -(signal that ended it). None: its time ran out."""
    output: str
    """All that it printed."""

    def check(self) -> None:
        """Raises `NotMeasuredError` unless the status is 0. The system ends with SIGKILL what needs too much of its memory."""
        if self.status is None:
            raise OutOfTimeError("its time ran out")
        if self.status == -signal.SIGKILL or (self.status and any(sign in self.output for sign in NO_MEMORY)):
            raise OutOfMemoryError("the memory did not suffice")
        if self.status:
            raise NotMeasuredError((self.output.strip().splitlines() or [f"it ended with status {self.status}"])[-1][:300])


@dataclasses.dataclass
class Programs:
    """Runs programs until a moment, which may be moved. What they print is appended to a log."""

    log: pathlib.Path
    environ: Mapping[str, str]
    until: float = 0.0
    """By `time.monotonic`."""
    now: Callable[[], float] = time.monotonic

    def seconds(self) -> float:
        """Seconds that are left."""
        return max(0.0, self.until - self.now())

    def run(self, program: str, *options: object, keep: float = 0.0) -> Ended:
        """Runs launch/PROGRAM to its end, or until only `keep` seconds are left."""
        command = [sys.executable, str(ROOT / "launch" / program), *map(str, options)]
        return run_until(command, self.seconds() - keep, self.log, self.environ)

    def measured(self, program: str, *options: object) -> Any:
        """What a program writes to the file of its option --json. Raises `NotMeasuredError` if it fails."""
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "numbers.json"
            self.run(program, *options, f"--json={file}").check()
            return json.loads(file.read_text())


def run_until(command: Sequence[str], seconds: float, log: pathlib.Path, environ: Mapping[str, str]) -> Ended:
    """Runs a command for at most `seconds`, and appends what it prints to the log. Without any time, it is not started."""
    if seconds <= 0:
        return Ended(None, "")
    with log.open("ab") as sink:
        sink.write(f"\n$ {' '.join(command)}\n".encode())
        sink.flush()
        start = sink.tell()
        child = subprocess.Popen(command, stdout=sink, stderr=sink, cwd=ROOT, env=dict(environ), process_group=0)
        with _ended_with_this_program(child):
            status = _wait(child, seconds)
    with log.open("rb") as source:
        source.seek(start)
        return Ended(status, source.read().decode(errors="replace"))


def _wait(child: subprocess.Popen, seconds: float) -> int | None:
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        end(child)
        return None


def end(child: subprocess.Popen) -> None:
    """Ends a program and the programs that it started, kindly at first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_SECONDS)
            return


@contextlib.contextmanager
def _ended_with_this_program(child: subprocess.Popen) -> Iterator[None]:
    """Ctrl-C and SIGTERM, which reach only this program, raise KeyboardInterrupt; whatever is raised ends the child."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if child.poll() is None:
            end(child)
