"""Embeddings of noise levels and labels, and conditions that may be dropped."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from tests.layers.test_convolution import randomise
from xactor_jax.labels import EMOTIONS
from xactor_jax.layers.embeddings import LabelEmbedding, NoiseLevelEmbedding, OptionalFeatures, sinusoidal


def test_sinusoidal_is_its_definition() -> None:
    t = np.array([[0.0, 0.013, 1.0]])
    frequency = 10_000.0 ** (-np.arange(4) / 4)
    angle = 1000 * t[..., None] * frequency
    want = np.concatenate([np.cos(angle), np.sin(angle)], axis=-1)
    np.testing.assert_allclose(jax.jit(sinusoidal, static_argnums=1)(jnp.float32(t), 8), want, atol=1e-4)


def test_each_token_has_the_embedding_of_its_own_level(key: jax.Array) -> None:
    t = jnp.array([[0.0, 0.02, 0.02, 1.0]])
    layer = NoiseLevelEmbedding(16)
    out, _ = jax.jit(layer.init_with_output)(key, t)
    assert out.shape == (1, 4, 16)
    np.testing.assert_allclose(out[0, 1], out[0, 2], atol=1e-6)
    assert np.abs(out[0, 0] - out[0, 1]).max() > 1e-3


def test_noise_levels_are_embedded_as_steps_of_a_table(key: jax.Array) -> None:
    """Time (n + 1) / 1000 is step n; its cosines come before its sines, as Stable Diffusion has them."""
    network = NoiseLevelEmbedding(width=4, base=6, steps=1000, names=("in", "out"))
    params = jax.tree.map(np.asarray, randomise(jax.eval_shape(network.init, key, jnp.zeros(1))["params"], key))
    steps = np.array([0, 1, 421, 999])
    angles = steps[:, None] * 10_000.0 ** (-np.arange(3) / 3)
    h = np.concatenate([np.cos(angles), np.sin(angles)], axis=1) @ params["in"]["kernel"] + params["in"]["bias"]
    expected = h / (1 + np.exp(-h)) @ params["out"]["kernel"] + params["out"]["bias"]
    program = jax.jit(lambda t: network.apply({"params": params}, t))
    run = lambda t: program(np.asarray(t, np.float32))
    np.testing.assert_allclose(run((steps + 1) / 1000), expected, atol=1e-3)
    np.testing.assert_allclose(run([0.0]), expected[:1], atol=1e-5)  # what is clean counts as the first step


def test_labels_that_are_unknown_or_dropped_share_a_vector_of_their_own(key: jax.Array) -> None:
    layer = LabelEmbedding(labels=3, width=4)
    index, keep = jnp.array([0, 1, 2, -1, 3, 1]), jnp.array([True] * 5 + [False])
    out, variables = jax.jit(layer.init_with_output)(key, index, keep)
    np.testing.assert_array_equal(out[:3], variables["params"]["table"]["embedding"][:3])
    np.testing.assert_array_equal(out[3:], jnp.tile(variables["params"]["table"]["embedding"][3], (3, 1)))


def test_intensities_blend_a_label_with_the_neutral_one(key: jax.Array, rng: np.random.Generator) -> None:
    layer = LabelEmbedding(labels=5, width=6)
    index, keep, s = rng.integers(-1, 6, (4, 9)), rng.random((4, 9)) < 0.7, rng.random((4, 9))
    out, variables = jax.jit(layer.init_with_output)(key, jnp.int32(index), jnp.array(keep), jnp.float32(s))
    table = np.float64(variables["params"]["table"]["embedding"])
    for place in np.ndindex(4, 9):
        known = keep[place] and 0 <= index[place] < 5
        want = (1 - s[place]) * table[0] + s[place] * table[index[place]] if known else table[5]
        np.testing.assert_allclose(out[place], want, atol=1e-6)
    assert EMOTIONS[0] == "neutral"


def test_a_guess_replaces_only_unknown_labels(key: jax.Array, rng: np.random.Generator) -> None:
    """(3): U + sum_l p_l E_l."""
    layer = LabelEmbedding(labels=3, width=4)
    index, keep = jnp.array([0, 2, -1, 1]), jnp.array([True, True, True, False])
    guess = rng.dirichlet(np.ones(3), 4)
    variables = jax.jit(layer.init)(key, index, keep)
    out = jax.jit(layer.apply)(variables, index, keep, np.full(4, 0.5, np.float32), jnp.float32(guess))
    table = np.float64(variables["params"]["table"]["embedding"])
    np.testing.assert_allclose(out[0], table[0], atol=1e-6)
    np.testing.assert_allclose(out[1], (table[0] + table[2]) / 2, atol=1e-6)
    np.testing.assert_allclose(out[2:], table[3] + guess[2:] @ table[:3], atol=1e-5)


def test_full_intensity_is_none_and_has_the_same_parameters(key: jax.Array) -> None:
    layer = LabelEmbedding(labels=3, width=4, dtype=jnp.bfloat16)
    index, keep = jnp.array([0, 1, 2, -1, 3, 1]), jnp.array([True] * 5 + [False])
    plain, variables = jax.jit(layer.init_with_output)(key, index, keep)
    full, same = jax.jit(layer.init_with_output)(key, index, keep, jnp.ones(6))
    assert jax.tree.structure(same) == jax.tree.structure(variables) and len(jax.tree.leaves(variables)) == 1
    np.testing.assert_array_equal(plain, full)
    np.testing.assert_array_equal(plain, jax.jit(layer.apply)(variables, index, keep, jnp.ones(6)))
    assert full.dtype == jnp.bfloat16


def test_features_that_are_dropped_leave_no_trace(key: jax.Array) -> None:
    x = jax.random.normal(key, (2, 3, 4))
    layer = OptionalFeatures()
    keep = jnp.array([True, False])[:, None]
    out, variables = jax.jit(layer.init_with_output)(key, x, keep)
    np.testing.assert_array_equal(out[0], x[0])
    np.testing.assert_array_equal(out[1], jnp.tile(variables["params"]["null"], (3, 1)))
