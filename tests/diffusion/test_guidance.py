"""Guidance is linear extrapolation."""

from __future__ import annotations

import jax
import numpy as np

from xactor_jax.diffusion.guidance import classifier_free, weighted


def test_scales_zero_one_and_two(key: jax.Array) -> None:
    negative, positive = jax.random.normal(key, (2, 3, 4))
    np.testing.assert_array_equal(classifier_free(negative, positive, 0.0), negative)
    np.testing.assert_allclose(classifier_free(negative, positive, 1.0), positive, atol=1e-6)
    np.testing.assert_allclose(classifier_free(negative, positive, 2.0), 2 * positive - negative, atol=1e-6)


def test_several_conditions(key: jax.Array) -> None:
    full, no_audio, no_emotion = jax.random.normal(key, (3, 5))
    np.testing.assert_allclose(weighted([full, no_audio], [2.5, -1.5]), classifier_free(no_audio, full, 2.5), atol=1e-6)
    want = full + 1.0 * (full - no_audio) - 0.5 * (full - no_emotion)
    np.testing.assert_allclose(weighted([full, no_audio, no_emotion], [1.5, -1.0, 0.5]), want, atol=1e-6)
