"""Noise levels for training: how the times of the tokens of one clip are drawn together.

(1)  independent_per_chunk:  t_c ~ U(0, 1) for every chunk c, shared by its frames     diffusion forcing over chunks, X-Actor
(2)  independent_per_token:  t_i ~ U(0, 1) for every frame i                           Chen et al. 2024 (2407.01392)
(3)  shared:                 t ~ U(0, 1) for the whole clip                            ordinary diffusion
(4)  monotone_per_chunk:     (1), sorted so that t_1 <= t_2 <= …                       what a rollout shows the network
(5)  monotone_from_anchor:   a chunk a, each with the same probability; t_a ~ U(0, 1);
                             t_{c-1} ~ U(0, t_c) before it, t_{c+1} ~ U(t_c, 1) after it
(6)  teacher_forcing:        (5)'s a and t_a; every other chunk clean, t = 0           the ablation: history always clean
(7)  discrete(t, N) = ceil(t N) / N                                                    N levels above 0, as of a table

(5) is non-decreasing as (4) is, but its levels crowd towards 0 before a and towards 1 after it, as in a rollout, where most
chunks are done or not begun; the marginal of every chunk differs (after AR-Diffusion, Sun et al. 2025). With u_c ~ U(0, 1),
it is t_c = t_a u_c … u_{a-1} before a, and 1 - t_c = (1 - t_a) u_{a+1} … u_c after it.

A mixture draws, for each clip by itself, which of them it gets. A token at t = 0 exactly is shown as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

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


def _anchor(key: Key[Array, ""], batch: int, chunks: int) -> tuple[Int[Array, "batch 1"], Float[Array, "batch 1"]]:
    """a and t_a of (5)."""
    chunk_key, level_key = jax.random.split(key)
    return jax.random.randint(chunk_key, (batch, 1), 0, chunks), jax.random.uniform(level_key, (batch, 1))


def monotone_from_anchor(key: Key[Array, ""], batch: int, frames: int, chunk: int) -> Levels:
    """(5)."""
    anchor_key, factor_key = jax.random.split(key)
    c = jnp.arange(-(-frames // chunk))
    a, level = _anchor(anchor_key, batch, len(c))
    u = jax.random.uniform(factor_key, (batch, len(c)))
    before = jnp.flip(jnp.cumprod(jnp.flip(jnp.where(c < a, u, 1.0), -1), axis=-1), -1)
    after = jnp.cumprod(jnp.where(c > a, u, 1.0), axis=-1)
    return repeat_chunks(jnp.where(c <= a, level * before, 1.0 - (1.0 - level) * after), frames, chunk)


def teacher_forcing(key: Key[Array, ""], batch: int, frames: int, chunk: int) -> Levels:
    """(6)."""
    c = jnp.arange(-(-frames // chunk))
    a, level = _anchor(key, batch, len(c))
    return repeat_chunks(jnp.where(c == a, level, 0.0), frames, chunk)


SAMPLERS: Mapping[str, Callable[..., Levels]] = {
    "independent_per_chunk": independent_per_chunk,
    "independent_per_token": independent_per_token,
    "shared": shared,
    "monotone_per_chunk": monotone_per_chunk,
    "monotone_from_anchor": monotone_from_anchor,
    "teacher_forcing": teacher_forcing,
}
"""By the name that a config calls them."""


def mixture(key: Key[Array, ""], weights: tuple[tuple[str, float], ...], batch: int, frames: int, chunk: int) -> Levels:
    """Each clip's levels from one of the samplers named in `weights`, drawn in proportion to its weight."""
    choice_key, *keys = jax.random.split(key, 1 + len(weights))
    drawn = jnp.stack([SAMPLERS[name](k, batch, frames, chunk) for (name, _), k in zip(weights, keys, strict=True)])
    log_weights = jnp.log(jnp.asarray([weight for _, weight in weights], jnp.float32))
    choice = jax.random.categorical(choice_key, log_weights, shape=(batch,))
    return jnp.take_along_axis(drawn, choice[None, :, None], axis=0)[0]


def discrete(t: Float[Array, "*lead"], steps: int) -> Float[Array, "*lead"]:
    """(7) for N = `steps`; `steps` 0 leaves time continuous. A level that is discrete already stays, up to rounding."""
    if steps == 0:
        return t
    # The slack is for levels n / N, whose product with N may come out a little above n.
    n = jnp.maximum(jnp.ceil(t * steps - 1e-4), 1.0)
    return jnp.where(t > 0.0, n, 0.0) / steps
