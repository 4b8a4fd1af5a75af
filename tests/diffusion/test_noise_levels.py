"""Noise levels for training: their structure and their distribution."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from xactor_jax.diffusion.noise_levels import SAMPLERS, independent_per_chunk, mixture, monotone_per_chunk

BATCH, FRAMES, CHUNK = 4000, 11, 4


def draw(name: str, key: jax.Array) -> np.ndarray:
    return np.asarray(SAMPLERS[name](key, BATCH, FRAMES, CHUNK))


def test_chunks_share_a_level_and_are_independent(key: jax.Array) -> None:
    t = np.asarray(independent_per_chunk(key, BATCH, FRAMES, CHUNK))
    chunks = t[:, [0, 4, 8]]
    np.testing.assert_array_equal(t, np.repeat(chunks, CHUNK, axis=1)[:, :FRAMES])
    assert np.abs(np.corrcoef(chunks.T) - np.eye(3)).max() < 0.06


def test_tokens_are_independent_and_shared_is_one(key: jax.Array) -> None:
    assert np.abs(np.corrcoef(draw("independent_per_token", key).T) - np.eye(FRAMES)).max() < 0.07
    assert np.ptp(draw("shared", key), axis=1).max() == 0.0


@pytest.mark.parametrize("name", SAMPLERS)
def test_levels_are_uniform_over_the_clip(name: str, key: jax.Array) -> None:
    t = draw(name, key)
    assert t.shape == (BATCH, FRAMES) and t.min() >= 0 and t.max() <= 1
    values = t[:, [0, 4, 8]] if name == "monotone_per_chunk" else t[:, :1]
    assert np.abs(np.quantile(values, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.03


def test_monotone_never_falls(key: jax.Array) -> None:
    t = np.asarray(monotone_per_chunk(key, BATCH, FRAMES, CHUNK))
    assert (np.diff(t, axis=1) >= 0).all() and np.ptp(t[:, :CHUNK]) > 0.5


def test_mixture_gives_each_clip_one_kind_in_proportion(key: jax.Array) -> None:
    t = np.asarray(mixture(key, (("shared", 1.0), ("independent_per_token", 3.0)), BATCH, FRAMES, CHUNK))
    flat = np.ptp(t, axis=1) == 0
    assert abs(flat.mean() - 0.25) < 0.03
    assert np.ptp(t[~flat], axis=0).min() > 0.9 and np.abs(np.diff(t[~flat], axis=1)).mean() > 0.3
