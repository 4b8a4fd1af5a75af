"""Conditions of the renderer: the portrait, which is the same for the whole clip, and the conditions of each frame."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.video.unet import Bank


class Portrait(NamedTuple):
    """What all frames of a clip share: the reference picture, its latent, its features, its motion, and its embedding."""

    picture: Float[Array, "b height width 3"]
    latent: Float[Array, "b h w c"]
    bank: Bank
    motion: Float[Array, "b d"]
    embedding: Float[Array, "b e"]
    """Has no features (e = 0) if the network takes no embedding."""


class FrameConditions(NamedTuple):
    """Conditions of each frame: its motion latent, and the latent of its draft if the renderer uses drafts."""

    motion: Float[Array, "b *n d"]
    draft: Float[Array, "b *n h w c"] | None = None


class Base(NamedTuple):
    """What the denoiser corrects: b [b, t or 1, h, w, c] of equations 1 and 2, and d of equation 3 if it is known.

    The equations are those of model.py.
    """

    latent: Float[Array, "b #t h w c"]
    picture: Float[Array, "b t height width 3"] | None = None


def without_motion(portrait: Portrait, conditions: FrameConditions) -> FrameConditions:
    """Conditions under which nothing moves: the reference's own motion in every frame, and the reference as the draft."""
    parts = FrameConditions(portrait.motion, None if conditions.draft is None else portrait.latent)
    repeat = lambda own, like: jnp.broadcast_to(jnp.repeat(own, len(like) // len(own), axis=0)[:, None], like.shape)
    return jax.tree.map(repeat, parts, conditions)
