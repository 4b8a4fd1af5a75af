"""Checkpoints of all stages, untrained and as small as they get, for tests of what uses checkpoints.

    from tests.tiny import tiny  # noqa: F401    a session fixture: stage → export folder

Pictures are 32 × 32 pixels, motion latents have 8 numbers. No layer is at zero, so every input shows in the output.
"""

from __future__ import annotations

import json
import pathlib
from functools import cache, partial
from typing import Any

import jax
import numpy as np
import pytest
from etils import epath
from ml_collections import ConfigDict

from configs.stages import make_task
from xactor_jax.checkpoints.config_file import FILE
from xactor_jax.checkpoints.exports import ARRAYS
from xactor_jax.checkpoints.trees import write_arrays
from xactor_jax.training.experiment import load_config
from xactor_jax.variables import Variables

SIZE, LATENT_DIM, CHUNK = 32, 8, 5


def tiny_config(stage: str) -> ConfigDict:
    """The stage's default config at tiny sizes."""
    c = load_config(f"configs/{stage}.py")
    c.batch_size = 4
    c.data.update(kind="puppets", image_size=SIZE)  # which are drawn much faster than heads are
    if stage == "motion":
        c.network.update(image_size=SIZE, latent_dim=LATENT_DIM, widths=(8,), encoder_widths=(8,), patch=8)
    if stage == "actor":
        c.network.update(latent_dim=LATENT_DIM, width=16, depth=1, heads=2, chunk=CHUNK, context=2 * CHUNK, mlp_ratio=1)
        c.network.emotions, c.rollout.steps = 5, 2
    if stage in ("autoencoder", "video"):
        (c.network if stage == "autoencoder" else c.autoencoder).update(image_size=SIZE, patch=8, channels=(8,), linear=True)
    if stage == "video":
        c.motion = tiny_config("motion")
        c.data.window = 4
        c.network.update(motion_dim=LATENT_DIM, motion_tokens=2, motion_token_width=8, motion_hidden=0)
        c.network.unet.update(channels=(8,), attention=(True,), heads=2, groups=4, feed_forward=0, time_width=16)
        c.render.update(steps=2, window_overlap=2, windows_per_segment=2, known_frames=2)
    return c


def tiny_variables(config: ConfigDict, seed: int = 0) -> Variables:
    """Random variables of the stage of a config, drawn leaf by leaf: compiling the real initialisation takes long."""
    return drawn(make_task(config), seed)


def drawn(task: Any, seed: int = 0) -> Variables:
    """The same for a task."""
    rng = np.random.default_rng(seed)
    return Variables(*(jax.tree_util.tree_map_with_path(partial(_draw, rng), part) for part in shapes_of(task)))


@cache
def shapes_of(task: Any) -> Variables:
    """What a task initialises, as shapes; tracing it takes seconds."""
    return jax.eval_shape(task.init, jax.random.key(0))


def _draw(rng: np.random.Generator, path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
    """Kernels keep the size of what they are applied to; standard deviations are 1; the rest is small."""
    name = str(path[-1].key)
    if name in ("scale", "latent_std", "latent_square", "residual_std") or name.endswith("count"):
        return np.ones(leaf.shape, leaf.dtype)
    size = 1 / np.sqrt(np.prod(leaf.shape[:-1])) if name == "kernel" else 0.05
    return (size * rng.normal(size=leaf.shape)).astype(leaf.dtype)


def write_checkpoint(folder: pathlib.Path, config: ConfigDict, variables: Variables) -> pathlib.Path:
    """An export folder."""
    folder.mkdir(parents=True)
    write_arrays(epath.Path(folder) / ARRAYS, variables._asdict())
    (folder / FILE).write_text(json.dumps({"stage": config.stage, "config": config.to_dict()}))
    return folder


def tiny_checkpoints(folder: pathlib.Path, stages: tuple[str, ...] = ("motion", "actor", "video")) -> dict[str, pathlib.Path]:
    """Stage → export folder inside `folder`."""
    configs = {stage: tiny_config(stage) for stage in stages}
    return {stage: write_checkpoint(folder / stage, c, tiny_variables(c)) for stage, c in configs.items()}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    """Stage → export folder, made once."""
    return tiny_checkpoints(tmp_path_factory.mktemp("tiny"))
