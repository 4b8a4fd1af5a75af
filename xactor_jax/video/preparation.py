"""Prepares a clip for denoising: the features of the portrait, once per clip, and the draft of every frame."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.variables import Variables, applied
from xactor_jax.video.conditions import Base, FrameConditions, Portrait
from xactor_jax.video.draft import Draft
from xactor_jax.video.model import VideoModel


def prepare(
    model: VideoModel,
    variables: Variables,
    images: Float[Array, "b height width 3"],
    motion: Float[Array, "b d"],
    embedding: Float[Array, "b e"] | None = None,
    latent: Float[Array, "b h w c"] | None = None,
) -> Portrait:
    """Encodes the reference and runs the reference network. Needed once per clip. What is given is not computed."""
    embedding = embed(model, variables, images) if embedding is None else embedding
    latent = model.autoencoder.encode(variables.buffers["autoencoder"], images) if latent is None else latent
    bank = applied(model.denoiser, variables.params, latent, embedding, method="appearance")
    return Portrait(images, latent, bank, motion, embedding)


def embed(model: VideoModel, variables: Variables, images: Float[Array, "b height width 3"]) -> Float[Array, "b e"]:
    """Embeddings of reference pictures. Without an encoder they are zeros, which released networks take as "no picture"."""
    if model.clip is None:
        return no_embedding(model, len(images))
    return model.clip.embed(variables.buffers["clip"], images)


def no_embedding(model: VideoModel, count: int) -> Float[Array, "{count} e"]:
    """The embeddings of a renderer without an encoder."""
    return jnp.zeros((count, model.context_width))


def drafts(
    model: VideoModel,
    draft: Draft,
    variables: Variables,
    images: Float[Array, "b height width 3"],
    reference: Float[Array, "b d"],
    motion: Float[Array, "b t d"],
) -> Base:
    """Drafts for reference pictures (draft.py), and their latents."""
    pictures = draft.draw(variables.buffers["draft"], images, reference, motion)
    return Base(model.autoencoder.encode(variables.buffers["autoencoder"], pictures), pictures)


def base_of(
    model: VideoModel, variables: Variables, portrait: Portrait, motion: Float[Array, "b t d"], together: int = 0
) -> Base:
    """What frames are corrected from. With `together`, computes that many drafts at a time and keeps only their latents."""
    if model.draft is None:
        return Base(portrait.latent[:, None])
    own = (model, model.draft, variables, portrait.picture, portrait.motion)
    if not together:
        return drafts(*own, motion)
    one = lambda m: drafts(*own, m[:, None]).latent[:, 0]
    return Base(jnp.moveaxis(jax.lax.map(one, jnp.moveaxis(motion, 1, 0), batch_size=together), 0, 1))


def frame_conditions(model: VideoModel, motion: Float[Array, "b t d"], base: Base) -> FrameConditions:
    """Conditions of frames, from their motion."""
    return FrameConditions(motion, base.latent if model.draft else None)
