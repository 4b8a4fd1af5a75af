"""The project's systems as functions of batches of clips, on all local devices.

Clips are rendered as launch/sample.py and render.py do with the same seed, and do not depend on the rest of their batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Float, Shaped

from xactor_jax.clips import Encoder
from xactor_jax.evaluation.decoder import Decode, frame_decoder
from xactor_jax.motion.pictures import frame_encoder
from xactor_jax.padding import filled
from xactor_jax.parallel.mesh import replicated
from xactor_jax.sampling.batch import BUCKET
from xactor_jax.sampling.load import Models
from xactor_jax.sampling.pipeline import Settings, sampling_keys
from xactor_jax.sampling.sharded import local_mesh
from xactor_jax.scoring.run import TRUTH
from xactor_jax.video.rendering import draw_batch

REPEATED, STAGE_1, RENDERER, AUDIO, ACROSS = "reference_repeated", "stage_1", "renderer", "audio_driven", "across_people"
"""Systems beside the truth: see `systems.py`."""


class Studio(NamedTuple):
    """The systems of loaded models. `decode`, `render` and `act` are None where a stage has no such part."""

    sides: tuple[int, int]
    """Sizes of stage 1's pictures and of the videos."""
    encode: Encoder
    decode: Decode | None
    render: Callable[..., Any] | None
    act: Callable[..., Any] | None
    bucket: int
    """Lengths are rounded up to multiples of this."""

    @property
    def systems(self) -> list[str]:
        """Names of the folders that can be made, in the order of a report."""
        parts = {STAGE_1: self.decode, RENDERER: self.render, AUDIO: self.act, ACROSS: self.render}
        return [TRUTH, REPEATED, *(name for name, part in parts.items() if part)]

    def padded(self, length: int) -> int:
        """A length rounded up."""
        return -(-length // self.bucket) * self.bucket


def make_studio(models: Models, settings: Settings, seed: int) -> Studio:
    """The systems of models; an actor needs a renderer to be seen."""
    motion, offline = models.motion, bool(settings.render and settings.render.whole_clip)
    has_decoder = "decoder" in motion.variables.params["generator"]
    return Studio(
        sides=models.sides,
        encode=frame_encoder(motion.model, motion.variables),
        decode=frame_decoder(motion.model, motion.variables) if has_decoder else None,
        render=_renderer(models, settings, seed) if models.video else None,
        act=_actor(models, settings, seed) if models.video and models.actor else None,
        bucket=1 if offline else BUCKET,  # offline, frames depend on the length
    )


def _renderer(models: Models, settings: Settings, seed: int) -> Callable[..., Any]:
    """(portraits, their motion, motion) → frames, each clip as `pipeline.animate` renders it."""
    stage, (_, key) = models.video, sampling_keys(seed)

    def render(variables: Any, images: jax.Array, reference: jax.Array, motion: jax.Array) -> jax.Array:
        keys = jnp.repeat(key[None], len(images))
        return draw_batch(stage.model, variables, keys, images, reference, motion, settings.render).frames

    return on_rows(render, stage.variables)


def _actor(models: Models, settings: Settings, seed: int) -> Callable[..., Any]:
    """(waveforms, reference motion, length) → motion, each clip as `pipeline.generate_motion` generates it."""
    stage, (key, _) = models.actor, sampling_keys(seed)

    def one(variables: Any, audio: jax.Array, reference: jax.Array) -> jax.Array:
        return stage.model.rollout(variables, key, audio[None], reference[None], None, settings.rollout)[0]

    rollout = on_rows(jax.vmap(one, (None, 0, 0)), stage.variables)

    def act(waveforms: Sequence[np.ndarray], reference: Float[np.ndarray, "b d"], length: int) -> Float[np.ndarray, "b t d"]:
        return rollout(np.stack([filled(stage.audio.whole(waveform), length) for waveform in waveforms]), reference)

    return act


def on_rows(function: Callable[..., jax.Array], variables: Any) -> Callable[..., np.ndarray]:
    """The compiled function of variables and arrays, whose rows (one for each clip) are split over the local devices."""
    mesh = local_mesh()
    rows, held = NamedSharding(mesh, PartitionSpec(mesh.axis_names)), jax.device_put(variables, replicated(mesh))
    compiled = jax.jit(function, out_shardings=rows)

    def run(*arrays: Shaped[np.ndarray, "b ..."]) -> np.ndarray:
        count = len(arrays[0])
        whole = [jax.device_put(filled(array, -(-count // mesh.size) * mesh.size), rows) for array in arrays]
        return np.asarray(compiled(held, *whole))[:count]

    return run
