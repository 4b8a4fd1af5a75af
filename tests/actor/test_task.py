"""The actor's task: its loss learns, ignores padding, and its pictures show motion."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.actor.toy import random_variables, toy_batch, toy_config
from xactor_jax.actor.task import ActorTask, curve, motion_curves
from xactor_jax.errors import UserError
from xactor_jax.variables import Variables


@cache
def make() -> tuple[ActorTask, Variables]:
    task = ActorTask.from_config(toy_config())
    return task, jax.jit(task.init)(jax.random.key(0))


def test_a_tiny_set_is_learned_in_sixty_steps() -> None:
    task, variables = make()
    batch = toy_batch(task)
    optimizer = optax.adam(3e-3)

    evaluate = jax.jit(lambda p, b: task.loss(variables._replace(params=p), b, jax.random.key(1), False).loss)

    @jax.jit
    def step(params, state, key):
        gradient = jax.grad(lambda p: task.loss(variables._replace(params=p), batch, key, True).loss)(params)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state

    params, state = variables.params, jax.jit(optimizer.init)(variables.params)
    for i in range(60):
        params, state = step(params, state, jax.random.key(i))
    assert evaluate(params, batch) < 0.7 * evaluate(variables.params, batch)
    other = {**batch, "audio_features": np.roll(batch["audio_features"], 1, axis=0)}
    assert evaluate(params, other) > 1.5 * evaluate(params, batch)


@pytest.mark.slow  # quick: tests/actor/test_objective.py, the emotion estimated from the audio against known labels
def test_the_emotion_of_a_voice_is_learned_where_it_is_labelled() -> None:
    """Features say which of two emotions it is; the clips' motion says nothing of it."""
    config = toy_config()
    config.network.audio_memory, config.objective.audio_emotion = 6, 1.0
    task = ActorTask.from_config(config)
    variables, batch = jax.jit(task.init)(jax.random.key(0)), toy_batch(task, 16)
    batch["emotion"] = jnp.tile(jnp.arange(16)[:, None] % 2 + 1, (1, task.window))
    batch["audio_features"] = batch["audio_features"].at[..., 0].add(2.0 * batch["emotion"] - 3.0)
    optimizer = optax.adam(1e-2)

    @jax.jit
    def step(params, state, key):
        gradient = jax.grad(lambda p: task.loss(variables._replace(params=p), batch, key, True).loss)(params)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state

    evaluate = jax.jit(lambda p: task.loss(variables._replace(params=p), batch, jax.random.key(1), False).metrics)
    params, state = variables.params, optimizer.init(variables.params)
    for i in range(40):
        params, state = step(params, state, jax.random.key(i))
    assert evaluate(params)["audio_emotion_accuracy"] > 0.95 > evaluate(variables.params)["audio_emotion_accuracy"]


def test_estimating_emotion_from_audio_needs_a_summary() -> None:
    config = toy_config()
    config.objective.audio_emotion = 0.1
    with pytest.raises(UserError, match="audio_memory"):
        ActorTask.from_config(config)


def scheduled_config(both_ways: bool):
    config = toy_config()
    config.objective.noise_levels.update(independent_per_chunk=0.0, sampling_schedule=1.0)
    config.rollout.update(schedule="pyramid", steps=4, offset=2)
    config.network.bidirectional_window = both_ways
    return config


def test_a_bidirectional_window_is_trained_only_by_the_moments_of_sampling() -> None:
    """In training, too, chunks in flight attend to later ones: the same weights and noise give another loss."""
    causal, both_ways = (ActorTask.from_config(scheduled_config(choice)) for choice in (False, True))
    variables, batch = random_variables(causal), toy_batch(causal)
    losses = [
        jax.jit(task.loss, static_argnums=3)(variables, batch, jax.random.key(3), False).loss for task in (causal, both_ways)
    ]
    assert abs(losses[0] - losses[1]) > 1e-4
    mixed = scheduled_config(True)
    mixed.objective.noise_levels.shared = 1.0
    with pytest.raises(
        UserError, match=r"network.bidirectional_window needs objective.noise_levels to be only sampling_schedule"
    ):
        ActorTask.from_config(mixed)


def test_padding_does_not_count_and_evaluation_drops_nothing() -> None:
    task, variables = make()
    batch = toy_batch(task)
    variables = jax.jit(lambda tree: jax.tree.map(lambda p: p + 0.1, tree))(variables)
    short = {**batch, "mask": batch["mask"].at[:, 8:].set(0.0)}
    noise = {name: short[name].at[:, 8:].set(5) for name in ("motion_latents", "audio_features", "emotion")}
    loss = jax.jit(lambda b, k, train: task.loss(variables, b, k, train).loss, static_argnums=2)
    np.testing.assert_allclose(
        loss(short, jax.random.key(0), False), loss({**short, **noise}, jax.random.key(0), False), rtol=1e-5
    )
    assert loss(batch, jax.random.key(0), False) != loss(short, jax.random.key(0), False)
    assert loss(batch, jax.random.key(0), False) == loss(batch, jax.random.key(0), False)


def test_example_batch_is_what_the_pipeline_gives() -> None:
    shapes = {name: (x.shape, x.dtype.name) for name, x in make()[0].example_batch(4).items()}
    assert shapes == {
        "motion_latents": ((4, 12, 4), "float32"),
        "audio_features": ((4, 12, 5), "float32"),
        "emotion": ((4, 12), "int32"),
        "emotion_intensity": ((4, 12), "float32"),
        "reference_motion": ((4, 4), "float32"),
        "mask": ((4, 12), "float32"),
    }


def test_preview_is_a_picture_under_jit() -> None:
    task, _ = make()
    shown = jax.jit(task.preview)(random_variables(task), toy_batch(task), jax.random.key(0))
    assert shown["std_ratio"] > 0 and shown["velocity_ratio"] > 0
    picture = shown["motion"]
    assert picture.dtype == np.uint8 and picture.shape == (4 * 48, 2 * 12 * 4, 3)
    assert np.ptp(np.asarray(picture).astype(int), axis=-1).max() > 50


def test_a_curve_passes_through_its_values() -> None:
    values = jnp.array([-3.0, 0.0, 3.0, 1.5])
    drawn = np.asarray(curve(values, 49, 4))
    rows = drawn.argmax(0)[::4]
    assert abs(rows[1] - 24) <= 13 and rows[2] <= 1 and drawn[:, 0].argmax() >= 35
    assert (drawn.sum(0) >= 1).all()
    same = np.asarray(motion_curves(values[:, None], values[:, None]))
    assert same.shape == (48, 16, 3)
