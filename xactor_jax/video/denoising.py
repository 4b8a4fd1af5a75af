"""Denoising, from noise to clean latents: one segment after another, or a whole clip at once."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from xactor_jax.variables import Variables
from xactor_jax.video.conditions import Portrait
from xactor_jax.video.loop import LoopPlan, denoise_loop, group_size, in_groups, spread_over
from xactor_jax.video.model import VideoModel
from xactor_jax.video.pictures import Drawn, drawn
from xactor_jax.video.prediction import predictor
from xactor_jax.video.preparation import base_of, frame_conditions
from xactor_jax.video.sampler import RenderSettings, blur, denoise_segment, frame_noise


def segment(
    model: VideoModel,
    settings: RenderSettings,
    variables: Variables,
    portrait: Portrait,
    keys: Key[Array, "b"],
    index: Int[Array, ""] | int,
    motion: Float[Array, "b s d"],
    known: Float[Array, "b k h w c"],
) -> tuple[Drawn, Float[Array, "b k h w c"]]:
    """New frames of segment `index`, and the latents that the next segment takes over. Segment 0 has no known frames."""
    plan, levels = settings.plan(model.window), settings.times(model.process.steps)
    if not settings.steps:
        return drafted(model, variables, portrait, motion[:, -plan.new :]), known
    draw = functools.partial(frame_noise, first=index * plan.new, frames=plan.length, shape=model.latent_shape)
    predict, base = predictor(model, variables, portrait, settings), base_of(model, variables, portrait, motion)
    start, conditions = start_of(model, settings, variables, base.latent), frame_conditions(model, motion, base)
    noise, has_known = jax.vmap(draw)(keys), jnp.asarray(index) > 0
    x = denoise_segment(model.process, predict, plan, levels, noise, start, conditions, known, has_known)
    z, base = jax.tree.map(lambda a: a[:, -plan.new :], (model.from_diffused(variables, x, base.latent), base))
    return model.draw(variables, z, base), x[:, plan.length - plan.known :]


def drafted(model: VideoModel, variables: Variables, portrait: Portrait, motion: Float[Array, "b t d"]) -> Drawn:
    """The drafts as they are: frames of a renderer with 0 steps."""
    picture = base_of(model, variables, portrait, motion).picture
    if picture is None:
        raise ValueError("a renderer without drafts takes at least one step")
    return drawn(picture)


def whole(
    model: VideoModel,
    settings: RenderSettings,
    devices: tuple[jax.Device, ...],  # pyright: ignore[reportInvalidTypeForm]: jaxlib lacks types
    variables: Variables,
    portrait: Portrait,
    keys: Key[Array, "b"],
    motion: Float[Array, "b t d"],
) -> Float[Array, "b t h w c"]:
    """Latents of whole clips (loop.py). The windows and guidance branches of each step are split over the given devices."""
    plan = LoopPlan(frames=motion.shape[1], window=model.window, overlap=settings.window_overlap)
    first = settings.known_frames  # so that each frame has the same noise as in rendering by segments
    draw = functools.partial(frame_noise, first=first, frames=plan.frames, shape=model.latent_shape)
    size = group_size(plan, settings.windows_per_segment, max(1, len(devices)))
    predict = in_groups(predictor(model, variables, portrait, settings, spread_over(devices)), size)
    base = base_of(model, variables, portrait, motion, together=model.window)
    start, levels = start_of(model, settings, variables, base.latent), settings.times(model.process.steps)
    conditions, noise = frame_conditions(model, motion, base), jax.vmap(draw)(keys)
    x = denoise_loop(model.process, predict, plan, levels, noise, start, conditions, keys)
    return model.from_diffused(variables, x, base.latent)


def start_of(model: VideoModel, settings: RenderSettings, variables: Variables, base: Float[Array, "b t h w c"]) -> jax.Array:
    """The latents that are noised to start denoising [b, t, h, w, c]: b, blurred if the settings ask for it."""
    return model.to_diffused(variables, blur(base, settings.blur_size, settings.blur_sigma), base)
