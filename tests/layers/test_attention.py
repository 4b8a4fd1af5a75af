"""Attention against loops in float64 NumPy."""

from __future__ import annotations

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from xactor_jax.layers.attention import (
    KeyValue,
    SelfAttention,
    WindowedCrossAttention,
    implementation,
    masked_attention,
    windowed_attention,
)


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
    got = jax.jit(masked_attention)(*(jnp.float32(x) for x in (q, k, v)), jnp.asarray(mask))
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
    got = jax.jit(windowed_attention)(*(jnp.float32(x) for x in (q, k, v, e)))
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_self_attention_is_the_loop_over_sinks_past_and_tokens(key: jax.Array, rng: np.random.Generator) -> None:
    """Two sinks without position, three tokens before, four of its own of which the first is a sink as well; in float64."""
    layer, width = SelfAttention(heads=2), 16
    x = rng.standard_normal((1, 4, width)).astype(np.float32)
    kept = lambda n: KeyValue(*(jnp.float32(rng.standard_normal((1, n, 2, 8))) for _ in range(2)))
    sinks, past, mask = kept(2), kept(3), rng.random((1, 4, 10)) < 0.6
    mask[..., 6:] |= np.eye(4, dtype=bool)
    arguments = jnp.asarray(x), jnp.asarray(mask), sinks, past, 1
    variables = jax.jit(layer.init, static_argnums=5)(key, *arguments)
    weights = {name: np.float64(p["kernel"]) for name, p in variables["params"].items()}
    q, k, v = ((np.float64(x[0]) @ weights[name]).reshape(4, 2, 8) for name in ("query", "key", "value"))

    def turned(rows: np.ndarray, start: int, keep: float = 1.0) -> np.ndarray:
        """As complex numbers of the first four features: two pairs, at 1 and at 1000^(-1/2) radians a frame."""
        pairs = keep * (rows[..., :2] + 1j * rows[..., 2:4])
        pairs = pairs * np.exp(1j * (start + np.arange(len(rows)))[:, None, None] * np.array([1.0, 1000**-0.5]))
        return np.concatenate([pairs.real, pairs.imag, rows[..., 4:]], axis=-1)

    own_keys = turned(np.concatenate([np.float64(past.key[0]), k]), 0)
    keys = np.concatenate([turned(np.float64(sinks.key[0]), 0, 0.0), turned(k[:1], 0, 0.0), own_keys])
    values = np.concatenate([np.float64(sinks.value[0]), v[:1], np.float64(past.value[0]), v])
    queries, out = turned(q, 3), np.zeros((4, 2, 8))
    for i, h in np.ndindex(4, 2):
        seen = np.flatnonzero(mask[0, i])
        out[i, h] = softmax(keys[seen, h] @ queries[i, h] / 8**0.5) @ values[seen, h]
    got, own = jax.jit(layer.apply, static_argnums=5)(variables, *arguments)
    bias = np.float64(variables["params"]["out"]["bias"])
    np.testing.assert_allclose(got[0], out.reshape(4, width) @ weights["out"] + bias, atol=1e-5)
    np.testing.assert_allclose(own.key[0], k, atol=1e-5)


def test_cudnn_is_asked_only_where_it_can_answer() -> None:
    assert implementation(jnp.zeros((1, 2, 2, 64), jnp.bfloat16)) == "xla"  # no GPU here
    with mock.patch.object(jax, "default_backend", lambda: "gpu"):
        assert implementation(jnp.zeros((1, 2, 2, 64), jnp.bfloat16)) == "cudnn"
        assert implementation(jnp.zeros((1, 2, 2, 64), jnp.float32)) == "xla"
        assert implementation(jnp.zeros((1, 2, 2, 12), jnp.bfloat16)) == "xla"


def test_cross_attention_reaches_exactly_its_window(key: jax.Array, rng: np.random.Generator) -> None:
    x, features = (jnp.float32(rng.standard_normal((1, length, 8))) for length in (9, 13))
    layer = WindowedCrossAttention(heads=2, radius=2)
    variables = jax.jit(layer.init)(key, x, features)
    jacobian = np.asarray(jax.jit(jax.jacobian(lambda f: layer.apply(variables, x, f).sum(-1)[0]))(features))[:, 0]
    reached = np.abs(jacobian).sum(-1) > 0
    distance = np.arange(13)[None] - 2 - np.arange(9)[:, None]
    np.testing.assert_array_equal(reached, np.abs(distance) <= 2)
