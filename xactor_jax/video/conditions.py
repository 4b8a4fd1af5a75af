"""What the renderer knows of a clip beside the noise: of the portrait once, and of every frame."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xactor_jax.video.unet import Bank


class Portrait(NamedTuple):
    """What a clip's frames have in common: the reference's picture, latent, features, own motion, and picture's embedding."""

    picture: Float[Array, "b height width 3"]
    latent: Float[Array, "b h w c"]
    bank: Bank
    motion: Float[Array, "b d"]
    embedding: Float[Array, "b e"]
    """Of no features where the network has no place for it."""


class Told(NamedTuple):
    """What the denoiser is told of each frame: its motion latent, and the latent of its draft where there is one."""

    motion: Float[Array, "b *n d"]
    draft: Float[Array, "b *n h w c"] | None = None


class Base(NamedTuple):
    """What a frame is corrected from: b of equations 1 and 2 [b, t or 1, h, w, c], and d of equation 3 where it is at hand.

    The equations are those of model.py.
    """

    latent: Float[Array, "b #t h w c"]
    picture: Float[Array, "b t height width 3"] | None = None


def still(portrait: Portrait, told: Told) -> Told:
    """The same windows told that nothing moves: the reference's own motion, and the reference as the draft."""
    parts = Told(portrait.motion, None if told.draft is None else portrait.latent)
    repeat = lambda own, like: jnp.broadcast_to(jnp.repeat(own, len(like) // len(own), axis=0)[:, None], like.shape)
    return jax.tree.map(repeat, parts, told)
