"""Noise levels for training: the joint distribution of the times of all tokens of a clip.

(1)  independent_per_chunk:  t_c ~ U(0, 1) for every chunk c, shared by its frames     diffusion forcing over chunks, X-Actor
(2)  independent_per_token:  t_i ~ U(0, 1) for every frame i                           Chen et al. 2024 (2407.01392)
(3)  shared:                 t ~ U(0, 1) for the whole clip                            ordinary diffusion
(4)  monotone_per_chunk:     (1), sorted so that t_1 <= t_2 <= …                       the order of levels in a rollout
(5)  monotone_from_anchor:   anchor chunk a, uniform over all chunks; t_a ~ U(0, 1);
                             t_{c-1} ~ U(0, t_c) before it, t_{c+1} ~ U(t_c, 1) after it
(6)  teacher_forcing:        a and t_a as in (5); every other chunk clean, t = 0       the ablation: history always clean
(7)  discrete(t, N) = ceil(t N) / N                                                    N levels above 0, as in a table

(5) is non-decreasing like (4). Its levels lie closer to 0 before a and closer to 1 after it, as in a rollout, where most chunks
are finished or not yet started. The marginal distribution differs from chunk to chunk (after AR-Diffusion, Sun et al. 2025).
With u_c ~ U(0, 1), it is t_c = t_a u_c … u_{a-1} before a, and 1 - t_c = (1 - t_a) u_{a+1} … u_c after it.

A mixture draws one of these distributions independently for each clip. A token at exactly t = 0 gets no noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

Levels = Float[Array, "batch frames"]


def repeat_chunks(per_chunk: Float[Array, "*lead chunks"], frames: int, chunk: int) -> Float[Array, "*lead frames"]:
    """Repeats the value of each chunk for its frames; the last chunk may be cut short."""
    return jnp.repeat(per_chunk, chunk, axis=-1)[..., :frames]


def independent_per_chunk(key: Key[Array, ""], batch: int, frames: int, chunk: int) -> Levels:
    """One independent level for each chunk (equation 1)."""
    return repeat_chunks(jax.random.uniform(key, (batch, -(-frames // chunk))), frames, chunk)


def independent_per_token(key: Key[Array, ""], batch: int, frames: int, chunk: int) -> Levels:
    """One independent level for each frame (equation 2)."""
    return jax.random.uniform(key, (batch, frames))


def shared(key: Key[Array, ""], batch: int, frames: int, chunk: int) -> Levels:
    """One level for the whole clip (equation 3)."""
    return jnp.broadcast_to(jax.random.uniform(key, (batch, 1)), (batch, frames))


def monotone_per_chunk(key: Key[Array, ""], batch: int, frames: int, chunk: int) -> Levels:
    """Independent levels of the chunks in increasing order (equation 4)."""
    return repeat_chunks(jnp.sort(jax.random.uniform(key, (batch, -(-frames // chunk))), axis=-1), frames, chunk)


def _anchor(key: Key[Array, ""], batch: int, chunks: int) -> tuple[Int[Array, "batch 1"], Float[Array, "batch 1"]]:
    """The anchor chunk a and its level t_a (equation 5)."""
    chunk_key, level_key = jax.random.split(key)
    return jax.random.randint(chunk_key, (batch, 1), 0, chunks), jax.random.uniform(level_key, (batch, 1))


def monotone_from_anchor(key: Key[Array, ""], batch: int, frames: int, chunk: int) -> Levels:
    """Non-decreasing levels drawn outwards from an anchor chunk (equation 5)."""
    anchor_key, factor_key = jax.random.split(key)
    c = jnp.arange(-(-frames // chunk))
    a, level = _anchor(anchor_key, batch, len(c))
    u = jax.random.uniform(factor_key, (batch, len(c)))
    before = jnp.flip(jnp.cumprod(jnp.flip(jnp.where(c < a, u, 1.0), -1), axis=-1), -1)
    after = jnp.cumprod(jnp.where(c > a, u, 1.0), axis=-1)
    return repeat_chunks(jnp.where(c <= a, level * before, 1.0 - (1.0 - level) * after), frames, chunk)


def teacher_forcing(key: Key[Array, ""], batch: int, frames: int, chunk: int) -> Levels:
    """One noisy chunk; all others are clean (equation 6)."""
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
"""Name in a config → function that draws the levels."""


def mixture(key: Key[Array, ""], weights: tuple[tuple[str, float], ...], batch: int, frames: int, chunk: int) -> Levels:
    """Draws one sampler for each clip, with probability proportional to its weight, and returns its levels."""
    choice_key, *keys = jax.random.split(key, 1 + len(weights))
    drawn = jnp.stack([SAMPLERS[name](k, batch, frames, chunk) for (name, _), k in zip(weights, keys, strict=True)])
    log_weights = jnp.log(jnp.asarray([weight for _, weight in weights], jnp.float32))
    choice = jax.random.categorical(choice_key, log_weights, shape=(batch,))
    return jnp.take_along_axis(drawn, choice[None, :, None], axis=0)[0]


def discrete(t: Float[Array, "*lead"], steps: int) -> Float[Array, "*lead"]:
    """Rounds times up to N = `steps` discrete levels (equation 7); `steps` 0 keeps time continuous.

    A level that is already discrete stays the same, up to rounding.
    """
    if steps == 0:
        return t
    # In floating point n / N times N may be slightly above n; without the tolerance it would be rounded up to n + 1.
    n = jnp.maximum(jnp.ceil(t * steps - 1e-4), 1.0)
    return jnp.where(t > 0.0, n, 0.0) / steps
