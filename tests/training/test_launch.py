"""Training as a person starts it: a program, killed, interrupted, in several processes, with mistakes on its command line."""

from __future__ import annotations

import pathlib
import signal
import socket
from typing import Any

import numpy as np
import pytest
from etils import epath

from tests.training import checks
from tests.training.toy import ToyTask, make_iterator_of, toy_config
from xactor_jax.training.loop import train
from xactor_jax.training.trees import FOLDER, saved_steps

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
    checks.assert_resume_is_exact([CONFIG, *arguments], tmp_path, program=PROGRAM, build=toy_build)


def test_sigterm_saves_and_ends_cleanly(tmp_path: pathlib.Path) -> None:
    process = checks.start(PROGRAM, [f"{CONFIG}:long", "--config.checkpoint.every=1000000", "--config.log_every=20"], tmp_path)
    log = tmp_path / "metrics.jsonl"
    checks.wait_until(process, lambda: log.exists() and len(log.read_text().splitlines()) > 2)
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 0, errors
    assert steps_saved(tmp_path) == [checks.curve(tmp_path)[-1]["step"]]
    assert "Traceback" not in errors


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_pair(arguments: list[str], workdir: pathlib.Path) -> list[Any]:
    """Two processes of four devices each."""
    common = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}", "JAX_NUM_PROCESSES": "2", "JAX_NUM_CPU_DEVICES": "4"}
    return [checks.start(PROGRAM, arguments, workdir, JAX_PROCESS_ID=str(i), **common) for i in range(2)]


def finish_pair(processes: list[Any]) -> None:
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors


def train_here(workdir: pathlib.Path, **overrides: Any) -> None:
    """The same run in this process, on its eight devices."""
    config = toy_config(noise=0.0, **overrides)
    train(config, *toy_build(config), workdir)


def test_two_processes_equal_one(tmp_path: pathlib.Path) -> None:
    finish_pair(start_pair([CONFIG, "--config.mesh.fsdp=4", "--config.noise=0.0"], tmp_path / "two"))
    train_here(tmp_path / "one", mesh__fsdp=4)
    two, one = checks.final_arrays(tmp_path / "two"), checks.final_arrays(tmp_path / "one")
    assert two.keys() == one.keys()
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-5, atol=1e-5, err_msg=name)
    assert [line["step"] for line in checks.curve(tmp_path / "two")] == [2, 4, 6, 8]


def test_two_processes_stop_together_and_one_goes_on(tmp_path: pathlib.Path) -> None:
    """SIGTERM to one of them; the checkpoint then goes on in one process with the batches not yet seen."""
    quiet = {"checkpoint__every": 1_000_000, "eval_every": 0, "preview_every": 0}
    settings = [f"--config.{name.replace('__', '.')}={value}" for name, value in quiet.items()]
    processes = start_pair([f"{CONFIG}:long", "--config.noise=0.0", *settings], tmp_path)
    log = tmp_path / "metrics.jsonl"
    checks.wait_until(processes[0], lambda: log.exists() and len(log.read_text().splitlines()) > 2)
    processes[1].send_signal(signal.SIGTERM)
    finish_pair(processes)
    (stopped,) = steps_saved(tmp_path)
    seen = make_iterator_of(toy_config())("train", 0, 1)
    for _ in range(stopped):
        next(seen)
    checks.assert_identical(checks.next_batch(tmp_path, toy_build), next(seen))
    train_here(tmp_path, steps=stopped + 2, **quiet)
    assert steps_saved(tmp_path) == [stopped + 2, stopped]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config.stepz=3"], "error: the config has no setting stepz: did you mean --config.steps?\n"),
        (
            ["--config.mesh.fsdp=3"],
            "error: mesh.data=-1, mesh.fsdp=3, mesh.context=1, mesh.tensor=1 does not fit the 2 devices",
        ),
    ],
)
def test_mistakes_on_the_command_line(tmp_path: pathlib.Path, arguments: list[str], message: str) -> None:
    errors = checks.run(PROGRAM, [CONFIG, *arguments], tmp_path / "run", status=2)
    assert message in errors and len(errors.splitlines()) == 1
    assert not (tmp_path / "run").exists()
