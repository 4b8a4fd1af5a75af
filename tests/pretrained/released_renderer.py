"""All that a released renderer is made of, as small as it gets and at random, in files as they are released."""

from __future__ import annotations

import pathlib
from typing import NamedTuple

import numpy as np
from flax.traverse_util import unflatten_dict
from ml_collections import ConfigDict
from safetensors.numpy import save_file

from configs import video
from tests.audio.released import write_released
from tests.golden import values
from tests.pretrained import released_autoencoder, test_clip
from xactor_jax.pretrained import xnemo_motion, xnemo_video
from xactor_jax.pretrained.importing import import_weights
from xactor_jax.pretrained.joining import import_renderer
from xactor_jax.pretrained.name_map import Shapes, Table, exported
from xactor_jax.training.experiment import load_config

SIDE, LATENT_DIM = 16, 8


class Released(NamedTuple):
    """Files, and the sizes of what is in them."""

    renderer: dict[str, pathlib.Path]
    motion: pathlib.Path
    autoencoder: pathlib.Path
    clip: pathlib.Path
    motion_config: ConfigDict
    video_config: ConfigDict


def motion_config() -> ConfigDict:
    c = load_config("configs/motion.py:base")
    c.precision = "float32"
    c.network.update(image_size=64, encoder_size=64, latent_dim=LATENT_DIM, blocks=1, widths=(8,), variance=False)
    c.network.update(encoder_widths=(8, 32, 32), attention_width=32)
    c.data.image_size = 64
    return c


def video_config(precision: str = "float32") -> ConfigDict:
    c = video.get_config("base")
    c.precision = precision
    c.data.update(image_size=SIDE, window=4)
    c.autoencoder.update(image_size=SIDE, channels=(8, 8), blocks=1, groups=4, middle=False)
    c.clip.depth = 0
    c.network.update(motion_dim=LATENT_DIM, motion_tokens=3, motion_token_width=16, box_width=4)
    c.network.unet.update(channels=(8,), attention=(True,), heads=2, blocks=1, groups=4, module_groups=4)
    c.network.unet.update(context_width=test_clip.CONFIG["projection_dim"], time_width=16)
    c.render.update(steps=3, window_overlap=1, known_frames=2)
    return c


def drawn(shapes: Shapes, table: Table) -> dict[str, np.ndarray]:
    """A state dict at random, with its fixed tables."""
    zeros = unflatten_dict({path: np.zeros(shape, np.float32) for path, shape in shapes.items()}, sep="/")
    state = exported(zeros, table)
    return state | values({key: array.shape for key, array in state.items() if not key.endswith("pe")})


def release(folder: pathlib.Path) -> Released:
    """Files in a folder."""
    video_sizes, motion_sizes = video_config(), motion_config()
    state = drawn(xnemo_video.parameter_shapes(video_sizes), xnemo_video.table(levels=1))
    encoder = drawn(xnemo_motion.parameter_shapes(motion_sizes), xnemo_motion.TABLE)
    files = {}
    for role in xnemo_video.FILES:
        own = {key.removeprefix(f"{role}:"): x for key, x in state.items() if key.startswith(f"{role}:")}
        files[role] = folder / f"{role}.safetensors"
        save_file(own | (encoder if role == "motion" else {}), files[role])
    vae, _ = released_autoencoder.release(folder / "vae", "svd_vae")
    clip = write_released(folder / "clip", test_clip.CONFIG, test_clip.weights_of(np.random.default_rng(3)))
    return Released(files, files["motion"], vae, clip, motion_sizes, video_sizes)


def import_all(released: Released, folder: pathlib.Path, precision: str = "float32") -> dict[str, pathlib.Path]:
    """Folders of the motion stage and of the whole renderer."""
    import_weights("xnemo_motion", released.motion, folder / "motion", released.motion_config)
    config = released.video_config.copy_and_resolve_references()
    config.precision = precision
    parts = {"autoencoder": released.autoencoder, "clip": released.clip, "motion": folder / "motion"}
    import_renderer(released.renderer, folder / "video", config, **parts)
    return {name: folder / name for name in ("motion", "video")}
