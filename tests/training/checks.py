"""Checks that every stage has to pass, whatever its network: the same on any mesh, and the same after a kill."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pytest
from etils import epath
from ml_collections import ConfigDict

from tests.training.shared import programs_of
from xactor_jax.checkpoints.config_file import read_config
from xactor_jax.checkpoints.trees import FOLDER, read_arrays, saved_steps, saved_tree
from xactor_jax.parallel.mesh import make_mesh, put_batch
from xactor_jax.run_settings import MeshSettings
from xactor_jax.training import journal
from xactor_jax.training.saving import restore_iterator
from xactor_jax.training.state import TrainState
from xactor_jax.training.throughput import Completion, is_timing
from xactor_jax.variables import Variables

Build = Callable[[ConfigDict], tuple[Any, Any]]
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
TRAIN = "launch/train.py"


def stages_build(config: ConfigDict) -> tuple[Any, Any]:
    """`configs.stages.build`, imported late."""
    from configs.stages import build

    return build(config)


def steps_on_mesh(
    config: ConfigDict, shape: Sequence[int], build: Build, steps: int, begin: Variables | None = None
) -> tuple[Any, list[float]]:
    """(host copy of the state, losses) after some steps on a mesh of the given axis sizes, on as many devices as it needs.

    begin: what to begin with; None: the run's own fresh parameters, whose draws take long to compile for a large network.
    """
    axes = MeshSettings(**dict(zip(("data", "fsdp", "tensor"), shape, strict=True)))
    mesh = make_mesh(axes, jax.devices()[: int(np.prod(shape))])
    task, make_iterator = build(config)
    programs = programs_of(config, task, mesh)
    state = programs.init() if begin is None else state_of(begin, programs.abstract)
    iterator, losses = make_iterator("train", 0, 1), []
    for _ in range(steps):
        state, metrics = programs.train_step(state, put_batch(next(iterator), mesh))
        losses.append(float(metrics["loss"]))
    return jax.device_get(state), losses


def state_of(variables: Variables, abstract: TrainState) -> TrainState:
    """The state before the first step with these parameters and buffers, laid out as `abstract`."""
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), abstract.opt_state)
    state = TrainState(np.int32(0), variables.params, variables.params, zeros, variables.buffers)
    return jax.tree.map(lambda x, like: jax.device_put(x, like.sharding), state, abstract)


def assert_trees_close(left: Any, right: Any, tolerance: float) -> None:
    """Every number of two trees differs by at most `tolerance`, absolutely or relatively."""
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance, rtol=tolerance, err_msg=jax.tree_util.keystr(path))


def assert_sharded_equals_unsharded(
    config: ConfigDict,
    mesh_shapes: Sequence[Sequence[int]] = ((8, 1, 1), (2, 4, 1), (2, 2, 2)),
    *,
    build: Build = stages_build,
    steps: int = 3,
    tolerance: float = 1e-5,
    begin: Variables | None = None,
) -> None:
    """Losses, parameters, averages and buffers after a few steps are those of one device."""
    one, losses = steps_on_mesh(config, (1, 1, 1), build, steps, begin)
    for shape in mesh_shapes:
        many, sharded_losses = steps_on_mesh(config, shape, build, steps, begin)
        np.testing.assert_allclose(sharded_losses, losses, rtol=tolerance, atol=tolerance, err_msg=f"losses on {shape}")
        for name in ("params", "ema", "buffers"):
            assert_trees_close(getattr(many, name), getattr(one, name), tolerance)


def environment(**variables: str) -> dict[str, str]:
    """Environment of a training process: this one's, with some variables set."""
    return {**os.environ, **variables}


def start(program: str, arguments: Sequence[str], workdir: pathlib.Path, **variables: str) -> subprocess.Popen[str]:
    """A training process."""
    command = [sys.executable, program, *arguments, f"--workdir={workdir}"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=REPOSITORY, env=environment(**variables), stdout=pipe, stderr=pipe, text=True)


def run(program: str, arguments: Sequence[str], workdir: pathlib.Path, status: int = 0, **variables: str) -> str:
    """stderr of a training process that ran to its end, with the exit status expected."""
    process = start(program, arguments, workdir, **variables)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == status, errors[-3000:]
    return errors


def wait_until(process: subprocess.Popen[str], condition: Callable[[], bool], seconds: float = 240.0) -> None:
    """Returns once `condition` holds. Fails when the process has ended, or after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"the run ended before it could be stopped: {process.communicate()[1][-3000:]}"
        assert time.monotonic() < deadline, "the run has not got far enough in time"
        time.sleep(0.005)


def kill_in_the_middle(program: str, arguments: Sequence[str], workdir: pathlib.Path) -> None:
    """Starts training and kills it with SIGKILL as soon as there is a checkpoint."""
    process = start(program, arguments, workdir)
    try:
        wait_until(process, lambda: bool(saved_steps(epath.Path(workdir) / FOLDER)))
    finally:
        process.kill()
        process.communicate()


def final_arrays(workdir: pathlib.Path) -> Mapping[str, np.ndarray]:
    """Path → array of the whole state in the newest checkpoint, and the step."""
    folder = epath.Path(workdir) / FOLDER
    state = folder / str(saved_steps(folder)[0]) / "state"
    leaves = jax.tree_util.tree_leaves_with_path(read_arrays(state, saved_tree(state)))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def next_batch(workdir: pathlib.Path, build: Build) -> Mapping[str, np.ndarray]:
    """The batch that a run would take next if it went on from its newest checkpoint."""
    config = read_config(epath.Path(workdir))
    assert config is not None
    folder = epath.Path(workdir) / FOLDER
    iterator = build(config.lock())[1]("train", 0, 1)
    restore_iterator(folder / str(saved_steps(folder)[0]) / "data", iterator)
    return next(iterator)


def assert_identical(left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> None:
    """The same names with the same bits."""
    assert left.keys() == right.keys()
    for name in left:
        assert np.asarray(left[name]).tobytes() == np.asarray(right[name]).tobytes(), f"{name} differs"


def late(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Callable[[], None]:
    """For `on_batch`: every batch comes so many seconds after the devices are done with the last step, on any machine."""
    steps: list[Completion] = []
    monkeypatch.setattr(journal, "Completion", lambda metrics: (steps.append(Completion(metrics)), steps[-1])[1])

    def wait() -> None:
        if steps:
            steps[-1].wait(60.0)
        time.sleep(seconds)

    return wait


def curve(workdir: pathlib.Path) -> list[dict[str, float]]:
    """metrics.jsonl without what depends on the speed of the machine."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not is_timing(name)} for line in lines]


def assert_resume_is_exact(
    config_args: Sequence[str],
    folder: pathlib.Path,
    *,
    program: str = TRAIN,
    build: Build = stages_build,
    held: Sequence[str] = (),
) -> None:
    """A run killed with SIGKILL and started again ends as one that was never stopped, to the last bit.

    config_args: what follows `launch/train.py`, such as ["--config=configs/motion.py", "--config.steps=12",
    "--config.checkpoint.every=4"]; several checkpoints must fit into the steps, so that it can be killed between them.
    held: more of these that keep the run to be killed from its end, where its steps are quick.
    Compares parameters, averages, optimiser state, buffers, the next batch and the curves.
    """
    whole, broken = folder / "whole", folder / "broken"
    run(program, config_args, whole)
    kill_in_the_middle(program, [*config_args, *held], broken)
    killed_at = saved_steps(epath.Path(broken) / FOLDER)[0]
    assert killed_at < saved_steps(epath.Path(whole) / FOLDER)[0], "killed too late: give more steps"
    assert f"going on at step {killed_at}\n" in run(program, config_args, broken)
    assert_identical(final_arrays(broken), final_arrays(whole))
    assert_identical(next_batch(broken, build), next_batch(whole, build))
    assert curve(broken) == curve(whole)
