"""The smallest video stage that still has every part, for tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from configs import autoencoder, motion, video
from tests.layers.test_convolution import randomise
from tests.tiny import shapes_of
from xactor_jax.variables import LossOutput, Variables
from xactor_jax.video.task import VideoTask


def autoencoder_config() -> ConfigDict:
    c = autoencoder.get_config()
    c.network.update(image_size=16, channels=(8,), groups=4, latent_channels=4)
    return c


def motion_config() -> ConfigDict:
    """Of a stage with pictures of another side than the renderer's."""
    c = motion.get_config()
    c.network.update(image_size=8, patch=2, widths=(8,), encoder_widths=(8,), latent_dim=6, relative=True)
    return c


def draft_config() -> ConfigDict:
    """A renderer that corrects drafts."""
    c = video_config()
    c.network.draft = True
    with c.unlocked():
        c.motion = motion_config()
    return c


def video_config() -> ConfigDict:
    c = video.get_config()
    c.network.draft = False
    c.autoencoder = autoencoder_config().network
    c.pretrained.autoencoder = "random"
    c.data.window = 4
    c.diffusion.prediction = "v"
    c.loss.update(time_shift=2.0, weighting="min_snr", weight_floor=0.2, sampled_levels=False)
    c.network.update(motion_dim=6, motion_tokens=3, motion_token_width=8, motion_hidden=0)
    c.network.unet.update(context_width=5)
    c.network.unet.update(channels=(8,), attention=(True,), heads=2, groups=4, time_width=16, feed_forward=1)
    c.render.update(steps=2, window_overlap=2, windows_per_segment=2, known_frames=2)
    return c


def random_variables(task: VideoTask, seed: int = 0) -> Variables:
    """Parameters all away from zero: every branch speaks."""
    key, variables = jax.random.key(seed), shapes_of(task)
    params = randomise(variables.params, key, 0.2)
    frozen = randomise(variables.buffers["autoencoder"]["params"], key, 0.2)
    channels = task.model.latent_shape[-1]
    statistics = {"latent_mean": jnp.full(channels, 0.1), "latent_std": jnp.full(channels, 2.0), "latent_count": jnp.array(1)}
    buffers = {
        "autoencoder": {"params": frozen, "buffers": statistics},
        "residual_std": jnp.full(channels, 0.5),
        "residual_count": jnp.array(1),
    }
    if task.model.draft:
        decoder = randomise(variables.buffers["draft"]["params"], key, 0.2)
        moments = {"latent_mean": jnp.full(6, 0.1), "latent_square": jnp.full(6, 2.0), "latent_count": jnp.array(1)}
        buffers["draft"] = {"params": decoder, "buffers": moments}
    return Variables(params, buffers)


@cache
def loss_of(task: VideoTask) -> Callable[..., LossOutput]:
    """Compiled (variables, batch, key, train) → `task.loss`: one program for all tests of a task."""
    return jax.jit(task.loss, static_argnums=3)


def random_batch(task: VideoTask, size: int, seed: int = 0) -> dict[str, jax.Array]:
    """Uniform noise in every entry but the boxes, which are two quarters of the picture."""
    rng = np.random.default_rng(seed)
    batch = {name: rng.uniform(-1, 1, x.shape).astype(np.float32) for name, x in task.example_batch(size).items()}
    batch["component_boxes"] = np.broadcast_to([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5]], batch["component_boxes"].shape)
    batch["frames_apart"] = np.arange(size) % 2 == 1
    return jax.device_put(batch)
