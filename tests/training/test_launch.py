"""Training as a person starts it: a program, killed, interrupted, in several processes, with mistakes on its command line."""

from __future__ import annotations

import contextlib
import pathlib
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from etils import epath

from tests.gcs import gcs_bucket  # noqa: F401
from tests.launch.programs import run_here
from tests.training import checks
from tests.training.toy import ToyTask, make_iterator_of, toy_config
from xactor_jax.checkpoints.trees import FOLDER, saved_steps
from xactor_jax.parallel import supervision
from xactor_jax.parallel.processes import on_loopback
from xactor_jax.parallel.supervision import RESTART
from xactor_jax.training.loop import train

PROGRAM = "tests/training/train_toy.py"
CONFIG = "--config=tests/training/toy_experiment.py"


@pytest.fixture(autouse=True)
def two_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs compile sooner for two devices than for eight."""
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "2")


def toy_build(config: Any) -> tuple[ToyTask, Any]:
    return ToyTask(noise=config.noise, hidden=config.hidden), make_iterator_of(config)


def steps_saved(workdir: pathlib.Path) -> list[int]:
    return saved_steps(epath.Path(workdir) / FOLDER)


def test_a_kill_in_the_middle_leaves_no_trace(tmp_path: pathlib.Path) -> None:
    settings = {"steps": 60, "checkpoint.every": 10, "eval_every": 20, "preview_every": 0, "log_every": 5}
    arguments = [f"--config.{name}={value}" for name, value in settings.items()]
    checks.assert_resume_is_exact([CONFIG, *arguments], tmp_path, program=PROGRAM, build=toy_build, held=["--config.held=40"])


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_saves_and_asks_for_a_restart(tmp_path: pathlib.Path, number: signal.Signals) -> None:
    process = checks.start(PROGRAM, [f"{CONFIG}:long", "--config.checkpoint.every=1000000", "--config.log_every=20"], tmp_path)
    wait_for_lines(process, tmp_path, 3)
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == RESTART, errors
    (step,) = steps_saved(tmp_path)
    assert step == checks.curve(tmp_path)[-1]["step"]
    assert errors.endswith(f"{tmp_path}: stopped and saved at step {step}; the same command goes on from there\n")
    assert "Traceback" not in errors


def wait_for_lines(process: Any, workdir: pathlib.Path, count: int) -> None:
    """Until a training process has written so many lines of metrics."""
    log = workdir / "metrics.jsonl"
    checks.wait_until(process, lambda: log.exists() and len(log.read_text().splitlines()) >= count)


@contextlib.contextmanager
def started(count: int, arguments: list[str], workdir: Any) -> Iterator[list[Any]]:
    """Real processes joined over the loopback, four devices in all."""
    devices = str(4 // count)
    processes = [checks.start(PROGRAM, arguments, workdir, JAX_NUM_CPU_DEVICES=devices, **e) for e in on_loopback(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()


def finish(processes: list[Any], status: int = 0, seconds: float = 150.0) -> list[str]:
    """What they said, once all of them have ended with the status expected."""
    errors = [process.communicate(timeout=seconds)[1] for process in processes]
    assert [process.returncode for process in processes] == [status] * len(processes), errors
    return errors


def train_here(workdir: pathlib.Path, **overrides: Any) -> None:
    """The same run in this process, on its eight devices."""
    config = toy_config(**overrides)
    train(config, *toy_build(config), workdir)


def assert_same_state(left: Any, right: Any) -> None:
    """Every number within 1e-5."""
    left, right = checks.final_arrays(left), checks.final_arrays(right)
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_allclose(left[name], right[name], rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.slow  # quick: what two processes save is gone on with by one, below; what they read: tests/parallel
def test_two_processes_equal_one(tmp_path: pathlib.Path) -> None:
    with started(2, [CONFIG, "--config.mesh.fsdp=2"], tmp_path / "two") as processes:
        finish(processes)
    train_here(tmp_path / "one", mesh__fsdp=4)
    assert_same_state(tmp_path / "two", tmp_path / "one")
    assert [line["step"] for line in checks.curve(tmp_path / "two")] == [2, 4, 6, 8]


ENDLESS = {"checkpoint.every": 1_000_000, "eval_every": 0, "preview_every": 0, "optimizer.schedule": "constant"}
QUIET = [f"--config.{name}={value}" for name, value in ENDLESS.items()]
QUIET_HERE = {name.replace(".", "__"): value for name, value in ENDLESS.items()}


@pytest.mark.slow  # quick: test_sigterm_to_one_of_two_that_are_still_restoring_stops_both
def test_sigterm_to_one_of_four_stops_all_and_any_number_goes_on(tmp_path: pathlib.Path) -> None:
    """One process begins; four go on and are told to stop; then two, on another mesh; then one: as if one had done it all."""
    four, run = [f"{CONFIG}:long", "--config.mesh.fsdp=4", *QUIET], tmp_path / "run"
    train_here(run, steps=4, **QUIET_HERE)
    with started(4, four, run) as processes:
        wait_for_lines(processes[0], run, 5)
        processes[2].send_signal(signal.SIGTERM)
        assert "going on at step 4\n" in finish(processes, RESTART)[0]
    stopped, _ = steps_saved(run)
    with started(2, [CONFIG, f"--config.steps={stopped + 3}", "--config.mesh.fsdp=2", *QUIET], run) as processes:
        assert f"going on at step {stopped}\n" in finish(processes)[0]
    train_here(run, steps=stopped + 5, **QUIET_HERE)
    assert steps_saved(run) == [stopped + 5, stopped + 3, stopped]
    train_here(tmp_path / "one", steps=stopped + 5, **QUIET_HERE)
    assert_same_state(run, tmp_path / "one")
    checks.assert_identical(checks.next_batch(run, toy_build), checks.next_batch(tmp_path / "one", toy_build))


def test_sigterm_to_one_of_two_that_are_still_restoring_stops_both(tmp_path: pathlib.Path) -> None:
    train_here(tmp_path, steps=4, **QUIET_HERE)
    with started(2, [CONFIG, "--config.mesh.fsdp=2", "--config.terminated=1", *QUIET], tmp_path) as processes:
        errors = finish(processes, RESTART)
    assert all(error.endswith("stopped and saved at step 4; the same command goes on from there\n") for error in errors)
    assert steps_saved(tmp_path) == [4]


@pytest.mark.slow  # quick: test_sigterm_to_one_of_two_that_are_still_restoring_stops_both
@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_is_killed_the_other_says_so_within_a_minute(tmp_path: pathlib.Path, victim: int) -> None:
    """The first process holds the service that joins them, the others do not: both ways to lose one."""
    with started(2, [f"{CONFIG}:long", *QUIET, "--config.checkpoint.every=20"], tmp_path) as processes:
        checks.wait_until(processes[0], lambda: bool(steps_saved(tmp_path)))
        processes[victim].kill()
        (errors,) = finish([processes[1 - victim]], RESTART, seconds=60)
    assert errors.splitlines()[-1] == supervision.LOST
    saved = steps_saved(tmp_path)[0]
    train_here(tmp_path, steps=saved + 2, **QUIET_HERE)
    assert steps_saved(tmp_path)[0] == saved + 2


@pytest.mark.slow  # quick: tests/training/test_gcs.py
def test_two_processes_save_into_a_bucket_and_one_goes_on(gcs_bucket: str, tmp_path: pathlib.Path) -> None:
    """The newest checkpoint there lacks the mark that it is whole, as if writing it had been cut off."""
    run = epath.Path(gcs_bucket) / "launch" / "run"
    with started(2, [CONFIG, "--config.mesh.fsdp=2", "--config.eval_every=0", "--config.preview_every=0"], run) as processes:
        finish(processes)
    assert saved_steps(run / FOLDER) == [8, 4]
    (run / FOLDER / "8" / "commit_success.txt").unlink()
    errors = checks.run(PROGRAM, [CONFIG, "--config.eval_every=0", "--config.preview_every=0"], run)
    assert "checkpoint 8 in" in errors and "was cut off while it was written and is passed over" in errors
    assert "going on at step 4\n" in errors
    train_here(tmp_path, eval_every=0, preview_every=0)
    assert_same_state(run, tmp_path)


@pytest.mark.slow  # quick: the same mistake of one process, below
def test_every_process_reports_a_mistake(tmp_path: pathlib.Path) -> None:
    with started(2, [CONFIG, "--config.mesh.fsdp=3"], tmp_path / "run") as processes:
        errors = finish(processes, 2)
    assert all("mesh.fsdp=3, mesh.context=1, mesh.tensor=1 does not fit the 4 devices" in error for error in errors)
    assert not any("Traceback" in error or "lost" in error for error in errors)


def test_a_setting_that_there_is_not(tmp_path: pathlib.Path) -> None:
    done = run_here("train.py", "--config=configs/motion.py", "--config.stepz=3", f"--workdir={tmp_path / 'run'}")
    assert (done.returncode, done.stderr) == (2, "error: the config has no setting stepz: did you mean --config.steps?\n")
    assert not (tmp_path / "run").exists()


def test_a_mistake_on_the_command_line(tmp_path: pathlib.Path) -> None:
    errors = checks.run(PROGRAM, [CONFIG, "--config.mesh.fsdp=3"], tmp_path / "run", status=2)
    assert "error: mesh.data=-1, mesh.fsdp=3, mesh.context=1, mesh.tensor=1 does not fit the 2 devices" in errors
    assert len(errors.splitlines()) == 1 and not (tmp_path / "run").exists()
