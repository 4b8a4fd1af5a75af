"""Every preset of every stage: it builds, its table covers its parameters, its data fits its network."""

import math
import re
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags
from ml_collections import ConfigDict, config_flags

from data.augment import DrivingAugmentation, augment_driving
from launch.stages import TASKS
from xactor_jax.errors import UserError
from xactor_jax.parallel.mesh import make_mesh
from xactor_jax.parallel.partition import path_name, tree_shardings
from xactor_jax.training.experiment import load_config, parse_flags
from xactor_jax.video.reference import mask_bank

PRESETS = ("default", "puppets", "base")
MORE = [
    ("motion", "heads_encoder"),
    ("motion", "heads_sharpen"),
    ("video", "heads_finish"),
    ("actor", "demo"),
    ("actor", "large"),
]
CASES = [*((s, p) for s in TASKS for p in (*PRESETS, "heads")), *MORE]


@cache
def build(stage: str, preset: str):
    config = load_config(f"configs/{stage}.py:{preset}")
    task = TASKS[stage].from_config(config)
    return config, task, jax.eval_shape(task.init, jax.random.key(0))


@pytest.mark.parametrize("stage", TASKS)
def test_every_rule_of_the_table_finds_parameters(stage):
    trees = [build(stage, preset)[2].params for preset in PRESETS]
    names = [path_name(path) for tree in trees for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    for pattern, _ in build(stage, "base")[1].partition_rules:
        assert any(re.search(pattern, name) for name in names), f"no parameter matches {pattern}"


@pytest.mark.parametrize(("stage", "preset"), CASES)
def test_every_parameter_can_be_sharded_by_the_table(stage, preset):
    config, task, variables = build(stage, preset)
    assert config.stage == task.stage == stage
    config.mesh.update(data=-1, fsdp=4, tensor=2)
    mesh = make_mesh(config.mesh)
    shardings = tree_shardings(variables.params, task.partition_rules, mesh)
    whole = sum(x.size * 4 for x in jax.tree.leaves(variables.params))
    leaves = zip(jax.tree.leaves(variables.params), jax.tree.leaves(shardings), strict=True)
    local = sum(4 * math.prod(sharding.shard_shape(x.shape)) for x, sharding in leaves)
    if preset == "base":
        assert local < 0.3 * whole


def traced(stage: str, preset: str) -> Any:
    """One preset of each stage always, for the losses of large networks take long to trace."""
    return pytest.param(stage, preset, marks=[] if preset == "default" else [pytest.mark.slow])


@pytest.mark.parametrize(("stage", "preset"), [traced(*case) for case in CASES])
def test_loss_traces_on_the_example_batch(stage, preset):
    _, task, variables = build(stage, preset)
    output = jax.eval_shape(lambda v, b, k: task.loss(v, b, k, True), variables, task.example_batch(8), jax.random.key(0))
    assert output.loss.shape == ()
    assert jax.tree.structure(output.buffers) == jax.tree.structure(variables.buffers)
    assert all(metric.shape == () for metric in output.metrics.values())


@pytest.mark.parametrize("stage", TASKS)
def test_labels_name_an_optimiser_for_every_parameter(stage):
    _, task, variables = build(stage, "default")
    labels = task.param_labels(variables.params)
    assert jax.tree.structure(labels) == jax.tree.structure(variables.params)
    assert set(jax.tree.leaves(labels)) <= {"default", "discriminator", "frozen"}


@pytest.mark.parametrize("stage", TASKS)
def test_an_unknown_preset_is_refused_with_the_known_ones(stage):
    with pytest.raises(UserError, match=r"no preset 'huge': choose one of default, .*puppets, .*base"):
        load_config(f"configs/{stage}.py:huge")


def from_command_line(*arguments: str) -> ConfigDict:
    """The config that a program is given."""
    values, command = flags.FlagValues(), ["train.py", *arguments]
    config_flags.DEFINE_config_file("config", lock_config=True, flag_values=values, sys_argv=command)
    parse_flags(values, command)
    return values.config


@pytest.mark.parametrize("preset", PRESETS)
def test_driving_augmentation_is_on_in_every_preset_and_turned_off_by_one_setting(preset, rng):
    flag, picture = f"--config=configs/motion.py:{preset}", rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)

    def changed(*arguments: str) -> int:
        settings = DrivingAugmentation(**from_command_line(flag, *arguments).data.augmentation)
        return sum(np.any(augment_driving(picture, rng, settings) != picture) for _ in range(40))

    assert changed() > 20 and changed("--config.data.augmentation.probability=0") == 0


@pytest.mark.parametrize("preset", PRESETS)
def test_reference_masking_is_on_in_every_preset_and_turned_off_by_one_setting(preset, key):
    flag, entry = f"--config=configs/video.py:{preset}", jnp.zeros((1, 40, 2))

    def seen(*arguments: str) -> int:
        settings = TASKS["video"].from_config(from_command_line(flag, *arguments)).settings
        return mask_bank(key, (entry,), settings.reference_masked)[0].shape[1]

    assert seen() == 28 and seen("--config.loss.reference_masked=0") == 40
