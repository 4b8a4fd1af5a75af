from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xactor_jax.layers.convolution import (
    Downsample,
    ResidualBlock,
    Upsample,
    average_pool,
    depth_to_space,
    group_norm,
    patches,
    space_to_depth,
)


def randomise(params, key, scale=0.3):
    """Parameters all different from zero, so that zero-initialised branches speak."""
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))  # no shape of which has to be compiled
    return jax.device_put(jax.tree.map(lambda x: (scale * rng.normal(size=x.shape)).astype(np.float32), params))


def test_space_to_depth_keeps_each_patch_together_and_inverts(rng):
    x = rng.normal(size=(2, 3, 8, 12, 5)).astype(np.float32)
    folded = np.asarray(space_to_depth(jnp.asarray(x), 4))
    assert folded.shape == (2, 3, 2, 3, 80)
    np.testing.assert_array_equal(folded[1, 2, 1, 2], x[1, 2, 4:8, 8:12].ravel())
    np.testing.assert_array_equal(depth_to_space(jnp.asarray(folded), 4), x)


def test_patches_by_a_convolution_are_the_same(rng):
    x = jnp.asarray(rng.normal(size=(2, 8, 12, 3)).astype(np.float32))
    np.testing.assert_array_equal(patches(x, 4), space_to_depth(x, 4))


def test_average_pool_is_the_mean_of_each_square(rng):
    x = rng.normal(size=(1, 4, 6, 2)).astype(np.float32)
    pooled = np.asarray(average_pool(jnp.asarray(x)))
    assert pooled.shape == (1, 2, 3, 2)
    np.testing.assert_allclose(pooled[0, 1, 2], x[0, 2:4, 4:6].mean(axis=(0, 1)), rtol=1e-6)


def test_group_norm_normalises_every_frame_and_group_apart(rng, key):
    x = rng.normal(3.0, 2.0, size=(2, 3, 4, 4, 6)).astype(np.float32) * np.arange(1, 4)[:, None, None, None]
    y, _ = group_norm(2).init_with_output(key, jnp.asarray(x))
    groups = x.reshape(2, 3, 16, 2, 3).astype(np.float64)
    mean, std = groups.mean(axis=(2, 4), keepdims=True), groups.std(axis=(2, 4), keepdims=True)
    expected = ((groups - mean) / np.sqrt(std**2 + 1e-5)).reshape(x.shape)
    np.testing.assert_allclose(y, expected, atol=1e-4)


def test_residual_block_starts_as_the_identity_and_then_is_not(key):
    x = jax.random.normal(key, (2, 3, 4, 4, 8))
    block = ResidualBlock(8, groups=4)
    variables, apply = jax.jit(block.init)(key, x), jax.jit(block.apply)
    np.testing.assert_array_equal(apply(variables, x), x)
    assert not np.allclose(apply({"params": randomise(variables["params"], key)}, x), x)


def test_residual_block_treats_frames_alike_and_apart(key):
    x = jax.random.normal(key, (2, 3, 4, 4, 8))
    embedding = jax.random.normal(key, (2, 5))
    block = ResidualBlock(12, groups=4)
    params = randomise(jax.eval_shape(block.init, key, x, embedding)["params"], key)
    apply = jax.jit(lambda x, embedding: block.apply({"params": params}, x, embedding))
    x, embedding = np.asarray(x), np.asarray(embedding)
    y, single = np.asarray(apply(x, embedding)), apply(x[1:, 2], embedding[1:])
    np.testing.assert_allclose(y[1, 2], single[0], atol=1e-5)
    other = np.asarray(apply(x, embedding + np.float32([[1.0], [0.0]])))
    assert not np.allclose(other[0], y[0]) and np.array_equal(other[1], y[1])


@pytest.mark.parametrize("asymmetric", [False, True])
def test_downsample_samples_the_convolution_where_it_says(asymmetric, key):
    x = jax.random.normal(key, (1, 6, 6, 3))
    module = Downsample(2, asymmetric=asymmetric)
    params = randomise(jax.eval_shape(module.init, key, x)["params"], key)
    y = np.asarray(module.apply({"params": params}, x))
    before = 0 if asymmetric else 1
    padded = np.pad(np.asarray(x[0]), ((before, 1), (before, 1), (0, 0)))
    kernel, bias = np.asarray(params["conv"]["kernel"]), np.asarray(params["conv"]["bias"])
    expected = np.einsum("ijc,ijcd->d", padded[2:5, 4:7], kernel) + bias
    assert y.shape == (1, 3, 3, 2)
    np.testing.assert_allclose(y[0, 1, 2], expected, atol=1e-5)


def test_upsample_doubles(key):
    x = jax.random.normal(key, (1, 4, 4, 3))
    y, _ = jax.eval_shape(Upsample(5).init_with_output, key, x)
    assert y.shape == (1, 8, 8, 5)
