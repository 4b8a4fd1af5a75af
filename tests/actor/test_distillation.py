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
    consistency_error,
    drawn_levels,
    training_buffers,
    updated,
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


def test_one_chunk_is_noisy_and_every_level_of_the_grid_is_as_likely(key: jax.Array) -> None:
    upper, lower, noisy = (np.asarray(x) for x in drawn_levels(key, 4000, FRAMES, CHUNK, 8))
    chunks = noisy[:, ::CHUNK]
    np.testing.assert_array_equal(noisy, np.repeat(chunks, CHUNK, axis=1))
    assert (chunks.sum(axis=1) == 1).all() and abs(chunks.mean(axis=0) - 0.25).max() < 0.03
    assert not upper[~noisy].any() and not lower[~noisy].any()
    np.testing.assert_allclose(upper[noisy] - lower[noisy], 1 / 8, atol=1e-6)
    levels, counts = np.unique(upper[noisy], return_counts=True)
    np.testing.assert_allclose(levels, np.arange(1, 9) / 8, atol=1e-6)
    np.testing.assert_allclose(counts / counts.sum(), 1 / 8, atol=0.02)


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
    error, noisy = run(*weights)

    level_key, noise_key = jax.random.split(key)
    t, s, same = (np.asarray(x) for x in drawn_levels(level_key, BATCH, FRAMES, CHUNK, HOW.grid))
    np.testing.assert_array_equal(noisy, same)
    forward = jax.jit(lambda p, z, t, keep: network.apply({"params": p}, z, t, conditions, keep, valid).prediction)
    said = lambda p, z, t, **less: np.float64(forward(p, np.float32(z), t, keep_all(BATCH)._replace(**less)))
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
    z_s = np.where(noisy[..., None], alpha(s) * guess + sigma(s) * eps, z)
    end = np.where((s > 0)[..., None], said(target, z_s, s), z_s)
    distance = np.sqrt(((said(student, z, t) - end) ** 2).sum(-1) + DIM * HOW.huber**2) - HOW.huber * DIM**0.5
    np.testing.assert_allclose(np.asarray(error)[noisy], distance[noisy], rtol=2e-3, atol=1e-4)
    assert (s[noisy] > 0).any() and distance[noisy].min() > 0.05


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
