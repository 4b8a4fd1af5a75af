"""Noise levels for training: how the times of the tokens of one clip are drawn together.

(1)  independent_per_chunk:  t_c ~ U(0, 1) for every chunk c, shared by its frames     diffusion forcing over chunks, X-Actor
(2)  independent_per_token:  t_i ~ U(0, 1) for every frame i                           Chen et al. 2024 (2407.01392)
(3)  shared:                 t ~ U(0, 1) for the whole clip                            ordinary diffusion
(4)  monotone_per_chunk:     (1), sorted so that t_1 <= t_2 <= …                       what a rollout shows the network

A mixture draws, for each clip by itself, which of them it gets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Levels = Float[Array, "batch frames"]


def repeat_chunks(per_chunk: Float[Array, "*lead chunks"], frames: int, chunk: int) -> Float[Array, "*lead frames"]:
    """Every frame's value from that of its chunk; the last chunk may be cut short."""
    return jnp.repeat(per_chunk, chunk, axis=-1)[..., :frames]


def independent_per_chunk(key: Key[Array, ""], batch: int, frames: int, chunk: int) -> Levels:
    """(1)."""
    return repeat_chunks(jax.random.uniform(key, (batch, -(-frames // chunk))), frames, chunk)


def independent_per_token(key: Key[Array, ""], batch: int, frames: int, chunk: int) -> Levels:
    """(2)."""
    return jax.random.uniform(key, (batch, frames))


def shared(key: Key[Array, ""], batch: int, frames: int, chunk: int) -> Levels:
    """(3)."""
    return jnp.broadcast_to(jax.random.uniform(key, (batch, 1)), (batch, frames))


def monotone_per_chunk(key: Key[Array, ""], batch: int, frames: int, chunk: int) -> Levels:
    """(4)."""
    return repeat_chunks(jnp.sort(jax.random.uniform(key, (batch, -(-frames // chunk))), axis=-1), frames, chunk)


SAMPLERS: Mapping[str, Callable[..., Levels]] = {
    "independent_per_chunk": independent_per_chunk,
    "independent_per_token": independent_per_token,
    "shared": shared,
    "monotone_per_chunk": monotone_per_chunk,
}
"""By the name that a config calls them."""


def mixture(key: Key[Array, ""], weights: tuple[tuple[str, float], ...], batch: int, frames: int, chunk: int) -> Levels:
    """Each clip's levels from one of the samplers named in `weights`, drawn in proportion to its weight."""
    choice_key, *keys = jax.random.split(key, 1 + len(weights))
    drawn = jnp.stack([SAMPLERS[name](k, batch, frames, chunk) for (name, _), k in zip(weights, keys, strict=True)])
    log_weights = jnp.log(jnp.asarray([weight for _, weight in weights], jnp.float32))
    choice = jax.random.categorical(choice_key, log_weights, shape=(batch,))
    return jnp.take_along_axis(drawn, choice[None, :, None], axis=0)[0]
