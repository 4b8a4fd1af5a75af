from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.actor.liveliness import mean_std, std_ratio, velocity_ratio


def test_ratios_of_scaled_and_of_slowed_motion() -> None:
    t = np.arange(1000) * 0.2
    true = np.stack([np.sin(t), np.cos(t)], -1)[None]
    slow = np.stack([np.sin(t / 2), np.cos(t / 2)], -1)[None]
    assert std_ratio(0.5 * true, true) == pytest.approx(0.5)
    assert std_ratio(slow, true) == pytest.approx(1.0, abs=0.02)
    # The difference of sin(ωt) at neighbouring frames has amplitude 2 sin(ω/2).
    assert velocity_ratio(slow, true) == pytest.approx(np.sin(0.05) / np.sin(0.1), abs=0.01)


def test_a_mask_leaves_the_frames_that_it_counts(rng: np.random.Generator) -> None:
    """Clips of their own lengths, padded with nonsense, score as NumPy's standard deviations of each without its padding."""
    clips = [[rng.standard_normal((length, 5)).astype(np.float32) for length in (20, 13)] for _ in range(2)]
    padded = [np.stack([np.pad(x, [(0, 27 - len(x)), (0, 0)], constant_values=9.0) for x in two]) for two in clips]
    mask = np.stack([np.arange(27) < length for length in (20, 13)]).astype(np.float32)
    spread = lambda two: np.mean([x.std(axis=0).mean() for x in two])
    speed = lambda two: [np.diff(x, axis=0) for x in two]
    for array in (np.asarray, jnp.asarray):
        given = (array(padded[0]), array(padded[1]), array(mask))
        np.testing.assert_allclose(std_ratio(*given), spread(clips[0]) / spread(clips[1]), rtol=1e-5)
        np.testing.assert_allclose(velocity_ratio(*given), spread(speed(clips[0])) / spread(speed(clips[1])), rtol=1e-5)


def test_a_clip_of_only_padding_has_standard_deviation_0() -> None:
    assert float(mean_std(jnp.ones((1, 4, 2)), jnp.zeros((1, 4)))) == 0.0
