"""Every stage, with its real network and data: the same on any mesh, and the same after a kill."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest
from ml_collections import ConfigDict

from data.encode import encode_dataset
from data.performers.build import build
from tests.tiny import SIZE, tiny_checkpoints, tiny_variables
from tests.training.checks import assert_resume_is_exact, assert_sharded_equals_unsharded
from tests.training.meshes import small_config
from xactor_jax.checkpoints.config_file import flatten
from xactor_jax.training.experiment import load_config

STAGES = ("motion", "actor", "video")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    """Folders of puppets, of their latents, and of the checkpoints that the later stages need."""
    folder = tmp_path_factory.mktemp("prepared")
    checkpoints = tiny_checkpoints(folder / "checkpoints", ("motion", "autoencoder"))
    build(folder / "clips", persons=4, clips_per_person=2, seconds=1.0, size=SIZE, processes=1, progress=False)
    encode_dataset(folder / "clips", checkpoints["motion"], folder / "encoded")
    return {**checkpoints, "clips": folder / "clips", "encoded": folder / "encoded"}


def stage_config(stage: str, prepared: dict[str, pathlib.Path]) -> ConfigDict:
    """The stage at small sizes on the prepared data."""
    c = small_config(stage)
    c.batch_size = 8
    c.data.update(path=str(prepared["clips"]), encoded_path=str(prepared["encoded"]), examples_per_clip=1, threads=0)
    c.pretrained.update(motion=str(prepared["motion"]), autoencoder=str(prepared["autoencoder"]))
    return c


def as_flags(config: ConfigDict) -> Iterator[str]:
    """The command line that turns the stage's default config into this one."""
    yield f"--config=configs/{config.stage}.py"
    default = dict(flatten(load_config(f"configs/{config.stage}.py")))
    yield from (f"--config.{key}={value}" for key, value in flatten(config) if default[key] != value)


@pytest.mark.slow
def test_a_sharded_stage_equals_one_device(prepared):
    """Whole steps of the stage with two optimisers; the gradients of all: tests/training/test_meshes.py.

    Quick: whole steps of the toy, which has two optimisers as well (tests/training/test_step.py).
    """
    config = stage_config("motion", prepared)
    # At once at the full learning rate; Adam turns the rounding of gradients below eps into whole steps.
    config.optimizer.update(warmup_steps=0, eps=1e-3)
    assert_sharded_equals_unsharded(config, ((2, 2, 2),), steps=2, tolerance=2e-5, begin=tiny_variables(config))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_resumes_exactly(stage, prepared, tmp_path, monkeypatch):
    """Quick: the toy is killed by the same program (tests/training/test_launch.py)."""
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "2")  # programs compile sooner than for eight
    config = stage_config(stage, prepared)
    config.update(steps=8, eval_every=0, preview_every=0, log_every=4)
    config.checkpoint.update(every=2)
    assert_resume_is_exact(list(as_flags(config)), tmp_path)
