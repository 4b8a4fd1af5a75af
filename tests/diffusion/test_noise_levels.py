"""Noise levels for training: their structure and their distribution."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.diffusion.noise_levels import (
    SAMPLERS,
    RolloutLevels,
    discrete,
    independent_per_chunk,
    mixture,
    monotone_per_chunk,
    sampler_of,
    sampling_schedule,
)

BATCH, FRAMES, CHUNK = 4000, 11, 4
PYRAMID = RolloutLevels(rows=((0.5, 1.0), (0.25, 0.75), (0.0, 0.5)), history=(0.1, 0.05, 0.0))
"""Two chunks in flight, two steps, and the levels of finished chunks by age."""


def draw(name: str, key: jax.Array) -> np.ndarray:
    return np.asarray(sampler_of(name)(key, BATCH, FRAMES, CHUNK).t)


def test_chunks_share_a_level_and_are_independent(key: jax.Array) -> None:
    t = np.asarray(independent_per_chunk(key, BATCH, FRAMES, CHUNK))
    chunks = t[:, [0, 4, 8]]
    np.testing.assert_array_equal(t, np.repeat(chunks, CHUNK, axis=1)[:, :FRAMES])
    assert np.abs(np.corrcoef(chunks.T) - np.eye(3)).max() < 0.06


def test_tokens_are_independent_and_shared_is_one(key: jax.Array) -> None:
    assert np.abs(np.corrcoef(draw("independent_per_token", key).T) - np.eye(FRAMES)).max() < 0.07
    assert np.ptp(draw("shared", key), axis=1).max() == 0.0


@pytest.mark.parametrize("name", ["independent_per_chunk", "independent_per_token", "shared", "monotone_per_chunk"])
def test_levels_are_uniform_over_the_clip(name: str, key: jax.Array) -> None:
    t = draw(name, key)
    assert t.shape == (BATCH, FRAMES) and t.min() >= 0 and t.max() <= 1
    values = t[:, [0, 4, 8]] if name == "monotone_per_chunk" else t[:, :1]
    assert np.abs(np.quantile(values, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.03


def test_monotone_never_falls(key: jax.Array) -> None:
    t = np.asarray(monotone_per_chunk(key, BATCH, FRAMES, CHUNK))
    assert (np.diff(t, axis=1) >= 0).all() and np.ptp(t[:, :CHUNK]) > 0.5


@pytest.mark.parametrize("name", SAMPLERS)
def test_levels_are_times_of_frames_and_draws_differ(name: str, key: jax.Array) -> None:
    sample = jax.jit(sampler_of(name, PYRAMID), static_argnums=(1, 2, 3))
    (t, active), (other, _) = (jax.tree.map(np.asarray, sample(k, 64, FRAMES, CHUNK)) for k in jax.random.split(key))
    assert t.shape == (64, FRAMES) and t.dtype == np.float32 and t.min() >= 0 and t.max() <= 1
    level = np.where(active, t, 0.0).max(axis=1)  # of the noisiest token that has a loss
    assert len(np.unique(level)) > 60 and (level != np.where(active, other, 0.0).max(axis=1)).all()
    if name != "sampling_schedule":
        np.testing.assert_array_equal(active, t > 0)


def test_levels_of_the_sampling_schedule_are_those_of_a_moment_of_a_rollout(key: jax.Array) -> None:
    """Each clip of five chunks shows one position of the window and one moment between two steps, all equally likely."""
    t, active = (np.asarray(x).reshape(BATCH, 5, CHUNK) for x in sampling_schedule(key, BATCH, 20, CHUNK, PYRAMID))
    assert (t == t[..., :1]).all() and (active == active[..., :1]).all()
    positions, moments = [], []
    for levels, in_flight in zip(t[..., 0], active[..., 0], strict=True):
        places = np.flatnonzero(in_flight)
        first = places[0] if len(places) == 2 else {0: -1, 4: 4}[places[0]]
        newer = levels[first + 1] if first < 4 else levels[first] + 0.5
        row = {first - 3: 0.0, first - 2: 0.05, first - 1: 0.1, first: newer - 0.5, first + 1: newer}
        np.testing.assert_allclose(levels, [row.get(c, 0.0 if c < first else 1.0) for c in range(5)], atol=1e-6)
        positions.append(first)
        moments.append(newer)
    np.testing.assert_allclose(np.bincount(np.array(positions) + 1) / BATCH, np.full(6, 1 / 6), atol=0.03)
    np.testing.assert_allclose(np.quantile(moments, [0.0, 0.1, 0.5, 0.9, 1.0]), [0.5, 0.55, 0.75, 0.95, 1.0], atol=0.02)


def propagated(batch: int, chunks: int) -> np.ndarray:
    """`monotone_from_anchor` chunk by chunk, outwards from the anchor."""
    rng, t = np.random.default_rng(1), np.zeros((batch, chunks))
    for clip in t:
        a = rng.integers(chunks)
        clip[a] = rng.uniform()
        for c in range(a - 1, -1, -1):
            clip[c] = rng.uniform(0, clip[c + 1])
        for c in range(a + 1, chunks):
            clip[c] = rng.uniform(clip[c - 1], 1)
    return t


def test_levels_from_an_anchor_are_those_of_propagating_outwards(key: jax.Array) -> None:
    """Every chunk's quantiles, and the correlations between chunks, of 20,000 clips drawn in both ways."""
    sample = jax.jit(sampler_of("monotone_from_anchor"), static_argnums=(1, 2, 3))
    t = np.asarray(sample(key, 20_000, FRAMES, CHUNK).t)
    chunks = t[:, [0, 4, 8]]
    np.testing.assert_array_equal(t, np.repeat(chunks, CHUNK, axis=1)[:, :FRAMES])
    assert (np.diff(chunks, axis=1) >= 0).all()
    want, q = propagated(20_000, 3), np.linspace(0.05, 0.95, 19)
    np.testing.assert_allclose(np.quantile(chunks, q, axis=0), np.quantile(want, q, axis=0), atol=0.025)
    np.testing.assert_allclose(np.corrcoef(chunks.T), np.corrcoef(want.T), atol=0.03)
    np.testing.assert_allclose(np.diff(chunks).mean(0), np.diff(want).mean(0), atol=0.01)


def test_two_chunks_from_an_anchor_have_the_distribution_of_a_product(key: jax.Array) -> None:
    """The first is U with probability 1/2 and else U U', so that P(t <= x) = x - x log(x) / 2; the second mirrors it."""
    t = np.sort(np.asarray(sampler_of("monotone_from_anchor")(key, 20_000, 2, 1).t), axis=0)
    share = np.arange(1, 20_001) / 20_000
    cdf = lambda x: x - x * np.log(np.maximum(x, 1e-12)) / 2
    assert np.abs(cdf(t[:, 0]) - share).max() < 0.015
    assert np.abs(1 - cdf(1 - t[:, 1]) - share).max() < 0.015


def test_teacher_forcing_has_one_noisy_chunk_in_a_clean_clip(key: jax.Array) -> None:
    t = draw("teacher_forcing", key)[:, [0, 4, 8]]
    assert ((t > 0).sum(axis=1) == 1).all()
    np.testing.assert_allclose((t > 0).mean(axis=0), 1 / 3, atol=0.03)
    for level in (t.max(axis=1), t[t[:, 2] > 0, 2]):
        np.testing.assert_allclose(np.quantile(level, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.04)


@pytest.mark.parametrize("steps", [1, 10, 49, 1000])
def test_discrete_levels_are_the_next_of_n_even_ones(steps: int, key: jax.Array) -> None:
    grid = np.arange(steps + 1) / steps
    inside = np.asarray(jax.random.uniform(key, (3000,)), np.float64)
    t = np.concatenate([[0.0, 1e-7, 1.0], inside])
    got = discrete(jnp.float32(t), steps)
    near = np.abs(t[:, None] - grid).min(axis=1) * steps < 1e-3  # where rounding may decide
    want = grid[np.searchsorted(grid, t)]
    np.testing.assert_allclose(got[~near], want[~near], atol=1e-6)
    np.testing.assert_allclose(got[:3], [0.0, 1 / steps, 1.0], atol=1e-6)
    np.testing.assert_allclose(discrete(jnp.float32(grid), steps), grid, atol=1e-6)


def test_every_discrete_level_is_as_likely_as_another_and_0_steps_are_none(key: jax.Array) -> None:
    t = jax.random.uniform(key, (20_000,))
    count = np.unique(np.asarray(discrete(t, 5)), return_counts=True)
    np.testing.assert_allclose(count[0], [0.2, 0.4, 0.6, 0.8, 1.0], atol=1e-6)
    np.testing.assert_allclose(count[1] / 20_000, 0.2, atol=0.015)
    np.testing.assert_array_equal(discrete(t, 0), t)


def test_mixture_gives_each_clip_one_kind_in_proportion(key: jax.Array) -> None:
    samplers = [(sampler_of("shared"), 1.0), (sampler_of("independent_per_token"), 3.0)]
    t, active = jax.tree.map(np.asarray, mixture(key, samplers, BATCH, FRAMES, CHUNK))
    assert active.all()
    flat = np.ptp(t, axis=1) == 0
    assert abs(flat.mean() - 0.25) < 0.03
    assert np.ptp(t[~flat], axis=0).min() > 0.9 and np.abs(np.diff(t[~flat], axis=1)).mean() > 0.3
