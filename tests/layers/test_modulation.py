"""Adaptive layer norm: its formula, and that every block begins as the identity."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from xactor_jax.layers.modulation import ModulationTable, SharedModulation, layer_norm, modulate


def test_modulate_is_its_formula(rng: np.random.Generator) -> None:
    x, shift, scale = rng.standard_normal((3, 2, 5, 8))
    normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    got = jax.jit(modulate)(*(jnp.float32(a) for a in (x, shift, scale)))
    np.testing.assert_allclose(got, normal * (1 + scale) + shift, atol=1e-5)


def test_statistics_of_half_precision_are_single(rng: np.random.Generator) -> None:
    x = jnp.asarray(1000 + rng.standard_normal((1, 512)), jnp.float32)
    out = layer_norm(x.astype(jnp.bfloat16))
    assert out.dtype == jnp.bfloat16
    np.testing.assert_allclose(out.astype(jnp.float32), layer_norm(x.astype(jnp.bfloat16).astype(jnp.float32)), atol=0.02)


def test_gates_start_at_zero_and_each_token_has_its_own(key: jax.Array, rng: np.random.Generator) -> None:
    c = jax.random.normal(key, (2, 3, 4))
    shared, variables = jax.jit(SharedModulation(6).init_with_output)(key, c)
    assert shared.shape == (2, 3, 6, 4) and not shared.any()
    noisy = jax.tree.map(lambda p: rng.standard_normal(p.shape).astype(np.float32), variables)
    shared = jax.jit(SharedModulation(6).apply)(noisy, c)
    kernel, bias = noisy["params"]["all"]["kernel"], noisy["params"]["all"]["bias"]
    np.testing.assert_allclose(shared.reshape(2, 3, 24), jax.nn.silu(c) @ kernel + bias, atol=1e-4)
    table = {"params": {"table": jnp.arange(24.0).reshape(6, 4)}}
    parts = jax.jit(ModulationTable().apply)(table, shared)
    np.testing.assert_allclose(parts[5], shared[:, :, 5] + jnp.arange(20.0, 24.0), atol=1e-5)
