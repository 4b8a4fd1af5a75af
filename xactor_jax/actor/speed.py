"""Programs for timing one call of a rollout: with cached keys and values, and with the whole context read again at every step.

The FLOPs of a call are those of its network calls, as XLA counts them before optimisation:

(1)  cache:     F(n + d chunks of recent history) + S F(A chunks in flight)         S steps; heun has 2 S network calls
(2)  no_cache:  S F(W chunks of context + A chunks in flight)

F is the number of FLOPs of one network call. (2) is the baseline: sampling without a cache.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from xactor_jax.actor.model import ActorModel, make_guide
from xactor_jax.actor.network import Conditions
from xactor_jax.actor.rollout import Guide, Window
from xactor_jax.actor.settings import RolloutSettings
from xactor_jax.diffusion.guidance import weighted
from xactor_jax.diffusion.steppers import take_step
from xactor_jax.emotion import frames_of
from xactor_jax.variables import Variables, applied


class Call(NamedTuple):
    """A compiled call that outputs `frames` frames for every example."""

    run: Callable[[], Any]
    frames: int
    flops: float
    network_calls: int


def calls(model: ActorModel, variables: Variables, settings: RolloutSettings, batch: int) -> dict[str, Call]:
    """The calls of equations 1 and 2 by name. Features are zeros, because the time does not depend on their values."""
    window = model.window(settings)
    guide = make_guide(variables, jax.random.key(0), jnp.zeros((batch, model.network.latent_dim)))
    rows = window.steps * (2 if settings.stepper == "heun" else 1)
    read = flops(window, guide, window.recent, model.audio_dim)
    flying = window.structure.active * model.network.chunk
    step, whole = (flops(window, guide, n, model.audio_dim) for n in (flying, flying + model.network.context))
    return {
        "cache": Call(_cached(window, guide, model.audio_dim), window.stride, read + rows * step, 1 + rows),
        "no_cache": Call(_uncached(window, guide, model.audio_dim), window.stride, rows * whole, rows),
    }


def flops(window: Window, guide: Guide, frames: int, audio_dim: int) -> float:
    """F: FLOPs of one network call on `frames` frames in every branch, with attention only among them."""
    arguments = jax.eval_shape(lambda guide: _shown(window, guide, frames, audio_dim), guide)
    lowered = jax.jit(partial(applied, window.network)).lower(guide.params, *arguments)
    return (lowered.cost_analysis() or {})["flops"]


def _shown(window: Window, guide: Guide, frames: int, audio_dim: int) -> tuple[Any, ...]:
    """Arguments of the network: `frames` frames of zeros in every branch."""
    batch = len(guide.reference)
    audio = jnp.zeros((batch, frames + 2 * window.network.audio_radius, audio_dim))
    conditions = window.tiled(Conditions(audio, guide.reference, frames_of(None, batch, 0, frames)))
    x, t, valid = (
        jnp.zeros((batch, frames, window.network.latent_dim)),
        jnp.zeros((batch, frames)),
        jnp.ones((batch, frames), bool),
    )
    return *window.tiled((x, t)), conditions, window.keep(batch), window.tiled(valid)


def _cached(window: Window, guide: Guide, audio_dim: int) -> Callable[[], Any]:
    """`Window.advance`, compiled."""
    batch = len(guide.reference)
    zeros = lambda *shape: np.zeros((batch, *shape, audio_dim), np.float32)
    state = jax.jit(window.initial_state)(guide, zeros(window.network.audio_radius), zeros())
    arguments = guide, state, zeros(window.stride), frames_of(None, batch, 0, window.stride)
    compiled = jax.jit(window.advance).lower(*arguments).compile()
    return lambda: compiled(*arguments)


def _uncached(window: Window, guide: Guide, audio_dim: int) -> Callable[[], Any]:
    """The steps of one call without a cache, compiled: each step reads the context and the chunks in flight."""
    weights, levels = window.numbers.weights.tolist(), jnp.linspace(1.0, 0.0, window.steps + 1)
    frames = window.network.context + window.structure.active * window.network.chunk
    x, _, conditions, keep, valid = jax.jit(lambda guide: _shown(window, guide, frames, audio_dim))(guide)

    def call(guide: Guide, x: jax.Array, conditions: Conditions) -> jax.Array:
        def predict(x: jax.Array, t: ArrayLike) -> jax.Array:
            answer = applied(window.network, guide.params, *window.tiled((x, t)), conditions, keep, valid)
            return weighted(jnp.split(answer.prediction, len(weights)), weights)

        def row(x: jax.Array, m: jax.Array) -> tuple[jax.Array, None]:
            t, s = (jnp.full(x.shape[:2], levels[m + i]) for i in (0, 1))
            return take_step(window.structure.stepper, window.process, predict, x, t, s, noise=x), None

        return jax.lax.scan(row, x, jnp.arange(len(levels) - 1))[0]

    arguments = guide, x[: len(guide.reference)], conditions
    compiled = jax.jit(call).lower(*arguments).compile()
    return lambda: compiled(*arguments)
