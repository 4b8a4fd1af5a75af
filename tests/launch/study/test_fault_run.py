"""A toy run killed at random moments ends as one that never was; one that is not the same is recognised."""

from __future__ import annotations

import contextlib
import importlib
import pathlib
import re
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest
from etils import epath

from tests.launch.programs import run_here
from xactor_jax.checkpoints.trees import write_arrays
from xactor_jax.errors import UserError
from xactor_jax.parallel import supervision
from xactor_jax.parallel.supervision import RESTART
from xactor_jax.training import faults

TOY = ["--program=tests/training/train_toy.py", "--config=tests/training/toy_experiment.py:slow", "--config.checkpoint.every=5"]
TOY += ["--config.eval_every=10", "--config.preview_every=0"]


def fault_run(repository: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "launch/study/fault_run.py", *TOY, *arguments]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=280)


@pytest.mark.slow  # quick: test_a_run_that_only_counts_is_killed_at_every_moment
def test_killed_four_times(repository: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "1")
    done = fault_run(repository, "--kills=4", "--steps=40", f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "4 kills: the runs are the same to the last bit"
    assert sum(line.startswith("SIG") for line in lines) == 4
    again = fault_run(repository, f"--workdir={tmp_path / 'run'}")
    assert again.returncode == 2 and "exists: give another --workdir" in again.stderr


@pytest.fixture
def program(repository: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The program, as a module."""
    monkeypatch.syspath_prepend(str(repository / "launch"))
    return importlib.import_module("launch.study.fault_run")


def test_a_start_quicker_than_the_last_is_killed_in_its_first_steps(tmp_path: pathlib.Path) -> None:
    """Else it could be done before the moment that was drawn for it."""
    trial = faults.Trial(lambda: None, tmp_path, 40, 0, print)
    assert not trial._reached("start", time.monotonic(), delay=60.0, before=0, target=0)
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    assert trial._reached("start", time.monotonic(), delay=60.0, before=0, target=0)


def test_a_run_that_only_counts_is_killed_at_every_moment(tmp_path: pathlib.Path) -> None:
    """The program itself; real training, killed: tests/training/test_launch.py and the slow tests here."""
    state = small_run(tmp_path / "small", 2.0, 0.5) / "checkpoints" / "3"
    options = [f"--workdir={tmp_path / 'run'}", "--program=tests/launch/study/counting_run.py", f"--config={state}"]
    done = run_here("study/fault_run.py", *options, "--kills=6", "--steps=150")
    assert done.returncode == 0, done.stderr
    killed = [re.match(r"(SIG\w+) at (\w+), .* s after the start, step (\d+)", line) for line in done.stdout.splitlines()[1:7]]
    assert [line[2] for line in killed] == ["start", "step", "save"] * 2
    assert {line[1] for line in killed} == {"SIGTERM", "SIGKILL"}
    steps = [int(line[3]) for line in killed]
    assert steps == sorted(steps) and steps[-1] < 150
    assert done.stdout.splitlines()[-1] == "6 kills: the runs are the same to the last bit"
    again = run_here("study/fault_run.py", *options)
    assert again.returncode == 2 and "exists: give another --workdir" in again.stderr


@pytest.mark.slow  # quick: the one before, and tests/training/test_launch.py
def test_one_of_two_processes_is_killed(
    program: types.ModuleType, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "1")
    arguments, rest = program.parser().parse_known_args([*TOY, "--processes=2", "--steps=20"])
    whole, broken = (program.starter(arguments, rest, tmp_path / name) for name in ("whole", "broken"))
    faults.finish(whole(), tmp_path / "whole")
    lines: list[str] = []
    trial = faults.Trial(broken, tmp_path / "broken", 20, 0, lines.append)
    trial._live("step", signal.SIGKILL, 1)
    trial.run(0)
    assert re.match(r"SIGKILL to process [01] at step, .* s after the start, step \d+", lines[0])
    assert supervision.LOST in (tmp_path / "broken.log").read_text()
    assert faults.differences(tmp_path / "whole", tmp_path / "broken") == []


@pytest.mark.parametrize(
    ("step", "statuses", "number", "wrong"),
    [
        (39, [RESTART], signal.SIGTERM, ""),
        (39, [0], signal.SIGTERM, "process 0: status 0 after SIGTERM: the last line"),
        (40, [0], signal.SIGTERM, ""),
        (39, [-signal.SIGKILL, RESTART], signal.SIGKILL, ""),
        (39, [RESTART, RESTART], signal.SIGKILL, "process 0: status 75 after SIGKILL"),
        (39, [-signal.SIGKILL, 1], signal.SIGKILL, "process 1: status 1 after SIGKILL"),
        (39, [-signal.SIGKILL, -signal.SIGSEGV], signal.SIGKILL, "process 1: status -11 after SIGKILL"),
    ],
)
def test_how_the_processes_may_end_when_the_first_is_killed(
    tmp_path: pathlib.Path, step: int, statuses: list[int], number: signal.Signals, wrong: str
) -> None:
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": {step}}}\n')
    tmp_path.with_suffix(".log").write_text("one\nthe last line\n")
    trial = faults.Trial(lambda: None, tmp_path, 40, 0, print)
    with pytest.raises(UserError, match=wrong) if wrong else contextlib.nullcontext():
        trial._check(statuses, 0, number, step - 1)


@pytest.mark.parametrize(("statuses", "named"), [([0, 0], None), ([RESTART, 1], 1), ([2, RESTART], 2), ([RESTART], RESTART)])
def test_of_a_run_that_fails_by_itself_the_cause_is_named(
    tmp_path: pathlib.Path, statuses: list[int], named: int | None
) -> None:
    tmp_path.with_suffix(".log").write_text("why\n")
    job = object.__new__(faults.Job)
    job.wait = lambda: statuses
    said = rf"failed by itself \(status {named}\): why"
    with contextlib.nullcontext() if named is None else pytest.raises(UserError, match=said):
        faults.finish(job, tmp_path)


def test_a_run_that_goes_on_for_long_after_a_signal_has_missed_it(tmp_path: pathlib.Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 40}\n')
    tmp_path.with_suffix(".log").write_text("done\n")
    with pytest.raises(UserError, match="30 more steps after SIGTERM: done"):
        faults.Trial(lambda: None, tmp_path, 40, 0, print)._check([0], 0, signal.SIGTERM, step=10)


def small_run(folder: pathlib.Path, number: float, loss: float) -> pathlib.Path:
    write_arrays(epath.Path(folder) / "checkpoints" / "3" / "state", {"w": np.array([1.0, number], np.float32)})
    (folder / "checkpoints" / "3" / "commit_success.txt").write_text("")
    (folder / "metrics.jsonl").write_text(f'{{"step": 3, "train/loss": {loss}, "train/data_wait": {number}}}\n')
    return folder


def test_what_differs_is_named(tmp_path: pathlib.Path) -> None:
    differences = faults.differences
    one = small_run(tmp_path / "one", 2.0, 0.5)
    assert differences(one, one) == []
    assert differences(one, small_run(tmp_path / "two", np.nextafter(np.float32(2), np.float32(3)), 0.5)) == ["['w']"]
    assert differences(one, small_run(tmp_path / "three", 2.0, 0.6)) == ["the curves of the metrics"]
