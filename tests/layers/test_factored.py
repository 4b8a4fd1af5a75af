"""Convolutions with fewer multiplications against `nn.Conv` of the whole input."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.layers.factored import DoublingConv, JoiningConv, each_repeated

CONV = nn.Conv(5, (3, 3))


@pytest.mark.parametrize("pictures", [2, 6])
def test_features_that_pictures_share_are_convolved_as_if_repeated(key, pictures):
    x, shared = jax.random.normal(key, (pictures, 4, 6, 3)), jax.random.normal(key, (2, 4, 6, 2))
    variables = JoiningConv(5).init(key, x, shared)
    variables["params"]["bias"] += jnp.arange(5.0)
    expected = CONV.apply(variables, jnp.concatenate([x, each_repeated(shared, pictures)], -1))
    np.testing.assert_allclose(JoiningConv(5).apply(variables, x, shared), expected, atol=1e-5)


def test_what_is_shared_is_convolved_once(key):
    few, many = (jax.ShapeDtypeStruct((n, 8, 8, 16), jnp.float32) for n in (1, 8))
    variables = jax.eval_shape(JoiningConv(5).init, key, many, few)
    flops = [jax.jit(JoiningConv(5).apply).lower(variables, many, s).compile().cost_analysis()["flops"] for s in (few, many)]
    assert flops[0] < 0.6 * flops[1]


@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (2, 3, 1, 2, 3)])
def test_doubled_pictures_are_convolved_by_sums_of_the_kernel(key, shape):
    x = jax.random.normal(key, shape)
    variables = DoublingConv(5).init(key, x)
    variables["params"]["bias"] += jnp.arange(5.0)
    expected = lambda v: CONV.apply(v, jnp.repeat(jnp.repeat(x, 2, -3), 2, -2))
    np.testing.assert_allclose(DoublingConv(5).apply(variables, x), expected(variables), atol=1e-5)
    loss = lambda f: jax.grad(lambda v: (f(v) ** 2).sum())(variables)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3),
        loss(lambda v: DoublingConv(5).apply(v, x)),
        loss(expected),
    )


@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
def test_parameters_are_those_of_a_convolution(key, dtype):
    x = jnp.ones((1, 2, 2, 8))
    made, plain = DoublingConv(5, dtype).init(key, x), nn.Conv(5, (3, 3)).init(key, x)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all() and a.dtype == b.dtype, made, plain))
    assert DoublingConv(5, dtype).apply(made, x).dtype == (dtype or jnp.float32)
