"""Causal consistency distillation of the actor."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.actor.toy import CHUNK, DIM, random_variables, toy_batch, toy_config
from xactor_jax.actor.distillation import (
    DistillationSettings,
    chunk_predictions,
    consistency_error,
    drawn_levels,
    training_buffers,
    updated,
    whole_chunks,
)
from xactor_jax.actor.objective import keep_all
from xactor_jax.actor.task import ActorTask
from xactor_jax.checkpoints.exports import TRAINING
from xactor_jax.errors import UserError
from xactor_jax.variables import Variables

HOW = DistillationSettings(grid=8, audio_guidance=1.5, emotion_guidance=3.0, huber=0.01)
FRAMES, BATCH = 12, 3


@cache
def task() -> ActorTask:
    config = toy_config()
    config.phase, config.init_from = "consistency", "a folder that is not read"
    config.distillation.update(grid=HOW.grid, huber=HOW.huber, target_decay=0.9)
    return ActorTask.from_config(config)


def scaled(params: dict, factor: float) -> dict:
    """On the host, where nothing is compiled for the shapes of a tree."""
    return jax.tree.map(lambda x: np.float32(factor) * x, jax.device_get(params))


def test_every_chunk_has_a_level_of_the_grid_and_all_are_as_likely(key: jax.Array) -> None:
    upper, lower = (np.asarray(x) for x in drawn_levels(key, 2000, FRAMES, CHUNK, 8))
    np.testing.assert_array_equal(upper, np.repeat(upper[:, ::CHUNK], CHUNK, axis=1))
    np.testing.assert_allclose(upper - lower, 1 / 8, atol=1e-6)
    levels, counts = np.unique(upper[:, ::CHUNK], return_counts=True)
    np.testing.assert_allclose(levels, np.arange(1, 9) / 8, atol=1e-6)
    np.testing.assert_allclose(counts / counts.sum(), 1 / 8, atol=0.02)
    assert abs(np.corrcoef(upper[:, ::CHUNK].T)[0, 1]) < 0.1  # chunks are independent


def test_chunks_with_padding_do_not_count() -> None:
    valid = np.arange(FRAMES) < np.array([[FRAMES], [FRAMES - 1], [CHUNK + 1]])
    counted = np.asarray(whole_chunks(jnp.asarray(valid), CHUNK)).sum(axis=1)
    np.testing.assert_array_equal(counted, [FRAMES, FRAMES - CHUNK, CHUNK])


def only_noisy(forward, z, t, x0):
    """For each chunk, the prediction of the network for a clip in which only that chunk is noisy: the definition."""
    out = np.zeros(z.shape)
    for start in range(0, FRAMES, CHUNK):
        noisy = (np.arange(FRAMES) // CHUNK == start // CHUNK)[None]
        predicted = forward(np.where(noisy[..., None], z, x0).astype(np.float32), np.where(noisy, t, 0.0).astype(np.float32))
        out[:, start : start + CHUNK] = predicted[:, start : start + CHUNK]
    return out


@pytest.mark.parametrize("sink", [False, True])
def test_all_chunks_are_predicted_as_if_only_it_were_noisy(key: jax.Array, rng: np.random.Generator, sink: bool) -> None:
    """With a context of one chunk, which the first chunk leaves, and a clip that ends in the middle of a chunk."""
    config = toy_config()
    config.network.update(sink_chunk=sink, context=CHUNK, audio_memory=3)
    own = ActorTask.from_config(config)
    params, batch, network = random_variables(own).params, toy_batch(own, BATCH), own.model.network
    short = FRAMES - 1
    batch = {name: x[:, :short] if np.ndim(x) > 1 and x.shape[1] == FRAMES else x for name, x in batch.items()}
    x0, conditions, keep = batch["motion_latents"], own.conditions(batch), keep_all(BATCH)
    z, t = (
        rng.normal(size=x0.shape).astype(np.float32),
        np.repeat(rng.random((BATCH, 4)), CHUNK, 1)[:, :short].astype(np.float32),
    )
    valid = jnp.ones((BATCH, short), bool)
    got = jax.jit(lambda p, z, t: chunk_predictions(network, p, x0, z, t, conditions, keep, valid))(params, z, t)
    whole = jax.jit(lambda p, z, t: network.apply({"params": p}, z, t, conditions, keep, valid).prediction)
    for start in range(0, FRAMES - CHUNK, CHUNK):  # the last chunk is not whole
        noisy = np.arange(short) // CHUNK == start // CHUNK
        expected = whole(params, np.where(noisy[:, None], z, x0), np.where(noisy, t, np.float32(0)))
        np.testing.assert_allclose(got[:, noisy], expected[:, noisy], atol=2e-5)


def test_the_error_is_the_distance_of_two_ends_of_one_path(key: jax.Array, rng: np.random.Generator) -> None:
    """Equations 1 to 4 in float64, from predictions of the network under each set of conditions."""
    network, process = task().model.network, task().model.process
    weights = [scaled(random_variables(task()).params, f) for f in (1.0, 0.8, 1.2)]
    student, teacher, target = weights
    batch = toy_batch(task(), BATCH)
    x0, conditions, valid = batch["motion_latents"], task().conditions(batch), jnp.ones((BATCH, FRAMES), bool)
    arguments = x0, conditions, keep_all(BATCH), valid, key
    run = jax.jit(
        lambda *trees: consistency_error(network, process, HOW, trees[0], dict(teacher=trees[1], target=trees[2]), *arguments)
    )
    error, counted = run(*weights)

    level_key, noise_key = jax.random.split(key)
    t, s = (np.asarray(x) for x in drawn_levels(level_key, BATCH, FRAMES, CHUNK, HOW.grid))
    forward = jax.jit(lambda p, z, t, keep: network.apply({"params": p}, z, t, conditions, keep, valid).prediction)

    def said(p, z, t, **less):
        return only_noisy(lambda z, t: forward(p, z, t, keep_all(BATCH)._replace(**less)), z, t, x0)

    alpha, sigma = (
        (lambda t: np.float64(process.alpha_sigma(t)[0])[..., None]),
        (lambda t: np.float64(process.alpha_sigma(t)[1])[..., None]),
    )
    z = alpha(t) * np.float64(x0) + sigma(t) * np.float64(jax.random.normal(noise_key, x0.shape))
    without, everything = jnp.zeros(BATCH, bool), said(teacher, z, t)
    guess = (
        everything
        + 0.5 * (everything - said(teacher, z, t, audio=without))
        + 2.0 * (everything - said(teacher, z, t, emotion=without))
    )
    eps = (z - alpha(t) * guess) / np.maximum(sigma(t), 1e-3)
    z_s = alpha(s) * guess + sigma(s) * eps
    end = np.where((s > 0)[..., None], said(target, z_s, s), z_s)
    distance = np.sqrt(((said(student, z, t) - end) ** 2).sum(-1) + DIM * HOW.huber**2) - HOW.huber * DIM**0.5
    np.testing.assert_allclose(error, distance, rtol=2e-3, atol=1e-4)
    assert counted.all() and (s > 0).any() and (s == 0).any() and distance.min() > 0.05


def test_only_the_student_learns_and_the_target_follows_it(key: jax.Array) -> None:
    student = random_variables(task()).params
    other = scaled(student, 0.8)
    buffers, batch = training_buffers(other), toy_batch(task(), BATCH)

    loss, (of_student, of_others) = jax.jit(
        jax.value_and_grad(lambda p, b: task().loss(Variables(p, b), batch, key, True).loss, argnums=(0, 1))
    )(student, buffers)
    assert loss > 0 and all(np.abs(x).max() == 0 for x in jax.tree.leaves(of_others))
    assert sum(float(np.abs(x).sum()) for x in jax.tree.leaves(of_student)) > 0.01
    after = jax.jit(updated, static_argnums=2)(buffers, student, 0.9)[TRAINING]
    expected = jax.tree.map(lambda t, p: 0.9 * t + 0.1 * np.asarray(p), other, student)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), after["target"], expected)
    jax.tree.map(np.testing.assert_array_equal, after["teacher"], other)


def test_a_distillation_needs_an_actor() -> None:
    config = toy_config()
    config.phase = "consistency"
    with pytest.raises(UserError, match=r"name its folder by --config\.init_from"):
        ActorTask.from_config(config)
