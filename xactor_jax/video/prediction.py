"""The denoiser on windows of frames at one noise level, with or without guidance."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from xactor_jax.diffusion.guidance import classifier_free
from xactor_jax.variables import Variables, applied
from xactor_jax.video.conditions import FrameConditions, Portrait, without_motion
from xactor_jax.video.model import VideoModel
from xactor_jax.video.sampler import RenderSettings
from xactor_jax.video.unet import Bank

Predict = Callable[[Float[Array, "b n t h w c"], Float[Array, ""], FrameConditions], Float[Array, "b n t h w c"]]


class Windows(NamedTuple):
    """Inputs of the denoiser. Every array has a leading axis of windows."""

    x: Float[Array, "n t h w c"]
    conditions: FrameConditions
    reference: Float[Array, "n h w c"]
    reference_on: Bool[Array, "n"]
    """Whether the reference is given to the network."""
    embedding: Float[Array, "n e"]
    bank: Bank


def predictor(
    model: VideoModel,
    variables: Variables,
    portrait: Portrait,
    settings: RenderSettings,
    spread: Callable[[jax.Array], jax.Array] = lambda a: a,
) -> Predict:
    """The guided denoiser on windows at one noise level. One batched call computes both branches; `spread` places the batch."""

    def predict(x: jax.Array, t: jax.Array, conditions: FrameConditions) -> jax.Array:
        windows = windows_of(portrait, x, conditions)
        if not settings.guided:
            return denoised(model, variables, jax.tree.map(spread, windows), t).reshape(x.shape)
        negative = negative_branch(windows, portrait, settings.guidance_keeps_reference)
        both = jax.tree.map(lambda *branches: spread(jnp.concatenate(branches)), windows, negative)
        of_positive, of_negative = jnp.split(denoised(model, variables, both, t), 2)
        return classifier_free(of_negative, of_positive, settings.guidance_scale).reshape(x.shape)

    return predict


def windows_of(portrait: Portrait, x: Float[Array, "b n t h w c"], conditions: FrameConditions) -> Windows:
    """All windows of all clips along one axis, each with its conditions and its clip's portrait."""
    b, n = x.shape[:2]
    x, conditions = jax.tree.map(lambda a: a.reshape(b * n, *a.shape[2:]), (x, conditions))
    own = (portrait.latent, portrait.embedding, portrait.bank)
    reference, embedding, bank = jax.tree.map(lambda a: jnp.repeat(a, n, axis=0), own)
    return Windows(x, conditions, reference, jnp.ones(b * n, bool), embedding, bank)


def negative_branch(windows: Windows, portrait: Portrait, keeps_reference: bool) -> Windows:
    """The negative branch of guidance: the same windows with the reference's motion in every frame."""
    return windows._replace(
        conditions=without_motion(portrait, windows.conditions), reference_on=jnp.full(len(windows.x), keeps_reference)
    )


def denoised(model: VideoModel, variables: Variables, windows: Windows, t: Float[Array, ""]) -> Float[Array, "n t h w c"]:
    """The network's prediction for every window at noise level t."""
    w, frames = windows, windows.conditions
    inputs = (w.x, jnp.full(len(w.x), t), frames.motion, w.reference, w.bank, w.reference_on)
    return applied(model.denoiser, variables.params, *inputs, embedding=w.embedding, draft=frames.draft)
