"""Tests that a killed training run loses nothing: it resumes and ends with the same bits as a run without interruption.

    python launch/study/fault_run.py --kills=30 --steps=300 --config=configs/motion.py --config.checkpoint.every=10

It trains twice. The first run is not interrupted. The second run is killed several times and started again each time: in turn
while it starts and compiles, during its steps, and while it writes a checkpoint; by SIGTERM or SIGKILL, chosen at random. Then
the two runs are compared: every bit of parameters, averages, optimiser state and buffers, the position in the data, and the
curves of all metrics. The exit status is 0 if all are the same, else 1. Other options (--config.KEY=VALUE) go to
launch/train.py; choose them so that there are several checkpoints.

With --processes=N, both runs have N processes joined over the loopback interface, and one of them gets the signal. The others
have a minute to end by themselves. Then they get SIGTERM, as from a scheduler; this is needed if the killed process had not
joined yet.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the project

import numpy as np

from launch import _root
from launch._numbers import check_numbers
from xactor_jax.errors import UserError, exit_on_user_error
from xactor_jax.parallel.processes import on_loopback
from xactor_jax.parallel.supervision import RESTART
from xactor_jax.settings import SEED, whole

MOMENTS = ("start", "step", "save")
SIGNALS = (signal.SIGTERM, signal.SIGKILL)

GRACE_SECONDS = 60.0
"""Time in which all processes of a run must end after the first one has ended."""

MAX_STEPS = 20
"""Largest number of steps after a signal. Several processes need some steps to agree on the step at which they stop."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = about.add_argument
    add("--config", required=True, help="as for launch/train.py")
    add("--steps", type=int, default=300, help="steps of each of the two runs")
    add("--kills", type=int, default=30)
    add("--processes", type=int, default=1, help="processes that train together; one of them is killed")
    add("--seed", type=int, default=0, help="seed of the moments and the signals")
    add("--workdir", default="runs/fault", help="a new local folder for both runs")
    add("--program", default="launch/train.py", help=argparse.SUPPRESS)
    return about


class Job:
    """The started processes of one run. Their output is appended to a file."""

    def __init__(self, command: Sequence[str], log: pathlib.Path, count: int):
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stream:
            place = {"cwd": _root.ROOT, "stdout": stream, "stderr": stream}
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
    """A run that is killed and started again. `note` is called with a line of text after every kill."""

    def __init__(self, start: Callable[[], Job], workdir: pathlib.Path, steps: int, seed: int, note: Callable[[str], None]):
        self._start, self._workdir, self._steps, self._note = start, workdir, steps, note
        self._rng = random.Random(seed)
        self._startup = 5.0  # seconds from start to first step, measured at the last start that reached a step
        self.kills: Counter[tuple[str, str]] = Counter()

    def run(self, kills: int) -> None:
        """Kills the run `kills` times, then lets it finish. Raises `UserError` if it finishes too early or fails by itself."""
        for index in range(kills):
            self._live(MOMENTS[index % len(MOMENTS)], self._rng.choice(SIGNALS), kills - index)
        finish(self._start(), self._workdir)

    def _live(self, moment: str, number: signal.Signals, kills_left: int) -> None:
        """Starts the run once and kills it."""
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
        self._note(f"{number.name}{whom} at {moment}, {after:.1f} s after the start, step {last_step(self._workdir)}")

    def _reached(self, moment: str, begun: float, delay: float, before: int, target: int) -> bool:
        """Whether it is time to kill. A start that is faster than the last one counts as finished at its first step."""
        now, step = time.monotonic() - begun, last_step(self._workdir)
        if moment == "start":
            return now >= delay or step > before
        if step <= before:
            self._startup = now
            return False
        return step >= target if moment == "step" else writing(self._workdir)

    def _check(self, statuses: Sequence[int], victim: int, number: signal.Signals, step: int) -> None:
        """Raises `UserError` for a wrong exit status.

        A process that saves before it ends, or that lost another process, ends with `RESTART`. Otherwise the signal ends the
        victim. A process that gets the signal at one of its last steps may finish normally.
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
    return (log_of(workdir).read_text(errors="replace").strip().splitlines() or ["it printed nothing"])[-1]


def last_step(workdir: pathlib.Path) -> int:
    """Step of the last complete line of metrics; 0 if there is none."""
    log = workdir / "metrics.jsonl"
    lines = log.read_bytes().split(b"\n")[:-1] if log.exists() else []
    return json.loads(lines[-1])["step"] if lines else 0


def writing(workdir: pathlib.Path) -> bool:
    """Whether a checkpoint is being written."""
    return any((workdir / "checkpoints").glob("*.orbax-checkpoint-tmp*"))


def differences(one: pathlib.Path, other: pathlib.Path) -> list[str]:
    """Names of everything that differs at the ends of the two runs; empty if they are the same."""
    from etils import epath

    from xactor_jax.checkpoints.trees import FOLDER, saved_steps

    steps = [saved_steps(epath.Path(folder) / FOLDER)[0] for folder in (one, other)]
    if steps[0] != steps[1]:
        return [f"the last step: {steps[0]} and {steps[1]}"]
    last = [folder / FOLDER / str(step) for folder, step in zip((one, other), steps, strict=True)]
    left, right = (state_of(folder / "state") for folder in last)
    odd = [name for name in left.keys() | right.keys() if left.get(name) != right.get(name)]
    odd += ["the position in the data"] if position(last[0]) != position(last[1]) else []
    return odd + (["the curves of the metrics"] if curve(one) != curve(other) else [])


def state_of(folder: pathlib.Path) -> dict[str, bytes]:
    """Name → bytes of every array of a checkpoint."""
    import jax
    from etils import epath

    from xactor_jax.checkpoints.trees import read_arrays, saved_tree

    leaves = jax.tree_util.tree_leaves_with_path(read_arrays(epath.Path(folder), saved_tree(epath.Path(folder))))
    return {jax.tree_util.keystr(path): np.asarray(leaf).tobytes() for path, leaf in leaves}


def position(folder: pathlib.Path) -> list[str]:
    """Positions of the data iterators of all processes."""
    return [path.read_text() for path in sorted((folder / "data").glob("process_*.json"))]


def curve(workdir: pathlib.Path) -> list[dict[str, float]]:
    """All lines of metrics, without those that depend on the clock."""
    from xactor_jax.training.throughput import is_timing

    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [{name: value for name, value in line.items() if not is_timing(name)} for line in lines]


def starter(arguments: argparse.Namespace, rest: Sequence[str], workdir: pathlib.Path) -> Callable[[], Job]:
    """Returns a function that starts a run. Every step is logged, so that kills can target a step."""
    settings = [f"--config={arguments.config}", f"--config.steps={arguments.steps}", "--config.log_every=1", *rest]
    command = [sys.executable, arguments.program, *settings, f"--workdir={workdir}"]
    return lambda: Job(command, log_of(workdir), arguments.processes)


def run(arguments: argparse.Namespace, rest: Sequence[str]) -> list[str]:
    """Makes both runs and returns the differences at their ends."""
    folder = pathlib.Path(arguments.workdir).absolute()
    if folder.exists():
        raise UserError(f"{folder} exists: give another --workdir, or delete it.")
    whole, broken = folder / "whole", folder / "broken"
    finish(starter(arguments, rest, whole)(), whole)
    print(f"the run without interruption did {last_step(whole)} steps", flush=True)
    note = partial(print, flush=True)
    trial = Trial(starter(arguments, rest, broken), broken, arguments.steps, arguments.seed, note)
    trial.run(arguments.kills)
    for (moment, number), count in sorted(trial.kills.items()):
        print(f"{count:3d} × {number} at {moment}")
    return differences(whole, broken)


def main() -> None:
    """Ends with exit status 1 if the runs differ, and 2 with one sentence for an error that the user can fix."""
    arguments, rest = parser().parse_known_args()
    with exit_on_user_error():
        check_numbers(arguments, {"steps": whole(1), "kills": whole(0), "processes": whole(1, 1_000), "seed": whole(0, SEED)})
        odd = run(arguments, rest)
    print(
        f"{arguments.kills} kills: "
        + (f"these differ: {', '.join(sorted(odd))}" if odd else "the runs are the same to the last bit")
    )
    sys.exit(1 if odd else 0)


if __name__ == "__main__":
    main()
