"""Kills a training run repeatedly, and compares its result with that of a run that was never killed."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence

import jax
import numpy as np
from etils import epath

from xactor_jax.checkpoints.trees import FOLDER, read_arrays, saved_steps, saved_tree
from xactor_jax.errors import UserError
from xactor_jax.parallel.processes import on_loopback
from xactor_jax.parallel.supervision import RESTART
from xactor_jax.training.throughput import is_timing

MOMENTS = ("start", "step", "save")
SIGNALS = (signal.SIGTERM, signal.SIGKILL)

GRACE_SECONDS = 60.0
"""Seconds in which the processes of a run must end after one of them has ended."""

MAX_STEPS = 20
"""Largest number of steps after a signal. Several processes must agree on the step at which they stop."""


class Job:
    """The processes of one run, started in a folder. Their output is appended to a file."""

    def __init__(self, command: Sequence[str], folder: pathlib.Path, log: pathlib.Path, count: int):
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stream:
            place = {"cwd": folder, "stdout": stream, "stderr": stream}
            self.processes = [subprocess.Popen(command, env={**os.environ, **e}, **place) for e in on_loopback(count)]

    def statuses(self) -> list[int]:
        """Exit statuses of the processes that have ended."""
        return [process.returncode for process in self.processes if process.poll() is not None]

    def wait(self) -> list[int]:
        """Waits until all processes have ended, and returns their exit statuses."""
        while not self.statuses():
            time.sleep(0.01)
        deadline = time.monotonic() + GRACE_SECONDS
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            process.terminate()
        return [process.wait() for process in self.processes]


class Trial:
    """A run that is killed and restarted. `report` is called with a line about every kill."""

    def __init__(self, start: Callable[[], Job], workdir: pathlib.Path, steps: int, seed: int, report: Callable[[str], None]):
        self._start, self._workdir, self._steps, self._report = start, workdir, steps, report
        self._rng = random.Random(seed)
        self._startup = 5.0  # seconds from start to first step; measured at each start that reaches its first step
        self.kills: Counter[tuple[str, str]] = Counter()

    def run(self, kills: int) -> None:
        """Kills the run `kills` times, then lets it end. Raises `UserError` if it ends too early or fails by itself."""
        for index in range(kills):
            self._live(MOMENTS[index % len(MOMENTS)], self._rng.choice(SIGNALS), kills - index)
        finish(self._start(), self._workdir)

    def _live(self, moment: str, number: signal.Signals, kills_left: int) -> None:
        """Starts the run and kills it once."""
        begun, before = time.monotonic(), last_step(self._workdir)
        target = before + self._rng.randint(1, max(1, 2 * (self._steps - before) // (kills_left + 1)))
        delay = self._rng.uniform(0.0, self._startup)
        job = self._start()
        while not self._reached(moment, begun, delay, before, target):
            if job.statuses():
                finish(job, self._workdir)
                raise UserError("the run was done before all kills: give more --steps or fewer --kills.")
            time.sleep(0.001)
        victim = self._rng.randrange(len(job.processes))
        job.processes[victim].send_signal(number)
        after, step = time.monotonic() - begun, last_step(self._workdir)
        self._check(job.wait(), victim, number, step)
        self.kills[moment, number.name] += 1
        whom = f" to process {victim}" if len(job.processes) > 1 else ""
        self._report(f"{number.name}{whom} at {moment}, {after:.1f} s after the start, step {last_step(self._workdir)}")

    def _reached(self, moment: str, begun: float, delay: float, before: int, target: int) -> bool:
        """Whether to kill the run now. A start that is faster than the last one is killed at its first step."""
        now, step = time.monotonic() - begun, last_step(self._workdir)
        if moment == "start":
            return now >= delay or step > before
        if step <= before:
            self._startup = now
            return False
        return step >= target if moment == "step" else writing(self._workdir)

    def _check(self, statuses: Sequence[int], victim: int, number: signal.Signals, step: int) -> None:
        """Checks the exit statuses after a signal.

        A process that saves before it ends, or that lost another process, ends with its own status; else the signal ends the
        victim. A process that receives the signal in one of the last steps may end normally.
        """
        last = last_step(self._workdir)
        if last - step > MAX_STEPS:
            raise UserError(f"{last - step} more steps after {number.name}: {last_line(self._workdir)}")
        done = {0} if last == self._steps else set()
        may_restart = {RESTART, -signal.SIGTERM} | done
        for index, status in enumerate(statuses):
            expected = may_restart if index != victim or number == signal.SIGTERM else {-number} | done
            if status not in expected:
                raise UserError(f"process {index}: status {status} after {number.name}: {last_line(self._workdir)}")


def finish(job: Job, workdir: pathlib.Path) -> None:
    """Waits for a run that is not killed. Raises `UserError` with its status if it fails."""
    if failed := [status for status in job.wait() if status]:
        status = min(failed, key=lambda status: status == RESTART)  # RESTART only means that another process was lost
        raise UserError(f"the run {workdir.name} failed by itself (status {status}): {last_line(workdir)}")


def log_of(workdir: pathlib.Path) -> pathlib.Path:
    """File with the output of the processes of a run."""
    return workdir.with_suffix(".log")


def last_line(workdir: pathlib.Path) -> str:
    return (log_of(workdir).read_text(errors="replace").strip().splitlines() or ["it has no output"])[-1]


def last_step(workdir: pathlib.Path) -> int:
    """Step of the last complete line of metrics; 0 if there is none."""
    log = workdir / "metrics.jsonl"
    lines = log.read_bytes().split(b"\n")[:-1] if log.exists() else []
    return json.loads(lines[-1])["step"] if lines else 0


def writing(workdir: pathlib.Path) -> bool:
    """Whether a checkpoint is being written."""
    return any((workdir / "checkpoints").glob("*.orbax-checkpoint-tmp*"))


def differences(one: pathlib.Path, other: pathlib.Path) -> list[str]:
    """Names of everything that differs in the results of two runs. An empty list is expected."""
    steps = [saved_steps(epath.Path(folder) / FOLDER)[0] for folder in (one, other)]
    if steps[0] != steps[1]:
        return [f"the last step: {steps[0]} and {steps[1]}"]
    last = [folder / FOLDER / str(step) for folder, step in zip((one, other), steps, strict=True)]
    left, right = (state_of(folder / "state") for folder in last)
    odd = [name for name in left.keys() | right.keys() if left.get(name) != right.get(name)]
    odd += ["the position in the data"] if position(last[0]) != position(last[1]) else []
    return odd + (["the curves of the metrics"] if curve(one) != curve(other) else [])


def state_of(folder: pathlib.Path) -> dict[str, bytes]:
    """Name → bits of every array of a checkpoint."""
    leaves = jax.tree_util.tree_leaves_with_path(read_arrays(epath.Path(folder), saved_tree(epath.Path(folder))))
    return {jax.tree_util.keystr(path): np.asarray(leaf).tobytes() for path, leaf in leaves}


def position(folder: pathlib.Path) -> list[str]:
    """Positions of the data iterators of all processes."""
    return [path.read_text() for path in sorted((folder / "data").glob("process_*.json"))]


def curve(workdir: pathlib.Path) -> list[dict[str, float | int]]:
    """Every line of metrics, without the values that depend on the time."""
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [{name: value for name, value in line.items() if not is_timing(name)} for line in lines]
