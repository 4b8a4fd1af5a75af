"""Where every parameter of every preset lies, computed only from shapes."""

from __future__ import annotations

import math
import re
from typing import Any

import jax
import pytest
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict

from configs.stages import STAGES
from tests.configs.test_configs import built, traced
from xactor_jax.errors import UserError
from xactor_jax.parallel.mesh import make_mesh
from xactor_jax.parallel.partition import path_name, tree_shardings
from xactor_jax.run_settings import MeshSettings
from xactor_jax.training.experiment import load_config

SMALL = 2**15
"""Elements up to which a parameter may be held whole on every device."""


def presets(stage: str) -> list[str]:
    """All that the stage's config knows, by its own words."""
    with pytest.raises(UserError) as caught:
        load_config(f"configs/{stage}.py:?")
    return str(caught.value).rpartition("choose one of ")[2].split(", ")


CASES = [traced(stage, preset) for stage in STAGES for preset in presets(stage)]


def placed(stage: str, preset: str, **sizes: int) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Path → (shape, sharding) of every parameter."""
    _, task, variables = built(stage, preset)
    mesh = make_mesh(MeshSettings(**sizes))
    shardings = tree_shardings(variables.params, task.partition_rules, mesh)
    paths = jax.tree_util.tree_leaves_with_path(variables.params)
    return {path_name(path): (x.shape, s) for (path, x), s in zip(paths, jax.tree.leaves(shardings), strict=True)}


@pytest.mark.parametrize(("stage", "preset"), CASES)
def test_no_large_parameter_is_whole_on_a_device(stage: str, preset: str) -> None:
    for name, (shape, sharding) in placed(stage, preset, fsdp=8).items():
        held = math.prod(sharding.shard_shape(shape))
        assert held == math.prod(shape) // 8 or held <= SMALL, f"{name} {shape} lies as {sharding.spec}"


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_is_split_over_devices_that_split_only_the_batch(stage: str) -> None:
    assert all(sharding.is_fully_replicated for _, sharding in placed(stage, "base").values())


INTENDED = {
    "actor": (
        (r"block_3/(attention|audio_attention)/(query|key|value)/kernel", P("fsdp", "tensor")),
        (r"block_3/(attention|audio_attention)/out/kernel", P("tensor", "fsdp")),
        (r"block_3/mlp/inner/kernel", P("fsdp", "tensor")),
        (r"block_3/mlp/out/kernel", P("tensor", "fsdp")),
        (r"block_3/mlp/inner/bias", P()),
        (r"^token/kernel", P("fsdp", "tensor")),
        (r"^prediction/kernel", P("tensor", "fsdp")),
    ),
    "video": (
        (r"trunk/down0_0_attention/(spatial|motion|temporal)/attention0/(query|key|value)/kernel", P("fsdp", "tensor")),
        (r"trunk/down0_0_attention/(spatial|motion|temporal)/attention0/out/kernel", P("tensor", "fsdp")),
        (r"trunk/down0_0_attention/spatial/feed_forward/in/kernel", P("fsdp", "tensor")),
        (r"trunk/down1_1_block/conv2/kernel", P(None, None, None, "fsdp")),
        (r"trunk/down1_1_block/norm2/scale", P()),
    ),
    "motion": (
        (r"encoder/attention0/attention/(query|key|value)/kernel", P("fsdp", "tensor")),
        (r"encoder/attention0/attention/out/kernel", P("tensor", "fsdp")),
        (r"encoder/to_mean/kernel", P("fsdp", None)),
        (r"encoder/hourglass/skip0/conv0/kernel", P(None, None, None, ("fsdp", "tensor"))),
        (r"decoder/map_latent_0/kernel", P(None, ("fsdp", "tensor"))),
    ),
}


@pytest.mark.parametrize(("stage", "pattern", "spec"), [(s, *row) for s, rows in INTENDED.items() for row in rows])
def test_base_lies_as_intended(stage: str, pattern: str, spec: P) -> None:
    found = [
        sharding.spec for name, (_, sharding) in placed(stage, "base", fsdp=4, tensor=2).items() if re.search(pattern, name)
    ]
    assert found and all(one == spec for one in found), found
