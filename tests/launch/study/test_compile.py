"""Compiling a stage for the devices of this machine, as a person starts it; for TPUs: tests/parity/test_topology.py."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import jax
import pytest

from configs.stages import make_task
from tests.launch.programs import run_here
from xactor_jax.training.experiment import load_config

SMALL = ("--config=configs/actor.py", "--config.network.depth=1", "--config.data.window=20", "--config.batch_size=4")


def compiled(*arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "4"}
    command = [sys.executable, "launch/study/compile.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)


@pytest.mark.slow  # quick: test_the_compiler_gets_the_effort_to_make, tests/training/test_benchmark.py
def test_a_report_of_this_machine(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "report.json"
    done = compiled(*SMALL, "--config.mesh.data=1", "--config.mesh.fsdp=4", f"--json={file}")
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    (step,) = report["steps"]
    config = load_config("configs/actor.py")
    config.network.depth = 1
    params = jax.eval_shape(make_task(config).init, jax.random.key(0)).params
    whole = sum(4 * x.size for x in jax.tree.leaves(params))
    assert report["devices"] == 4 and step["mesh"]["fsdp"] == 4 and step["fits"]
    assert whole / 4 <= step["held"]["parameters"] < 0.35 * whole  # small ones are held whole
    assert step["held"]["optimiser"] == pytest.approx(2 * step["held"]["parameters"], rel=0.01)
    assert step["arguments"] == pytest.approx(sum(step["held"].values()), rel=0.01)
    assert step["executed"] == step["model"] > 0 and step["collectives"]["all-gather"]["bytes"] > 0
    assert report["sampler"]["executed"] > 0
    assert "The peak of cpu is not known" in done.stdout and "10 frames of motion, 12 steps" in done.stdout


def test_the_compiler_gets_the_effort_to_make(repository: pathlib.Path) -> None:
    """By the program itself, whose name is that of a builtin; what it then does shows only on a TPU's compiler."""
    parsed = "program.flags.FLAGS(['compile', '--config=configs/actor.py', '--effort=-0.5']); program.the_devices()"
    code = f"import compile as program, jax; {parsed}; print(jax.config.jax_exec_time_optimization_effort)"
    environment = {**os.environ, "PYTHONPATH": "launch/study"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=repository)
    assert done.stdout.strip() == "-0.5", done.stderr


@pytest.mark.slow  # quick: tests/layers/test_remat.py
def test_rematerialisation_adds_flops_that_the_model_has_not(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "report.json"
    done = compiled(*SMALL, "--config.remat=full", "--nosampler", f"--json={file}")
    assert done.returncode == 0, done.stderr
    (step,) = json.loads(file.read_text())["steps"]
    assert 1.1 < step["executed"] / step["model"] < 1.34  # one forward pass more, of three


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--config=configs/actor.py", "--config.mesh.fsdp=3"), "mesh.fsdp=3"),
        (("--config=configs/actor.py", "--config.remat=some"), "remat=some is not possible: use none, dots or full"),
        (("--config=configs/actor.py", "--efficiency=2"), "--efficiency"),
        (("--config=configs/actor.py", "--effort=2"), "--effort"),
        (("--config=configs/actor.py", "--config.nothing=2"), "no setting nothing"),
        pytest.param(
            ("--config=configs/actor.py", "--topology=v5e:2x2"),
            "pip install 'libtpu==",
            marks=pytest.mark.skipif(importlib.util.find_spec("libtpu") is not None, reason="libtpu is installed"),
        ),
    ],
)
def test_mistakes_end_in_one_sentence(wrong: tuple[str, ...], said: str) -> None:
    done = run_here("study/compile.py", *wrong)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert done.stderr.count("error: ") == 1 and not done.stdout
