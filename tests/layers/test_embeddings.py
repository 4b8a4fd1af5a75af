"""Embeddings of noise levels and labels, and conditions that may be dropped."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from xactor_jax.layers.embeddings import LabelEmbedding, NoiseLevelEmbedding, OptionalFeatures, sinusoidal


def test_sinusoidal_is_its_definition() -> None:
    t = np.array([[0.0, 0.013, 1.0]])
    frequency = 10_000.0 ** (-np.arange(4) / 4)
    angle = 1000 * t[..., None] * frequency
    want = np.concatenate([np.cos(angle), np.sin(angle)], axis=-1)
    np.testing.assert_allclose(sinusoidal(jnp.float32(t), 8), want, atol=1e-4)


def test_levels_are_told_apart_by_each_token(key: jax.Array) -> None:
    t = jnp.array([[0.0, 0.02, 0.02, 1.0]])
    layer = NoiseLevelEmbedding(16)
    out, _ = layer.init_with_output(key, t)
    assert out.shape == (1, 4, 16)
    np.testing.assert_allclose(out[0, 1], out[0, 2], atol=1e-6)
    assert np.abs(out[0, 0] - out[0, 1]).max() > 1e-3


def test_labels_that_are_unknown_or_dropped_share_a_vector_of_their_own(key: jax.Array) -> None:
    layer = LabelEmbedding(labels=3, width=4)
    index, keep = jnp.array([0, 1, 2, -1, 3, 1]), jnp.array([True] * 5 + [False])
    out, variables = layer.init_with_output(key, index, keep)
    np.testing.assert_array_equal(out[:3], variables["params"]["table"]["embedding"][:3])
    np.testing.assert_array_equal(out[3:], jnp.tile(variables["params"]["table"]["embedding"][3], (3, 1)))


def test_features_that_are_dropped_leave_no_trace(key: jax.Array) -> None:
    x = jax.random.normal(key, (2, 3, 4))
    layer = OptionalFeatures()
    keep = jnp.array([True, False])[:, None]
    out, variables = layer.init_with_output(key, x, keep)
    np.testing.assert_array_equal(out[0], x[0])
    np.testing.assert_array_equal(out[1], jnp.tile(variables["params"]["null"], (3, 1)))
