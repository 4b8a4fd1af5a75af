"""The denoiser on windows of frames at one noise level, with or without guidance."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from xactor_jax.diffusion.guidance import classifier_free
from xactor_jax.variables import Variables
from xactor_jax.video.conditions import Portrait, Told, still
from xactor_jax.video.model import VideoModel
from xactor_jax.video.sampler import RenderSettings
from xactor_jax.video.unet import Bank

Predict = Callable[[Float[Array, "b n t h w c"], Float[Array, ""], Told], Float[Array, "b n t h w c"]]


class Windows(NamedTuple):
    """What the denoiser is called with; every array has a leading axis of windows."""

    x: Float[Array, "n t h w c"]
    told: Told
    reference: Float[Array, "n h w c"]
    shown: Bool[Array, "n"]
    """Whether the reference is."""
    embedding: Float[Array, "n e"]
    bank: Bank


def predictor(
    model: VideoModel,
    variables: Variables,
    portrait: Portrait,
    settings: RenderSettings,
    spread: Callable[[jax.Array], jax.Array] = lambda a: a,
) -> Predict:
    """The guided denoiser on windows at one noise level; both branches go through as one batch, which `spread` places."""

    def predict(x: jax.Array, t: jax.Array, told: Told) -> jax.Array:
        windows = windows_of(portrait, x, told)
        if not settings.guided:
            return denoised(model, variables, jax.tree.map(spread, windows), t).reshape(x.shape)
        negative = unmoved(windows, portrait, settings.guidance_keeps_reference)
        both = jax.tree.map(lambda *branches: spread(jnp.concatenate(branches)), windows, negative)
        of_positive, of_negative = jnp.split(denoised(model, variables, both, t), 2)
        return classifier_free(of_negative, of_positive, settings.guidance_scale).reshape(x.shape)

    return predict


def windows_of(portrait: Portrait, x: Float[Array, "b n t h w c"], told: Told) -> Windows:
    """All windows of all clips in a row, each beside what it is told and its clip's portrait."""
    b, n = x.shape[:2]
    x, told = jax.tree.map(lambda a: a.reshape(b * n, *a.shape[2:]), (x, told))
    own = (portrait.latent, portrait.embedding, portrait.bank)
    reference, embedding, bank = jax.tree.map(lambda a: jnp.repeat(a, n, axis=0), own)
    return Windows(x, told, reference, jnp.ones(b * n, bool), embedding, bank)


def unmoved(windows: Windows, portrait: Portrait, keeps_reference: bool) -> Windows:
    """The negative branch, from which guidance leads away."""
    return windows._replace(told=still(portrait, windows.told), shown=jnp.full(len(windows.x), keeps_reference))


def denoised(model: VideoModel, variables: Variables, windows: Windows, t: Float[Array, ""]) -> Float[Array, "n t h w c"]:
    """What the network predicts for every window at noise level t."""
    w, weights = windows, {"params": variables.params}
    conditions = (w.told.motion, w.reference, w.bank, w.shown)
    return model.denoiser.apply(weights, w.x, jnp.full(len(w.x), t), *conditions, embedding=w.embedding, draft=w.told.draft)
