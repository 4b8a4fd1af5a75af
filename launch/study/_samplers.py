"""The program that each stage's sampling runs again and again, as a function and the shapes of its arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from xactor_jax.actor.model import make_guide
from xactor_jax.emotion import frames_of
from xactor_jax.training.task import Task
from xactor_jax.variables import Variables
from xactor_jax.video.conditions import Told
from xactor_jax.video.prediction import predictor
from xactor_jax.video.preparation import prepare


class Sampler(NamedTuple):
    """What is compiled."""

    what: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def sampler(config: ConfigDict, task: Task) -> Sampler:
    """Of one example of a stage, on one device."""
    variables = jax.eval_shape(task.init, jax.eval_shape(lambda: jax.random.key(0)))
    return {"motion": _motion, "actor": _actor, "autoencoder": _autoencoder, "video": _video}[config.stage](task, variables)


def _array(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def _motion(task: Any, variables: Variables) -> Sampler:
    side = task.model.encoder_size
    return Sampler("motion latent of one picture", task.model.encode, (variables, _array(1, side, side, 3)))


def _actor(task: Any, variables: Variables) -> Sampler:
    model = task.model
    window, dim = model.window(task.preview_settings), model.network.latent_dim
    guide = jax.eval_shape(lambda v, x: make_guide(v, jax.random.key(0), x), variables, _array(1, dim))
    first = _array(1, model.network.audio_radius, model.audio_dim), _array(1, model.audio_dim)
    state = jax.eval_shape(window.initial_state, guide, *first)
    emotion = jax.eval_shape(lambda: frames_of(None, 1, 0, window.stride))
    arguments = guide, state, _array(1, window.stride, model.audio_dim), emotion
    return Sampler(f"{window.stride} frames of motion, {task.preview_settings.steps} steps", window.advance, arguments)


def _autoencoder(task: Any, variables: Variables) -> Sampler:
    decode = lambda v, z: task.model.module.apply({"params": v.params["autoencoder"]}, z, method="decode")
    return Sampler("one picture from its latent", decode, (variables, _array(1, *task.model.settings.latent_shape)))


def _video(task: Any, variables: Variables) -> Sampler:
    model = task.model
    settings, shape = model.render_settings, model.latent_shape
    picture = _array(1, model.image_size, model.image_size, 3), _array(1, model.motion_dim)
    portrait = jax.eval_shape(partial(prepare, model), variables, *picture)
    windows = settings.windows_per_segment
    call = lambda v, portrait, *rest: predictor(model, v, portrait, settings)(*rest)
    x, motion = _array(1, windows, model.window, *shape), _array(1, windows, model.window, model.motion_dim)
    arguments = x, _array(), Told(motion, x if model.draft else None)
    return Sampler(f"one denoising step of {windows} × {model.window} frames", call, (variables, portrait, *arguments))
