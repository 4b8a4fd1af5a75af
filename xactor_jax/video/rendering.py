"""Renders clips: one clip as a stream with constant memory, or many clips at once.

Both ways give the same frames. Programs are compiled once for all clips, because the networks are a static argument of `jit`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from xactor_jax.variables import Variables
from xactor_jax.video import denoising, preparation
from xactor_jax.video.conditions import Portrait
from xactor_jax.video.model import VideoModel
from xactor_jax.video.pictures import Drawn, checked
from xactor_jax.video.sampler import RenderSettings
from xactor_jax.video.windows import iter_segments, stack_segments

prepare = jax.jit(preparation.prepare, static_argnums=0)

segment = jax.jit(denoising.segment, static_argnums=0)
"""Compiled once for all segments of all clips; numbers of the settings do not matter."""

whole = jax.jit(denoising.whole, static_argnums=(0, 2))
"""Compiled once for all clips of one length."""


def render(
    model: VideoModel,
    variables: Variables,
    key: Key[Array, ""],
    reference_image: Float[Array | np.ndarray, "height width 3"],
    reference_motion: Float[Array | np.ndarray, "d"],
    motion_latents: Iterable[Float[Array | np.ndarray, "_ d"]],
    settings: RenderSettings | None = None,
    embedding: Float[Array | np.ndarray, "e"] | None = None,
) -> Iterator[UInt8[np.ndarray, "_ height width 3"]]:
    """Frames of a clip of any length. Yields each segment when it is finished; memory does not grow with the length.

    Without `settings`, those of the config apply. `embedding` is that of the reference picture; None: `preparation.embed`
    computes it.

    The result does not depend on how `motion_latents` is cut into chunks. A frame depends on the motion of its own segment and
    of earlier ones. If `settings.whole_clip`, it depends on all motion, which is collected first, and the windows of each step
    are split over the local devices.

    Raises:
        UserError: a latent or a picture is not finite.
    """
    settings = settings or model.render_settings
    embeddings = () if embedding is None else (jnp.asarray(embedding)[None],)
    portrait = prepare(model, variables, jnp.asarray(reference_image)[None], jnp.asarray(reference_motion)[None], *embeddings)
    if settings.whole_clip:
        yield from _render_whole(model, settings, variables, key, portrait, [np.asarray(chunk) for chunk in motion_latents])
        return
    plan = settings.plan(model.window)
    known = jnp.zeros((1, plan.known, *model.latent_shape))
    for index, (motion, count) in enumerate(iter_segments(motion_latents, plan)):
        drawn, known = segment(model, settings, variables, portrait, key[None], index, motion[None], known)
        yield checked(drawn, index * plan.new, count)


def _render_whole(
    model: VideoModel,
    settings: RenderSettings,
    variables: Variables,
    key: Key[Array, ""],
    portrait: Portrait,
    chunks: list[np.ndarray],
) -> Iterator[UInt8[np.ndarray, "_ height width 3"]]:
    """Yields the frames of one clip, `window` frames at a time."""
    if not sum(map(len, chunks)):
        return
    motion, devices = np.concatenate(chunks), tuple(jax.local_devices())
    z = whole(model, settings, devices, variables, portrait, key[None], motion[None])
    for start in range(0, len(motion), model.window):
        few = slice(start, start + model.window)
        yield checked(_decode(model, variables, portrait, jnp.asarray(motion[None, few]), z[:, few]), start, model.window)


@functools.partial(jax.jit, static_argnums=0)
def _decode(
    model: VideoModel,
    variables: Variables,
    portrait: Portrait,
    motion: Float[Array, "b t d"],
    z: Float[Array, "b t h w c"],
) -> Drawn:
    return model.draw(variables, z, preparation.base_of(model, variables, portrait, motion) if model.keep_draft else None)


def draw_batch(
    model: VideoModel,
    variables: Variables,
    keys: Key[Array, "b"],
    reference_images: Float[Array, "b height width 3"],
    reference_motion: Float[Array, "b d"],
    motion_latents: Float[Array, "b t d"],
    settings: RenderSettings | None = None,
    embedding: Float[Array, "b e"] | None = None,
) -> Drawn:
    """Renders many clips at once, with the same result as `render`. A pure function, for `jit` and `pmap`."""
    portrait = preparation.prepare(model, variables, reference_images, reference_motion, embedding)
    return draw_portraits(model, variables, keys, portrait, motion_latents, settings)


def draw_portraits(
    model: VideoModel,
    variables: Variables,
    keys: Key[Array, "b"],
    portrait: Portrait,
    motion_latents: Float[Array, "b t d"],
    settings: RenderSettings | None = None,
) -> Drawn:
    """`draw_batch` for references that are prepared already."""
    settings = settings or model.render_settings
    if settings.whole_clip:
        z = denoising.whole(model, settings, (), variables, portrait, keys, motion_latents)
        base = preparation.base_of(model, variables, portrait, motion_latents) if model.keep_draft else None
        return model.draw(variables, z, base)
    plan = settings.plan(model.window)
    segments = jnp.swapaxes(stack_segments(motion_latents, plan), 0, 1)

    def body(known: jax.Array, item: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, Drawn]:
        drawn, known = denoising.segment(model, settings, variables, portrait, keys, *item, known)
        return known, drawn

    known = jnp.zeros((len(keys), plan.known, *model.latent_shape))
    _, drawn = jax.lax.scan(body, known, (jnp.arange(len(segments)), segments))
    joined = lambda x: jnp.swapaxes(x, 0, 1).reshape(len(keys), -1, *x.shape[3:])[:, : motion_latents.shape[1]]
    return jax.tree.map(joined, drawn)
