"""What a train step exchanges between eight simulated devices, at the demo's size: gradients and parameters, no examples."""

from __future__ import annotations

import math
from functools import cache

import jax
import pytest

from configs.stages import make_task
from xactor_jax.parallel.collectives import totals
from xactor_jax.parallel.mesh import make_mesh
from xactor_jax.training.compiling import StepReport, compile_step
from xactor_jax.training.experiment import load_config


@cache
def step(stage: str, **sizes: int) -> tuple[StepReport, list[int]]:
    """The compiled step's report, and the elements of every parameter."""
    config = load_config(f"configs/{stage}.py")
    config.batch_size = 16
    if stage == "actor":
        config.network.depth = 2
    config.mesh.update(sizes)
    task = make_task(config)
    params = jax.eval_shape(task.init, jax.random.key(0)).params
    return compile_step(config, task, make_mesh(config.mesh)), [x.size for x in jax.tree.leaves(params)]


pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # quick: of a smaller network, in test_meshes.py


@pytest.mark.parametrize(("stage", "often"), [("motion", 1.0), ("actor", 1.4)])
def test_devices_that_split_only_the_batch_sum_gradients_and_nothing_else(stage: str, often: float) -> None:
    """Of the actor's blocks, which read the reference and the frames, XLA for CPUs sums two parts of each gradient apart."""
    report, sizes = step(stage, data=8)
    found = totals(report.cost.collectives)
    assert set(found) == {"all-reduce"}
    assert found["all-reduce"]["bytes"] == pytest.approx(4 * often * sum(sizes), rel=0.01)


def test_parameters_travel_and_examples_stay() -> None:
    """With fsdp, what is gathered is parameters: once or twice, forward and backward, and in all not much more."""
    report, sizes = step("actor", data=1, fsdp=8)
    gathers = [one for one in report.cost.collectives if one.kind == "all-gather"]
    odd = [(shape, one.source) for one in gathers for shape in one.shapes if math.prod(shape) not in sizes]
    assert not odd
    found, whole = totals(report.cost.collectives), 4 * sum(sizes)
    assert set(found) <= {"all-gather", "all-reduce", "reduce-scatter"}
    assert 0.9 * whole < found["all-gather"]["bytes"] < 2.1 * whole
    assert sum(row["bytes"] for kind, row in found.items() if kind != "all-gather") < 1.5 * whole
