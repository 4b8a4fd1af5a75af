"""Every preset's training state: averages and moments lie as their parameters, and eight devices hold an eighth each."""

from __future__ import annotations

import math
from typing import Any

import jax
import pytest
from ml_collections import ConfigDict

from tests.configs.test_configs import TRACED, built
from xactor_jax.parallel.mesh import make_mesh
from xactor_jax.parallel.partition import path_name
from xactor_jax.run_settings import MeshSettings
from xactor_jax.training.optimizer import make_optimizer
from xactor_jax.training.state import TrainState, state_shardings
from xactor_jax.variables import Variables

COPIES = 2
"""Adam's moments."""


def layout(stage: str, preset: str, fsdp: int, tensor: int) -> tuple[Variables, TrainState, TrainState]:
    """(shapes of the variables, shapes of the state, shardings of the state), with nothing allocated."""
    config, task, variables = built(stage, preset)
    mesh = make_mesh(MeshSettings(fsdp=fsdp, tensor=tensor))
    opt_state = jax.eval_shape(make_optimizer(config, task).init, variables.params)
    step = jax.ShapeDtypeStruct((), "int32")
    state = TrainState(step, variables.params, variables.params, opt_state, variables.buffers)
    return variables, state, state_shardings(state, task, mesh)


def named(tree: Any) -> dict[str, Any]:
    return {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


@pytest.mark.parametrize(("stage", "preset"), TRACED)
def test_averages_and_moments_lie_as_their_parameters(stage: str, preset: str) -> None:
    variables, state, shardings = layout(stage, preset, fsdp=2, tensor=2)
    params, ema, moments = named(shardings.params), named(shardings.ema), named(shardings.opt_state)
    assert ema == params
    shapes = named(state.opt_state)
    labels = named(built(stage, preset)[1].param_labels(variables.params))
    learned = [name for name, label in labels.items() if label != "frozen"]
    for name, array in ((name, x) for name, x in named(variables.params).items() if name in learned):
        copies = [key for key in moments if key.endswith(f"/{name}") and shapes[key].shape == array.shape]
        assert len(copies) == COPIES, f"{name} has {copies}"
        assert all(moments[key] == params[name] for key in copies), name
    assert any(sharding.spec for sharding in params.values())
    rest = len(moments) - COPIES * len(learned)
    assert rest <= 8, "more than the counts of steps is left, which every device holds whole"


@pytest.mark.parametrize("stage", ["motion", "actor", "autoencoder", "video"])
def test_eight_devices_hold_an_eighth_each_of_the_largest_preset(stage: str) -> None:
    _, state, shardings = layout(stage, "base", fsdp=8, tensor=1)
    leaves = list(zip(jax.tree.leaves(state), jax.tree.leaves(shardings), strict=True))
    whole = sum(x.size * x.dtype.itemsize for x, _ in leaves)
    local = sum(math.prod(sharding.shard_shape(x.shape)) * x.dtype.itemsize for x, sharding in leaves)
    assert local < 1.05 * whole / 8
