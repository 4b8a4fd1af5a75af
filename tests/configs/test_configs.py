"""Every preset of every stage: it builds, its table covers its parameters, its data fits its network."""

import dataclasses
import importlib
import math
import pkgutil
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags
from ml_collections import ConfigDict, config_flags

from configs.stages import STAGES, build, check, make_task
from data.fit import check_side
from xactor_jax.actor.settings import NoiseLevelWeights
from xactor_jax.checkpoints.config_file import flatten
from xactor_jax.diffusion.noise_levels import SAMPLERS
from xactor_jax.errors import UserError
from xactor_jax.layers.augmentation import augment
from xactor_jax.parallel.mesh import make_mesh
from xactor_jax.parallel.partition import path_name, tree_shardings
from xactor_jax.pictures import batch_to_float
from xactor_jax.run_settings import RunSettings
from xactor_jax.settings import docs, fields
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
CASES = [*((s, p) for s in STAGES for p in (*PRESETS, "heads")), *MORE]


def traced(stage: str, preset: str, quick: tuple[str, ...] = ("default", "base")) -> Any:
    """The first and the largest preset of each stage always, for networks take long to trace."""
    return pytest.param(stage, preset, marks=[] if preset in quick else [pytest.mark.slow])


TRACED = [traced(*case) for case in CASES]


@cache
def built(stage: str, preset: str):
    config = load_config(f"configs/{stage}.py:{preset}")
    task = make_task(config)
    return config, task, jax.eval_shape(task.init, jax.random.key(0))


@pytest.mark.parametrize("stage", STAGES)
def test_every_rule_of_the_table_finds_parameters(stage):
    trees = [built(stage, preset)[2].params for preset in ("default", "base")]
    names = [path_name(path) for tree in trees for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    for pattern, _ in built(stage, "base")[1].partition_rules:
        assert any(re.search(pattern, name) for name in names), f"no parameter matches {pattern}"


@pytest.mark.parametrize(("stage", "preset"), TRACED)
def test_every_parameter_can_be_sharded_by_the_table(stage, preset):
    config, task, variables = built(stage, preset)
    assert config.stage == task.stage == stage
    config.mesh.update(data=-1, fsdp=4, tensor=2)
    mesh = make_mesh(config.mesh)
    shardings = tree_shardings(variables.params, task.partition_rules, mesh)
    whole = sum(x.size * 4 for x in jax.tree.leaves(variables.params))
    leaves = zip(jax.tree.leaves(variables.params), jax.tree.leaves(shardings), strict=True)
    local = sum(4 * math.prod(sharding.shard_shape(x.shape)) for x, sharding in leaves)
    if preset == "base":
        assert local < 0.3 * whole


@pytest.mark.parametrize(("stage", "preset"), [traced(*case, quick=("default",)) for case in CASES])
def test_loss_traces_on_the_example_batch(stage, preset):
    _, task, variables = built(stage, preset)
    batch, key = jax.eval_shape(batch_to_float, task.example_batch(8)), jax.random.key(0)
    output = jax.eval_shape(lambda v, b, k: task.loss(v, b, k, True), variables, batch, key)
    assert output.loss.shape == ()
    assert jax.tree.structure(output.buffers) == jax.tree.structure(variables.buffers)
    assert all(metric.shape == () for metric in output.metrics.values())


@pytest.mark.parametrize("stage", STAGES)
def test_labels_name_an_optimiser_for_every_parameter(stage):
    _, task, variables = built(stage, "default")
    labels = task.param_labels(variables.params)
    assert jax.tree.structure(labels) == jax.tree.structure(variables.params)
    assert set(jax.tree.leaves(labels)) <= {"default", "discriminator", "frozen"}


@pytest.mark.parametrize("stage", STAGES)
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
def test_driving_augmentation_is_on_in_every_preset_and_turned_off_by_one_setting(preset, key):
    flag, pictures = f"--config=configs/motion.py:{preset}", jnp.full((40, 4, 4, 3), 0.5)

    def changed(*arguments: str) -> int:
        settings = make_task(from_command_line(flag, *arguments)).augmentation
        return int(np.any(augment(key, pictures, settings) != pictures, axis=(1, 2, 3)).sum())

    assert changed() > 20 and changed("--config.data.augmentation.probability=0") == 0


@pytest.mark.parametrize("preset", PRESETS)
def test_reference_masking_is_on_in_every_preset_and_turned_off_by_one_setting(preset, key):
    flag, entry = f"--config=configs/video.py:{preset}", jnp.zeros((1, 40, 2))

    def seen(*arguments: str) -> int:
        settings = make_task(from_command_line(flag, *arguments)).settings
        return mask_bank(key, (entry,), settings.reference_masked)[0].shape[1]

    assert seen() == 28 and seen("--config.loss.reference_masked=0") == 40


def settings_of(config: ConfigDict) -> dict[str, Any]:
    """Dotted name → value; without those of another stage, which a checkpoint brings."""
    return {key: value for key, value in flatten(config) if not key.startswith("motion.")}


@pytest.mark.parametrize(("stage", "preset"), CASES)
def test_a_preset_has_the_settings_that_dataclasses_declare_and_lies_inside_their_ranges(stage, preset):
    config, sections = load_config(f"configs/{stage}.py:{preset}"), STAGES[stage].sections
    declared = [f"{section}.{field.name}".strip(".") for section, cls in sections.items() for field in fields(cls).values()]
    assert len(declared) == len({*declared}) and settings_of(config).keys() == {*declared, "stage"}
    check(config)


@pytest.mark.parametrize("stage", STAGES)
def test_a_setting_has_one_default(stage):
    """That of the field; of a class that other stages share, a stage's own. The config file adds none."""
    sections, config = STAGES[stage].sections, settings_of(load_config(f"configs/{stage}.py"))
    others = {cls for name, other in STAGES.items() if name != stage for cls in mro_of(other.sections.values())}
    for section, settings in sections.items():
        for name, field in fields(settings).items():
            own = getattr(settings, name)
            assert config[f"{section}.{name}".strip(".")] == own
            declared = [cls for cls in mro_of([settings]) if name in cls.__annotations__]
            assert len(declared) == 1, f"{section}.{name} is declared by {declared}"
            assert own == field.default or declared[0] in others, f"{section}.{name}: {field.default} and {own}"


def mro_of(sections: Iterable[Any]) -> list[type]:
    """The dataclasses of sections, and those that they inherit from."""
    classes = [settings if isinstance(settings, type) else type(settings) for settings in sections]
    return [base for cls in classes for base in cls.__mro__ if dataclasses.is_dataclass(base)]


@pytest.mark.parametrize("stage", ["motion", "actor", "video"])
def test_no_network_has_a_default_for_a_setting(stage):
    """A class that is built from settings, and is none of them, must be given them."""
    settings = {
        name: field.type
        for section, declared in STAGES[stage].sections.items()
        for name, field in fields(declared).items()
        if section.startswith("network") or (section == "" and name not in fields(RunSettings))
    }
    for cls in classes_of(importlib.import_module(f"xactor_jax.{stage}")):
        for field in dataclasses.fields(cls):
            again = field.name in settings and field.type == settings[field.name] and field.name not in fields(cls)
            assert not again or field.default is dataclasses.MISSING, f"{cls.__name__}.{field.name} = {field.default}"


def classes_of(package: Any) -> list[type]:
    """The dataclasses of its modules, flax's among them."""
    modules = [importlib.import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)]
    return [x for m in modules for x in vars(m).values() if dataclasses.is_dataclass(x) and x.__module__ == m.__name__]


def test_every_way_to_draw_noise_levels_has_its_weight():
    assert fields(NoiseLevelWeights).keys() == set(SAMPLERS)


@pytest.mark.parametrize("stage", STAGES)
def test_every_setting_says_what_it_means(stage):
    meanings = docs(STAGES[stage].sections)
    assert all(len(text) > 10 and text[-1] not in ".;," for text in meanings.values()), meanings


@pytest.mark.parametrize(("stage", "preset"), [(s, p) for s in STAGES for p in ("default", "puppets", "heads")])
def test_embedded_data_fit_the_networks(stage, preset):
    config, data = load_config(f"configs/{stage}.py:{preset}"), STAGES[stage].data
    check_side(config, data.side, config.data.image_size, "the embedded data")


WRONG = {
    "motion": {
        "precision": ("float16", "use float32, bfloat16 or bf16"),
        "remat": ("some", "use none, dots or full"),
        "seed": (-1, "from 0 to 4294967295"),
        "log_every": (0, "from 1 on"),
        "checkpoint.keep": (0, "from 1 on"),
        "checkpoint.every": (-1, "from 1 on"),
        "data.examples_per_clip": (0, "from 1 to 100000"),
        "data.prefetch_mib": (0.0, "above 0.0"),
        "data.threads": (-1, "from 0 to 1000"),
        "data.kind": ("dolls", "use puppets or heads"),
        "data.augmentation.probability": (2.0, "from 0.0 to 1.0"),
        "network.latent_dim": (0, "from 1 on"),
        "network.encoder": ("vit", "use convolutional or xnemo"),
        "network.widths": ((), "at least 1 of these"),
        "loss.pixel": (float("nan"), "a number from 0.0 on"),
        "loss.adversarial_kind": ("wgan", "use hinge or non_saturating"),
        "optimizer.schedule": ("step", "use cosine or constant"),
        "optimizer.b2": (1.0, "below 1.0"),
        "mesh.fsdp": (0, "from 1 on, or -1"),
    },
    "autoencoder": {
        "loss.pixels": ("L1", "use l1 or mse"),
        "loss.perceptual_kind": ("vgg", "use vgg16 or lpips"),
        "network.latent_channels": (0, "from 1 on"),
    },
    "actor": {
        "data.window": (10**9, "from 1 to 100000"),
        "data.reference": ("any", "use other_clip or same_clip"),
        "network.emotions": (0, "from 1 to 8"),
        "objective.weighting": ("min-snr", "use none, min_snr, fused_snr or sigmoid"),
        "objective.drop_audio": (1.5, "from 0.0 to 1.0"),
        "objective.noise_levels.shared": (-1.0, "from 0.0 on"),
        "rollout.steps": (10**9, "from 1 to 10000"),
        "rollout.audio_guidance": (1e30, "from -100.0 to 100.0"),
        "diffusion.prediction": ("noise", "use v, eps, x0 or flow"),
    },
    "video": {
        "phase": ("first", "use all, spatial, temporal or finish"),
        "loss.weighting": ("min-snr", "use none, min_snr or sigmoid"),
        "render.steps": (-1, "from 0 to 10000"),
        "render.guidance_scale": (float("nan"), "from -100.0 to 100.0"),
        "render.first_time": (0.0, "above 0.0 to 1.0"),
        "network.unet.blocks": (0, "from 1 on"),
        "clip.activation": ("relu", "use quick_gelu or gelu"),
        "finish.adversarial_kind": ("wgan", "use hinge or non_saturating"),
        "data.apart": (1.2, "from 0.0 to 1.0"),
    },
}


@pytest.mark.parametrize(("stage", "key"), [(stage, key) for stage, keys in WRONG.items() for key in keys])
def test_a_setting_out_of_its_range_is_refused_by_name(stage, key):
    config, (value, said) = load_config(f"configs/{stage}.py"), WRONG[stage][key]
    with config.ignore_type():
        config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=re.escape(f"--config.{key}={value} is not possible: use ")) as error:
        build(config)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("stage", "changed", "said"),
    [
        ("video", {"render.window_overlap": 8}, "render.window_overlap=8 is not possible: use a whole number from 0 to 7"),
        ("video", {"render.known_frames": 20}, "render.known_frames=20 is not possible: use a whole number from 0 to 19"),
        ("video", {"render.spacing": "leading", "render.steps": 1000}, "1000 leading noise levels of 1000 are not possible"),
        ("video", {"network.unet.heads": 5}, "network.unet.channels=64 is not a multiple of network.unet.heads=5"),
        ("video", {"network.unet.attention": (True,)}, "2 levels in network.unet.channels and 1 in attention"),
        ("autoencoder", {"network.groups": 7}, "the autoencoder's channels=64 is not a multiple of its groups=7"),
        ("motion", {"network.widths": (12, 64)}, "network.widths=12 is not a multiple of the groups of normalisation=8"),
        ("actor", {"rollout.schedule": "pyramid", "rollout.offset": 13}, "a pyramid offset of 13 does not fit 12 steps"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(stage, changed, said):
    config = load_config(f"configs/{stage}.py")
    config.update_from_flattened_dict(changed)
    with pytest.raises(UserError, match=re.escape(said)):
        build(config)


@pytest.mark.parametrize("stage", STAGES)
def test_both_names_of_half_precision_are_one(stage):
    def task(precision: str):
        config = load_config(f"configs/{stage}.py")
        config.precision = precision
        return make_task(config)

    assert task("bf16") == task("bfloat16") != task("float32")


def test_the_stage_is_the_file_s():
    with pytest.raises(UserError, match=r"configs/motion\.py is of the stage motion: leave out --config\.stage"):
        from_command_line("--config=configs/motion.py", "--config.stage=actor")
