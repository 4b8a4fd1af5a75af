from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.layers.test_convolution import randomise
from tests.video import tiny
from xactor_jax.layers.spatial_attention import sinusoidal_table
from xactor_jax.video.denoiser import MotionTokens
from xactor_jax.video.reference import kept_tokens, mask_bank, mask_entry
from xactor_jax.video.task import VideoTask


@pytest.fixture(scope="module")
def task():
    return VideoTask.from_config(tiny.video_config())


@pytest.fixture(scope="module")
def params(task):
    return tiny.random_variables(task).params


@pytest.fixture(scope="module")
def run(task):
    denoiser = task.model.denoiser

    @jax.jit
    def run(params, x, motion, reference, shown, embedding=None):
        bank = denoiser.apply({"params": params}, reference, embedding, method="appearance")
        conditions = (motion, reference, bank, shown)
        return denoiser.apply({"params": params}, x, jnp.full(2, 0.4), *conditions, embedding=embedding)

    return run


@pytest.fixture(scope="module")
def inputs(task):
    keys = jax.random.split(jax.random.key(3), 3)
    x = jax.random.normal(keys[0], (2, 4, *task.model.latent_shape))
    return x, jax.random.normal(keys[1], (2, 4, 6)), jax.random.normal(keys[2], x[:, 0].shape), jnp.ones(2, bool)


def silence(params, pattern):
    """Zeros in every parameter whose path has the pattern."""
    zero = lambda path, x: np.zeros_like(x) if pattern in jax.tree_util.keystr(path, simple=True, separator="/") else x
    return jax.tree_util.tree_map_with_path(zero, params)


def test_motion_changes_the_prediction_of_its_own_example(run, params, inputs):
    x, motion, reference, shown = inputs
    difference = np.abs(run(params, x, motion.at[0].add(1.0), reference, shown) - run(params, x, motion, reference, shown))
    assert difference[0].max() > 1e-3 and difference[1].max() == 0.0


def test_cross_attention_is_the_only_way_in_for_motion(run, params, inputs):
    x, motion, reference, shown = inputs
    deaf = silence(params, "motion/attention0/out")
    np.testing.assert_array_equal(run(deaf, x, motion + 1.0, reference, shown), run(deaf, x, motion, reference, shown))


def test_reference_reaches_the_prediction_by_both_ways(run, params, inputs, task):
    x, motion, reference, shown = inputs
    first = run(params, x, motion, reference, shown)
    assert np.abs(run(params, x, motion, reference.at[0].add(1.0), shown) - first)[0].max() > 1e-3
    other_bank = {**params, "reference": jax.tree.map(lambda p: np.float32(0.5) * np.asarray(p), params["reference"])}
    assert np.abs(run(other_bank, x, motion, reference, shown) - first).max() > 1e-3


def test_a_reference_that_is_not_shown_is_not_seen(run, params, inputs):
    x, motion, reference, _ = inputs
    shown = jnp.array([False, True])
    first = run(params, x, motion, reference, shown)
    difference = np.abs(run(params, x, motion, reference + 1.0, shown) - first)
    assert difference[0].max() == 0.0 and difference[1].max() > 1e-3


def test_an_embedding_reaches_its_own_example_unless_the_reference_is_not_shown(run, params, inputs):
    x, motion, reference, _ = inputs
    shown, embedding = jnp.array([False, True]), jax.random.normal(jax.random.key(6), (2, 5))
    first = run(params, x, motion, reference, shown)
    np.testing.assert_allclose(run(params, x, motion, reference, shown, 0 * embedding), first, atol=1e-6)
    difference = np.abs(run(params, x, motion, reference, shown, embedding) - first)
    assert difference[0].max() < 1e-6 and difference[1].max() > 1e-3


def test_tokens_with_a_box(rng, key):
    """linear(motion, linear(relu(linear(box)))) and positions; without a box, where and as large as the reference's."""
    motion, box = rng.normal(size=(2, 5)).astype(np.float32), rng.normal(size=(2, 3)).astype(np.float32)
    network = MotionTokens(tokens=3, width=4, hidden=0, box_width=7, position_halves=False)
    params = jax.tree.map(np.asarray, randomise(jax.eval_shape(network.init, key, jnp.asarray(motion))["params"], key))
    run = jax.jit(lambda *given: network.apply({"params": params}, *given))
    linear = lambda name, x: x @ params[name]["kernel"] + params[name]["bias"]
    of = lambda box: linear("project", np.concatenate([motion, linear("box_out", np.maximum(linear("box_in", box), 0))], 1))
    tokens = lambda box: of(box).reshape(2, 3, 4) + sinusoidal_table(3, 4)
    np.testing.assert_allclose(run(motion, box), tokens(box), atol=1e-4)
    same = np.tile(np.float32([0, 0, 1]), (2, 1))
    np.testing.assert_allclose(run(motion), tokens(same), atol=1e-4)


def test_masking_keeps_the_right_share_without_repetition(key):
    entry, mask = (
        np.broadcast_to(np.arange(50.0, dtype=np.float32)[None, :, None], (3, 50, 2)),
        jax.jit(mask_entry, static_argnums=2),
    )
    kept = np.asarray(mask(key, entry, 0.3))
    assert kept.shape == (3, 35, 2)
    assert all(len(set(row)) == 35 for row in kept[..., 0])
    assert set(kept[0, :, 0]) != set(kept[1, :, 0])
    counts = np.zeros(50)
    for k in jax.random.split(key, 100):
        counts += np.bincount(np.asarray(mask(k, entry, 0.3))[..., 0].astype(int).ravel(), minlength=50)
    np.testing.assert_allclose(counts / 300, 0.7, atol=0.12)


def test_masks_of_entries_are_drawn_apart(key):
    entry = jnp.broadcast_to(jnp.arange(50.0)[None, :, None], (1, 50, 1))
    a, b = mask_bank(key, (entry, entry), 0.3)
    assert set(np.ravel(a)) != set(np.ravel(b))
    np.testing.assert_array_equal(mask_bank(key, (entry,), 0.0)[0], entry)
    assert kept_tokens(10, 0.3) == 7 and kept_tokens(2, 0.99) == 1
