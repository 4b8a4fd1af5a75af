"""A tiny actor with random weights, shared by the tests of the actor."""

from __future__ import annotations

from functools import cache

import jax
import numpy as np

from configs.actor import get_config
from tests.tiny import drawn
from xactor_jax.actor.model import ActorModel
from xactor_jax.actor.task import ActorTask
from xactor_jax.variables import Variables

CHUNK, CONTEXT, DIM, AUDIO = 3, 6, 4, 5


def toy_config(depth: int = 1):
    c = get_config()
    c.network.update(latent_dim=DIM, audio_dim=AUDIO, width=16, depth=depth, heads=2, chunk=CHUNK, context=CONTEXT)
    c.data.window, c.batch_size, c.rollout.steps = 12, 4, 4
    return c


def random_variables(task: ActorTask) -> Variables:
    """Nothing is zero, and no program is compiled for it."""
    return jax.device_put(drawn(task))


@cache
def toy_actor(depth: int = 1) -> tuple[ActorModel, Variables]:
    task = ActorTask.from_config(toy_config(depth))
    return task.model, random_variables(task)


def toy_batch(task: ActorTask, size: int = 4) -> dict[str, jax.Array]:
    """Latents that follow the audio, so that there is something to learn."""
    rng = np.random.default_rng(3)
    batch = {name: np.zeros(s.shape, s.dtype) for name, s in task.example_batch(size).items()}
    audio = rng.standard_normal((size, task.window + 4, AUDIO)).astype(np.float32)
    smooth = sum(audio[:, i : i + task.window] for i in range(5)) / 5**0.5
    batch["audio_features"] = audio[:, 2:-2]
    batch["motion_latents"] = (smooth @ rng.standard_normal((AUDIO, DIM)) / AUDIO**0.5).astype(np.float32)
    batch["reference_motion"] = batch["motion_latents"][:, 5] + 0.1
    batch["emotion"] = rng.integers(-1, 5, batch["emotion"].shape).astype(np.int32)
    batch["emotion_intensity"] = rng.random(batch["emotion"].shape).astype(np.float32)
    batch["mask"][:] = 1.0
    return jax.device_put(batch)
