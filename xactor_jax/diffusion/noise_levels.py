"""Noise levels for training: the joint distribution of the times of all tokens of a clip.

(1)  independent_per_chunk:  t_c ~ U(0, 1) for every chunk c, shared by its frames     diffusion forcing over chunks, X-Actor
(2)  independent_per_token:  t_i ~ U(0, 1) for every frame i                           Chen et al. 2024 (2407.01392)
(3)  shared:                 t ~ U(0, 1) for the whole clip                            ordinary diffusion
(4)  monotone_per_chunk:     (1), sorted so that t_1 <= t_2 <= …                       the order of levels in a rollout
(5)  monotone_from_anchor:   anchor chunk a, uniform over all chunks; t_a ~ U(0, 1);
                             t_{c-1} ~ U(0, t_c) before it, t_{c+1} ~ U(t_c, 1) after it
(6)  teacher_forcing:        a and t_a as in (5); every other chunk clean, t = 0       the ablation: history always clean
(7)  discrete(t, N) = ceil(t N) / N                                                    N levels above 0, as in a table
(8)  sampling_schedule:      levels of a random moment of a rollout: n ~ U{1 - A … N - 1}, r ~ U(0, M), f = r - floor(r)
                             t_{n+j} = (1 - f) K[floor(r), j] + f K[floor(r) + 1, j]   for the A chunks in flight
                             t_{n-1-a} = k(a) for finished chunks, t = 1 for chunks after those in flight

(5) is non-decreasing like (4). Its levels lie closer to 0 before a and closer to 1 after it, as in a rollout, where most chunks
are finished or not yet started. The marginal distribution differs from chunk to chunk (after AR-Diffusion, Sun et al. 2025).
With u_c ~ U(0, 1), it is t_c = t_a u_c … u_{a-1} before a, and 1 - t_c = (1 - t_a) u_{a+1} … u_c after it.

(8) trains on what the network gets in sampling and on nothing else: K is the scheduling matrix of the moving window, M + 1 its
rows, k the history schedule (`xactor_jax.diffusion.scheduling`) and N the number of chunks of the clip. FloodDiffusion
(2512.03520) reports that a diffusion-forcing transformer for motion needs this, because random levels spend most of training on
combinations that never occur. Only the chunks in flight have a loss. No chunk attends to those after them.

A mixture draws one of these distributions independently for each clip. A token at exactly t = 0 gets no noise.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

Levels = Float[Array, "batch frames"]


class NoiseLevels(NamedTuple):
    """The noise level of every token, and whether the token has a loss."""

    t: Levels
    active: Bool[Array, "batch frames"]
    """In (8) the chunks in flight; else all tokens above level 0, because a clean token has nothing to learn."""


@dataclasses.dataclass(frozen=True)
class RolloutLevels:
    """Levels in a rollout, for (8). Tuples, so that it is hashable."""

    rows: tuple[tuple[float, ...], ...]
    """K: level of each chunk in flight before and after every step."""
    history: tuple[float, ...]
    """k(0), k(1), … of finished chunks, newest first; older ones have the last of these levels."""


def repeat_chunks(per_chunk: Shaped[Array, "*lead chunks"], frames: int, chunk: int) -> Shaped[Array, "*lead frames"]:
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


def sampling_schedule(key: Key[Array, ""], batch: int, frames: int, chunk: int, rollout: RolloutLevels) -> NoiseLevels:
    """Levels of a random moment of a rollout (equation 8)."""
    place_key, row_key = jax.random.split(key)
    rows, history = np.asarray(rollout.rows, np.float32), np.asarray(rollout.history, np.float32)
    steps, in_flight, chunks = len(rows) - 1, rows.shape[1], -(-frames // chunk)
    first = jax.random.randint(place_key, (batch, 1), 1 - in_flight, chunks)
    r = jax.random.uniform(row_key, (batch, 1), maxval=float(steps))
    between = lambda column: jnp.interp(r[:, 0], np.arange(steps + 1.0), column)
    levels = jnp.stack([between(column) for column in rows.T], axis=1)
    j = jnp.arange(chunks) - first  # number of a chunk, counted from the first in flight
    t = jnp.take_along_axis(levels, jnp.clip(j, 0, in_flight - 1), axis=1)
    t = jnp.where(j < 0, jnp.asarray(history)[jnp.clip(-1 - j, 0, len(history) - 1)], jnp.where(j < in_flight, t, 1.0))
    active = repeat_chunks((j >= 0) & (j < in_flight) & (t > 0.0), frames, chunk)
    return NoiseLevels(repeat_chunks(t, frames, chunk), active)


def all_noisy(sampler: Callable[..., Levels]) -> Sampler:
    """A sampler that gives only levels; in it, all tokens above level 0 have a loss."""

    def draw(key: Key[Array, ""], batch: int, frames: int, chunk: int) -> NoiseLevels:
        t = sampler(key, batch, frames, chunk)
        return NoiseLevels(t, t > 0.0)

    return draw


Sampler = Callable[[jax.Array, int, int, int], NoiseLevels]
"""(key, batch, frames, chunk length) → levels."""

SCHEDULED = "sampling_schedule"
"""Name of the sampler that needs `RolloutLevels` (equation 8)."""

UNSCHEDULED: Mapping[str, Callable[..., Levels]] = {
    "independent_per_chunk": independent_per_chunk,
    "independent_per_token": independent_per_token,
    "shared": shared,
    "monotone_per_chunk": monotone_per_chunk,
    "monotone_from_anchor": monotone_from_anchor,
    "teacher_forcing": teacher_forcing,
}
"""Name in a config → function that draws the levels; of all samplers but (8)."""

SAMPLERS = (*UNSCHEDULED, SCHEDULED)
"""Names of all samplers in a config."""


def sampler_of(name: str, rollout: RolloutLevels | None = None) -> Sampler:
    """The sampler of a name in a config. Raises `ValueError` for (8) without a `rollout`."""
    if name != SCHEDULED:
        return all_noisy(UNSCHEDULED[name])
    if rollout is None:
        raise ValueError(f"the sampler {SCHEDULED} needs the levels of a rollout")
    return functools.partial(sampling_schedule, rollout=rollout)


def mixture(key: Key[Array, ""], samplers: Sequence[tuple[Sampler, float]], batch: int, frames: int, chunk: int) -> NoiseLevels:
    """Draws one sampler for each clip, with probability proportional to its weight, and returns its levels."""
    choice_key, *keys = jax.random.split(key, 1 + len(samplers))
    drawn = [draw(k, batch, frames, chunk) for (draw, _), k in zip(samplers, keys, strict=True)]
    log_weights = jnp.log(jnp.asarray([weight for _, weight in samplers], jnp.float32))
    choice = jax.random.categorical(choice_key, log_weights, shape=(batch,))
    chosen = lambda *of_samplers: jnp.take_along_axis(jnp.stack(of_samplers), choice[None, :, None], axis=0)[0]
    return jax.tree.map(chosen, *drawn)


def discrete(t: Float[Array, "*lead"], steps: int) -> Float[Array, "*lead"]:
    """Rounds times up to N = `steps` discrete levels (equation 7); `steps` 0 keeps time continuous.

    A level that is already discrete stays the same, up to rounding.
    """
    if steps == 0:
        return t
    # In floating point n / N times N may be slightly above n; without the tolerance it would be rounded up to n + 1.
    n = jnp.maximum(jnp.ceil(t * steps - 1e-4), 1.0)
    return jnp.where(t > 0.0, n, 0.0) / steps
