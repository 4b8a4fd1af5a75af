from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.layers.test_convolution import randomise
from xactor_jax.layers import spatial_attention
from xactor_jax.layers.spatial_attention import AttentionModule, BankAttention, attend, block_length, sinusoidal_table


def reference_attention(params, x, context, heads):
    """One head after the other in float64."""
    weight = lambda name: np.asarray(params[name]["kernel"], np.float64)
    q, k, v = x @ weight("query"), context @ weight("key"), context @ weight("value")
    width = q.shape[-1] // heads
    parts = []
    for h in range(heads):
        s = slice(h * width, (h + 1) * width)
        logits = q[:, s] @ k[:, s].T / np.sqrt(width)
        p = np.exp(logits - logits.max(axis=-1, keepdims=True))
        parts.append(p / p.sum(axis=-1, keepdims=True) @ v[:, s])
    return np.concatenate(parts, axis=-1) @ weight("out") + np.asarray(params["out"]["bias"], np.float64)


def test_bank_attention_attends_to_pixels_and_bank_together(rng, key):
    x = jnp.asarray(rng.normal(size=(2, 3, 4, 8)), jnp.float32)
    bank = jnp.asarray(rng.normal(size=(2, 5, 8)), jnp.float32)
    module = BankAttention(heads=2)
    params = randomise(jax.eval_shape(module.init, key, x)["params"], key)
    y = np.asarray(jax.jit(module.apply)({"params": params}, x, None, bank))
    expected = reference_attention(params, x[1, 2], np.concatenate([x[1, 2], bank[1]]), 2)
    np.testing.assert_allclose(y[1, 2], expected, atol=1e-4)


def test_bank_that_is_off_is_not_there(rng, key):
    x, bank = jnp.asarray(rng.normal(size=(2, 1, 4, 8)), jnp.float32), jnp.asarray(rng.normal(size=(2, 5, 8)), jnp.float32)
    module = BankAttention(heads=2)
    variables = {"params": randomise(jax.eval_shape(module.init, key, x)["params"], key)}
    run = jax.jit(lambda x, bank, shown: [module.apply(variables, x, None, *given) for given in ((), (bank,), (bank, shown))])
    without, whole, half = map(np.asarray, run(x, bank, jnp.array([True, False])))
    np.testing.assert_allclose(half[0], whole[0], atol=1e-6)
    np.testing.assert_allclose(half[1], without[1], atol=1e-6)
    assert not np.allclose(whole[1], without[1])


def test_cross_attention_sees_only_the_context_of_its_own_frame(rng, key):
    x = jnp.asarray(rng.normal(size=(1, 3, 4, 8)), jnp.float32)
    context = jnp.asarray(rng.normal(size=(1, 3, 2, 6)), jnp.float32)
    module = BankAttention(heads=2)
    params = randomise(jax.eval_shape(module.init, key, x, context)["params"], key)
    y = np.asarray(jax.jit(module.apply)({"params": params}, x, context))
    np.testing.assert_allclose(y[0, 1], reference_attention(params, x[0, 1], context[0, 1], 2), atol=1e-4)


def test_an_embedding_is_seen_by_every_pixel_of_every_frame_after_the_pixels(rng, key):
    """One token: whatever the query, what comes back is its value."""
    x = jnp.asarray(rng.normal(size=(2, 3, 2, 2, 8)), jnp.float32)
    embedding = jnp.asarray(rng.normal(size=(2, 1, 6)), jnp.float32)
    module = AttentionModule("space", heads=2, groups=4, feed_forward=0)
    params = randomise(jax.eval_shape(partial(module.init, embedding=embedding), key, x)["params"], key)
    run = jax.jit(lambda embedding: module.apply({"params": params}, x, embedding=embedding)[0])
    found = run(embedding) - run(jnp.zeros_like(embedding))
    weight = lambda *path: np.asarray(params[path[0]]["kernel"] if len(path) == 1 else params[path[0]][path[1]]["kernel"])
    expected = embedding[:, 0] @ weight("attention1", "value") @ weight("attention1", "out") @ weight("proj_out")
    np.testing.assert_allclose(found, np.broadcast_to(expected[:, None, None, None], x.shape), atol=1e-4)


def attention_of(query, key, value, lengths):
    """In float64, for each example and head apart."""
    y = np.zeros(query.shape)
    for i, length in enumerate(lengths):
        for h in range(query.shape[2]):
            logits = query[i, :, h] @ key[i, :length, h].T / np.sqrt(query.shape[-1])
            p = np.exp(logits - logits.max(axis=-1, keepdims=True))
            y[i, :, h] = p / p.sum(axis=-1, keepdims=True) @ value[i, :length, h]
    return y


@pytest.mark.parametrize("most", [2**23, 100])
def test_blocks_of_queries_attend_as_all_together(rng, monkeypatch, most):
    monkeypatch.setattr(spatial_attention, "BLOCK_LOGITS", most)
    query, key, value = (rng.normal(size=(2, n, 2, 4)) for n in (12, 9, 9))
    lengths = np.array([9, 5])
    run = jax.jit(lambda *x: attend(*(jnp.asarray(a, jnp.float32) for a in x), jnp.asarray(lengths, jnp.int32)))
    np.testing.assert_allclose(run(query, key, value), attention_of(query, key, value, lengths), atol=1e-5)
    direction, step = rng.normal(size=key.shape), 1e-4
    total = lambda key: (attention_of(query, key, value, lengths) ** 2).sum()
    slope = (total(key + step * direction) - total(key - step * direction)) / (2 * step)
    gradient = jax.jit(jax.grad(lambda key: (run(query, key, value) ** 2).sum()))(jnp.asarray(key, jnp.float32))
    assert (np.asarray(gradient) * direction).sum() == pytest.approx(slope, rel=1e-3)


def test_block_lengths_divide_the_queries():
    assert block_length(4096, 8 * 8192) == 128
    assert block_length(64, 8 * 64) == 64
    assert block_length(7, 2**30) == 1 and block_length(6, 2**21 + 1) == 3


def test_memory_does_not_hold_all_logits(monkeypatch):
    monkeypatch.setattr(spatial_attention, "BLOCK_LOGITS", 2**14)
    x = jax.ShapeDtypeStruct((1, 1024, 1, 8), jnp.float32)
    gradient = jax.grad(lambda query, key, value: attend(query, key, value).sum(), argnums=(0, 1, 2))
    compiled = jax.jit(gradient).lower(x, x, x).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 0.25 * 4 * 1024**2


def module_output(module, x, key, **arguments):
    params = randomise(jax.eval_shape(partial(module.init, **arguments), key, x)["params"], key)
    return jax.jit(lambda x, **arguments: module.apply({"params": params}, x, **arguments))


def test_module_starts_as_the_identity_and_hands_out_normalised_pixels(key):
    x = 3.0 + jax.random.normal(key, (2, 3, 2, 2, 8))
    module = AttentionModule("space", heads=2, groups=4)
    (y, feature), _ = jax.tree.map(np.asarray, jax.jit(module.init_with_output)(key, x))
    np.testing.assert_array_equal(y, x)
    assert feature.shape == (2, 12, 8)
    np.testing.assert_allclose(feature.mean(axis=-1), 0.0, atol=1e-5)
    np.testing.assert_allclose(feature.std(axis=-1), 1.0, atol=1e-3)


def test_temporal_attention_mixes_nothing_but_time(key):
    x = jax.random.normal(key, (2, 5, 4, 4, 8))
    run = module_output(AttentionModule("time", heads=2, groups=4), x, key)
    # Two pixels of one frame change places, so that the frame's group statistics stay what they were.
    swapped = x.at[0, 3, 1, 2].set(x[0, 3, 0, 0]).at[0, 3, 0, 0].set(x[0, 3, 1, 2])
    difference = np.abs(np.asarray(run(swapped)[0] - run(x)[0])).max(axis=-1)
    assert (difference[0, :, 1, 2] > 1e-3).all() and (difference[0, :, 0, 0] > 1e-3).all()
    difference[0, :, [1, 0], [2, 0]] = 0.0
    assert difference.max() < 1e-5


def test_isolated_frames_do_not_see_each_other(key):
    x = jax.random.normal(key, (2, 5, 2, 2, 8))
    module = module_output(AttentionModule("time", heads=2, groups=8), x, key)
    run = lambda x: np.asarray(module(x, isolated=jnp.array([True, False]))[0])
    difference = np.abs(run(x.at[:, 3].set(1.5 * x[:, 3] ** 2)) - run(x)).max(axis=(-1, -2, -3))
    assert (difference[0] > 0).tolist() == [False, False, False, True, False]
    assert (difference[1] > 0).all()


def test_temporal_attention_distinguishes_frames_by_their_place(key):
    x = jax.random.normal(key, (1, 5, 2, 2, 8))
    run = module_output(AttentionModule("time", heads=2, groups=8), x, key)
    assert not np.allclose(run(x[:, ::-1])[0][:, ::-1], run(x)[0], atol=1e-3)


def test_spatial_attention_does_not_mix_frames(key):
    x = jax.random.normal(key, (1, 3, 2, 2, 8))
    run = module_output(AttentionModule("space", heads=2, groups=4), x, key)
    difference = np.abs(np.asarray(run(x.at[0, 1].add(jnp.arange(8.0)))[0] - run(x)[0])).max(axis=(-1, -2, -3))[0]
    assert difference[1] > 1e-3 and difference[0] == 0.0 and difference[2] == 0.0


def test_sinusoidal_table_is_sines_and_cosines():
    table = sinusoidal_table(4, 6)
    angles = [3 / 10_000 ** (k / 6) for k in (0, 2, 4)]
    np.testing.assert_allclose(table[3], [f(angle) for angle in angles for f in (np.sin, np.cos)], atol=1e-6)
    halves = sinusoidal_table(4, 6, halves=True)[3]
    np.testing.assert_allclose(halves, [f(angle) for f in (np.sin, np.cos) for angle in angles], atol=1e-6)
