"""Attention against loops in float64 NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from xactor_jax.layers.attention import SelfAttention, WindowedCrossAttention, masked_attention, windowed_attention


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def test_masked_attention_is_the_loop(rng: np.random.Generator) -> None:
    q, k, v = rng.standard_normal((3, 2, 5, 2, 4))
    mask = rng.random((2, 5, 5)) < 0.6
    mask |= np.eye(5, dtype=bool)
    want = np.zeros_like(q)
    for b, i, h in np.ndindex(2, 5, 2):
        seen = np.flatnonzero(mask[b, i])
        want[b, i, h] = softmax(k[b, seen, h] @ q[b, i, h] / 2) @ v[b, seen, h]
    got = masked_attention(*(jnp.float32(x) for x in (q, k, v)), jnp.asarray(mask))
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_windowed_attention_is_the_loop(rng: np.random.Generator) -> None:
    tokens, radius = 7, 2
    q = rng.standard_normal((2, tokens, 2, 4))
    k, v = rng.standard_normal((2, 2, tokens + 2 * radius, 2, 4))
    e = rng.standard_normal((5, 2, 4))
    want = np.zeros_like(q)
    for b, i, h in np.ndindex(2, tokens, 2):
        logits = [q[b, i, h] @ (k[b, i + n, h] + e[n, h]) / 2 for n in range(5)]
        want[b, i, h] = softmax(np.array(logits)) @ v[b, i : i + 5, h]
    np.testing.assert_allclose(windowed_attention(*(jnp.float32(x) for x in (q, k, v, e))), want, atol=1e-5)


def test_self_attention_sees_the_sink_alike_from_everywhere(key: jax.Array) -> None:
    """Moving all positions changes nothing; only distances between frames count, and the sink is at none."""
    x = jax.random.normal(key, (1, 6, 8))
    layer = SelfAttention(heads=1, sinks=1)
    mask = jnp.ones((1, 6, 6), bool)
    variables = layer.init(key, x, jnp.arange(6), mask)
    moved = layer.apply(variables, x, jnp.arange(6) + 90, mask)
    np.testing.assert_allclose(layer.apply(variables, x, jnp.arange(6), mask), moved, atol=1e-4)
    stretched = layer.apply(variables, x, 3 * jnp.arange(6), mask)
    assert np.abs(stretched - moved).max() > 1e-3


def test_cross_attention_reaches_exactly_its_window(key: jax.Array) -> None:
    x, features = jax.random.normal(key, (1, 9, 8)), jax.random.normal(jax.random.fold_in(key, 1), (1, 13, 8))
    layer = WindowedCrossAttention(heads=2, radius=2)
    variables = layer.init(key, x, features)
    jacobian = jax.jacobian(lambda f: layer.apply(variables, x, f).sum(-1)[0])(features)[:, 0]
    reached = np.abs(jacobian).sum(-1) > 0
    distance = np.arange(13)[None] - 2 - np.arange(9)[:, None]
    np.testing.assert_array_equal(reached, np.abs(distance) <= 2)
